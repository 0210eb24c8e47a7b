"""What the package's functions accept: one place that turns inputs into arrays or refuses them.

A wrong input never gives a number. Each function takes the argument's name and raises
`ValueError` (`TypeError` for a type that can hold no such values, `KeyError` for a name or an id
that is not known) in one sentence: the argument, how many rows offend, the first of them, and what
would be right. Rows are named by their label where the input carries an index, by their position
otherwise.

The conventions, everywhere alike:

- **Two groups** (labels, treatments, clicks) are booleans, or the numbers 0 and 1. Nothing else is
  guessed: -1 and 1, 1 and 2, "no" and "yes" are refused with the values seen.
- **Numbers** are finite; what a mask hides is missing.
- **Probabilities** lie in [0, 1]; rows of a policy sum to 1, to `SUM_TOLERANCE`.
- **Inputs with an index** are matched by it; those without are taken in their order. What is
  returned by row carries the index of the first input that has one.
- **Rows called by number** (customers and ads of a log) stand in its order, or carry the numbers
  from 0 as their index.
- **Columns** are found by name, **ids** among those known; ids may be of several types.
- **Names** (segments, variants, groups) are of one type, and none is missing.
"""

from collections.abc import Hashable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

_SHOWN = 5  # values named in a message
SUM_TOLERANCE = 1e-4  # of the probabilities of one row, which may be written with few digits


def booleans(values: ArrayLike, name: str) -> np.ndarray:
    """Return two groups as booleans, or refuse them with the values seen.

    Parameters
    ----------
    values : array of any shape
        Booleans, or numbers that are 0 or 1.
    name : str
        The argument, for the message.

    Returns
    -------
    boolean array of the same shape

    Raises
    ------
    ValueError
        When a value is neither 0, 1, False nor True, or is missing.

    Examples
    --------
    >>> from pm_utils.inputs import booleans
    >>> booleans([0, 1.0, True], "target").tolist()
    [False, True, True]
    >>> booleans(["no", "yes", "no"], "bought")
    Traceback (most recent call last):
    ValueError: bought holds 'no', 'yes': give 0 and 1, or False and True
    """
    array = plain(values)
    if array.dtype == bool:
        return array
    if array.dtype.kind in "iuf":
        good = (array == 0) | (array == 1)
    else:
        good = np.frompyfunc(_is_zero_or_one, 1, 1)(array).astype(bool)
    if not good.all():
        missing = _missing(array)
        if (good | missing).all():
            remedy = "leave out the rows whose answer is not known"
            refuse(missing, f"{name} is missing", remedy, rows=values)
        raise ValueError(f"{name} holds {_seen(array)}: give 0 and 1, or False and True")
    return array.astype(bool)


def numbers(
    values: ArrayLike,
    name: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    ndim: int | None = None,
) -> np.ndarray:
    """Return finite numbers as an array of floats, or refuse them with the first that is not.

    Parameters
    ----------
    values : array of any shape
    name : str
        The argument, for the message.
    low, high : float, optional
        The least and the greatest number that is allowed.
    above : float, optional
        Every number must be greater.
    ndim : int, optional
        How many dimensions the array must have.

    Returns
    -------
    float array of the same shape; float32 stays float32, float16 is too short to sum

    Raises
    ------
    TypeError
        When the values are no numbers.
    ValueError
        When a number is missing, infinite or out of range, or the dimensions are others.

    Examples
    --------
    >>> from pm_utils.inputs import numbers
    >>> numbers([1, 2], "spend").tolist()
    [1.0, 2.0]
    >>> numbers([1, float("nan"), float("inf")], "spend")
    Traceback (most recent call last):
    ValueError: spend is not finite in 2 of 3 rows, first row 1 (nan): give finite numbers
    >>> numbers([1, -2], "spend", low=0)
    Traceback (most recent call last):
    ValueError: spend is out of range in 1 of 2 rows, first row 1 (-2.0): give numbers of at least 0
    """
    array = _floats(values, name)
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} has shape {array.shape}: give {ndim} dimension(s)")
    named = {"rows": values, "shown": array}
    refuse(~np.isfinite(array), f"{name} is not finite", "give finite numbers", **named)
    for bound, outside in ((low, np.less), (high, np.greater), (above, np.less_equal)):
        if bound is not None:
            remedy = f"give {_range(low, high, above)}"
            refuse(outside(array, bound), f"{name} is out of range", remedy, **named)
    return array


