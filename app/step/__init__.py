"""The "Inside one step" tab: every number between one token and the prediction of the next."""
