"""Leaving the lab: a checkpoint as a folder for `transformers` and its kin, or as a file for llama.cpp and its kin."""
