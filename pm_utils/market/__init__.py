"""A simulated market with known truth, fed by the real shop."""
