"""The shop's tables: what each column holds, and one error that lists every broken rule.

Each table is a pandera model. A column is of one of five kinds: an identifier, a text, a number, a
moment, or a category that may be unknown. Rules that need two tables (an order of an unknown
customer, a response outside its campaign) are in `CROSS_RULES`. `check_tables` applies all of them
and raises one `ShopError`, also for what is no table at all: a dict, None, two columns of one name.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandas.api import types
from pandera import dtypes
from pandera.engines import pandas_engine

# An empty time often becomes 1 January 1970
EARLIEST_DATE, LATEST_DATE = pd.Timestamp("1971-01-01"), pd.Timestamp("2100-01-01")


class _Kind(pandas_engine.DataType):
    """A family of pandas dtypes that mean the same thing."""

    accepts: tuple[Callable[[Any], bool], ...] = ()
    says = ""  # how errors call the family

    def check(self, pandera_dtype: Any, data_container: Any = None) -> bool:
        """Return whether the column (of objects: its values) is one of the family."""
        column = pandera_dtype.type if data_container is None else data_container
        return any(test(column) for test in self.accepts)

    def __str__(self) -> str:
        return self.says


def _is_category(column: Any) -> bool:
    return isinstance(getattr(column, "dtype", column), pd.CategoricalDtype)


def _is_number(column: Any) -> bool:
    return types.is_float_dtype(column) or types.is_integer_dtype(column)


@pandas_engine.Engine.register_dtype
@dtypes.immutable
class Id(_Kind):
    """Integers or strings."""

    accepts = (types.is_integer_dtype, types.is_string_dtype)
    says = "integers or strings"


@pandas_engine.Engine.register_dtype
@dtypes.immutable
class Text(_Kind):
    """Strings or a categorical."""

    accepts = (types.is_string_dtype, _is_category)
    says = "strings or a categorical"


@pandas_engine.Engine.register_dtype
@dtypes.immutable
class Number(_Kind):
    """Floats or integers."""

    accepts = (_is_number,)
    says = "floats or integers"


@pandas_engine.Engine.register_dtype
@dtypes.immutable
class NaiveTime(_Kind):
    """Datetime64 without a time zone."""

    accepts = (types.is_datetime64_dtype,)
    says = "datetime64 without a time zone"


def number(minimum: int = 0) -> Any:
    """Return a field for a finite number, by default one that is not negative."""
    return pa.Field(ge=minimum, lt=np.inf)


def moment() -> Any:
    """Return a field for a time of day at the store, within the years that can be meant."""
    return pa.Field(ge=EARLIEST_DATE, lt=LATEST_DATE)


def unknown() -> Any:
    """Return a field that may be missing."""
    return pa.Field(nullable=True)


class Customers(pa.DataFrameModel):
    """One row per household; what it has not told is missing."""

    customer_id: Id
    age_group: Text = unknown()
    income: Text = unknown()
    home_ownership: Text = unknown()
    marital_status: Text = unknown()
    household_size: Text = unknown()
    household_composition: Text = unknown()
    kids: Text = unknown()


class Products(pa.DataFrameModel):
    """One row per article of the catalogue."""

    product_id: Id
    manufacturer_id: Id
    department: Text
    brand: Text
    category: Text = unknown()
    product_type: Text = unknown()
    package_size: Text = unknown()


class OrderLines(pa.DataFrameModel):
    """One row per article of an order; money in dollars, discounts as positive dollars.

    Explained in chapter ``data-preparation``.
    """

    order_id: Id
    customer_id: Id
    store_id: Id
    product_id: Id
    quantity: Number = number()
    amount: Number = number()
    retail_discount: Number = number()
    coupon_discount: Number = number()
    coupon_match_discount: Number = number()
    ordered_at: NaiveTime = moment()


class Campaigns(pa.DataFrameModel):
    """One row per campaign, first and last day included."""

    campaign_id: Id
    campaign_type: Text
    starts_on: NaiveTime = moment()
    ends_on: NaiveTime = moment()


class Contacts(pa.DataFrameModel):
    """Who was addressed by which campaign."""

    campaign_id: Id
    customer_id: Id


class Offers(pa.DataFrameModel):
    """Which coupon of a campaign is good for which product."""

    campaign_id: Id
    coupon_id: Id
    product_id: Id


class Responses(pa.DataFrameModel):
    """Who redeemed which coupon on which day."""

    customer_id: Id
    coupon_id: Id
    campaign_id: Id
    responded_at: NaiveTime = moment()


class Exposures(pa.DataFrameModel):
    """Where a product was displayed or advertised, by store and week; also twice in one week."""

    product_id: Id
    store_id: Id
    week: Number = number(minimum=1)
    display_location: Text
    mailer_location: Text


MODELS: dict[str, type[pa.DataFrameModel]] = {
    "customers": Customers,
    "products": Products,
    "order_lines": OrderLines,
    "campaigns": Campaigns,
    "contacts": Contacts,
    "offers": Offers,
    "responses": Responses,
    "exposures": Exposures,
}

KEYS: dict[str, list[str]] = {
    "customers": ["customer_id"],
    "products": ["product_id"],
    "order_lines": ["order_id", "product_id"],
    "campaigns": ["campaign_id"],
    "contacts": ["campaign_id", "customer_id"],
    "offers": ["campaign_id", "coupon_id", "product_id"],
    "responses": ["customer_id", "coupon_id", "campaign_id", "responded_at"],
    "exposures": ["product_id", "store_id", "week", "display_location", "mailer_location"],
}


@dataclass(frozen=True)
class Violation:
    """One broken rule.

    Attributes
    ----------
    table, column : str
        Where; a rule over several columns names them with commas, one over the whole table is "*".
    rule : str
        What was broken.
    rows : int
        How many rows break it.
    first_index : object
        The index label of the first offending row, None where no row can be named.
    first_row : dict
        That row's key and the offending value, by column.
    expected : str
        What would be right.

    Examples
    --------
    >>> from pm_utils.data import Violation
    >>> row = {"order_id": 100, "amount": -1.5}
    >>> print(Violation("order_lines", "amount", "below 0", 1, 3, row, "at least 0"))
    order_lines.amount: below 0 (1 row)
    first: index 3, order_id=100, amount=-1.5
    expected: at least 0
    """

    table: str
    column: str
    rule: str
    rows: int
    first_index: Any
    first_row: dict[str, Any]
    expected: str

    def __str__(self) -> str:
        """Return what is broken, the first offending row and what would be right, a line each."""
        rows = f"{self.rows:,} row" + ("s" if self.rows != 1 else "")
        whole = self.column == "*"
        where = (
            f"{self.table}: {self.rule}" if whole else f"{self.table}.{self.column}: {self.rule}"
        )
        lines = [where if whole else f"{where} ({rows})"]
        if self.first_row:
            row = ", ".join(f"{name}={value!r}" for name, value in self.first_row.items())
            lines.append(f"first: index {self.first_index!r}, {row}")
        return "\n".join([*lines, f"expected: {self.expected}"])


class ShopError(ValueError):
    """Tables that are no shop, with every rule that they break in `violations`.

    Explained in chapter ``data-preparation``.

    Attributes
    ----------
    violations : list of Violation

    Examples
    --------
    >>> from pm_utils.data import ShopError, Violation
    >>> print(ShopError([Violation("orders", "*", "unknown table", 0, None, {}, "one of ...")]))
    the tables break 1 rule:
    1. orders: unknown table
       expected: one of ...
    """

    def __init__(self, violations: list[Violation]) -> None:
        self.violations = violations
        rules = f"{len(violations)} rule" + ("s" if len(violations) != 1 else "")
        listed = [
            f"{n}. {violation}".replace("\n", "\n   ") for n, violation in enumerate(violations, 1)
        ]
        super().__init__("\n".join([f"the tables break {rules}:", *listed]))


def check_tables(
    tables: Mapping[str, pd.DataFrame],
    *,
    period: tuple[Any, Any] | None = None,
    unlisted_products: tuple = (),
) -> None:
    """Check the tables of a shop against the models, their keys and one another.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        At least one of the tables in `MODELS`. A rule over two tables applies when both are there.
    period : (start, end), optional
        Orders and responses must be dated from `start` to before `end`.
    unlisted_products : tuple
        Product ids that may be sold or offered without a row in ``products``.

    Raises
    ------
    ShopError
        When a rule is broken; it lists all of them.

    Examples
    --------
    Contact 8 is of no customer. A table that is not given is not looked up.

    >>> import pandas as pd
    >>> from pm_utils.data import ShopError
    >>> from pm_utils.data.schema import MODELS, check_tables
    >>> columns = MODELS["customers"].to_schema().columns
    >>> customers = pd.DataFrame(dict.fromkeys(columns, ["7"]))
    >>> contacts = pd.DataFrame({"campaign_id": ["1", "1"], "customer_id": ["7", "8"]})
    >>> check_tables({"contacts": contacts})
    >>> try:
    ...     check_tables({"customers": customers, "contacts": contacts})
    ... except ShopError as error:
    ...     [violation.rule for violation in error.violations]
    ['unknown customer']
    """
    tables = tables if isinstance(tables, Mapping) else {}
    violations, usable = name_violations(list(tables)), {}
    for name in [name for name in MODELS if name in tables]:
        frame_violations = list(_frame_violations(name, tables[name]))
        if not any(v.column == "*" for v in frame_violations):
            once = ~tables[name].columns.duplicated()
            usable[name] = tables[name] if once.all() else tables[name].loc[:, once]
            frame_violations += _table_violations(name, usable[name])
        violations += frame_violations
    violations += _id_clashes(usable, _unusable(violations))
    broken = _unusable(violations)
    for rule in [*CROSS_RULES, *_period_rules(period)]:
        if rule.applies(usable) and not broken & rule.columns():
            violations.extend(rule.violations(usable, unlisted_products))
    if violations:
        raise ShopError(violations)


def name_violations(names: list) -> list[Violation]:
    """Return a violation for each name that is no table, or one when there is no name at all."""
    expected = f"one of {', '.join(MODELS)}"
    if not names:
        return [Violation("shop", "*", "no tables", 0, None, {}, f"at least {expected}")]
    unknown = [str(name) for name in names if name not in MODELS]
    return [Violation(name, "*", "unknown table", 0, None, {}, expected) for name in unknown]


_UNUSABLE = ("missing", "wrong type", "duplicate column")


def _unusable(violations: list[Violation]) -> set[tuple[str, str]]:
    """Return the (table, column) pairs that no further rule can read."""
    return {(v.table, v.column) for v in violations if v.rule.startswith(_UNUSABLE)}


def _frame_violations(name: str, table: Any) -> Iterator[Violation]:
    """Yield what is wrong with a table as a whole; the column is "*" if it cannot be read."""
    if not isinstance(table, pd.DataFrame):
        rule = f"a {type(table).__name__}, not a DataFrame"
        yield Violation(name, "*", rule, 0, None, {}, "a pandas DataFrame")
        return
    if len(table) == 0:
        expected = "at least one row, or to leave the table out"
        yield Violation(name, "*", "the table is empty", 0, None, {}, expected)
        return
    for column in table.columns[table.columns.duplicated()].unique():
        expected = "one column of each name"
        yield Violation(name, str(column), "duplicate column", len(table), None, {}, expected)


def _table_violations(name: str, table: pd.DataFrame) -> Iterator[Violation]:
    """Yield the rows that break the table's model or repeat a key."""
    broken = set()
    try:  # positions instead of the caller's labels, which may repeat
        MODELS[name].validate(table.reset_index(drop=True), lazy=True, inplace=True)  # no copy
    except pa.errors.SchemaErrors as errors:
        for error in sorted(errors.schema_errors, key=_types_first):
            if error.reason_code.name == "CHECK_ERROR":  # only what has the wrong type cannot be
                continue  # compared, and that is listed
            violation = _from_pandera(name, table, error)
            if violation.column in broken:
                continue
            if violation.rule.startswith(_UNUSABLE):
                broken.add(violation.column)
            yield violation
    key = KEYS[name]
    if not broken & set(key):
        repeated = _repeated(table[key])
        if repeated.any():
            yield _violation(name, table, key, "duplicate key", repeated, "one row per key")


