"""GGUF files, in which llama.cpp and Ollama keep models, read as a model and a tokenizer of the lab."""
