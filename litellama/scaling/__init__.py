"""How good a larger model would be and what it would cost: the scaling law, sweeps, and plans before training."""
