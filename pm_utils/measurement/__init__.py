"""What did it change? Experiments, off-policy values, funnels, delays, conversion after the click.

Measuring what was done; choosing what to do next is in `decisions` and `targeting`."""
