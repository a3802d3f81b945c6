"""Training. `recipe` says what a training is, `run` does all of it, `loop` is the training loop itself.

`dataset` and `prepare` make data and model ready, `objective` is the loss, `optimizers` and `parallel` say how it is
lowered and by how many processes; `state` saves and resumes, `events` tells what happens, `control` takes commands.
"""
