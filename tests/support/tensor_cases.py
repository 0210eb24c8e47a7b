"""What holds of networks and losses: the order of rows is nothing, a gap never becomes a number."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor


@dataclass(frozen=True)
class TensorCase:
    """A network or a loss with tensors of N rows.

    Attributes
    ----------
    call : callable
        Of the tensors, in their order; gives a tensor, or several.
    tensors : tuple of Tensors
    by_row : bool
        Whether the result has a row for each of the tensors', or is one number for all.
    """

    call: Callable
    tensors: tuple[Tensor, ...]
    by_row: bool = True

    def result(self, *tensors: Tensor) -> Tensor:
        """What comes out, flat by row, or as one number."""
        torch.manual_seed(0)
        with torch.no_grad():
            found = self.call(*tensors)
        if not self.by_row:
            return torch.as_tensor(found)
        parts = found if isinstance(found, tuple | list) else [found]
        return torch.cat(
            [torch.as_tensor(p).reshape(len(tensors[0]), -1).double() for p in parts], 1
        )


def check_order_of_tensors(case: TensorCase) -> None:
    """Rows in another order come out in that order, or as the same number."""
    before = case.result(*case.tensors)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(case.tensors[0])))
    again = case.result(*(tensor[order] for tensor in case.tensors))
    torch.testing.assert_close(
        again, before[order] if case.by_row else before, rtol=1e-4, atol=1e-5
    )


def check_gaps_in_tensors(case: TensorCase) -> None:
    """A row with NaN is refused, or what comes of it is none; other rows stay as they are."""
    before, row = case.result(*case.tensors), len(case.tensors[0]) // 2
    for place, tensor in enumerate(case.tensors):
        if not tensor.is_floating_point():
            continue
        broken = [*case.tensors]
        broken[place] = tensor.clone()
        broken[place][row] = torch.nan
        try:
            found = case.result(*broken)
        except ValueError:
            continue
        if not case.by_row:
            assert not found.isfinite().all()
            continue
        assert found[row].isnan().any(), place
        others = torch.arange(len(found)) != row
        torch.testing.assert_close(found[others], before[others], rtol=1e-4, atol=1e-5)


def tensor_properties(cases: dict[str, TensorCase]) -> list:
    """Every property of each case, as parameters of one test: check and name."""
    return [
        pytest.param(check, name, id=f"{check.__name__}-{name}")
        for check in (check_order_of_tensors, check_gaps_in_tensors)
        for name in cases
    ]
