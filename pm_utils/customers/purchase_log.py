"""Purchase histories as arrays: what networks read, as of a date, and what they shall predict.

A `PurchaseLog` holds one row per order and product category in plain arrays, so that every view of
it (the weeks before a date, the baskets before a date, the weeks after it) is a count over rows
with one date filter. Views before a date never read a row dated on or after it.

Days are counted from 1 January 2017, before it by negative numbers; the record begins with the
shop's first order, in whatever year. Times with a zone count on the days of that zone.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pm_utils import inputs
from pm_utils.customers.features import everyone_of
from pm_utils.data import Shop
from pm_utils.data.clock import shop_day, shop_times

HISTORY_COLUMNS = ("orders_4w", "orders_8w", "orders_16w", "orders_per_8w", "days_since")
CONTEXT_COLUMNS = (
    "orders_4w",
    "orders_8w",
    "orders_per_8w",
    "spend_4w",
    "spend_8w",
    "spend_per_8w",
    "days_since_order",
    "categories_bought",
)
MISCELLANEOUS = ("COUPON/MISC ITEMS",)
FIRST_DAY = pd.Timestamp("2017-01-01")
LONGEST_GAP = 180
ORDER_COLUMNS = ("order_customer", "order_day", "order_spend")


@dataclass(frozen=True)
class PurchaseLog:
    """Orders by product category, as arrays.

    Attributes
    ----------
    customers : array of shape (H,)
        Customer ids, ascending; a customer's position is its code.
    categories : tuple of str, length C
        The product categories that are followed, the most widely bought first.
    order, customer, category, day : arrays of shape (R,)
        One row per order and followed category: codes, and days since 1 January 2017.
    order_customer, order_day, order_spend : arrays of shape (O,)
        One row per order, in order of time: the customer's code, the day, dollars.

    Raises
    ------
    ValueError
        When the arrays of rows or of orders differ in length, a customer is listed twice, a code is
        none of the customers, categories or orders, a day is not whole, orders do not stand in
        order of time, or dollars are below 0 or not finite. Pandas' rows are matched by index.

    Examples
    --------
    Customer 11 buys milk on 1 January, then milk and bread in one order on 8 January.

    >>> import numpy as np
    >>> from pm_utils.customers.purchase_log import PurchaseLog, category_orders
    >>> log = PurchaseLog(
    ...     customers=np.array([11, 12]),
    ...     categories=("MILK", "BREAD"),
    ...     order=np.array([0, 1, 1]),
    ...     customer=np.array([0, 0, 0]),
    ...     category=np.array([0, 0, 1]),
    ...     day=np.array([0, 7, 7]),
    ...     order_customer=np.array([0, 0]),
    ...     order_day=np.array([0, 7]),
    ...     order_spend=np.array([2.0, 5.0]),
    ... )
    >>> category_orders(log, 0, 7)  # the last day does not count
    array([[1, 0],
           [0, 0]])
    >>> category_orders(log, 0, 8)
    array([[2, 1],
           [0, 0]])
    """

    customers: np.ndarray
    categories: tuple[str, ...]
    order: np.ndarray
    customer: np.ndarray
    category: np.ndarray
    day: np.ndarray
    order_customer: np.ndarray
    order_day: np.ndarray
    order_spend: np.ndarray

    def __post_init__(self) -> None:
        """Check once what all views will read."""
        customers = inputs.labels(self.customers, "customers")
        if len(np.unique(customers)) < len(customers):
            raise ValueError("customers: one is listed twice; give each one code")
        checked = {"customers": customers}
        for names in (("order", "customer", "category", "day"), ORDER_COLUMNS):
            rows = {name: getattr(self, name) for name in names}
            if any(len(part) for part in rows.values()):
                rows = dict(zip(names, inputs.aligned(**rows), strict=True))
            checked |= rows
        sizes = {"order": len(self.order_day), "category": len(self.categories)}
        sizes |= dict.fromkeys(("customer", "order_customer"), len(customers))
        for name, size in sizes.items():
            checked[name] = inputs.whole_numbers(checked[name], name, high=size - 1)
        for name in ("day", "order_day"):
            checked[name] = inputs.whole_numbers(checked[name], name, low=None)
        spend = inputs.numbers(checked["order_spend"], "order_spend", low=0, ndim=1)
        early = np.flatnonzero(np.diff(checked["order_day"]) < 0)
        if len(early):
            raise ValueError(
                f"order_day goes back in {len(early):,} of {len(spend):,} rows, first row "
                f"{early[0] + 1}: give orders in order of time"
            )
        for name, part in (checked | {"order_spend": spend}).items():
            object.__setattr__(self, name, part)

    @property
    def first_day(self) -> int:
        """The day of the first order, where the record begins; 0 where there is none."""
        return int(self.order_day.min()) if len(self.order_day) else 0


def day_number(date: str | pd.Timestamp) -> int:
    """Return whole days from 1 January 2017 to a date; earlier days are negative.

    Raises
    ------
    ValueError
        When there is no such date, or it has a time of day or a zone: the days of a log have none.

    Examples
    --------
    >>> from pm_utils.customers.purchase_log import day_number
    >>> day_number("2017-01-01"), day_number("2017-02-01")
    (0, 31)
    """
    return (shop_day(date, "the date") - FIRST_DAY).days


def largest_categories(shop: Shop, before: str | pd.Timestamp, count: int) -> tuple[str, ...]:
    """Return the product categories that most customers bought before a date.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    shop : Shop
    before : date
        Only order lines before it count, so that the choice knows nothing of a test period.
    count : int
        How many categories.

    Returns
    -------
    tuple of str
        Most customers first. The catch-all that holds fuel and coupons is left out.

    Raises
    ------
    ValueError
        When there are fewer than `count` categories, or a time is missing.

    Examples
    --------
    Bread is bought by two customers, milk twice by one: customers count, not purchases.

    >>> import pandas as pd
    >>> from pm_utils.customers.purchase_log import largest_categories
    >>> from pm_utils.data import Shop
    >>> lines = pd.DataFrame({"customer_id": [7, 7, 7, 8], "product_id": [1, 1, 2, 2],
    ...                       "ordered_at": pd.Timestamp("2017-01-02")})
    >>> products = pd.DataFrame({"product_id": [1, 2], "category": ["MILK", "BREAD"]})
    >>> largest_categories(Shop(products=products, order_lines=lines), "2017-02-01", 2)
    ('BREAD', 'MILK')
    """
    count = int(inputs.whole_numbers(count, "count", low=1))
    ordered_at = shop.order_lines["ordered_at"]
    early = shop_times(ordered_at, "ordered_at") < shop_day(before, "before", ordered_at)
    lines = shop.order_lines.loc[early, ["customer_id", "product_id"]].merge(
        shop.products[["product_id", "category"]], on="product_id"
    )
    lines = lines[lines["category"].notna() & ~lines["category"].isin(MISCELLANEOUS)]
    buyers = lines.groupby("category", observed=True)["customer_id"].nunique()
    if len(buyers) < count:
        raise ValueError(f"count is {count}: only {len(buyers)} categories were bought")
    return tuple(map(str, buyers.sort_values(ascending=False, kind="stable").index[:count]))


def purchase_log(shop: Shop, categories: tuple[str, ...]) -> PurchaseLog:
    """Turn the shop's order lines into a `PurchaseLog` over the given categories.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    shop : Shop
        With ``customers``, ``products`` and ``order_lines``.
    categories : tuple of str
        The product categories to follow.

    Returns
    -------
    PurchaseLog

    Raises
    ------
    ValueError
        When a category is none of the shop's, a customer is listed twice, an amount is not finite
        or below 0, as of a return, or a time is missing.
    KeyError
        When an order is of a customer whom the shop does not know. A product that is not listed
        belongs to no category.

    Examples
    --------
    Two lines of one category in an order make one row.

    >>> import pandas as pd
    >>> from pm_utils.customers.purchase_log import purchase_log
    >>> from pm_utils.data import Shop
    >>> lines = pd.DataFrame({"order_id": [1, 1, 2], "customer_id": [7, 7, 8],
    ...                       "product_id": [1, 2, 3], "amount": [2.0, 3.0, 4.0],
    ...                       "ordered_at": pd.to_datetime(["2017-01-02"] * 2 + ["2017-01-05"])})
    >>> products = pd.DataFrame({"product_id": [1, 2, 3], "category": ["MILK", "MILK", "BREAD"]})
    >>> customers = pd.DataFrame({"customer_id": [7, 8]})
    >>> shop = Shop(customers=customers, products=products, order_lines=lines)
    >>> log = purchase_log(shop, ("MILK", "BREAD"))
    >>> log.day, log.category
    (array([1, 4]), array([0, 1]))
    >>> log.order_spend
    array([5., 4.])
    """
    if unknown := set(categories) - set(shop.products["category"].dropna()):
        raise ValueError(f"{sorted(unknown)} are no product categories of the shop")
    times = shop_times(shop.order_lines["ordered_at"], "ordered_at")
    lines = shop.order_lines.assign(ordered_at=times)
    inputs.numbers(lines["amount"], "amount", low=0)
    customers = np.sort(everyone_of(shop).to_numpy())
    numbers = pd.Series(range(len(categories)), index=list(categories))
    of_product = shop.products.set_index("product_id")["category"].astype(object).map(numbers)
    orders = lines.groupby("order_id").agg(
        customer_id=("customer_id", "first"),
        ordered_at=("ordered_at", "first"),
        amount=("amount", "sum"),
    )
    orders = orders.sort_values(["ordered_at", "customer_id"], kind="stable")
    order_of = pd.Series(np.arange(len(orders)), index=orders.index)
    rows = pd.DataFrame(
        {
            "order": lines["order_id"].map(order_of).to_numpy(),
            "category": lines["product_id"].map(of_product).to_numpy(dtype=float),
        }
    )
    rows = rows.dropna().drop_duplicates().astype(np.int64)
    order = rows["order"].to_numpy()
    order_customer = inputs.codes(orders["customer_id"], customers, "customer_id")
    order_day = (orders["ordered_at"] - FIRST_DAY).dt.days.to_numpy()
    return PurchaseLog(
        customers=customers,
        categories=tuple(categories),
        order=order,
        customer=order_customer[order],
        category=rows["category"].to_numpy(),
        day=order_day[order],
        order_customer=order_customer,
        order_day=order_day,
        order_spend=orders["amount"].to_numpy(),
    )


def known_customers(log: PurchaseLog, as_of: str | pd.Timestamp) -> np.ndarray:
    """Return the codes of the customers who ordered before a date, ascending.

    Parameters
    ----------
    log : PurchaseLog
    as_of : date

    Returns
    -------
    array of shape (N,)

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.customers.purchase_log import PurchaseLog, known_customers
    >>> none = np.array([], dtype=int)
    >>> log = PurchaseLog(np.array([11, 12]), ("MILK",), none, none, none, none,
    ...                   order_customer=np.array([1, 0]), order_day=np.array([0, 7]),
    ...                   order_spend=np.array([2.0, 5.0]))
    >>> known_customers(log, "2017-01-08")
    array([1])
    """
    return np.unique(log.order_customer[log.order_day < day_number(as_of)])


def category_orders(log: PurchaseLog, first_day: int, last_day: int) -> np.ndarray:
    """Count orders per customer and category in a span of days.

    Parameters
    ----------
    log : PurchaseLog
    first_day, last_day : int
        Day numbers; the first counts, the last does not.

    Returns
    -------
    array of shape (H, C), int64

    Raises
    ------
    ValueError
        When a day is not whole, or the span ends before it begins.
    """
    for name, day in (("first_day", first_day), ("last_day", last_day)):
        inputs.whole_numbers(day, name, low=None)
    if last_day < first_day:
        raise ValueError(f"first_day is {first_day}, last_day {last_day}: give the earlier first")
    rows = (log.day >= first_day) & (log.day < last_day)
    shape = (len(log.customers), len(log.categories))
    cell = log.customer[rows] * shape[1] + log.category[rows]
    return np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)


def category_history(log: PurchaseLog, as_of: str | pd.Timestamp) -> np.ndarray:
    """Return each customer's history with each category before a date.

    Parameters
    ----------
    log : PurchaseLog
    as_of : date
        Nothing dated on or after it is read.

    Returns
    -------
    array of shape (H, C, 5), float32
        The columns of `HISTORY_COLUMNS`, each as log(1 + x): orders that held the category in the
        last 4, 8 and 16 weeks, orders per 8 weeks since the data begin, and days since the last
        such order (at most 180; 180 where there is none).

    Examples
    --------
    One order with milk, 30 days before the date: none in 4 weeks, one in 8 and 16. Days since are
    known for milk and stand at 180 for bread, which was never bought.

    >>> import numpy as np
    >>> from pm_utils.customers.purchase_log import PurchaseLog, category_history
    >>> log = PurchaseLog(
    ...     customers=np.array([11]),
    ...     categories=("MILK", "BREAD"),
    ...     order=np.array([0]),
    ...     customer=np.array([0]),
    ...     category=np.array([0]),
    ...     day=np.array([0]),
    ...     order_customer=np.array([0]),
    ...     order_day=np.array([0]),
    ...     order_spend=np.array([2.0]),
    ... )
    >>> np.expm1(category_history(log, "2017-01-31")).round(2)
    array([[[  0.  ,   1.  ,   1.  ,   1.87,  30.  ],
            [  0.  ,   0.  ,   0.  ,   0.  , 180.  ]]], dtype=float32)
    """
    now = day_number(as_of)
    counts = [_logs(category_orders(log, now - days, now)) for days in (28, 56, 112)]
    ever = category_orders(log, log.first_day, now)
    rate = _logs(ever, scale=56 / max(now - log.first_day, 1))
    cell = log.customer * ever.shape[1] + log.category
    gap = _days_since(cell, log.day, ever.size, now).reshape(ever.shape)
    return np.stack([*counts, rate, _logs(gap)], axis=-1)


def _logs(counts: np.ndarray, *, scale: float = 1.0) -> np.ndarray:
    """Return log(1 + scale × count) of whole numbers by a table, since few of them differ."""
    table = np.log1p(np.arange(counts.max(initial=0) + 1) * scale)
    return table.astype(np.float32)[counts]


def _days_since(cell: np.ndarray, day: np.ndarray, size: int, now: int) -> np.ndarray:
    """Days from each cell's last row before `now` to `now`, at most `LONGEST_GAP` → (size,)."""
    last = np.full(size, now - LONGEST_GAP)
    before = day < now
    np.maximum.at(last, cell[before], day[before])
    return now - last


