"""Learning to decide: bandits, planning under a budget, Q-learning and its environment.

Whom a campaign on the real shop addresses is in `targeting`."""
