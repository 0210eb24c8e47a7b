"""All of it, every week: a campaign in rounds, what is learned in each, and who gets which ad next.

The pieces come from the folders below; here they are joined into strategies that compete."""