def customer_context(log: PurchaseLog, as_of: str | pd.Timestamp) -> np.ndarray:
    """Return each customer's overall activity before a date.

    Parameters
    ----------
    log : PurchaseLog
    as_of : date
        Nothing dated on or after it is read.

    Returns
    -------
    array of shape (H, 8), float32
        The columns of `CONTEXT_COLUMNS`, each as log(1 + x): orders and dollars in the last 4 and
        8 weeks and per 8 weeks, days since the last order (at most 180), categories ever bought.
    """
    now, size = day_number(as_of), len(log.customers)

    def total(days: int, weights: np.ndarray | None = None) -> np.ndarray:
        rows = (log.order_day >= now - days) & (log.order_day < now)
        chosen = None if weights is None else weights[rows]
        return np.bincount(log.order_customer[rows], chosen, minlength=size)

    def windows(weights: np.ndarray | None = None) -> list[np.ndarray]:
        whole = max(now - log.first_day, 1)
        return [total(28, weights), total(56, weights), total(whole, weights) * 56 / whole]

    gap = _days_since(log.order_customer, log.order_day, size, now)
    breadth = (category_orders(log, log.first_day, now) > 0).sum(axis=1)
    columns = [*windows(), *windows(log.order_spend), gap, breadth]
    return np.log1p(np.stack(columns, axis=-1)).astype(np.float32)


