"""Who is this? Features, purchase logs, profile networks, segments.

From the shop's tables to a description of each customer; whom to address follows in `targeting`."""