def _repeated(keys: pd.DataFrame) -> np.ndarray:
    """Mark the rows whose key an earlier row has.

    Whole numbers and categories are packed into one integer, if they fit: then millions of
    rows without a repetition are seen to have none by sorting, several times as fast.
    """
    columns = [keys[c].cat.codes if _is_category(keys[c]) else keys[c] for c in keys]
    if all(isinstance(column.dtype, np.dtype) and column.dtype.kind == "i" for column in columns):
        lows = [int(column.min()) for column in columns]
        widths = [int(column.max()) - low + 1 for column, low in zip(columns, lows, strict=True)]
        if math.prod(widths) < 2**63:
            packed = np.zeros(len(keys), dtype=np.int64)
            for column, low, width in zip(columns, lows, widths, strict=True):
                packed = packed * width + (column.to_numpy(dtype=np.int64) - low)
            packed.sort()
            if (packed[1:] != packed[:-1]).all():
                return np.zeros(len(keys), dtype=bool)
    return keys.duplicated().to_numpy()


def _id_clashes(
    tables: Mapping[str, pd.DataFrame], broken: set[tuple[str, str]]
) -> Iterator[Violation]:
    """Yield ids that are integers in one table and strings in an earlier one: none would match."""
    first: dict[str, str] = {}
    for name, table in tables.items():
        columns = [c for c in MODELS[name].to_schema().columns if c.endswith("_id")]
        for column in [c for c in columns if (name, c) not in broken]:
            other = first.setdefault(column, name)
            own, known = table[column], tables[other][column]
            if types.is_integer_dtype(own) != types.is_integer_dtype(known):
                rule = f"wrong type {own.dtype}, but {other}.{column} is {known.dtype}"
                bad = np.ones(len(table), dtype=bool)
                kind = "integers" if types.is_integer_dtype(known) else "strings"
                yield _violation(name, table, [column], rule, bad, f"{kind}, as in {other}")