def share(value: float, name: str) -> float:
    """Return a number strictly between 0 and 1, or refuse it.

    Examples
    --------
    >>> from pm_utils.inputs import share
    >>> share(5, "alpha")
    Traceback (most recent call last):
    ValueError: alpha is 5: give a share between 0 and 1, not per cent
    """
    found = float(numbers(value, name, ndim=0))
    if not 0 < found < 1:
        raise ValueError(f"{name} is {found:g}: give a share between 0 and 1, not per cent")
    return found


def probabilities(values: ArrayLike, name: str) -> np.ndarray:
    """Return probabilities, finite and in [0, 1], or refuse them.

    Examples
    --------
    >>> from pm_utils.inputs import probabilities
    >>> probabilities([0.2, 50], "chance")
    Traceback (most recent call last):
    ValueError: chance is out of range in 1 of 2 rows, first row 1 (50.0): give numbers from 0 to 1
    """
    return numbers(values, name, low=0, high=1)


def policy(values: ArrayLike, name: str, *, options: int | None = None) -> np.ndarray:
    """Return a table of probabilities whose rows sum to 1, or refuse it.

    Parameters
    ----------
    values : array of shape (N, K)
        P(option k) for row n.
    name : str
    options : int, optional
        K, where it is known.

    Raises
    ------
    ValueError
        When the shape is another, a probability lies outside [0, 1] or a row does not sum to 1.

    Examples
    --------
    >>> from pm_utils.inputs import policy
    >>> policy([[0.5, 0.5], [0.5, 0.4]], "target")
    Traceback (most recent call last):
    ValueError: target does not sum to 1 in 1 of 2 rows, first row 1 (0.9): give probabilities
    """
    array = probabilities(values, name)
    if array.ndim != 2 or (options is not None and array.shape[1] != options):
        wanted = "(N, K)" if options is None else f"(N, {options})"
        raise ValueError(f"{name} has shape {array.shape}: give {wanted}, one column per option")
    total = array.sum(1)
    wrong = np.abs(total - 1) > SUM_TOLERANCE
    fault = f"{name} does not sum to 1"
    refuse(wrong, fault, "give probabilities", rows=values, shown=total.round(6))
    return array


def whole_numbers(
    values: ArrayLike, name: str, *, low: int | None = 0, high: int | None = None
) -> np.ndarray:
    """Return counts or codes as 64-bit integers, or refuse them.

    Examples
    --------
    >>> from pm_utils.inputs import whole_numbers
    >>> whole_numbers([3.0, 10**12], "visits").tolist()
    [3, 1000000000000]
    >>> whole_numbers([0.5], "visits")
    Traceback (most recent call last):
    ValueError: visits is not whole in 1 of 1 rows, first row 0 (0.5): give whole numbers
    """
    given = plain(values)
    if given.dtype.kind in "iu":  # floats would lose what lies beyond 2^53
        most = np.iinfo(np.int64).max if high is None else high
        wrong = (given > most) if low is None else (given > most) | (given < low)
        remedy = f"give {_range(low, most, None)}"
        refuse(wrong, f"{name} is out of range", remedy, rows=values, shown=given)
        return given.astype(np.int64)
    array = numbers(values, name, low=low, high=high)
    wrong = array != np.floor(array)
    named = {"rows": values, "shown": array}
    refuse(wrong, f"{name} is not whole", "give whole numbers", **named)
    refuse(np.abs(array) >= 2**53, f"{name} is rounded", "give integers", **named)
    return array.astype(np.int64)


