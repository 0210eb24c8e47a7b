"""What functions accept, and what they say of the rest."""

import datetime
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch

from pm_utils import inputs

YES = [False, True, True]


@pytest.mark.parametrize(
    "values",
    [
        YES,
        [0, 1, 1],
        [0.0, 1.0, 1.0],
        np.array([0, 1, 1], object),
        np.array([False, True, True], object),
        pd.Series([0, 1, 1], dtype="Int64"),
        pd.Series(YES, dtype="boolean"),
        pd.Series([0.0, 1.0, 1.0], index=list("abc")),
        torch.tensor([0.0, 1.0, 1.0], requires_grad=True),
        torch.tensor([0, 1, 1]),
    ],
)
def test_two_groups_are_booleans(values):
    found = inputs.booleans(values, "clicked")
    assert found.dtype == bool
    assert found.tolist() == YES


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([-1, 1, 1], "clicked holds -1, 1: give 0 and 1"),
        ([1, 2, 2], "clicked holds 1, 2: give 0 and 1"),
        (["no", "yes"], "clicked holds 'no', 'yes': give 0 and 1"),
        (["0", "1"], "clicked holds '0', '1'"),
        (pd.Categorical(["n", "y"]), "clicked holds 'n', 'y'"),
        ([0, 1, np.nan], "clicked is missing in 1 of 3 rows, first row 2"),
        (pd.Series([None, 1], index=["a", "b"], dtype="Int64"), "1 of 2 rows, first row 'a'"),
        (pd.Series([True, None, False]), "clicked is missing in 1 of 3 rows"),
        ([0.5, np.nan], "clicked holds 0.5, nan"),
        (range(9), "clicked holds 0, 1, 2, 3, 4 and 4 more"),
    ],
)
def test_other_groups_are_refused_with_what_was_seen(values, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        inputs.booleans(values, "clicked")


@pytest.mark.parametrize("gap", [np.nan, np.inf, -np.inf])
def test_numbers_are_finite(gap):
    table = pd.DataFrame({"age": [1.0, 2.0], "spend": [3.0, gap]}, index=[70, 71])
    with pytest.raises(ValueError, match="1 of 2 rows, first row 71, column 'spend'"):
        inputs.numbers(table, "features")


def test_missing_values_of_pandas_are_no_numbers():
    with pytest.raises(ValueError, match="spend is not finite in 1 of 2 rows"):
        inputs.numbers(pd.Series([1, None], dtype="Int64"), "spend")
    with pytest.raises(TypeError, match="spend holds '1', '2': give numbers"):
        inputs.numbers(["2", "1"], "spend")
    with pytest.raises(TypeError, match="day holds"):
        inputs.numbers(pd.to_datetime(["2020-01-01"]), "day")


def test_ranges_and_shapes():
    assert inputs.numbers(np.float32([1]), "x").dtype == np.float32
    assert inputs.numbers(pd.Series([1, 2], dtype="Int64"), "x").tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"x is out of range \(0.0\): give numbers above 0"):
        inputs.numbers(0, "x", above=0)
    with pytest.raises(ValueError, match="give numbers of at most 3"):
        inputs.numbers([4], "x", high=3)
    with pytest.raises(ValueError, match=r"x has shape \(1,\): give 2 dimension"):
        inputs.numbers([4], "x", ndim=2)
    with pytest.raises(ValueError, match="from 0 to 1"):
        inputs.probabilities([-1e-9], "p")
    with pytest.raises(ValueError, match=r"give \(N, 3\)"):
        inputs.policy([[0.5, 0.5]], "target", options=3)


def test_whole_numbers_keep_every_digit():
    big = 2**62 + 1
    assert inputs.whole_numbers([big], "n").tolist() == [big]
    assert inputs.whole_numbers(np.array([2**40], np.uint64), "n").dtype == np.int64
    for values, said in (([-1], "out of range"), ([2.0**60], "rounded"), ([2**64 - 1], "range")):
        with pytest.raises(ValueError, match=said):
            inputs.whole_numbers(values, "n")
    with pytest.raises(ValueError, match="from 0 to 3"):
        inputs.whole_numbers([4], "code", high=3)


def test_rows_meet_by_their_index():
    y = pd.Series([0, 1, 1], index=list("abc"))
    shuffled = y.sample(frac=1, random_state=1)
    again, table, array, none = inputs.aligned(
        y=y, table=shuffled.to_frame("y"), array=np.arange(3), none=None
    )
    assert again is y
    assert table.index.tolist() == list("abc")
    assert array.tolist() == [0, 1, 2]
    assert none is None


def test_rows_that_cannot_meet_are_refused():
    y = pd.Series([0, 1], index=list("ab"))
    with pytest.raises(ValueError, match="y 2, score 3 rows: give as many of each"):
        inputs.aligned(y=y, score=[1, 2, 3])
    with pytest.raises(ValueError, match="score has no row 'a' of y"):
        inputs.aligned(y=y, score=y.rename({"a": "z"}))
    with pytest.raises(ValueError, match="score has the row 'a' twice"):
        inputs.aligned(y=y, score=y.rename({"b": "a"}))
    same = y.rename({"b": "a"})
    assert inputs.aligned(y=same, score=same)[1] is same
    with pytest.raises(ValueError, match="no rows"):
        inputs.aligned(y=[], score=[])
    with pytest.raises(TypeError, match="score is 3: give one value per row"):
        inputs.aligned(y=y, score=3)


