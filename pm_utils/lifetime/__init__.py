"""What is a customer worth? RFM summaries, BG/NBD and Gamma-Gamma, ZILN networks, retention.

The horizon is months and the unit a customer; single orders and clicks are elsewhere."""
