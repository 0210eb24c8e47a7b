"""Which past purchases a network's attention rests on."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pm_utils.inputs import whole_numbers
from pm_utils.learning.training import predict
from pm_utils.targeting.interest.networks import DeepInterestNet
from pm_utils.targeting.interest.samples import DAYS_SINCE, GAP_BANDS, Pairs, Snapshots
from pm_utils.targeting.interest.training import Reader


def attention_by_gap(
    net: DeepInterestNet, snapshots: Snapshots, pairs: Pairs, reader: Reader
) -> pd.DataFrame:
    """Return how much weight a past item gets, by how long ago it was bought.

    Explained in chapter ``interest``.

    Parameters
    ----------
    net, reader
        As in `train_net`.
    snapshots : Snapshots
    pairs : Pairs

    Returns
    -------
    DataFrame
        One row per band of `GAP_BANDS`. Columns: the mean absolute weight of the candidate's own
        past purchases, and of other items; not a number where there are none.
    """
    candidate, snapshot, _ = reader.inputs(snapshots, pairs)
    history, events = reader.histories(snapshots)

    def attend(candidate: Tensor, snapshot: Tensor) -> Tensor:
        return net.attend(candidate, history[snapshot], events[snapshot])

    net.eval()
    weight = predict(attend, [candidate, snapshot], batch_size=512).abs().numpy()
    past = snapshots.history[pairs.snapshot]
    gap = np.take_along_axis(
        snapshots.own[pairs.snapshot, :, DAYS_SINCE], np.maximum(past - 1, 0), 1
    )
    band = np.digitize(np.expm1(gap), GAP_BANDS)
    same = past == pairs.candidate[:, None] + 1
    names = ["≤ 1 week", *(f"≤ {days // 7} weeks" for days in GAP_BANDS[1:]), "longer ago"]
    kinds = {"the candidate itself": same, "another item": (past > 0) & ~same}
    means = {
        kind: pd.Series(weight[is_it]).groupby(band[is_it]).mean().reindex(range(len(names)))
        for kind, is_it in kinds.items()
    }
    return pd.DataFrame(means).set_axis(names)


def picks(
    net: DeepInterestNet,
    snapshots: Snapshots,
    reader: Reader,
    names: Sequence[str],
    *,
    snapshot: int,
    candidates: Sequence[int],
    top: int = 4,
) -> pd.DataFrame:
    """Return which past items weigh most for some candidates of one household.

    Explained in chapter ``interest``.

    Parameters
    ----------
    net, snapshots, reader
        As in `network_probabilities`.
    names : sequence of str
        The candidates' names.
    snapshot : int
        Row of `snapshots`.
    candidates : sequence of int
        Counted from 0.
    top : int
        How many items to name.

    Returns
    -------
    DataFrame
        One row per candidate, the item with most weight first, each with its share of all weight
        (taken without its sign) and the days since it was bought; empty where there are no more.

    Raises
    ------
    ValueError
        When there is no such snapshot or candidate, or not one name per candidate.
    """
    households, count = snapshots.bought.shape
    snapshot = int(whole_numbers(snapshot, "snapshot", low=0, high=households - 1))
    candidates = whole_numbers(candidates, "candidates", low=0, high=count - 1).tolist()
    if len(names) != count:
        raise ValueError(f"names has {len(names)} entries for {count} candidates: give one each")
    history, events = (part[[snapshot]] for part in reader.histories(snapshots))
    net.eval()
    with torch.no_grad():
        weight = torch.cat([net.attend(torch.tensor([c + 1]), history, events) for c in candidates])
    share = (weight.abs() / weight.abs().sum(1, keepdim=True)).numpy()
    past = snapshots.history[snapshot]
    days = np.rint(np.expm1(snapshots.own[snapshot, past - 1, DAYS_SINCE])).astype(int)
    rows = {
        names[c].lower(): [
            f"{names[past[j] - 1].lower()} ({share[i, j]:.0%}, {days[j]} days)" if past[j] else ""
            for j in np.argsort(-share[i])[:top]
        ]
        for i, c in enumerate(candidates)
    }
    return pd.DataFrame(rows, index=[f"{rank + 1}." for rank in range(top)]).T
