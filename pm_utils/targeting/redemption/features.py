"""What was known of a contact on the day its campaign started: household, offer, and their match.

Everything is counted strictly before the start: purchases, coupons at the till, redemptions of
earlier campaigns. Only what the shop itself decides, whom it addresses with which offers for how
long, is known on the day.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD

from pm_utils.customers.features import DAY, FEATURES, customer_features
from pm_utils.data.clock import shop_times
from pm_utils.inputs import codes, numbers, refuse, whole_numbers
from pm_utils.targeting.redemption.contacts import CAMPAIGN_TYPES, CampaignLog, column_name

LENGTH = 5.0  # of a row of `bought_types`: its numbers are about as large as scaled ones
FEW = 200  # a coupon on more products than this says little about any of them


def offer_features(log: CampaignLog, contacts: pd.DataFrame, taste: TruncatedSVD) -> pd.DataFrame:
    """Describe what one campaign offers, and how it meets what each household buys.

    Parameters
    ----------
    log : CampaignLog
    contacts : DataFrame
        Rows of `contact_table`, all of one campaign.
    taste : TruncatedSVD
        From `learn_taste`.

    Returns
    -------
    DataFrame
        With the index of `contacts`. Counts are log(1 + x).

    Raises
    ------
    KeyError
        When a household or a campaign type is unknown.
    ValueError
        When the contacts are of several campaigns, or theirs offers nothing.
    """
    campaigns = contacts["campaign_id"].unique()
    if len(campaigns) != 1:
        raise ValueError(f"contacts, column campaign_id: {campaigns.tolist()}: give one campaign")
    codes(contacts["campaign_type"], log.types, "contacts, campaign_type")
    campaign, now = contacts["campaign_id"].iloc[0], log.start_of(contacts).to_datetime64()
    days = int(contacts["days"].iloc[0])
    coupons, offer = log.offered(campaign)  # (coupons, P)
    size = offer.sum(1)
    anything = sp.csr_array(np.minimum(offer.sum(0), 1)[None])  # (1, P)
    who = log.rows_of(contacts["customer_id"], "contacts, customer_id")
    addressed = np.zeros(len(log.customers), bool)
    addressed[who] = True
    past = np.flatnonzero((log.day < now) & addressed[log.customer])
    ago = (now - log.day[past]) / DAY
    weights = {
        "ever": np.ones(len(past)),
        "8w": (ago <= 56).astype(float),
        "faded": np.exp(-ago / 30),
        "by_coupon": log.coupon[past].astype(float),
    }
    met = anything.toarray()[0, log.product[past]] > 0  # other products are of no coupon
    own = {name: log.bought(past[met], weight[met])[who] for name, weight in weights.items()}
    columns = {"coupons": len(coupons), "products": anything.sum(), "days": days}
    columns = {name: np.full(len(who), np.log1p(value)) for name, value in columns.items()}
    for level in log.types:
        name = column_name(level)
        name = name if name.startswith("type_") else f"type_{name}"
        columns[name] = (contacts["campaign_type"] == level).to_numpy()
    few = offer[np.flatnonzero(size <= FEW)]
    for name, bought in own.items():
        columns[f"offered_{name}"] = np.log1p((bought @ anything.T).toarray().ravel())
        columns[f"coupons_{name}"] = np.log1p((bought @ few.T > 0).sum(1))
    lines = np.maximum(np.bincount(log.customer[past], minlength=len(addressed))[who], 1)
    columns["offered_share"] = np.expm1(columns["offered_ever"]) / lines
    columns["offered_products"] = np.log1p((own["ever"].multiply(anything) > 0).sum(1))
    columns["coupons_share"] = (own["ever"] @ few.T > 0).sum(1) / max(few.shape[0], 1)
    kinds = ((few @ log.kind) > 0).astype(np.float32)  # (coupons, K)
    faded = log.kinds_bought(past, weights["faded"])[who]
    columns["kinds_faded"] = np.log1p((faded @ kinds.T > 0.5).sum(1))
    probability = 1 - np.exp(-(own["faded"] @ few.T).toarray() / 30 * days)
    columns["coupons_expected"] = np.log1p(probability.sum(1))
    columns["orders_expected"] = np.log1p(_orders(log, who, now) / 56 * days)
    columns |= _other_campaigns(log, contacts)
    columns["taste_match"] = _taste_match(log.kinds_bought(past)[who], anything @ log.kind, taste)
    return pd.DataFrame(columns, index=contacts.index).astype(float)


def _orders(log: CampaignLog, who: np.ndarray, now: np.datetime64) -> np.ndarray:
    """Days with an order in the eight weeks before → (n,)."""
    rows = (log.day < now) & (log.day >= now - np.timedelta64(56, "D"))
    day = log.day[rows].astype("datetime64[D]").astype(np.int64)
    visits = np.unique(log.customer[rows] * 100_000 + day) // 100_000
    return np.bincount(visits, minlength=len(log.customers))[who]


def _other_campaigns(log: CampaignLog, contacts: pd.DataFrame) -> dict[str, np.ndarray]:
    """Count the other campaigns that address each household and run on the day."""
    shop = log.shop
    start, campaign = log.start_of(contacts), contacts["campaign_id"].iloc[0]
    spans = shop.campaigns
    open_ = spans[(spans["starts_on"] <= start) & (spans["ends_on"] >= start)]
    rows = shop.contacts.merge(open_[open_["campaign_id"] != campaign], on="campaign_id")
    counts = rows["customer_id"].value_counts()
    columns, who = {"other_campaigns": counts}, contacts["customer_id"]
    for name, types in log.type_groups.items():
        if log.types != CAMPAIGN_TYPES or name == "a":
            chosen = rows.loc[rows["campaign_type"].isin(types), "customer_id"]
            columns[f"other_campaigns_{name}"] = chosen.value_counts()
    return {name: who.map(count).fillna(0).to_numpy(float) for name, count in columns.items()}


def learn_taste(log: CampaignLog, until: Any, *, width: int = 16) -> TruncatedSVD:
    """Decompose what households bought, by product type, until a date.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    log : CampaignLog
    until : date-like
        Nothing dated on or after it is read.
    width : int
        Components that are kept.

    Returns
    -------
    sklearn.decomposition.TruncatedSVD
        Of log(1 + lines) by household and product type, each row scaled to length 1.

    Raises
    ------
    ValueError
        When there are not as many product types as components, or fewer than two.

    Examples
    --------
    Two households bought steak, one bought chops; likes lie near each other, unlikes do not.

    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.data import Shop
    >>> from pm_utils.targeting.redemption.contacts import CampaignLog
    >>> from pm_utils.targeting.redemption.features import learn_taste, taste_of
    >>> lines = pd.DataFrame({"customer_id": [7, 8, 9], "product_id": [10, 10, 11],
    ...                       "coupon_discount": 0.0, "ordered_at": pd.Timestamp("2017-01-02")})
    >>> products = pd.DataFrame({"product_id": [10, 11], "category": ["BEEF", "PORK"],
    ...                          "product_type": ["STEAK", "CHOPS"]})
    >>> customers = pd.DataFrame({"customer_id": [7, 8, 9]})
    >>> offers = pd.DataFrame({"campaign_id": [1], "coupon_id": [900], "product_id": [10]})
    >>> shop = Shop(customers=customers, products=products, order_lines=lines, offers=offers)
    >>> log = CampaignLog.of(shop)
    >>> taste = taste_of(log, "2017-02-01", learn_taste(log, "2017-02-01", width=2)).to_numpy()
    >>> np.abs(taste @ taste.T).round(2)
    array([[1., 1., 0.],
           [1., 1., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    kinds = log.kind.shape[1]
    if kinds < 2:
        raise ValueError(f"products hold {kinds} product type: a taste needs at least two")
    whole_numbers(width, "width", low=1, high=kinds)
    lines = log.kinds_bought(log.before(until))
    return TruncatedSVD(width, random_state=0).fit(_unit_rows(lines))


def taste_of(log: CampaignLog, as_of: Any, taste: TruncatedSVD) -> pd.DataFrame:
    """Return every household's taste on a date → (H, width), indexed by ``customer_id``.

    Parameters
    ----------
    log : CampaignLog
    as_of : date-like
        Nothing dated on or after it is read.
    taste : TruncatedSVD
        From `learn_taste`.
    """
    values = taste.transform(_unit_rows(log.kinds_bought(log.before(as_of))))
    columns = [f"taste_{i:02d}" for i in range(values.shape[1])]
    return pd.DataFrame(values, log.customers, columns)


def bought_types(
    log: CampaignLog, contacts: pd.DataFrame, among: np.ndarray, *, least: float = 0.05
) -> pd.DataFrame:
    """Describe each contact's household by all that it bought before, one number a product type.

    What `taste_of` digests to a few numbers, as it is: the wide feature for which Deep Crossing
    has its embedding.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    log : CampaignLog
    contacts : DataFrame
        From `contact_table`.
    among : boolean array of shape (n,)
        The contacts that decide which product types are kept.
    least : float
        A product type is kept when at least this share of them had bought it.

    Returns
    -------
    DataFrame of shape (n, K)
        With the index of `contacts`; log(1 + lines), each row scaled to `LENGTH` before types are
        left out. Columns are called ``taste_type_`` and the type's number.

    Raises
    ------
    ValueError
        When no product type is kept.
    """
    found = []
    for start, at in _by_start(contacts):
        who = log.rows_of(contacts["customer_id"].iloc[at], "contacts, customer_id")
        lines = _unit_rows(log.kinds_bought(log.before(start)))[who]
        found.append((LENGTH * pd.DataFrame(lines.toarray()), at))
    types = _in_order(found, contacts)
    types = types.loc[:, types[among].gt(0).mean() >= least]
    if types.empty:
        raise ValueError(f"no product type was bought by {least:.0%} of the contacts: lower least")
    return types.add_prefix("taste_type_")


def _unit_rows(lines: sp.csr_array) -> sp.csr_array:
    lines = lines.copy()
    lines.data = np.log1p(lines.data)
    length = np.sqrt(lines.multiply(lines).sum(1))
    return sp.csr_array(lines.multiply(1 / np.maximum(length, 1e-9)[:, None]))


def _taste_match(bought: sp.csr_array, offer: sp.csr_array, taste: TruncatedSVD) -> np.ndarray:
    """Cosine of a household's taste and that of a basket with all offered products."""
    own, theirs = (taste.transform(_unit_rows(kinds)) for kinds in (bought, offer))
    theirs = theirs[0]
    length = np.linalg.norm(own, axis=1) * np.linalg.norm(theirs)
    return own @ theirs / np.maximum(length, 1e-9)


def latest_profiles(
    profiles: pd.DataFrame, contacts: pd.DataFrame, *, trained_until: Any
) -> pd.DataFrame:
    """Look up each contact's last learned profile on or before the start of its campaign.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    profiles : DataFrame
        ``customer_profiles.parquet``, indexed by ``trained_until``, ``customer_id``, ``as_of``.
    contacts : DataFrame
        From `contact_table`.
    trained_until : date-like
        The vintage to read. Its network has seen purchases until then: contacts of earlier
        campaigns are fit to train on, never to test.

    Returns
    -------
    DataFrame
        With the index of `contacts`; zeros where a household has no profile yet.

    Raises
    ------
    ValueError
        When a number of the vintage is not finite, or a contact has no start.

    Examples
    --------
    Household 7 has profiles of January and March. A campaign of February reads January's, never a
    later one; household 8 has none.

    >>> import pandas as pd
    >>> from pm_utils.targeting.redemption.features import latest_profiles
    >>> january, march = pd.Timestamp("2017-01-01"), pd.Timestamp("2017-03-01")
    >>> keys = [(january, 7, january), (january, 7, march)]
    >>> index = pd.MultiIndex.from_tuples(keys, names=["trained_until", "customer_id", "as_of"])
    >>> profiles = pd.DataFrame({"profile_00": [0.5, -0.5]}, index)
    >>> contacts = pd.DataFrame({"customer_id": [7, 8],
    ...                          "starts_on": pd.Timestamp("2017-02-01")})
    >>> latest_profiles(profiles, contacts, trained_until="2017-01-01")
       profile_00
    0         0.5
    1         0.0
    """
    vintage = profiles.loc[pd.Timestamp(trained_until)]
    numbers(vintage, "profiles")
    dates = vintage.index.unique("as_of").sort_values()
    found = []
    for start, at in _by_start(contacts):
        date = dates[max(dates.searchsorted(start, side="right") - 1, 0)]
        rows = vintage.xs(date, level="as_of").reindex(contacts["customer_id"].iloc[at])
        found.append(((rows if date <= start else rows * np.nan), at))
    return _in_order(found, contacts).fillna(0.0)


def _by_start(contacts: pd.DataFrame) -> list[tuple[pd.Timestamp, np.ndarray]]:
    """Return each start of a campaign, and where its contacts stand."""
    if not len(contacts):
        raise ValueError("contacts: no rows; give at least one")
    starts = shop_times(contacts["starts_on"], "contacts, starts_on")
    return [(pd.Timestamp(start), at) for start, at in _places(starts)]


def _places(values: pd.Series) -> list[tuple[Any, np.ndarray]]:
    """Return each different value, in order, and where it stands."""
    plain = pd.Series(values.to_numpy())
    return list(plain.groupby(plain).indices.items())


def _in_order(parts: list[tuple[pd.DataFrame, np.ndarray]], contacts: pd.DataFrame) -> pd.DataFrame:
    """Join rows of contacts and put them where these stand, whatever labels they carry."""
    place = np.concatenate([at for _, at in parts])
    return pd.concat([part for part, _ in parts]).iloc[np.argsort(place)].set_axis(contacts.index)


def contact_features(
    log: CampaignLog, contacts: pd.DataFrame, taste: TruncatedSVD
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Describe each contact's household and what it was offered, on the day of the start.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    log : CampaignLog
    contacts : DataFrame
        From `contact_table`.
    taste : TruncatedSVD
        From `learn_taste`, learned on or before the first start that is scored.

    Returns
    -------
    household : DataFrame of shape (n, F + width)
        `household_features` and `taste_of`.
    content : DataFrame of shape (n, G)
        `offer_features`. Both have the index of `contacts`.
    """
    household, content = [], []
    for start, at in _by_start(contacts):
        state = pd.concat([household_features(log, start), taste_of(log, start, taste)], axis=1)
        household.append((state.loc[contacts["customer_id"].iloc[at]], at))
        for _, inner in _places(contacts["campaign_id"].iloc[at]):
            content.append((offer_features(log, contacts.iloc[at[inner]], taste), at[inner]))
    return _in_order(household, contacts), _in_order(content, contacts)


def coupon_use_after(
    log: CampaignLog, dates: Iterable[Any], taste: TruncatedSVD, *, days: int = 42
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stack all households on several dates, with the coupons they use in the days that follow.

    A much larger set of labels than the contacts' own: any coupon at the till counts, also
    manufacturers' coupons of no campaign.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    log : CampaignLog
    dates : iterable of date-like
    taste : TruncatedSVD
        From `learn_taste`.
    days : int
        How long after each date coupons count.

    Returns
    -------
    household : DataFrame
        As in `contact_features`, indexed by ``as_of`` and ``customer_id``.
    used : DataFrame
        ``coupons``, the order lines bought with a coupon; 0 in most rows.

    Raises
    ------
    ValueError
        When there is no date, or `days` is no whole number above 0.
    """
    whole_numbers(days, "days", low=1)
    household, used = {}, {}
    for date in dates:
        date = log.day_of(date, "dates")
        now = date.to_datetime64()
        rows = log.coupon & (log.day >= now) & (log.day < now + np.timedelta64(days, "D"))
        count = np.bincount(log.customer[rows], minlength=len(log.customers))
        parts = [household_features(log, date), taste_of(log, date, taste)]
        household[date] = pd.concat(parts, axis=1)
        used[date] = pd.DataFrame({"coupons": count}, index=log.customers)
    if not household:
        raise ValueError("dates holds no date: give at least one")
    names = ["as_of", "customer_id"]
    return pd.concat(household, names=names), pd.concat(used, names=names)


TOLD = {  # what households may tell, the first of which is a feature
    "marital_status": ("Married", "Unmarried"),
    "home_ownership": ("Homeowner", "Probable Homeowner", "Renter", "Probable Renter"),
}
LONGEST = 365.0  # days since something that never happened
BASE_RATE, BASE_WEIGHT = 0.12, 2.0  # a household's answers are shrunk towards the shop's usual rate


def household_features(log: CampaignLog, as_of: Any) -> pd.DataFrame:
    """Describe every household by activity, coupon use, earlier answers and what it told.

    Parameters
    ----------
    log : CampaignLog
    as_of : date-like
        Nothing dated on or after it is read.

    Returns
    -------
    DataFrame of shape (H, F)
        Indexed by ``customer_id``. Amounts, counts and days as log(1 + x); 0 where a household
        has not ordered yet. Contacts and answers are counted by `CampaignLog.type_groups`.

    Raises
    ------
    KeyError
        When a contact or a response is of no customer or no campaign, or what a household told is
        none of `TOLD`.
    TypeError
        When what households told is text and not ordered categories.
    """
    as_of = log.day_of(as_of, "as_of")
    now = as_of.to_datetime64()
    for name in ("contacts", "responses"):
        log.rows_of(getattr(log.shop, name)["customer_id"], f"{name}, customer_id")
    known = customer_features(log.shop, as_of)
    known = known.drop(columns=["age_group", "contacts", "campaigns_answered", "redemptions"])
    long_tailed = [c for c in known if FEATURES.loc[c, "unit"] in ("dollars", "count", "days")]
    known[long_tailed] = np.log1p(known[long_tailed].clip(lower=0))
    columns = known.reindex(log.customers, fill_value=0.0).to_dict("series")
    columns |= _coupons_at_the_till(log, now) | _answers(log, as_of) | _demographics(log)
    return pd.DataFrame(columns, index=log.customers).astype(float)


def _days_since(log: CampaignLog, who: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Logarithm of the days since each household's last event → (H,)."""
    last = np.full(len(log.customers), LONGEST)
    np.minimum.at(last, who, days)
    return np.log1p(last)


def _coupons_at_the_till(log: CampaignLog, now: np.datetime64) -> dict[str, np.ndarray]:
    rows = log.coupon & (log.day < now)
    who, ago = log.customer[rows], (now - log.day[rows]) / DAY
    windows = {"coupon_lines_28d": 28, "coupon_lines_90d": 90, "coupon_lines": np.inf}
    columns = {
        name: np.log1p(np.bincount(who[ago <= days], minlength=len(log.customers)))
        for name, days in windows.items()
    }
    return columns | {"days_since_coupon": _days_since(log, who, ago)}


def _answers(log: CampaignLog, as_of: pd.Timestamp) -> dict[str, np.ndarray]:
    """Count what earlier campaigns brought, as it was known on the day."""
    shop = log.shop
    spans, known = shop.campaigns, pd.Index(shop.campaigns["campaign_id"])
    starts = pd.to_datetime(spans["starts_on"]).to_numpy()
    past = shop.responses[pd.to_datetime(shop.responses["responded_at"]) < as_of]
    ago = (as_of - pd.to_datetime(past["responded_at"])).dt.days.to_numpy(float)
    who = log.rows_of(past["customer_id"], "responses, customer_id")
    columns = {
        "redemptions": np.log1p(log.counted(past)),
        "redemptions_faded": np.log1p(log.counted(past, np.exp(-ago / 60))),
        "days_since_redemption": _days_since(log, who, ago),
    }
    begun = starts[codes(shop.contacts["campaign_id"], known, "contacts, campaign_id")]
    earlier = shop.contacts[begun < as_of.to_datetime64()]
    answered = past.drop_duplicates(["customer_id", "campaign_id"])
    for name, types in log.type_groups.items():
        of_type = spans["campaign_type"].isin(types).to_numpy()
        addressed, came = (
            log.counted(rows[of_type[codes(rows["campaign_id"], known, "campaign_id")]])
            for rows in (earlier, answered)
        )
        columns[f"contacts_{name}"] = np.log1p(addressed)
        columns[f"answers_{name}"] = came.astype(float)
        columns[f"answer_rate_{name}"] = (came + BASE_WEIGHT * BASE_RATE) / (
            addressed + BASE_WEIGHT
        )
    return columns


def _demographics(log: CampaignLog) -> dict[str, np.ndarray]:
    customers = log.shop.customers
    told = customers["age_group"].notna().to_numpy(float)
    columns = {"told": told}
    for name in ("age_group", "income", "household_size", "kids"):
        columns[name] = _levels(customers[name]).clip(0) * told
    for name, levels in TOLD.items():
        given = customers[name]
        unknown = given.notna() & ~given.isin(levels)
        remedy = f"give {' or '.join(map(repr, levels))}, or None where it was not told"
        fault = f"customers, {name} is not known"
        refuse(unknown, fault, remedy, rows=given, shown=given, error=KeyError)
        columns[levels[0].lower()] = given.eq(levels[0]).fillna(False).to_numpy(float)
    return columns


def _levels(column: pd.Series) -> np.ndarray:
    """Codes of ordered categories; text has no order."""
    if column.isna().all():
        return np.full(len(column), -1)
    if not isinstance(column.dtype, pd.CategoricalDtype):
        raise TypeError(
            f"customers, column {column.name} is {column.dtype}: give ordered categories, as "
            "pd.Categorical(values, levels, ordered=True)"
        )
    return column.cat.codes.to_numpy()


GROUPS = {
    "earlier answers": ("redemptions", "days_since_redemption", "contacts_", "answer"),
    "coupons at the till": ("coupon_lines", "days_since_coupon", "coupon_dollars", "coupon_order"),
    "what was told": ("told", "age_group", "income", "household_size", "kids", "married", "home"),
    "offers that fit": (
        "offered_",
        "coupons_",
        "kinds_",
        "taste_match",
        "orders_expected",
        "appeal",
    ),
    "campaign": ("coupons", "products", "days", "type_", "other_campaigns"),
    "taste and profile": ("taste_", "profile_"),
}


def feature_groups(columns: list[str]) -> dict[str, list[str]]:
    """Sort features by subject; what none of `GROUPS` claims is the household's activity.

    Explained in chapter ``conversion``.

    Parameters
    ----------
    columns : list of str
        Names from `pm_utils.targeting.redemption.features.contact_features` and `latest_profiles`.

    Returns
    -------
    dict of lists
        Each column once, in the first group with a prefix of its name.

    Examples
    --------
    >>> from pm_utils.targeting.redemption.features import feature_groups
    >>> groups = feature_groups(["coupons", "coupons_8w", "coupon_lines_28d", "orders"])
    >>> for name, columns in groups.items():
    ...     print(name, columns)
    coupons at the till ['coupon_lines_28d']
    offers that fit ['coupons_8w']
    campaign ['coupons']
    activity ['orders']
    """
    found: dict[str, list[str]] = {name: [] for name in [*GROUPS, "activity"]}
    for column in columns:
        claims = [name for name, starts in GROUPS.items() if column.startswith(starts)]
        found[claims[0] if claims else "activity"].append(column)
    return {name: group for name, group in found.items() if group}
