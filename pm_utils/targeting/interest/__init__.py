"""Will a household buy a candidate in its next baskets? Pairs, Deep Interest Network, baselines."""
