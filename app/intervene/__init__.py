"""The Intervene tab: switch heads off and see what becomes of the answer."""