def week_grid(log: PurchaseLog, as_of: str | pd.Timestamp, weeks: int) -> np.ndarray:
    """Return orders per category and week before a date, as log(1 + x), the latest week last.

    Parameters
    ----------
    log : PurchaseLog
    as_of : date
        Weeks are counted back from it; nothing dated on or after it is read.
    weeks : int
        How many weeks; those before the data begin are zero.

    Returns
    -------
    array of shape (H, C, weeks), float32

    Raises
    ------
    ValueError
        When there is no week, or no such date.

    Examples
    --------
    Milk today would not count; milk seven days ago stands in the latest week, eight days ago in the
    one before.

    >>> import numpy as np
    >>> from pm_utils.customers.purchase_log import PurchaseLog, week_grid
    >>> log = PurchaseLog(
    ...     customers=np.array([11]),
    ...     categories=("MILK",),
    ...     order=np.array([0, 1, 2]),
    ...     customer=np.array([0, 0, 0]),
    ...     category=np.array([0, 0, 0]),
    ...     day=np.array([6, 7, 14]),
    ...     order_customer=np.array([0, 0, 0]),
    ...     order_day=np.array([6, 7, 14]),
    ...     order_spend=np.array([2.0, 2.0, 2.0]),
    ... )
    >>> np.expm1(week_grid(log, "2017-01-15", weeks=3)).round()
    array([[[0., 1., 1.]]], dtype=float32)
    """
    weeks = int(inputs.whole_numbers(weeks, "weeks", low=1))
    now, size = day_number(as_of), len(log.customers) * len(log.categories)
    age = (now - 1 - log.day) // 7
    rows = (log.day < now) & (age < weeks)
    cell = log.customer[rows] * len(log.categories) + log.category[rows]
    held, orders = np.unique(cell * weeks + (weeks - 1 - age[rows]), return_counts=True)
    grid = np.zeros(size * weeks, np.float32)
    grid[held] = np.log1p(orders)
    return grid.reshape(len(log.customers), len(log.categories), weeks)


