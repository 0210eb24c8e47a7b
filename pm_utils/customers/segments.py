"""Segments of customers that a marketer can read: who they are, and a name the data chose."""

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from pm_utils import inputs
from pm_utils.data import Shop
from pm_utils.data.clock import shop_day, shop_times

THEMES = {
    "fresh cooks": (
        *("TOMATOES", "ONIONS", "POTATOES", "SALAD MIX", "PEPPERS-ALL", "BERRIES", "GRAPES"),
        *("APPLES", "CITRUS", "TROPICAL FRUIT", "VEGETABLES - ALL OTHERS", "CARROTS"),
        *("VEGETABLES SALAD", "ORGANICS FRUIT & VEGETABLES", "MELONS", "STONE FRUIT"),
    ),
    "meat eaters": ("BEEF", "PORK", "CHICKEN", "MEAT - MISC", "CHICKEN/POULTRY", "BACON"),
    "heat-and-eat households": (
        *("FROZEN PIZZA", "FRZN MEAT/MEAT DINNERS", "FROZEN MEAT", "FRZN BREAKFAST FOODS"),
        *("CONVENIENT BRKFST/WHLSM SNACKS", "HOT DOGS", "FRZN POTATOES", "DINNER MXS:DRY"),
    ),
    "snackers": (
        *("BAG SNACKS", "COOKIES/CONES", "CANDY - PACKAGED", "CANDY - CHECKLANE", "POPCORN"),
        *("SOFT DRINKS", "ICE CREAM/MILK/SHERBTS", "FRZN NOVELTIES/WTR ICE", "WAREHOUSE SNACKS"),
    ),
    "wine and beer drinkers": (
        "BEERS/ALES",
        "DOMESTIC WINE",
        "IMPORTED WINE",
        "MISC WINE",
        "LIQUOR",
    ),
    "young families": (
        *(
            "DIAPERS & DISPOSABLES",
            "INFANT FORMULA",
            "BABY FOODS",
            "BABY HBC",
            "INFANT CARE PRODUCTS",
        ),
    ),
    "pet owners": ("DOG FOODS", "CAT FOOD", "CAT LITTER", "PET CARE SUPPLIES", "BIRD SEED"),
    "deli lunchers": ("DELI MEATS", "SALADS/DIPS", "CHEESES", "SALAD BAR", "SANDWICHES", "ROLLS"),
    "home and body shoppers": (
        *("HAIR CARE PRODUCTS", "ORAL HYGIENE PRODUCTS", "DEODORANTS", "SOAP - LIQUID & BAR"),
        *("LAUNDRY DETERGENTS", "HOUSEHOLD CLEANG NEEDS", "BATH TISSUES", "PAPER TOWELS"),
        *("DISHWASH DETERGENTS", "FACIAL TISS/DNR NAPKIN", "MAKEUP AND TREATMENT"),
    ),
    "bakers": (
        "BAKING MIXES",
        "BAKING NEEDS",
        "SUGARS/SWEETNERS",
        "SPICES & EXTRACTS",
        "FLOUR & MEALS",
    ),
    "drivers who fill up": ("FUEL",),
}
RHYTHMS = ((8.0, "Weekly"), (4.0, "Fortnightly"), (2.0, "Monthly"), (0.0, "Occasional"))


def theme_shares(shop: Shop, before: str | pd.Timestamp) -> pd.DataFrame:
    """Return what share of each customer's spend before a date went to each theme.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    shop : Shop
    before : date
        Only order lines before it count.

    Returns
    -------
    DataFrame of shape (customers who spent, themes)
        Indexed by ``customer_id``. Fuel is a department, every other theme a set of categories.

    Raises
    ------
    ValueError
        When an amount is below 0 or not finite, or a time is missing.

    Examples
    --------
    A quarter of the spend goes to what belongs to no theme, so shares need not sum to 1.

    >>> import pandas as pd
    >>> from pm_utils.customers.segments import theme_shares
    >>> from pm_utils.data import Shop
    >>> lines = pd.DataFrame({"customer_id": 7, "product_id": [1, 2], "amount": [6.0, 2.0],
    ...                       "ordered_at": pd.Timestamp("2017-01-02")})
    >>> products = pd.DataFrame({"product_id": [1, 2], "category": ["BEEF", "UMBRELLAS"],
    ...                          "department": ["MEAT", "DRUG GM"]})
    >>> shares = theme_shares(Shop(products=products, order_lines=lines), "2017-02-01")
    >>> shares.loc[7, ["meat eaters", "bakers"]].tolist()
    [0.75, 0.0]
    """
    ordered_at = shop.order_lines["ordered_at"]
    early = shop_times(ordered_at, "ordered_at") < shop_day(before, "before", ordered_at)
    lines = shop.order_lines.loc[early]
    inputs.numbers(lines["amount"], "amount", low=0)
    theme_of = {category: theme for theme, held in THEMES.items() for category in held}
    products = shop.products.set_index("product_id")
    theme = products["category"].astype(object).map(theme_of)
    theme = theme.mask(products["department"].astype(object) == "FUEL", "drivers who fill up")
    named = lines["product_id"].map(theme)
    spend = lines.groupby([lines["customer_id"], named])["amount"].sum().unstack(fill_value=0.0)
    total = lines.groupby("customer_id")["amount"].sum()
    total = total[total > 0]
    shares = spend.reindex(index=total.index, columns=list(THEMES), fill_value=0.0)
    return shares.div(total, axis=0)


