"""What every page shares: plots, scoreboard, seeds, artifacts between chapters, printed sources.

Nothing here knows a model, a market or a customer."""