def _types_first(error: pa.errors.SchemaError) -> bool:
    return error.reason_code.name != "WRONG_DATATYPE"


def _from_pandera(name: str, table: pd.DataFrame, error: pa.errors.SchemaError) -> Violation:
    reason = error.reason_code.name
    if reason == "COLUMN_NOT_IN_DATAFRAME":
        column = str(error.failure_cases)
        kind = MODELS[name].to_schema().columns[column].dtype
        return Violation(
            name, column, "missing column", len(table), None, {}, f"a column of {kind}"
        )
    column = error.schema.name
    if reason == "WRONG_DATATYPE":
        return _wrong_type(name, table, column, error.schema.dtype)
    if reason == "SERIES_CONTAINS_NULLS":
        bad = table[column].isna().to_numpy()
        return _violation(name, table, [column], "missing value", bad, "a value in every row")
    bad = ~error.check_output.to_numpy(dtype=bool)
    rule, expected = _RANGE[error.check.name](*error.check.statistics.values())
    return _violation(name, table, [column], rule, bad, expected)


def _wrong_type(name: str, table: pd.DataFrame, column: str, kind: _Kind) -> Violation:
    """A column of another type: the first row that is not as expected, and what the column holds.

    A whole column may offend, such as texts where times are expected; then the first row is shown.
    """
    values = table[column]
    empty = values.isna().to_numpy()
    expected, held = str(kind), f"wrong type {values.dtype}"
    if empty.all():
        return _violation(name, table, [column], f"{held}, all of it empty", empty, expected)
    if values.dtype == object:
        types_held = values[~empty].map(type)
        counts = types_held.map(lambda one: one.__name__).value_counts()
        held += f": {', '.join(f'{count:,} {one}' for one, count in counts.items())}"
    if empty.any():
        held += f", {empty.sum():,} of {len(empty):,} empty"
    bad = _offenders(values, empty, kind)
    if isinstance(kind, Id) and values.dtype == object and not bad.any():
        common = values.map(type).mode()[0]  # integers and strings, each right by itself
        bad = (values.map(type) != common).to_numpy()
        expected = "integers or strings, not both: astype(str) makes them strings"
    elif isinstance(kind, Id) and bad.any() and (bad == empty).all():
        expected += "; name or leave out the empty ones"
    if not bad.any():  # the column as a whole
        bad = np.ones(len(values), dtype=bool)
    return _violation(name, table, [column], held, bad, expected)