def segment_portraits(
    segment: pd.Series, activity: pd.DataFrame, shares: pd.DataFrame
) -> pd.DataFrame:
    """Describe each segment by size, rhythm, spend and what it buys more of than others.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    segment : Series
        Segment number by ``customer_id``.
    activity : DataFrame
        ``orders_per_8w`` and ``spend_per_8w`` (dollars) by ``customer_id``.
    shares : DataFrame
        From `theme_shares`.

    Returns
    -------
    DataFrame
        One row per segment, the biggest spender first: ``name`` (rhythm and favourite theme; where
        a bigger spender has that name already, the next theme), ``households``, ``share``, median
        ``orders_per_8w`` and ``spend_per_8w``, and ``buys_more``: three themes with their lift,
        the mean share over that of all customers.

    Raises
    ------
    ValueError
        When no customer with shares has a segment, or an activity or a share of one is missing.
    KeyError
        When a column is missing.

    Notes
    -----
    Themes are ranked by how surprising the lift is, in standard errors of the segment's mean
    share, so that a rare theme in a small segment does not win by chance.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.customers.segments import THEMES, segment_portraits
    >>> who = pd.Index([1, 2, 3, 4], name="customer_id")
    >>> shares = pd.DataFrame(0.0, who, list(THEMES))
    >>> shares["meat eaters"], shares["bakers"] = [0.6, 0.4, 0.1, 0.1], [0.1, 0.1, 0.3, 0.5]
    >>> activity = pd.DataFrame({"orders_per_8w": [9.0, 9.0, 2.0, 3.0],
    ...                          "spend_per_8w": [300.0, 200.0, 40.0, 60.0]}, who)
    >>> segment = pd.Series([0, 0, 1, 1], who)
    >>> portraits = segment_portraits(segment, activity, shares)
    >>> portraits["name"].tolist()  # the biggest spenders first
    ['Weekly meat eaters', 'Monthly bakers']
    >>> portraits["spend_per_8w"].tolist()  # medians
    [250.0, 50.0]
    >>> portraits.loc[0, "buys_more"].split(", ")[0]  # 0.5 over a mean of 0.3
    'meat eaters ×1.7'
    """
    shares = inputs.columns(shares, list(THEMES), "shares")
    activity = inputs.columns(activity, ["orders_per_8w", "spend_per_8w"], "activity")
    table = shares.join(activity).assign(segment=segment).dropna(subset=["segment"])
    if not len(table):
        raise ValueError("no customer of shares has a segment: index both by customer_id")
    inputs.numbers(table.drop(columns="segment"), "shares and activity")
    themes, held = table[list(THEMES)], table.groupby("segment")
    size, mean = held.size(), held[list(THEMES)].mean()
    lift = mean / themes.mean()
    z_score = (mean - themes.mean()).div(themes.std()).mul(np.sqrt(size), axis=0)
    portraits = held[["orders_per_8w", "spend_per_8w"]].median()
    portraits.insert(0, "households", size)
    portraits.insert(1, "share", size / size.sum())
    portraits = portraits.sort_values("spend_per_8w", ascending=False, kind="stable")
    names: list[str] = []
    for number, row in portraits.iterrows():
        rhythm = next(word for least, word in RHYTHMS if row["orders_per_8w"] >= least)
        ranked = z_score.loc[number].sort_values(ascending=False, kind="stable").index
        names.append(next(n for theme in ranked if (n := f"{rhythm} {theme}") not in names))
    portraits.insert(0, "name", names)
    portraits["buys_more"] = [
        ", ".join(f"{theme} ×{lift.loc[number, theme]:.1f}" for theme in order.index[:3])
        for number in portraits.index
        for order in [z_score.loc[number].sort_values(ascending=False, kind="stable")]
    ]
    return portraits


