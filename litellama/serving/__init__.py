"""Many conversations on one model: an engine that steps them together, and what it stores of them between turns."""