def _offenders(values: pd.Series, empty: np.ndarray, kind: _Kind) -> np.ndarray:
    """Mark the values of a column that are not of its kind; of ids, the empty ones too."""
    bad = np.zeros(len(values), dtype=bool)
    if values.dtype == object:
        text, whole = str, (int, np.integer)
        good = {Id: (text, *whole), Number: (float, np.floating, *whole)}.get(type(kind), text)
        wrong = values.map(lambda one: isinstance(one, bool) or not isinstance(one, good))
        bad = wrong.to_numpy(dtype=bool) & ~empty
    elif isinstance(kind, Id) and types.is_float_dtype(values):
        bad = ~empty & (values % 1 != 0).to_numpy()
    return bad | empty if isinstance(kind, Id) else bad


_RANGE = {
    "greater_than_or_equal_to": lambda low: (f"below {_plain(low)}", f"at least {_plain(low)}"),
    "less_than": lambda high: (
        ("infinite", "a finite number")
        if high == np.inf
        else (f"not before {_plain(high)}", f"before {_plain(high)}")
    ),
}


def _violation(
    name: str, table: pd.DataFrame, columns: list[str], rule: str, bad: np.ndarray, expected: str
) -> Violation:
    position = int(bad.argmax())
    shown = [c for c in dict.fromkeys([*KEYS[name], *columns]) if c in table]
    row = {c: _plain(table[c].iloc[position]) for c in shown}
    label = _plain(table.index[position])
    return Violation(name, ", ".join(columns), rule, int(bad.sum()), label, row, expected)