def nearest_customers(vectors: np.ndarray, row: int, count: int) -> np.ndarray:
    """Return the customers that are most like one of them.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    vectors : array of shape (N, D)
        Profiles; likeness is the cosine between them.
    row : int
        Whose neighbours to find.
    count : int
        How many.

    Returns
    -------
    array of shape (count,)
        Rows of `vectors`, the nearest first, without `row`.

    Raises
    ------
    ValueError
        When a number is not finite, or there are not so many others.
    IndexError
        When there is no such row.

    Examples
    --------
    The cosine looks at the direction alone: a profile twice as long is as near as can be.

    >>> import numpy as np
    >>> from pm_utils.customers.segments import nearest_customers
    >>> vectors = np.array([[1.0, 0.1], [2.0, 0.2], [0.0, 1.0], [1.0, 1.0]])
    >>> nearest_customers(vectors, row=0, count=2)
    array([1, 3])
    """
    vectors = _vectors(vectors, count)
    row = int(inputs.whole_numbers(row, "row", low=None))
    if not 0 <= row < len(vectors):
        raise IndexError(f"row is {row}: give one of 0 to {len(vectors) - 1}")
    search = NearestNeighbors(n_neighbors=count + 1, metric="cosine").fit(vectors)
    found = search.kneighbors(vectors[[row]], return_distance=False)[0]
    return found[found != row][:count]


def neighbour_overlap(vectors: np.ndarray, target: np.ndarray, neighbours: int) -> np.ndarray:
    """Return how alike each customer's next purchases and those of their nearest neighbours are.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    vectors : array of shape (N, D)
        Profiles; likeness is the cosine between them.
    target : array of shape (N, K)
        1 where a category was bought.
    neighbours : int
        How many neighbours each customer is compared with.

    Returns
    -------
    array of shape (N,)
        Mean Jaccard index: categories that both bought over categories that either bought, 0 where
        neither bought any. Where several are equally far and not all of them fit, each of these
        counts for a share of one, so that the order of the rows decides nothing. A Series where
        the vectors or the target came with an index.

    Raises
    ------
    ValueError
        When a vector is not finite, a target is not 0 or 1, the rows do not match, or there are not
        so many others.

    Examples
    --------
    The first two customers are neighbours and share one of three categories.

    >>> import numpy as np
    >>> from pm_utils.customers.segments import neighbour_overlap
    >>> vectors = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    >>> target = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0], [0, 0, 0]])
    >>> neighbour_overlap(vectors, target, neighbours=1).round(2)
    array([0.33, 0.33, 0.  , 0.  ])
    """
    models = vectors, target
    vectors, target = inputs.aligned(vectors=vectors, target=target)
    vectors, bought = _vectors(vectors, neighbours), inputs.booleans(target, "target")
    search = NearestNeighbors(n_neighbors=neighbours + 1, metric="cosine").fit(vectors)
    distance, found = search.kneighbors(vectors)
    # a twin may push a customer out of its own list
    places = np.array([np.flatnonzero(row != own)[:neighbours] for own, row in enumerate(found)])
    others = np.take_along_axis(found, places, 1)
    both = (bought[:, None] & bought[others]).sum(2)
    either = (bought[:, None] | bought[others]).sum(2)
    overlap = (both / np.maximum(either, 1)).mean(1)
    last = np.take_along_axis(distance, places, 1)[:, -1]
    for own in _cut_ties(search, vectors, last, neighbours):
        overlap[own] = _shared_overlap(search, vectors, bought, own, last[own], neighbours)
    model = next((one for one in models if isinstance(one, pd.Series | pd.DataFrame)), None)
    return overlap if model is None else pd.Series(overlap, model.index)


def _cut_ties(
    search: NearestNeighbors, vectors: np.ndarray, last: np.ndarray, neighbours: int
) -> np.ndarray:
    """Customers of whom another one is as far as the last neighbour on the list."""
    if neighbours + 2 > len(vectors):
        return np.array([], dtype=int)
    distance, found = search.kneighbors(vectors, neighbours + 2)
    distance[found == np.arange(len(vectors))[:, None]] = np.inf
    return np.flatnonzero((distance <= last[:, None] + _rounding(vectors)).sum(1) > neighbours)


def _rounding(vectors: np.ndarray) -> float:
    """Cosine distances that differ by no more differ by rounding alone."""
    return 4 * float(np.finfo(vectors.dtype).eps)


def _shared_overlap(
    search: NearestNeighbors,
    vectors: np.ndarray,
    bought: np.ndarray,
    own: int,
    last: float,
    neighbours: int,
) -> float:
    """Mean overlap where those as far as the last neighbour share the places that are left."""
    distance = search.kneighbors(vectors[[own]], len(vectors))
    far = np.empty(len(vectors))
    far[distance[1][0]] = distance[0][0]
    far[own] = np.inf
    same = _rounding(vectors)
    nearer, tied = far < last - same, np.abs(far - last) <= same
    both, either = (bought[own] & bought).sum(1), (bought[own] | bought).sum(1)
    overlap = both / np.maximum(either, 1)
    left = neighbours - nearer.sum()
    return (overlap[nearer].sum() + left * overlap[tied].mean()) / neighbours


def _vectors(vectors: np.ndarray, count: int) -> np.ndarray:
    """The profiles as an array, of which each has `count` others."""
    vectors = inputs.numbers(vectors, "vectors", ndim=2)
    if not 0 < count < len(vectors):
        raise ValueError(f"{count} neighbours of {len(vectors)} rows: give 1 to {len(vectors) - 1}")
    return vectors
