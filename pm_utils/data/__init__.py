"""Data for the book: the real shop, checked.

Tables as they are, with their rules; what is computed from them for a model is in `customers`."""

from pm_utils.data.journey import Shop, load_shop
from pm_utils.data.schema import ShopError, Violation

__all__ = ["Shop", "ShopError", "Violation", "load_shop"]