def aligned(**inputs: Any) -> list[Any]:
    """Return inputs whose rows belong together, in the order of the first that has an index.

    Inputs that carry an index (pandas) are matched by it; the others must have as many rows and
    are taken to stand in the order of the first indexed one. ``None`` stays ``None``.

    Parameters
    ----------
    **inputs : arrays, Series, DataFrames or None
        By the names of the arguments.

    Returns
    -------
    list
        In the order given; a Series stays a Series and a DataFrame a DataFrame.

    Raises
    ------
    ValueError
        When the numbers of rows differ, there is no row, or two indexes do not hold the same rows.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.inputs import aligned
    >>> bought, score = pd.Series({"a": 0, "b": 1}), pd.Series({"b": 0.9, "a": 0.2})
    >>> [one.tolist() for one in aligned(bought=bought, score=score)]
    [[0, 1], [0.2, 0.9]]
    >>> aligned(bought=bought, score=score.rename({"b": "c"}))
    Traceback (most recent call last):
    ValueError: score has no row 'b' of bought (1 of 2 missing): give both the same index
    """
    given = {name: one for name, one in inputs.items() if one is not None}
    lengths = {name: _length(one, name) for name, one in given.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise ValueError(f"{told} rows: give as many of each")
    if lengths and not next(iter(lengths.values())):
        raise ValueError(f"{' and '.join(lengths)}: no rows; give at least one")
    indexed = {name: one for name, one in given.items() if _has_index(one)}
    if indexed:
        first = next(iter(indexed))
        given |= {name: _match(one, name, indexed[first], first) for name, one in indexed.items()}
    return [given.get(name) for name in inputs]


def aligned_tables(**inputs: Any) -> list[Any]:
    """Return tables whose rows and columns belong together, as `aligned` does for rows alone.

    Columns of a DataFrame are matched by name with those of the first DataFrame; tables without
    names are taken to have them in that order.

    Raises
    ------
    KeyError
        When a table lacks a column of the first.
    ValueError
        As `aligned`; when a table has a column that the first has not, or another shape.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.inputs import aligned_tables
    >>> bought = pd.DataFrame([[1, 0]], columns=["tea", "rice"])
    >>> score = pd.DataFrame([[0.1, 0.9]], columns=["rice", "tea"])
    >>> aligned_tables(bought=bought, score=score)[1].to_numpy().tolist()
    [[0.9, 0.1]]
    """
    tables = {name: one for name, one in inputs.items() if one is not None}
    framed = [name for name, one in tables.items() if isinstance(one, pd.DataFrame)]
    names = list(tables[framed[0]]) if framed else []
    for name in framed:
        found = columns(tables[name], names, name)
        if foreign := [one for one in tables[name] if one not in tables[framed[0]].columns]:
            raise ValueError(
                f"{name} has the column {_list(foreign)}, which {framed[0]} has not: "
                "give both the same columns"
            )
        tables[name] = found
    shapes = {name: np.shape(one) for name, one in tables.items()}
    if len(set(shapes.values())) > 1:
        told = " and ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{told}: give equal shapes")
    return aligned(**(inputs | tables))


def aligned_weights(weight: Any, **inputs: Any) -> list[Any]:
    """Return weights of rows (N,), or of resamples (R, N), and the inputs that they weigh.

    As `aligned`, where the columns of a DataFrame of resamples are the rows of the inputs. Weights
    without an index are taken as they are.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.inputs import aligned_weights
    >>> drawn = pd.DataFrame([[2, 0]], columns=["b", "a"])  # how often each row was drawn, once
    >>> aligned_weights(drawn, spend=pd.Series({"a": 1.0, "b": 5.0}))[0].to_numpy().tolist()
    [[0, 2]]
    """
    if not _has_index(weight):
        return [weight, *aligned(**inputs)]
    *found, again = aligned(**inputs, weight=weight.T)
    return [again.T, *found]