def _plain(value: Any) -> Any:
    """Return a value that prints as a reader writes it."""
    if isinstance(value, pd.Timestamp):
        return _day(value)
    return value.item() if isinstance(value, np.generic) else value


def _day(time: pd.Timestamp) -> str:
    """Return a time as text, without its time at midnight."""
    return str(time.date()) if time == time.normalize() else str(time)


@dataclass(frozen=True)
class Rule:
    """A rule over the rows of one table that may look at another.

    Attributes
    ----------
    table, column : str
        Whose rows are judged; several columns are named with commas.
    other : str or None
        The table that is looked at.
    needs : tuple of str
        The columns of the other table.
    rule, expected : str
        What is broken and what would be right.
    broken : callable
        ``broken(table, other, unlisted_products)`` → mask of offending rows.
    """

    table: str
    column: str
    other: str | None
    needs: tuple[str, ...]
    rule: str
    expected: str
    broken: Callable[[pd.DataFrame, pd.DataFrame | None, tuple], np.ndarray]

    def applies(self, tables: Mapping[str, pd.DataFrame]) -> bool:
        """Return whether the tables that the rule reads are there, and not empty."""
        return all(len(tables.get(name, ())) for name in (self.table, self.other) if name)

    def columns(self) -> set[tuple[str, str]]:
        """Return the (table, column) pairs that the rule reads."""
        own = {(self.table, column) for column in self.column.split(", ")}
        return own | {(self.other, column) for column in self.needs}

    def violations(
        self, tables: Mapping[str, pd.DataFrame], unlisted_products: tuple
    ) -> Iterator[Violation]:
        """Yield the violation, if there is one."""
        table = tables[self.table]
        bad = np.asarray(self.broken(table, tables.get(self.other), unlisted_products))
        if bad.any():
            columns = self.column.split(", ")
            yield _violation(self.table, table, columns, self.rule, bad, self.expected)


