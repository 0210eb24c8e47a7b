"""Decisions: tests that hold their error rate, bandits, off-policy evaluation, uplift."""