def like(values: np.ndarray, *models: Any) -> Any:
    """Return values by row with the index of the first model that has one, else as they are.

    Parameters
    ----------
    values : array of N rows
    *models : arrays, Series, DataFrames or None
        The inputs that the values come from, as given to `aligned`. Values of the shape of a
        DataFrame get its columns too.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from pm_utils.inputs import like
    >>> like(np.array([1.0, 2.0]), None, pd.Series([0, 1], index=["a", "b"])).to_dict()
    {'a': 1.0, 'b': 2.0}
    >>> like(np.array([1.0, 2.0]), [0, 1])
    array([1., 2.])
    """
    for model in models:
        if _has_index(model) and np.shape(values)[:1] == (len(model),):
            if np.ndim(values) == 1:
                return pd.Series(values, model.index)
            same = np.shape(values) == np.shape(model)
            return pd.DataFrame(values, model.index, model.columns if same else None)
    return values


def numbered(values: Any, name: str) -> Any:
    """Return rows that others call by number, from 0: those with an index in its order.

    Raises
    ------
    ValueError
        When the index does not hold the numbers from 0 to N - 1, each once.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.inputs import numbered
    >>> numbered(pd.Series({1: "second", 0: "first"}), "segment").tolist()
    ['first', 'second']
    >>> numbered(pd.Series({"anna": "first"}), "segment")
    Traceback (most recent call last):
    ValueError: segment has no row 0: rows are called by number, label them 0 to 0 or give an array
    """
    if not _has_index(values):
        return values
    number = pd.RangeIndex(len(values))
    if values.index.equals(number):
        return values
    place = values.index.get_indexer(number) if values.index.is_unique else np.full(len(number), -1)
    if (place < 0).any():
        raise ValueError(
            f"{name} has no row {number[place < 0][0]}: rows are called by number, label them 0 to "
            f"{len(number) - 1} or give an array"
        )
    return values.iloc[place]


def labels(values: ArrayLike, name: str) -> np.ndarray:
    """Return the name of each row, of one type, or refuse those that are missing or mixed.

    Examples
    --------
    >>> from pm_utils.inputs import labels
    >>> labels(["mail", None], "segment")
    Traceback (most recent call last):
    ValueError: segment is missing in 1 of 2 rows, first row 1: name one for each row
    >>> labels([1, "mail"], "segment")
    Traceback (most recent call last):
    ValueError: segment holds 1, 'mail', of several types: give names of one type
    """
    array = _ids(values)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}: name one for each row")
    refuse(_missing(array), f"{name} is missing", "name one for each row", rows=values)
    if array.dtype == object:
        try:
            sorted(set(array))
        except TypeError:
            raise ValueError(
                f"{name} holds {_seen(array)}, of several types: give names of one type"
            ) from None
    return array


def columns(table: pd.DataFrame, names: Sequence[Hashable], name: str) -> pd.DataFrame:
    """Return the named columns of a table in the order of the names, or name those it lacks.

    Raises
    ------
    KeyError
        When a column is missing.
    ValueError
        When a name stands over two columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.inputs import columns
    >>> columns(pd.DataFrame({"b": [1], "a": [2]}), ["a", "b"], "features").columns.tolist()
    ['a', 'b']
    >>> columns(pd.DataFrame({"b": [1]}), ["a", "b"], "features")
    Traceback (most recent call last):
    KeyError: "features has no column 'a': give it all of 'a', 'b'"
    """
    if not table.columns.is_unique:
        twice = table.columns[table.columns.duplicated()].unique()
        raise ValueError(f"{name} has two columns of the name {_list(twice)}: give each one name")
    missing = [one for one in names if one not in table.columns]
    if missing:
        raise KeyError(f"{name} has no column {_list(missing)}: give it all of {_list(names)}")
    return table[list(names)]