def basket_sequences(
    log: PurchaseLog, as_of: str | pd.Timestamp, length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each customer's last baskets before a date, the oldest first, padded on the right.

    Parameters
    ----------
    log : PurchaseLog
    as_of : date
        Nothing dated on or after it is read.
    length : int
        How many baskets at most.

    Returns
    -------
    baskets : array of shape (H, length, C), uint8
        1 where the basket held the category.
    ages : array of shape (H, length), float32
        log(1 + days from the basket to `as_of`); 0 in pads.
    lengths : array of shape (H,), int64
        How many baskets are real.

    Raises
    ------
    ValueError
        When there is no basket, or no such date.

    Examples
    --------
    The last two of three baskets, the older one first; customer 12 has none, only pads.

    >>> import numpy as np
    >>> from pm_utils.customers.purchase_log import PurchaseLog, basket_sequences
    >>> log = PurchaseLog(
    ...     customers=np.array([11, 12]),
    ...     categories=("MILK", "BREAD"),
    ...     order=np.array([0, 1, 2, 2]),
    ...     customer=np.array([0, 0, 0, 0]),
    ...     category=np.array([0, 1, 0, 1]),
    ...     day=np.array([0, 7, 9, 9]),
    ...     order_customer=np.array([0, 0, 0]),
    ...     order_day=np.array([0, 7, 9]),
    ...     order_spend=np.array([2.0, 3.0, 5.0]),
    ... )
    >>> baskets, ages, lengths = basket_sequences(log, "2017-01-11", 2)
    >>> baskets[0]
    array([[0, 1],
           [1, 1]], dtype=uint8)
    >>> np.expm1(ages).round()  # days before the date
    array([[3., 1.],
           [0., 0.]], dtype=float32)
    >>> lengths
    array([2, 0])
    """
    length = int(inputs.whole_numbers(length, "length", low=1))
    now, size = day_number(as_of), len(log.customers)
    orders = np.flatnonzero(log.order_day < now)
    orders = orders[np.argsort(log.order_customer[orders], kind="stable")]
    total = np.bincount(log.order_customer[orders], minlength=size)
    rank = np.arange(len(orders)) - np.repeat(np.cumsum(total) - total, total)
    slot = rank - np.repeat(np.maximum(total - length, 0), total)
    orders, slot = orders[slot >= 0], slot[slot >= 0]
    slot_of = np.full(len(log.order_day), -1)
    slot_of[orders] = slot
    baskets = np.zeros((size, length, len(log.categories)), np.uint8)
    rows = slot_of[log.order] >= 0
    baskets[log.customer[rows], slot_of[log.order[rows]], log.category[rows]] = 1
    ages = np.zeros((size, length), np.float32)
    ages[log.order_customer[orders], slot] = np.log1p(now - log.order_day[orders])
    return baskets, ages, np.minimum(total, length).astype(np.int64)


def next_purchases(log: PurchaseLog, as_of: str | pd.Timestamp, days: int, tags: int) -> np.ndarray:
    """Return which of the first `tags` categories are bought in the days from a date on.

    Parameters
    ----------
    log : PurchaseLog
    as_of : date
        Orders on this day count, earlier ones do not.
    days : int
        How many days count.
    tags : int
        K, how many of the log's categories.

    Returns
    -------
    array of shape (H, tags), float32
        1 where an order with ``as_of <= day < as_of + days`` held the category.

    Raises
    ------
    ValueError
        When there is no day, no such date, or there are more tags than categories.

    Examples
    --------
    An order on the date itself is ahead, one at the end of the span no longer.

    >>> import numpy as np
    >>> from pm_utils.customers.purchase_log import PurchaseLog, next_purchases
    >>> log = PurchaseLog(
    ...     customers=np.array([11]),
    ...     categories=("MILK", "BREAD"),
    ...     order=np.array([0, 1]),
    ...     customer=np.array([0, 0]),
    ...     category=np.array([0, 1]),
    ...     day=np.array([7, 35]),
    ...     order_customer=np.array([0, 0]),
    ...     order_day=np.array([7, 35]),
    ...     order_spend=np.array([2.0, 3.0]),
    ... )
    >>> next_purchases(log, "2017-01-08", days=28, tags=2)
    array([[1., 0.]], dtype=float32)
    """
    days = int(inputs.whole_numbers(days, "days", low=1))
    tags = int(inputs.whole_numbers(tags, "tags", low=1, high=len(log.categories)))
    now = day_number(as_of)
    return (category_orders(log, now, now + days)[:, :tags] > 0).astype(np.float32)
