"""LiteLlama Lab: a Llama small enough to be understood completely."""

__version__ = "0.1.0"