def codes(values: ArrayLike, known: Sequence[Hashable] | pd.Index, name: str) -> np.ndarray:
    """Return the position of each value among those known; an unknown one is an error.

    Raises
    ------
    KeyError
        When a value is not known, or missing.
    ValueError
        When one is known twice.

    Examples
    --------
    >>> from pm_utils.inputs import codes
    >>> codes(["b", "a"], ["a", "b"], "customer").tolist()
    [1, 0]
    >>> codes(["C1", 536365], [536365, "C1"], "order").tolist()  # the number is not its text
    [1, 0]
    >>> codes([2, 7], [1, 2], "customer")
    Traceback (most recent call last):
    KeyError: 'customer is not known in 1 of 2 rows, first row 1 (7): give those known, as 1, 2'
    """
    index = known if isinstance(known, pd.Index) else pd.Index(_ids(known), tupleize_cols=False)
    index = index.to_flat_index() if isinstance(index, pd.MultiIndex) else index
    if not index.is_unique:
        twice = index[index.duplicated()].unique()
        raise ValueError(f"{name}: {_list(twice)} is known twice; give each known one once")
    array = _ids(values)
    found = index.get_indexer(pd.Index(array.ravel(), tupleize_cols=False)).reshape(array.shape)
    found = np.where(_missing(array), -1, found)
    remedy = f"give those known, as {_list(index)}"
    fault = f"{name} is not known"
    refuse(found < 0, fault, remedy, rows=values, shown=array, error=KeyError)
    return found


def refuse(
    wrong: ArrayLike,
    fault: str,
    remedy: str,
    *,
    rows: Any = None,
    shown: ArrayLike | str | None = None,
    error: type[Exception] = ValueError,
) -> None:
    """Raise when a row is wrong: how many are, the first of them, and what would be right.

    Parameters
    ----------
    wrong : boolean array of shape (N, ...)
        Or one boolean, where the argument is one value for all.
    fault, remedy : str
        What is wrong, with the argument's name, and what would be right.
    rows : Series or DataFrame, optional
        Its index, and columns, name what is wrong; positions do otherwise.
    shown : array shaped like `wrong`, or str, optional
        The values, of which the first wrong one is told; or what is told of it.
    error : type
        What is raised.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.inputs import refuse
    >>> paid = pd.Series([5.0, -1.0], index=["tea", "rice"])
    >>> refuse(paid < 0, "amount is below 0", "leave out returns", rows=paid, shown=paid)
    Traceback (most recent call last):
    ValueError: amount is below 0 in 1 of 2 rows, first row 'rice' (-1.0): leave out returns
    """
    wrong = plain(wrong)
    if not wrong.any():
        return
    first = tuple(int(axis[0]) for axis in np.nonzero(wrong)) if wrong.ndim else ()
    value = repr(_bare(plain(shown)[first])) if not isinstance(shown, str | None) else shown
    told = "" if value is None else f" ({value})"
    where = ""
    if wrong.ndim:
        many = wrong.reshape(len(wrong), -1).any(1).sum()
        where = f" in {many:,} of {len(wrong):,} rows, first {_row(rows, first)}"
    raise error(f"{fault}{where}{told}: {remedy}")


def _is_zero_or_one(value: Any) -> bool:
    """Whether one Python value is False, True, or a number equal to 0 or 1."""
    if isinstance(value, str | bytes) or value is None or value is pd.NA:
        return False
    return bool(value in (0, 1))


def plain(values: Any) -> np.ndarray:
    """Return a NumPy array of any input, of numbers where all are; what a mask hides is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.inputs import plain
    >>> plain(np.ma.array([1, 2], mask=[False, True])).tolist()
    [1.0, nan]
    """
    if hasattr(values, "detach"):  # a tensor of PyTorch, which this module does not import
        values = values.detach().cpu()
    if isinstance(values, np.ma.MaskedArray):
        hidden = np.ma.getmaskarray(values)
        if not hidden.any():
            return values.data
        if values.dtype.kind in "iuf":
            return values.astype(float).filled(np.nan)
        return np.where(hidden, None, values.data.astype(object))
    if isinstance(values, pd.Series | pd.DataFrame | pd.Index | pd.api.extensions.ExtensionArray):
        array = values.to_numpy()
    else:
        array = np.asarray(values)
    if array.dtype == object and array.size and all(map(_is_number, array.ravel())):
        return np.asarray(array.tolist())
    return array


