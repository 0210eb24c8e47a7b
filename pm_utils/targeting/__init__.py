"""Whom do we address? Interest, redemption of coupons, lists and their profit, uplift, fairness.

Customers are described in `customers`; what a whole campaign does with a list is in `loop`."""
