"""A plan for small histories on the market."""

PLAN = {"scale": 50.0, "weeks": 52, "discount_factor": 0.998}