def _is_number(value: Any) -> bool:
    """Whether one Python value is a number of NumPy's."""
    return isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating)


def _ids(values: Any) -> np.ndarray:
    """An array of ids as they are: numbers stay numbers beside text, and tuples are one id each."""
    if isinstance(values, range) or not isinstance(values, Sequence) or isinstance(values, str):
        array = plain(values)
        return array.astype(object) if array.dtype.kind in "US" else array
    kinds = {type(one) for one in values}
    if tuple in kinds or (len(kinds) > 1 and kinds & {str, bytes, np.str_}):
        array = np.empty(len(values), object)
        array[:] = values
        return array
    return plain(values)


def _floats(values: Any, name: str) -> np.ndarray:
    """The values as floats, missing ones as NaN; text and other things are refused."""
    array = plain(values)
    if array.dtype.kind in "biu" or array.dtype == np.float16:
        return array.astype(float)
    if array.dtype.kind == "f":
        return array
    if array.dtype == object:
        array = np.where(_missing(array), np.nan, array)
        if all(isinstance(one, int | float | np.number | Decimal) for one in array.ravel()):
            return array.astype(float)
    raise TypeError(f"{name} holds {_seen(array)}: give numbers")


def _missing(array: np.ndarray) -> np.ndarray:
    """Where a value is NaN, None or NA."""
    return np.asarray(pd.isna(array))


def _has_index(values: Any) -> bool:
    """Whether the rows of an input carry labels."""
    return isinstance(values, pd.Series | pd.DataFrame)


def _length(values: Any, name: str) -> int:
    """The number of rows."""
    try:
        return len(values)
    except TypeError:
        raise TypeError(f"{name} is {values!r}: give one value per row") from None


def _match(values: Any, name: str, model: Any, other: str) -> Any:
    """The rows of an indexed input in the order of another's."""
    here, there = values.index, model.index
    if here.equals(there):
        return values
    for index, whose in ((here, name), (there, other)):
        if not index.is_unique:
            twice = index[index.duplicated()][0]
            raise ValueError(
                f"{whose} has the row {twice!r} twice, and the rows of {other} and {name} stand in "
                "another order: give each row one label"
            )
    position = here.get_indexer(there)
    if (position < 0).any():
        first = there[position < 0][0]
        raise ValueError(
            f"{name} has no row {first!r} of {other} ({(position < 0).sum():,} of "
            f"{len(there):,} missing): give both the same index"
        )
    return values.iloc[position]


def _row(values: Any, first: Sequence[int]) -> str:
    """A row by its label where there is one, with the column of a table."""
    row = repr(_bare(values.index[first[0]])) if _has_index(values) else str(first[0])
    if isinstance(values, pd.DataFrame) and len(first) > 1:
        return f"row {row}, column {values.columns[first[1]]!r}"
    return f"row {row}" + (f", column {first[1]}" if len(first) > 1 else "")


def _range(low: float | None, high: float | None, above: float | None) -> str:
    """The numbers allowed, in words."""
    if above is not None:
        return f"numbers above {above:g}" + ("" if high is None else f", at most {high:g}")
    if low is None:
        return f"numbers of at most {high:g}"
    return f"numbers of at least {low:g}" if high is None else f"numbers from {low:g} to {high:g}"


def _bare(value: Any) -> Any:
    """A NumPy scalar as Python's."""
    return value.item() if isinstance(value, np.generic) else value


def _list(values: Sequence[Hashable] | pd.Index | Mapping) -> str:
    """The first few values, and how many more there are."""
    told = [repr(_bare(one)) for one in list(values)[:_SHOWN]]
    more = len(values) - len(told)
    return ", ".join(told) + (f" and {more:,} more" if more > 0 else "")


def _seen(array: np.ndarray) -> str:
    """The different values that an array holds, the first few of them."""
    seen = pd.unique(pd.Series(array.ravel(), dtype=object))
    try:
        return _list(pd.Index(sorted(seen), dtype=object))
    except TypeError:
        return _list(pd.Index(seen, dtype=object))
