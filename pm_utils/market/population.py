"""Customers of the simulated market, drawn with replacement from the real shop's households.

What is estimated from a household's year, and how:

- **tastes** over the twelve categories that ads are for: the household's spend is mapped by
  `SOLD_AS` (three quarters of the shop's dollars; fuel, tobacco, remedies, dry goods have no ad),
  shrunk towards the shop's shares, put as square root of (share / mean share) and factorised into
  `N_TYPES` non-negative types of shopper (NMF); the taste is the factorisation's reconstruction;
- **price sensitivity** in (0, 1): the rank among households of how deep their retail discounts are
  and how often they use a coupon;
- **activity**: orders per week;
- **order value**: mean and coefficient of variation of their orders, in dollars.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.decomposition import NMF

from pm_utils.data import Shop, load_shop
from pm_utils.inputs import aligned, codes, columns, numbers, policy
from pm_utils.market.creatives import ATTRIBUTES, check_levels

CATEGORIES = ATTRIBUTES["category"]
N_TYPES = 8
WEEKS_OBSERVED = 365 / 7
PRIOR_SPEND = 20.0  # dollars at the shop's shares that each household's tastes start from
PRIOR_ORDERS = 5.0  # orders of an average household that each estimate starts from

SOLD_AS: dict[str, tuple[str, ...]] = {
    "drinks": (
        *("SOFT DRINKS", "BEERS/ALES", "DOMESTIC WINE", "IMPORTED WINE", "MISC WINE", "LIQUOR"),
        *("CANNED JUICES", "REFRGRATD JUICES/DRNKS", "COFFEE", "TEAS", "ISOTONIC DRINKS"),
        *("WATER - CARBONATED/FLVRD DRINK", "PWDR/CRYSTL DRNK MX", "COCOA MIXES", "JUICE"),
        *("FRZN JCE CONC/DRNKS", "WATER", "NEW AGE", "BEVERAGE", "NON-DAIRY BEVERAGES"),
    ),
    "dairy": (
        *("FLUID MILK PRODUCTS", "CHEESE", "CHEESES", "YOGURT", "MILK BY-PRODUCTS", "EGGS"),
        *("BUTTER", "MARGARINES", "MISC. DAIRY", "CANNED MILK"),
    ),
    "bakery": (
        *("BAKED BREAD/BUNS/ROLLS", "BAKED SWEET GOODS", "CAKES", "BREAD", "BREAKFAST SWEETS"),
        *("COOKIES", "PIES", "ROLLS", "SWEET GOODS & SNACKS", "REFRGRATD DOUGH PRODUCTS"),
        *("FROZEN BREAD/DOUGH", "BAKING MIXES", "BAKING NEEDS", "FLOUR & MEALS"),
    ),
    "snacks": (
        *("BAG SNACKS", "COOKIES/CONES", "CRACKERS/MISC BKD FD", "CANDY - PACKAGED", "SNACKS"),
        *("CANDY - CHECKLANE", "SNACK NUTS", "WAREHOUSE SNACKS", "POPCORN", "CHIPS&SNACKS"),
        *("SNKS/CKYS/CRKR/CNDY", "RICE CAKES", "PACKAGED NATURAL SNACKS", "DRIED FRUIT", "NUTS"),
    ),
    "meat": (
        *("BEEF", "CHICKEN", "PORK", "LUNCHMEAT", "MEAT - MISC", "DELI MEATS", "SMOKED MEATS"),
        *("TURKEY", "BACON", "DINNER SAUSAGE", "HOT DOGS", "CHICKEN/POULTRY", "LAMB", "VEAL"),
        *("EXOTIC GAME/FOWL", "SEAFOOD-FRESH", "MEAT - SHELF STABLE", "HEAT/SERVE"),
    ),
    "produce": (
        *("POTATOES", "SALAD MIX", "TOMATOES", "TROPICAL FRUIT", "BERRIES", "APPLES", "GRAPES"),
        *("CITRUS", "ONIONS", "VEGETABLES - ALL OTHERS", "PEPPERS-ALL", "CARROTS", "STONE FRUIT"),
        *("MELONS", "VEGETABLES SALAD", "MUSHROOMS", "BROCCOLI/CAULIFLOWER", "PEARS", "CORN"),
        *("ORGANICS FRUIT & VEGETABLES", "VALUE ADDED FRUIT", "VALUE ADDED VEGETABLES", "HERBS"),
        *("SQUASH", "SALAD BAR"),
    ),
    "frozen": (
        *("FRZN MEAT/MEAT DINNERS", "FROZEN PIZZA", "ICE CREAM/MILK/SHERBTS", "FROZEN MEAT"),
        *("FRZN VEGETABLE/VEG DSH", "FRZN NOVELTIES/WTR ICE", "SEAFOOD - FROZEN", "FRZN POTATOES"),
        *("FROZEN PIE/DESSERTS", "FROZEN - BOXED(GROCERY)", "FROZEN CHICKEN", "FRZN FRUITS"),
        *("FRZN SEAFOOD", "FROZEN", "FRZN ICE"),
    ),
    "breakfast": (
        *("COLD CEREAL", "HOT CEREAL", "CONVENIENT BRKFST/WHLSM SNACKS", "FRZN BREAKFAST FOODS"),
        *("BREAKFAST SAUSAGE/SANDWICHES", "MOLASSES/SYRUP/PANCAKE MIXS", "PNT BTR/JELLY/JAMS"),
        "CEREAL/BREAKFAST",
    ),
    "household": (
        *("LAUNDRY DETERGENTS", "LAUNDRY ADDITIVES", "BATH TISSUES", "PAPER TOWELS", "BLEACH"),
        *("HOUSEHOLD CLEANG NEEDS", "DISHWASH DETERGENTS", "FACIAL TISS/DNR NAPKIN", "AIR CARE"),
        *("FD WRAPS/BAGS/TRSH BG", "PAPER HOUSEWARES", "BROOMS AND MOPS", "DISPOSIBLE FOILWARE"),
        *("BATTERIES", "PLASTIC HOUSEWARES", "KITCHEN GADGETS", "ELECTRICAL SUPPPLIES"),
    ),
    "beauty": (
        *("HAIR CARE PRODUCTS", "ORAL HYGIENE PRODUCTS", "MAKEUP AND TREATMENT", "DEODORANTS"),
        *("SHAVING CARE PRODUCTS", "SOAP - LIQUID & BAR", "HAND/BODY/FACIAL PRODUCTS", "BATH"),
        *("FRAGRANCES", "HAIR CARE ACCESSORIES", "COSMETIC ACCESSORIES", "ETHNIC PERSONAL CARE"),
        *("FEMININE HYGIENE", "SUNTAN", "FOOT CARE PRODUCTS", "PERSONAL CARE APPLIANCES"),
    ),
    "pets": ("DOG FOODS", "CAT FOOD", "CAT LITTER", "PET CARE SUPPLIES", "BIRD SEED"),
    "baby": (
        *("DIAPERS & DISPOSABLES", "INFANT FORMULA", "BABY FOODS", "BABY HBC", "BABYFOOD"),
        "INFANT CARE PRODUCTS",
    ),
}


@dataclass(frozen=True, eq=False, repr=False)
class Households:
    """The real households: what their year of orders shows, and what is estimated from it.

    Attributes
    ----------
    record : DataFrame
        Indexed by ``customer_id``, what a marketer sees: ``orders_per_week``,
        ``average_order_value`` (dollars), ``discount_share`` (retail discount over amount before
        it), ``coupon_order_share`` (orders with a coupon over orders) and ``share_<category>``
        (of the spend that `SOLD_AS` maps).
    mixture : array of shape (H, N_TYPES)
        How much of each type of shopper the household is; rows sum to one.
    taste : array of shape (H, 12)
        Shares of spend by category as the factorisation has them; rows sum to one.
    price_sensitivity : array of shape (H,)
        In (0, 1), evenly spread.
    order_rate : array of shape (H,)
        Orders per week.
    order_mean, order_variation : arrays of shape (H,)
        Dollars per order, and their coefficient of variation.

    Raises
    ------
    ValueError
        When the arrays differ in households, rows of shares do not sum to one, a share of taste, a
        rate or a mean is not above 0, or a number is not finite. Pandas' rows are matched to those
        of the record.

    Examples
    --------
    A market of three made-up households, who differ in how often they order:

    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.market import Market
    >>> from pm_utils.market.population import Households
    >>> households = Households(
    ...     record=pd.DataFrame(index=pd.Index([7, 8, 9], name="customer_id")),
    ...     mixture=np.full((3, 8), 1 / 8),
    ...     taste=np.full((3, 12), 1 / 12),
    ...     price_sensitivity=np.array([1, 3, 5]) / 6,
    ...     order_rate=np.array([0.5, 1.0, 2.0]),
    ...     order_mean=np.full(3, 20.0),
    ...     order_variation=np.full(3, 0.5),
    ... )
    >>> market = Market(10, seed=0, households=households)
    >>> bool(market.customers["customer_id"].isin([7, 8, 9]).all())
    True
    """

    record: pd.DataFrame
    mixture: np.ndarray
    taste: np.ndarray
    price_sensitivity: np.ndarray
    order_rate: np.ndarray
    order_mean: np.ndarray
    order_variation: np.ndarray

    def __post_init__(self) -> None:
        """Check once what markets will draw from."""
        given = dict(zip(vars(self), aligned(**vars(self)), strict=True))
        for name, options in (("mixture", None), ("taste", len(CATEGORIES))):
            given[name] = policy(given[name], name, options=options)
        given["taste"] = numbers(given["taste"], "taste", above=0)
        given["price_sensitivity"] = numbers(
            given["price_sensitivity"], "price_sensitivity", low=0, high=1, ndim=1
        )
        for name in ("order_rate", "order_mean"):
            given[name] = numbers(given[name], name, above=0, ndim=1)
        given["order_variation"] = numbers(
            given["order_variation"], "order_variation", low=0, ndim=1
        )
        numbers(given["record"].select_dtypes("number"), "record")
        for name, part in given.items():
            object.__setattr__(self, name, part)


def category_codes(products: pd.DataFrame) -> pd.Series:
    """Return each product's code among the twelve categories of ads, or -1.

    Parameters
    ----------
    products : DataFrame
        With a column ``category``.

    Returns
    -------
    Series of P int64, by the index of the products

    Raises
    ------
    KeyError
        When there is no such column.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.market.population import category_codes
    >>> category_codes(pd.DataFrame({"category": ["COFFEE", "CHEESE", "CIGARETTES"]})).tolist()
    [0, 1, -1]
    """
    check_levels("category", SOLD_AS, "pm_utils.market.population.SOLD_AS")
    code = {sold: k for k, name in enumerate(CATEGORIES) for sold in SOLD_AS[name]}
    category = columns(products, ["category"], "products")["category"]
    return category.astype(object).map(code).fillna(-1).astype(np.int64)


def estimate_households(shop: Shop) -> Households:
    """Estimate tastes, price sensitivity, activity and order values of every household.

    Explained in chapter ``funnel``.

    Parameters
    ----------
    shop : Shop
        With ``customers``, ``products`` and ``order_lines``.

    Returns
    -------
    Households
        In ascending order of ``customer_id``.

    Raises
    ------
    KeyError
        When an order line is of no customer.
    ValueError
        When a household has no order, an amount is negative or not finite, or none of the products
        sold is of a category of ads.
    """
    lines, ids = shop.order_lines, np.sort(shop.customers["customer_id"].to_numpy())
    size, line_of = len(ids), lines["customer_id"].to_numpy()
    order, first = np.unique(lines["order_id"].to_numpy(), return_index=True)
    order_row = np.searchsorted(order, lines["order_id"].to_numpy())
    customer = codes(line_of, pd.Index(ids), "order_lines, customer_id")
    for name in ("amount", "retail_discount", "coupon_discount"):
        numbers(lines[name], f"order_lines, {name}", low=0)
    if (idle := np.bincount(customer, minlength=size) == 0).any():
        raise ValueError(
            f"customers: {idle.sum():,} of {size:,} have no order, first customer_id "
            f"{ids[idle.argmax()]}: leave them out"
        )
    of_order = customer[first]

    def per_order(column: str) -> np.ndarray:
        return np.bincount(order_row, lines[column].to_numpy(), minlength=len(order))

    amount, saved = per_order("amount"), per_order("retail_discount")
    coupon = per_order("coupon_discount") > 0
    orders = np.bincount(of_order, minlength=size)
    spend = np.bincount(of_order, amount, minlength=size)
    squares = np.bincount(of_order, amount**2, minlength=size)
    discounts = np.bincount(of_order, saved, minlength=size)
    coupons = np.bincount(of_order, coupon, minlength=size)
    by_category = _category_spend(shop, customer, size)
    mixture, taste = factorise(by_category)
    mean = _shrink(spend, orders)
    variance = _shrink(squares - 2 * mean * spend + orders * mean**2, orders, scale=mean**2)
    shares = by_category / np.maximum(by_category.sum(1, keepdims=True), 1e-9)
    record = {
        "orders_per_week": orders / WEEKS_OBSERVED,
        "average_order_value": spend / orders,
        "discount_share": discounts / np.maximum(spend + discounts, 1e-9),
        "coupon_order_share": coupons / orders,
    } | {f"share_{name}": shares[:, k] for k, name in enumerate(CATEGORIES)}
    depth = _shrink(discounts, spend + discounts, prior=5 * PRIOR_SPEND)
    use = _shrink(coupons, orders)
    rank = (rankdata(depth) + rankdata(use)) / (2 * size)
    return Households(
        record=pd.DataFrame(record, index=pd.Index(ids, name="customer_id")),
        mixture=mixture,
        taste=taste,
        price_sensitivity=(rankdata(rank) - 0.5) / size,
        order_rate=orders / WEEKS_OBSERVED,
        order_mean=mean,
        order_variation=np.sqrt(variance) / mean,
    )


def _shrink(
    total: np.ndarray, count: np.ndarray, *, prior: float = PRIOR_ORDERS, scale: np.ndarray = 1.0
) -> np.ndarray:
    """Return total / count, starting from `prior` counts at the overall ratio times `scale`."""
    overall = total.sum() / (count * scale).sum()
    return (total + prior * overall * scale) / (count + prior)


def _category_spend(shop: Shop, customer: np.ndarray, size: int) -> np.ndarray:
    known = category_codes(shop.products).set_axis(shop.products["product_id"])
    code = known.reindex(shop.order_lines["product_id"], fill_value=-1).to_numpy()
    mapped = code >= 0
    cell = customer[mapped] * len(CATEGORIES) + code[mapped]
    amount = shop.order_lines["amount"].to_numpy()[mapped]
    return np.bincount(cell, amount, minlength=size * len(CATEGORIES)).reshape(size, -1)


def factorise(spend: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factorise spend by category into types of shopper.

    Parameters
    ----------
    spend : array of shape (H, 12)
        Dollars; at least `N_TYPES` households.

    Returns
    -------
    mixture : array of shape (H, N_TYPES)
        Rows sum to one.
    taste : array of shape (H, 12)
        The shares that the types reconstruct; rows sum to one, no entry is zero.

    Raises
    ------
    ValueError
        When an amount is negative or not finite, there are fewer households than types, or nothing
        was spent.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market.population import factorise
    >>> mixture, taste = factorise(np.random.default_rng(0).gamma(0.5, 40.0, (30, 12)))
    >>> mixture.shape, taste.shape
    ((30, 8), (30, 12))
    >>> bool(np.allclose(taste.sum(1), 1)), bool((taste > 0).all())
    (True, True)
    """
    spend = numbers(spend, "spend", low=0, ndim=2)
    if len(spend) < N_TYPES:
        raise ValueError(f"spend has {len(spend)} households: give at least {N_TYPES}")
    if not spend.sum():
        raise ValueError(
            "spend is 0 throughout: nothing sold is of a category of ads, which "
            "pm_utils.market.population.SOLD_AS lists; add the shop's categories there"
        )
    mean = np.maximum(spend.sum(0) / spend.sum(), 1e-6)
    shares = spend + PRIOR_SPEND * mean
    lift = np.sqrt(shares / shares.sum(1, keepdims=True) / mean)
    model = NMF(N_TYPES, init="nndsvda", max_iter=1000, tol=1e-4, random_state=0)
    weights = model.fit_transform(lift)
    weights_of_type = weights * model.components_.mean(1)
    taste = np.maximum((weights @ model.components_) ** 2, 0.01) * mean
    mixture = weights_of_type / weights_of_type.sum(1, keepdims=True)
    return mixture, taste / taste.sum(1, keepdims=True)


@cache
def real_households() -> Households:
    """Return the households of The Complete Journey, estimated once per process."""
    return estimate_households(load_shop(["customers", "products", "order_lines"]))
