"""GGUF files, llama.cpp's format, read as models of the lab: header, shape, tokenizer and weights."""
