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
    drawn : bool
        Whether chance has a part, so that another order gives another draw.
    """

    call: Callable
    rows: dict[str, np.ndarray]
    labels: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    gaps: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()
    drawn: bool = False

    def result(self, **changed: Any) -> np.ndarray:
        """What the metric says, as one sorted list of numbers."""
        return _numbers(self.call(**(self.rows | changed)))

    def numbers(self) -> list[str]:
        """The arguments that are finite numbers."""
        return [n for n in self.rows if n not in self.labels | self.names | self.gaps]


def _numbers(found: Any) -> np.ndarray:
    """All numbers of a result, sorted, so that results by row may change places."""
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list | tuple):
        return np.concatenate([_numbers(each) for each in found])
    if hasattr(found, "__dataclass_fields__"):
        return _numbers([getattr(found, name) for name in found.__dataclass_fields__])
    if isinstance(found, pd.DataFrame):
        found = found.select_dtypes("number")
    return np.sort(np.ravel(np.asarray(found, float)))


def check_order(case: MetricCase) -> None:
    """Other orders of the rows give the same."""
    n = len(next(iter(case.rows.values())))
    before = case.result()
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(n)
        again = case.result(**{name: each[order] for name, each in case.rows.items()})
        np.testing.assert_allclose(again, before, rtol=1e-9, atol=1e-12)
    for name, each in case.rows.items():  # sorted by each argument in turn, as tables come
        order = np.lexsort(np.atleast_2d(each.T))
        again = case.result(**{other: rows[order] for other, rows in case.rows.items()})
        np.testing.assert_allclose(again, before, rtol=1e-9, atol=1e-12, err_msg=name)


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
    """Rows meet by their index, and those that cannot are refused."""
    together = [name for name in case.rows if name not in case.apart]
    if len(together) < 2:
        return
    n, before = len(case.rows[together[0]]), case.result()
    labels = pd.Index([f"row {i}" for i in range(n)])
    indexed = {name: _indexed(case.rows[name], labels) for name in together}
    order = np.random.default_rng(1).permutation(n)
    for name in together[1:]:
        shuffled = indexed | {name: indexed[name].iloc[order]}
        np.testing.assert_allclose(case.result(**shuffled), before, rtol=1e-9, atol=1e-12)
        strange = indexed | {name: _indexed(case.rows[name], labels + "?")}
        with pytest.raises(ValueError):
            case.call(**(case.rows | strange))


def _indexed(values: np.ndarray, index: pd.Index) -> pd.Series | pd.DataFrame:
    return (pd.Series if values.ndim == 1 else pd.DataFrame)(values, index=index)
