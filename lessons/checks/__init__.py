"""The checks of the exercises, a module for each lesson: what is right, and a sentence for each way to be wrong."""
