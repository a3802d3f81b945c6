"""One file per tab: each has a `TITLE`, a key of the strings, and `build(session)`."""

EXAMPLE = "Tom hid a red ball under the bed. Anna has a blue hat. Where is the ball?"
"""The text that the tabs which look inside the model begin with."""
