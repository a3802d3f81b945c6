"""The Responsibility tab: paired prompts and calibration."""