def _refers(table: str, column: str, other: str) -> Rule:
    def broken(rows: pd.DataFrame, known: pd.DataFrame, unlisted: tuple) -> np.ndarray:
        bad = ~rows[column].isin(known[column]).to_numpy()
        if column == "product_id" and unlisted:
            bad &= ~rows[column].isin(unlisted).to_numpy()
        return bad

    noun = column.removesuffix("_id")
    return Rule(
        table, column, other, (column,), f"unknown {noun}", f"a {column} of {other}", broken
    )


def _pair_of(table: str, columns: tuple[str, str], other: str, expected: str) -> Rule:
    def broken(rows: pd.DataFrame, known: pd.DataFrame, _: tuple) -> np.ndarray:
        pairs = pd.MultiIndex.from_frame(known[list(columns)])
        return ~pd.MultiIndex.from_frame(rows[list(columns)]).isin(pairs)

    return Rule(
        table, ", ".join(columns), other, columns, f"not among the {other}", expected, broken
    )


def _order_is_split(lines: pd.DataFrame, _: Any, __: tuple) -> np.ndarray:
    """Mark the lines whose customer or time is not that of their order's first line."""
    order = pd.factorize(lines["order_id"])[0]  # numbered as they first appear
    first = np.flatnonzero(np.diff(np.maximum.accumulate(order), prepend=-1))
    bad = np.zeros(len(lines), dtype=bool)
    for column in ("customer_id", "ordered_at"):
        values = lines[column].to_numpy()
        bad |= values != values[first][order]
    return bad


def _outside_campaign(responses: pd.DataFrame, campaigns: pd.DataFrame, _: tuple) -> np.ndarray:
    dates = campaigns.set_index("campaign_id").reindex(responses["campaign_id"])
    responded_at = responses["responded_at"].to_numpy()
    day_after = dates["ends_on"].to_numpy() + np.timedelta64(1, "D")
    return (responded_at < dates["starts_on"].to_numpy()) | (responded_at >= day_after)


CROSS_RULES: list[Rule] = [
    _refers("order_lines", "customer_id", "customers"),
    _refers("order_lines", "product_id", "products"),
    _refers("contacts", "customer_id", "customers"),
    _refers("contacts", "campaign_id", "campaigns"),
    _refers("offers", "campaign_id", "campaigns"),
    _refers("offers", "product_id", "products"),
    _refers("responses", "customer_id", "customers"),
    _refers("responses", "campaign_id", "campaigns"),
    _refers("exposures", "product_id", "products"),
    _pair_of(
        "responses", ("campaign_id", "customer_id"), "contacts", "a customer whom it addressed"
    ),
    _pair_of("responses", ("campaign_id", "coupon_id"), "offers", "a coupon that it offered"),
    Rule(
        "order_lines",
        "order_id, customer_id, ordered_at",
        None,
        (),
        "an order with two customers or two times",
        "one customer and one time per order",
        _order_is_split,
    ),
    Rule(
        "campaigns",
        "starts_on, ends_on",
        None,
        (),
        "ends before it starts",
        "ends_on not before starts_on",
        lambda campaigns, _, __: campaigns["ends_on"] < campaigns["starts_on"],
    ),
    Rule(
        "responses",
        "campaign_id, responded_at",
        "campaigns",
        ("campaign_id", "starts_on", "ends_on"),
        "outside its campaign",
        "a day from starts_on to ends_on",
        _outside_campaign,
    ),
]


def _period_rules(period: tuple[Any, Any] | None) -> list[Rule]:
    if period is None:
        return []
    start, end = map(pd.Timestamp, period)

    def rule(table: str, column: str) -> Rule:
        return Rule(
            table,
            column,
            None,
            (),
            "date out of range",
            f"from {_day(start)} to before {_day(end)}",
            lambda rows, _, __: (rows[column] < start) | (rows[column] >= end),
        )

    return [rule("order_lines", "ordered_at"), rule("responses", "responded_at")]
