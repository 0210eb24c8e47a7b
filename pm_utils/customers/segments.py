"""Segments of customers that a marketer can read: who they are, and a name the data chose."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
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
# Orders per eight weeks that each word stands for. A rhythm has the word that is nearest by ratio.
RHYTHMS = {"Twice-weekly": 16.0, "Weekly": 8.0, "Fortnightly": 4.0, "Monthly": 2.0, "Rare": 1.0}
MIXED = "shoppers of all sorts"  # where no theme stands out
LEAST_Z, LEAST_LIFT = 3.0, 1.1  # what a theme needs to stand out


def theme_spend(shop: Shop, before: str | pd.Timestamp) -> pd.DataFrame:
    """Return how much each customer spent on each theme before a date, and in all.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    shop : Shop
    before : date
        Only order lines before it count.

    Returns
    -------
    DataFrame of shape (customers who spent, themes + 1)
        Dollars, indexed by ``customer_id``; the last column is ``all``. Fuel is a department, every
        other theme a set of categories.

    Raises
    ------
    ValueError
        When an amount is below 0 or not finite, or a time is missing.

    Examples
    --------
    Two dollars go to what belongs to no theme.

    >>> import pandas as pd
    >>> from pm_utils.customers.segments import theme_spend
    >>> from pm_utils.data import Shop
    >>> lines = pd.DataFrame({"customer_id": 7, "product_id": [1, 2], "amount": [6.0, 2.0],
    ...                       "ordered_at": pd.Timestamp("2017-01-02")})
    >>> products = pd.DataFrame({"product_id": [1, 2], "category": ["BEEF", "UMBRELLAS"],
    ...                          "department": ["MEAT", "DRUG GM"]})
    >>> spend = theme_spend(Shop(products=products, order_lines=lines), "2017-02-01")
    >>> spend.loc[7, ["meat eaters", "bakers", "all"]].tolist()
    [6.0, 0.0, 8.0]
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
    spend = spend.reindex(index=total.index, columns=list(THEMES), fill_value=0.0)
    return spend.assign(all=total)


def segment_portraits(
    segment: pd.Series, activity: pd.DataFrame, spend: pd.DataFrame
) -> pd.DataFrame:
    """Describe each segment by size, rhythm, spend and what it buys more of than others.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    segment : Series
        Segment number by ``customer_id``.
    activity : DataFrame
        ``orders_per_8w`` and ``spend_per_8w`` (dollars) by ``customer_id``.
    spend : DataFrame
        From `theme_spend`.

    Returns
    -------
    DataFrame
        One row per segment, the biggest spender first: ``name`` (its rhythm, and the theme that
        stands out most), ``households``, ``share``, median ``orders_per_8w`` and ``spend_per_8w``,
        and ``buys_more``: up to three themes that stand out, each with its lift.

    Raises
    ------
    ValueError
        When no customer with spend has a segment, or an activity or a spend of one is missing.
    KeyError
        When a column is missing.

    Notes
    -----
    A theme's share is that of the segment's dollars, so that many small baskets of a few things do
    not outvote the large ones; the lift is this share over that of all customers. Themes are ranked
    by the gap between the two, in standard errors of the segment's share (a ratio of two means). A
    theme stands out if the gap is three standard errors or more and the lift at least 1.1. Segments
    of one rhythm and one theme are told apart by the theme that comes next, then by a number.

    References
    ----------
    Cochran (1977), Sampling techniques, section 6.4: the standard error of a ratio.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.customers.segments import THEMES, segment_portraits
    >>> who = pd.Index([1, 2, 3, 4], name="customer_id")
    >>> spend = pd.DataFrame(0.0, who, list(THEMES)).assign(all=[100.0, 200.0, 10.0, 30.0])
    >>> spend["meat eaters"], spend["bakers"] = [50.0, 98.0, 1.0, 3.0], [5.0, 10.0, 4.0, 11.0]
    >>> activity = pd.DataFrame({"orders_per_8w": [9.0, 9.0, 2.0, 3.0],
    ...                          "spend_per_8w": [300.0, 200.0, 40.0, 60.0]}, who)
    >>> segment = pd.Series([0, 0, 1, 1], who)
    >>> portraits = segment_portraits(segment, activity, spend)
    >>> portraits["name"].tolist()  # the biggest spenders first
    ['Weekly meat eaters', 'Monthly bakers']
    >>> portraits["spend_per_8w"].tolist()  # medians
    [250.0, 50.0]
    >>> portraits["buys_more"].tolist()  # 148 of 300 dollars, of all customers 152 of 340
    ['meat eaters ×1.1', 'bakers ×4.2']
    """
    spend = inputs.columns(spend, [*THEMES, "all"], "spend")
    activity = inputs.columns(activity, ["orders_per_8w", "spend_per_8w"], "activity")
    table = spend.join(activity).assign(segment=segment).dropna(subset=["segment"])
    if not len(table):
        raise ValueError("no customer of spend has a segment: index both by customer_id")
    inputs.numbers(table.drop(columns="segment"), "spend and activity")
    held = table.groupby("segment")
    size = held.size()
    portraits = held[["orders_per_8w", "spend_per_8w"]].median()
    portraits.insert(0, "households", size)
    portraits.insert(1, "share", size / size.sum())
    portraits = portraits.sort_values("spend_per_8w", ascending=False, kind="stable")
    lifts = {number: _lifts(table, held.get_group(number)) for number in portraits.index}
    rhythms = [_rhythm(orders) for orders in portraits["orders_per_8w"]]
    themes = [list(lifts[number].index) for number in portraits.index]
    portraits.insert(0, "name", _names(rhythms, themes))
    portraits["buys_more"] = [
        ", ".join(f"{theme} ×{lift:.1f}" for theme, lift in lifts[number].iloc[:3].items())
        for number in portraits.index
    ]
    return portraits


