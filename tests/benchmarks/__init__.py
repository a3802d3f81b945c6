"""Measurements, one question a script; run by hand, never as part of the tests."""
