"""The Attribution tab: which words of the prompt an answer rests on."""