def _lifts(everybody: pd.DataFrame, segment: pd.DataFrame) -> pd.Series:
    """The themes that stand out in a segment and their lifts, the clearest first."""
    themes = list(THEMES)
    usual = everybody[themes].sum() / everybody["all"].sum()
    total = segment["all"].sum()
    share = segment[themes].sum() / total
    missed = segment[themes] - np.outer(segment["all"], share)
    error = np.sqrt((missed**2).sum()) / total
    gap = share - usual
    with np.errstate(divide="ignore", invalid="ignore"):
        z_score = (gap / error).where(gap > 0, 0.0)
        lift = share / usual
    found = z_score[(z_score >= LEAST_Z) & (lift >= LEAST_LIFT)]
    return lift[found.sort_values(ascending=False, kind="stable").index]


def _rhythm(orders: float) -> str:
    """The word whose orders per eight weeks are nearest by ratio."""
    words = list(RHYTHMS)
    rates = np.log([RHYTHMS[word] for word in words])
    return words[int(np.abs(rates - np.log(max(orders, 1e-9))).argmin())]


def _names(rhythms: list[str], themes: list[list[str]]) -> list[str]:
    """Rhythm and first theme; more themes, then a number, where two would be called the same."""
    names: list[str] = []
    for rhythm, known in zip(rhythms, themes, strict=True):
        longer = [" and ".join(known[: count + 1]) for count in range(len(known))] or [MIXED]
        longer += [f"{longer[-1]} {number}" for number in range(2, len(rhythms) + 1)]
        names.append(next(n for said in longer if (n := f"{rhythm} {said}") not in names))
    return names


def stability(
    vectors: np.ndarray, groups: Iterable[int], *, splits: int = 5, seed: int = 0
) -> pd.Series:
    """Return how far k-means finds the same groups in halves that share no customer.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    vectors : array of shape (N, D)
        Profiles.
    groups : iterable of int
        The numbers of groups to try.
    splits : int
        How often the customers are dealt to two halves.
    seed : int

    Returns
    -------
    Series
        By number of groups: centres are found in each half, all customers go to the nearest centre
        of each, and the adjusted Rand index compares the two groupings, 1 for identical and 0 for
        chance; the mean over the splits.

    Raises
    ------
    ValueError
        When a vector is not finite, there is no split, or more groups than half of the customers.

    References
    ----------
    Hubert & Arabie (1985), Comparing partitions.

    Examples
    --------
    Two clouds far apart are found again in every half.

    >>> import numpy as np
    >>> from pm_utils.customers.segments import stability
    >>> vectors = np.random.default_rng(0).normal(size=(40, 2))
    >>> vectors[:20] += 50
    >>> stability(vectors, [2], splits=3).to_dict()
    {2: 1.0}
    """
    vectors = inputs.numbers(vectors, "vectors", ndim=2)
    splits = int(inputs.whole_numbers(splits, "splits", low=1))
    half = len(vectors) // 2
    found = {}
    for count in groups:
        count = int(inputs.whole_numbers(count, "groups", low=1))
        if count > half:
            raise ValueError(f"groups is {count}: give at most {half}, half of the customers")
        agreement = []
        for split in range(splits):
            order = np.random.default_rng([seed, split]).permutation(len(vectors))
            means = KMeans(count, n_init=10, random_state=split)
            first = means.fit(vectors[order[:half]]).predict(vectors)
            second = means.fit(vectors[order[half:]]).predict(vectors)
            agreement.append(adjusted_rand_score(first, second))
        found[count] = float(np.mean(agreement))
    return pd.Series(found, name="adjusted Rand index").rename_axis("groups")


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
