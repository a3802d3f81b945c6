"""How good and how fair a model is: measured, with intervals; what follows from it is for people.

`exact_match` and `perplexity` measure what was learned; `faithfulness` how far explanations can be trusted, where the
truth is known; `paired_prompts` compares prompts that differ in one word, `calibration` asks whether 80 % sure means
right in 80 of 100 cases, `memorisation` how much of a text comes back word for word.
"""