def test_columns_and_ids_are_found_by_name():
    table = pd.DataFrame([[1, 2]], columns=["b", "a"])
    assert inputs.columns(table, ["a", "b"], "x").iloc[0].tolist() == [2, 1]
    with pytest.raises(ValueError, match="two columns of the name 'b'"):
        inputs.columns(table.rename(columns={"a": "b"}), ["b"], "x")
    with pytest.raises(
        KeyError, match="customer is not known in 1 of 2 rows, first row 1 \\(nan\\)"
    ):
        inputs.codes([1.0, np.nan], [1, 2], "customer")


def test_short_floats_are_lengthened_and_masked_values_are_missing():
    assert inputs.numbers(np.float16([60_000]), "x").dtype == float
    hidden = np.ma.array([1, 2, 3], mask=[False, True, False])
    with pytest.raises(ValueError, match="x is not finite in 1 of 3 rows, first row 1"):
        inputs.numbers(hidden, "x")
    with pytest.raises(ValueError, match="y is missing in 1 of 2 rows, first row 0"):
        inputs.booleans(np.ma.array([True, False], mask=[True, False]), "y")
    assert inputs.numbers(np.ma.array([1.0, 2.0]), "x").tolist() == [1, 2]
    assert inputs.numbers([Decimal("1.25"), 2], "amount").tolist() == [1.25, 2]
    with pytest.raises(TypeError, match="day holds datetime.date"):
        inputs.numbers([datetime.date(2020, 1, 1)], "day")
    assert inputs.whole_numbers(np.array([10**17 + 1], object), "id").tolist() == [10**17 + 1]


def test_ids_of_several_types_stay_apart():
    known = [536365, "C1", "536365"]
    orders = pd.Series([536365, "C1", "536365"], dtype=object)
    assert inputs.codes(orders, known, "order").tolist() == [0, 1, 2]
    assert inputs.codes(["536365", 536365], known, "order").tolist() == [2, 0]
    assert inputs.codes([("a", 1)], [("b", 2), ("a", 1)], "pair").tolist() == [1]
    with pytest.raises(ValueError, match="order: 1 is known twice"):
        inputs.codes([1], [1, 1, 2], "order")
    with pytest.raises(KeyError, match="order is not known in 1 of 1 rows"):
        inputs.codes([np.nan], [1.0, np.nan], "order")


def test_tables_meet_by_rows_and_columns():
    target = pd.DataFrame([[1, 2], [3, 4]], index=["x", "y"], columns=["a", "b"])
    array = np.arange(4).reshape(2, 2)
    mixed = target.iloc[::-1, ::-1]
    found = inputs.aligned_tables(target=target, array=array, mixed=mixed, none=None)
    assert found[2].to_numpy().tolist() == [[1, 2], [3, 4]]
    assert found[1] is array
    assert found[3] is None
    with pytest.raises(KeyError, match="mixed has no column 'b'"):
        inputs.aligned_tables(target=target, mixed=mixed.rename(columns={"b": "c"}))
    with pytest.raises(ValueError, match="mixed has the column 'c', which target has not"):
        inputs.aligned_tables(target=target, mixed=mixed.assign(c=0))
    with pytest.raises(ValueError, match=r"target \(2, 2\) and array \(1, 2\): give equal shapes"):
        inputs.aligned_tables(target=target, array=array[:1])


def test_results_carry_the_first_index():
    first, second = pd.Series([1, 2], index=["b", "a"]), pd.Series([1, 2], index=["a", "b"])
    assert inputs.like(np.zeros(2), [0, 0], first, second).index.tolist() == ["b", "a"]
    assert inputs.like(np.zeros((2, 3)), first).shape == (2, 3)
    assert isinstance(inputs.like(np.zeros(2), [1, 2]), np.ndarray)


@pytest.mark.parametrize("value", [np.nan, 0, 1, 5])
def test_a_share_lies_between_0_and_1(value):
    with pytest.raises(ValueError, match="alpha is"):
        inputs.share(value, "alpha")


def test_a_policy_may_be_written_with_few_digits():
    thirds = np.full((3, 3), 0.33333)
    assert inputs.policy(thirds, "target").tolist() == thirds.tolist()


def test_what_is_refused_is_counted_and_its_first_row_named():
    table = pd.DataFrame({"a": [1, 2], "b": [3, 4]}, index=["x", "y"])
    for wrong, named, said in (
        (table > 3, {"rows": table, "shown": table}, "1 of 2 rows, first row 'y', column 'b' (4)"),
        (np.array([True, True]), {}, "cost is odd in 2 of 2 rows, first row 0: give"),
        (torch.tensor([False, True]), {"shown": "7 of 5"}, "first row 1 (7 of 5)"),
        (np.bool_(True), {"shown": np.float64(2)}, "cost is odd (2.0): give even costs"),
    ):
        with pytest.raises(KeyError, match=re.escape(said)):
            inputs.refuse(wrong, "cost is odd", "give even costs", error=KeyError, **named)
    inputs.refuse(np.zeros(3), "cost is odd", "give even costs")


def test_rows_that_are_called_by_number_stand_in_its_order():
    table = pd.DataFrame({"a": [1, 2, 3]}, index=[2, 0, 1])
    assert inputs.numbered(table, "x")["a"].tolist() == [2, 3, 1]
    assert inputs.numbered([1, 2], "x") == [1, 2]
    assert inputs.numbered(pd.Series([5.0]), "x").tolist() == [5.0]
    for index in ([1, 2, 3], list("abc"), [0, 0, 1]):
        with pytest.raises(ValueError, match="x has no row 0: .*label them 0 to 2"):
            inputs.numbered(table.set_axis(index), "x")


def test_values_of_a_tables_shape_keep_its_columns():
    table = pd.DataFrame({"a": [1.0], "b": [2.0]}, index=["x"])
    assert inputs.like(table.to_numpy() + 1, table).equals(table + 1)
    assert list(inputs.like(np.ones((1, 3)), table)) == [0, 1, 2]
