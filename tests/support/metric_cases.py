"""What holds of every metric: the order of rows is nothing, a gap or a wrong label is an error."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

WRONG_LABELS = {
    "-1 and 1": lambda y: 2.0 * y - 1,
    "1 and 2": lambda y: y + 1,
    "yes and no": lambda y: np.where(y > 0, "yes", "no"),
    "not known": lambda y: np.where(np.arange(y.size).reshape(y.shape) == 0, np.nan, y),
}


@dataclass(frozen=True)
class MetricCase:
    """A metric with arguments of N rows.

    Attributes
    ----------
    call : callable
        Of the arguments.
    rows : dict of arrays
        By the arguments' names.
    labels : set of str
        Those that are 0 or 1.
    names : set of str
        Those that are names or ids.
    gaps : set of str
        Those in which NaN has a meaning.
    apart : set of str
        Those whose rows are not those of the others, or that carry no index.
    tables : set of str
        Those whose columns are matched by name.
    drawn : bool
        Whether chance has a part, so that another order gives another draw.
    by_row : bool
        Whether the result has one row for each of the arguments, in their order.
    ends : bool
        Whether the result is an interval, or a dict of such.
    index : bool
        Whether a result by row carries the index of the first argument.
    rounding : float
        By how much the results of other orders may differ, as a share.
    """

    call: Callable
    rows: dict[str, np.ndarray]
    labels: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    gaps: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()
    drawn: bool = False
    by_row: bool = False
    ends: bool = False
    index: bool = True
    rounding: float = 1e-9

    def result(self, **changed: Any) -> np.ndarray:
        """What the metric says: its numbers in their order, or as a table of one row per row."""
        found = self.call(**(self.rows | changed))
        if self.ends:
            for low, high in found.values() if isinstance(found, dict) else [found]:
                assert low <= high
        return _by_row(found) if self.by_row else _numbers(found)

    def numbers(self) -> list[str]:
        """The arguments that are finite numbers."""
        return [n for n in self.rows if n not in self.labels | self.names | self.gaps]


def _parts(found: Any) -> list | None:
    """The parts of a result in their order, None of one that has none."""
    if isinstance(found, dict):
        return list(found.values())
    if isinstance(found, list | tuple):
        return list(found)
    if hasattr(found, "__dataclass_fields__"):
        if hasattr(found, "low"):
            assert found.low <= found.high
        return [getattr(found, name) for name in found.__dataclass_fields__]
    return None


def _numbers(found: Any) -> np.ndarray:
    """All numbers of a result in their order."""
    if (parts := _parts(found)) is not None:
        return np.concatenate([_numbers(each) for each in parts])
    if isinstance(found, pd.DataFrame):
        if {"low", "high"} <= set(found):
            assert (found["low"] <= found["high"]).all()
        found = found.select_dtypes("number")
    return np.ravel(np.asarray(found, float))


def _by_row(found: Any) -> np.ndarray:
    """The numbers of a result by row, (N, ...)."""
    if (parts := _parts(found)) is not None:
        return np.column_stack([_by_row(each) for each in parts])
    return np.asarray(found, float)


def _index_of(found: Any) -> pd.Index:
    """The index that a result by row carries, the same for all of its parts."""
    indexes = [_index_of(each) for each in parts] if (parts := _parts(found)) else [found.index]
    assert all(one.equals(indexes[0]) for one in indexes)
    return indexes[0]


def assert_close(case: MetricCase, found: np.ndarray, expected: np.ndarray, said: str) -> None:
    """Two results are the same but for rounding."""
    tolerance = {"rtol": case.rounding, "atol": max(1e-12, case.rounding / 1000)}
    np.testing.assert_allclose(found, expected, **tolerance, err_msg=said)


def check_order(case: MetricCase) -> None:
    """Other orders of the rows give the same, or the same rows in that order."""
    n, before = len(next(iter(case.rows.values()))), case.result()
    orders = {seed: np.random.default_rng(seed).permutation(n) for seed in range(3)}
    for name, each in case.rows.items():  # sorted by each argument in turn, as tables come
        orders[name] = np.lexsort(np.atleast_2d(each.T))
    for said, order in orders.items():
        again = case.result(**{name: each[order] for name, each in case.rows.items()})
        expected = before[order] if case.by_row else before
        assert_close(case, again, expected, str(said))


def check_gaps(case: MetricCase) -> None:
    """A number that is missing or infinite is an error."""
    for name in case.numbers():
        for gap in (np.nan, np.inf, -np.inf):
            broken = case.rows[name].astype(float)
            broken[len(broken) // 2] = gap
            with pytest.raises(ValueError):
                case.call(**(case.rows | {name: broken}))


def check_labels(case: MetricCase) -> None:
    """Labels that are not 0 and 1 are an error; of whatever type those are, they are the same."""
    before = case.result()
    for name in case.labels:
        y = case.rows[name].astype(int)
        for kind in (bool, int, float, np.int8, np.uint8, object):
            np.testing.assert_array_equal(case.result(**{name: y.astype(kind)}), before)
        for said, wrong in WRONG_LABELS.items():
            with pytest.raises((ValueError, TypeError)):
                case.call(**(case.rows | {name: wrong(y)}))
                pytest.fail(f"{name} of {said} gave a number")


def check_index(case: MetricCase) -> None:
    """Rows meet by their index in the order of the first, and those that cannot are refused."""
    together = [name for name in case.rows if name not in case.apart]
    if len(together) < 2:
        return
    n, before = len(case.rows[together[0]]), case.result()
    labels = pd.Index([f"row {i:03}" for i in range(n)])
    indexed = {name: _indexed(case.rows[name], labels) for name in together}
    order = np.random.default_rng(1).permutation(n)
    for name in together[case.drawn :]:
        shuffled = indexed | {name: indexed[name].iloc[order]}
        alone = {together[0]: indexed[together[0]], name: shuffled[name]}  # the rest are arrays
        for given in (shuffled, alone if name != together[0] else shuffled):
            expected = before
            if case.by_row:
                found = case.call(**(case.rows | given))
                if case.index:
                    assert _index_of(found).equals(given[together[0]].index)
                expected = before[order] if name == together[0] else before
            assert_close(case, case.result(**given), expected, name)
        if name in together[2:]:  # the first is an array, so stands in the order of the second
            given = {other: shuffled[other] for other in together[1:]}
            assert_close(case, case.result(**given), before, f"{name}, beside an array")
        strange = indexed | {name: _indexed(case.rows[name], labels + "?")}
        with pytest.raises((ValueError, KeyError)):
            case.call(**(case.rows | strange))
            pytest.fail(f"{name} of other rows gave a number")


def check_columns(case: MetricCase) -> None:
    """Columns meet by their names, and foreign ones are refused."""
    before, names = case.result(), [f"column {i}" for i in range(5)]
    framed = {
        n: pd.DataFrame(case.rows[n], columns=names[: case.rows[n].shape[1]]) for n in case.tables
    }
    for name, table in framed.items():
        shuffled = framed | {name: table.iloc[:, ::-1]}
        np.testing.assert_allclose(
            case.result(**shuffled), before, rtol=1e-9, atol=1e-12, err_msg=name
        )
        for strange in (table.add_suffix("?"), table.assign(more=0), table.iloc[:, 1:]):
            with pytest.raises((ValueError, KeyError)):
                case.call(**(case.rows | framed | {name: strange}))
                pytest.fail(f"{name} of other columns gave a number")


def _indexed(values: np.ndarray, index: pd.Index) -> pd.Series | pd.DataFrame:
    return (pd.Series if values.ndim == 1 else pd.DataFrame)(values, index=index)


def properties(cases: dict[str, MetricCase]) -> list:
    """Every property that applies to each case, as parameters of one test: check and name."""
    applies = {
        check_order: lambda case: not case.drawn,
        check_gaps: lambda case: True,
        check_labels: lambda case: case.labels,
        check_index: lambda case: True,
        check_columns: lambda case: case.tables,
    }
    return [
        pytest.param(check, name, id=f"{check.__name__}-{name}")
        for check, applicable in applies.items()
        for name, case in cases.items()
        if applicable(case)
    ]
