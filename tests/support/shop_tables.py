"""Small tables of a shop, and what is wrong with them."""

import pandas as pd
import pytest

from pm_utils.data import Shop, ShopError
from pm_utils.data.schema import MODELS


def small_frames() -> dict[str, pd.DataFrame]:
    """Return two customers, three products, three orders and one campaign, all in order."""
    day = pd.to_datetime
    demographics = [c for c in MODELS["customers"].to_schema().columns if c != "customer_id"]
    return {
        "customers": pd.DataFrame({"customer_id": [1, 2]} | dict.fromkeys(demographics, "told")),
        "products": pd.DataFrame(
            {
                "product_id": [10, 11, 12],
                "manufacturer_id": [5, 5, 6],
                "department": ["GROCERY", "GROCERY", "FUEL"],
                "brand": ["National", "Private", "National"],
                "category": ["A", None, "B"],
                "product_type": ["a", "b", "c"],
                "package_size": [None, "1 OZ", "2 OZ"],
            }
        ),
        "order_lines": pd.DataFrame(
            {
                "order_id": [100, 100, 101, 102],
                "customer_id": [1, 1, 2, 1],
                "store_id": [7, 7, 7, 8],
                "product_id": [10, 11, 12, 10],
                "quantity": [1, 2, 1, 1],
                "amount": [1.5, 2.5, 30.0, 1.5],
                "retail_discount": [0.0, 0.5, 0.0, 0.0],
                "coupon_discount": [0.0, 0.0, 0.0, 1.0],
                "coupon_match_discount": 0.0,
                "ordered_at": day(["2017-01-02", "2017-01-02", "2017-02-01", "2017-03-05"]),
            }
        ),
        "campaigns": pd.DataFrame(
            {
                "campaign_id": [1],
                "campaign_type": ["Type A"],
                "starts_on": day(["2017-03-01"]),
                "ends_on": day(["2017-03-05"]),
            }
        ),
        "contacts": pd.DataFrame({"campaign_id": [1, 1], "customer_id": [1, 2]}),
        "offers": pd.DataFrame({"campaign_id": [1], "coupon_id": [900], "product_id": [10]}),
        "responses": pd.DataFrame(
            {
                "customer_id": [1],
                "coupon_id": [900],
                "campaign_id": [1],
                "responded_at": day(["2017-03-05 18:00"]),
            }
        ),
    }


def violations_of(frames: dict[str, pd.DataFrame], **options) -> list:
    with pytest.raises(ShopError) as caught:
        Shop.from_frames(frames, **options)
    return caught.value.violations


def exposures(**columns) -> pd.DataFrame:
    """Return three displays of small_frames' products, two of them in one store and week."""
    rows = {
        "product_id": [10, 10, 11],
        "store_id": 7,
        "week": [1, 1, 2],
        "display_location": ["0", "6", "0"],
        "mailer_location": "A",
    }
    return pd.DataFrame(rows | columns)
