"""Export: a checkpoint as a folder for transformers, vLLM and SGLang, or as a GGUF file for llama.cpp and Ollama."""
