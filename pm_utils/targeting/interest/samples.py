"""The interest task: will a household buy a candidate in its next baskets?

`moments` stacks what is known of every household on several dates with what its next baskets held.
`sample_pairs` draws candidates from it, `pair_facts` says what is known about each pair. After them
come the naive rules, the networks' training, scores per household, and a log whose truth is known.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from pm_utils.customers import purchase_log
from pm_utils.customers.purchase_log import (
    CONTEXT_COLUMNS,
    HISTORY_COLUMNS,
    PurchaseLog,
    day_number,
)
from pm_utils.data import Shop
from pm_utils.evaluation.ranking import roc_auc
from pm_utils.learning.training import fit, predict
from pm_utils.targeting.interest.networks import DeepInterestNet, PooledInterestNet

PAIR_COLUMNS = (
    *HISTORY_COLUMNS,
    "due",
    "baskets_since",
    "share_of_baskets",
    "popularity",
    "popularity_4w",
    *(f"household_{name}" for name in CONTEXT_COLUMNS),
)
EVENTS = len(HISTORY_COLUMNS)  # what is known of a past item: its own first columns
GAP_BANDS = (7, 14, 28, 56, 112)  # days
_RATE, _GAP = HISTORY_COLUMNS.index("orders_per_8w"), HISTORY_COLUMNS.index("days_since")


@dataclass(frozen=True)
class Moments:
    """What is known of households on dates, and what their next baskets held.

    Attributes
    ----------
    customer : array of shape (M,)
        Codes into ``PurchaseLog.customers``; a household stands here once per date.
    as_of : array of shape (M,), datetime64
    history : array of shape (M, T), int32
        The distinct candidates bought before, the latest first, numbered from 1; 0 pads.
    own : array of shape (M, C, 10), float32
        What is known about each pair: the first ten of `PAIR_COLUMNS`.
    context : array of shape (M, 8), float32
        See `histories.customer_context`.
    bought : array of shape (M, C), bool
        Whether one of the next baskets held the candidate.
    """

    customer: np.ndarray
    as_of: np.ndarray
    history: np.ndarray
    own: np.ndarray
    context: np.ndarray
    bought: np.ndarray


def by_product_type(shop: Shop) -> Shop:
    """Return the shop with product types in the place of categories: the harder task.

    A type is named ``category|product type``, for several categories may hold types of one name.
    What the catch-all holds (fuel, coupons, unknown sales) are no products, and stay without one.
    """
    category, kind = (shop.products[c].astype("object") for c in ("category", "product_type"))
    named = (category + "|" + kind).mask(category.isin(purchase_log.MISCELLANEOUS))
    return replace(shop, products=shop.products.assign(category=named.astype("category")))


def next_baskets(
    log: PurchaseLog, as_of: str | pd.Timestamp, *, baskets: int = 3, days: int = 28
) -> tuple[np.ndarray, np.ndarray]:
    """Return what each customer's next baskets hold, and who has any.

    Parameters
    ----------
    log : PurchaseLog
    as_of : date
        Baskets on this day count, earlier ones do not.
    baskets, days : int
        At most so many baskets, in at most so many days.

    Returns
    -------
    bought : array of shape (H, C), bool
    active : array of shape (H,), bool
        Whether there is a basket at all.
    """
    now = day_number(as_of)
    ahead = np.flatnonzero((log.order_day >= now) & (log.order_day < now + days))
    ahead = ahead[np.argsort(log.order_customer[ahead], kind="stable")]
    owner = log.order_customer[ahead]
    rank = np.arange(len(ahead)) - np.searchsorted(owner, owner)
    chosen = np.zeros(len(log.order_day), bool)
    chosen[ahead[rank < baskets]] = True
    bought = np.zeros((len(log.customers), len(log.categories)), bool)
    rows = chosen[log.order]
    bought[log.customer[rows], log.category[rows]] = True
    return bought, np.isin(np.arange(len(log.customers)), owner)


def pair_history(log: PurchaseLog, as_of: str | pd.Timestamp) -> np.ndarray:
    """Return what is known about every customer and candidate before a date.

    Parameters
    ----------
    log : PurchaseLog
    as_of : date
        Nothing dated on or after it is read.

    Returns
    -------
    array of shape (H, C, 10), float32
        The first ten of `PAIR_COLUMNS`: those of `histories.category_history`; days since the last
        purchase over the mean gap between purchases; baskets since it; the share of all baskets
        that held the candidate; the candidate's share of the shop's baskets, ever and in the last
        4 weeks. All as log(1 + x), shares times 100.
    """
    now, shape = day_number(as_of), (len(log.customers), len(log.categories))
    past = purchase_log.category_history(log, as_of)
    lately, rate, gap = (
        np.expm1(past[:, :, HISTORY_COLUMNS.index(name)])
        for name in ("orders_4w", "orders_per_8w", "days_since")
    )
    held = np.rint(rate * (max(now - log.first_day, 1) / 56))  # orders with it, ever
    before = log.order_day < now
    orders = np.bincount(log.order_customer[before], minlength=shape[0])[:, None]
    since = _baskets_since(log, now, shape)
    popular = [
        np.broadcast_to(np.rint(count).sum(0) / max(of.sum(), 1), shape)
        for count, of in ((held, before), (lately, before & (log.order_day >= now - 28)))
    ]
    columns = [
        gap * rate / 56,
        since,
        100 * held / np.maximum(orders, 1),
        *(100 * p for p in popular),
    ]
    return np.concatenate([past, np.log1p(np.stack(columns, -1, dtype=np.float32))], axis=2)


def _baskets_since(log: PurchaseLog, now: int, shape: tuple[int, int]) -> np.ndarray:
    """Baskets of the customer after the last that held the candidate; all, where none did."""
    early = np.flatnonzero(log.order_day < now)
    early = early[np.argsort(log.order_customer[early], kind="stable")]
    total = np.bincount(log.order_customer[early], minlength=shape[0])
    number = np.zeros(len(log.order_day), np.int64)  # 1 for a customer's first basket
    number[early] = np.arange(len(early)) - np.repeat(np.cumsum(total) - total, total) + 1
    last = np.zeros(shape, np.int64)
    rows = log.day < now
    np.maximum.at(last, (log.customer[rows], log.category[rows]), number[log.order[rows]])
    return total[:, None] - last


def moments(
    log: PurchaseLog,
    dates: Iterable[pd.Timestamp],
    *,
    length: int = 40,
    baskets: int = 3,
    days: int = 28,
) -> Moments:
    """Stack the customers who were known on each date and have baskets ahead.

    Parameters
    ----------
    log : PurchaseLog
    dates : iterable of dates
    length : int
        T, how many distinct past candidates a history holds at most.
    baskets, days : int
        As in `next_baskets`.

    Returns
    -------
    Moments
    """
    parts = []
    for date in dates:
        bought, active = next_baskets(log, date, baskets=baskets, days=days)
        who = purchase_log.known_customers(log, date)
        who = who[active[who]]
        own = pair_history(log, date)[who]
        gap = np.where(own[:, :, _RATE] > 0, own[:, :, _GAP], np.inf)
        latest = np.argsort(gap, axis=1, kind="stable")[:, :length]
        known = np.isfinite(np.take_along_axis(gap, latest, 1))
        context = purchase_log.customer_context(log, date)[who]
        when = np.full(len(who), np.datetime64(date, "D"))
        parts.append(
            (who, when, ((latest + 1) * known).astype(np.int32), own, context, bought[who])
        )
    return Moments(*(np.concatenate(column) for column in zip(*parts, strict=True)))


@dataclass(frozen=True)
class Pairs:
    """Moments and candidates that are put to the models.

    Attributes
    ----------
    moment, candidate : arrays of shape (N,)
        Rows of `Moments`, and candidates counted from 0.
    bought : array of shape (N,), float32
    shift : float
        What to add to a logit learned on these pairs, because not all negatives were kept: the
        logarithm of the share that was.
    """

    moment: np.ndarray
    candidate: np.ndarray
    bought: np.ndarray
    shift: float


def sample_pairs(moments: Moments, count: int, *, negatives: float = 3.0, seed: int) -> Pairs:
    """Draw pairs for training, all positives being as likely as each other, and all negatives.

    Keeping a share `r` of the negatives multiplies the odds of a purchase by 1 / r, whatever the
    pair. So the model's logits are put right by adding log r.

    Parameters
    ----------
    moments : Moments
    count : int
        About how many pairs.
    negatives : float
        Pairs that were not bought, per pair that was.
    seed : int

    Returns
    -------
    Pairs
        In random order.

    Raises
    ------
    ValueError
        When there are fewer pairs of either kind than asked for.
    """
    rate = moments.bought.mean()
    keep = count / (1 + negatives) / (moments.bought.size * rate)
    share = negatives * rate / (1 - rate)
    if max(keep, keep * share) > 1:
        raise ValueError(f"count is {count}: too many for {moments.bought.size} pairs")
    rng = np.random.default_rng(seed)
    chance = np.where(moments.bought, keep, keep * share)
    flat = rng.permutation(np.flatnonzero(rng.random(moments.bought.shape) < chance))
    moment, candidate = np.divmod(flat, moments.bought.shape[1])
    bought = moments.bought[moment, candidate].astype(np.float32)
    return Pairs(moment, candidate, bought, float(np.log(share)))


def all_pairs(moments: Moments, households: int, *, seed: int) -> Pairs:
    """Return every candidate for some moments drawn at random: no negative is left out.

    Metrics on sampled negatives may rank models otherwise than those on all of them do.

    Parameters
    ----------
    moments : Moments
    households : int
        How many moments; all of them, where there are fewer.
    seed : int

    Returns
    -------
    Pairs
        Moment by moment, the candidates in order, so that scores can be folded to (households, C).

    References
    ----------
    Krichene & Rendle (2020), On sampled metrics for item recommendation.
    """
    order = np.random.default_rng(seed).permutation(len(moments.customer))
    chosen, width = np.sort(order[:households]), moments.bought.shape[1]
    moment, candidate = np.repeat(chosen, width), np.tile(np.arange(width), len(chosen))
    return Pairs(moment, candidate, moments.bought[moment, candidate].astype(np.float32), 0.0)


def pair_facts(moments: Moments, pairs: Pairs) -> np.ndarray:
    """Return what is known about each pair → (N, 18), the columns of `PAIR_COLUMNS`."""
    own = moments.own[pairs.moment, pairs.candidate]
    return np.concatenate([own, moments.context[pairs.moment]], axis=1)


def naive_chances(train: Moments, moments: Moments, pairs: Pairs) -> dict[str, np.ndarray]:
    """Return what two rules without a model say: how often such pairs were bought in training.

    Parameters
    ----------
    train : Moments
        All of its pairs are counted.
    moments, pairs
        What to score.

    Returns
    -------
    dict of arrays of shape (N,)
        ``"popularity"``: the candidate's share of households. ``"recency and frequency"``: that of
        all pairs with as many orders in the last 8 weeks (8 and more together) and as long ago.
    """

    def cell(part: Moments) -> np.ndarray:
        orders = np.rint(np.expm1(part.own[:, :, HISTORY_COLUMNS.index("orders_8w")]))
        band = np.digitize(np.expm1(part.own[:, :, _GAP]), GAP_BANDS)
        return np.minimum(orders, 8).astype(int) * (len(GAP_BANDS) + 1) + band

    counted, size = cell(train).ravel(), 9 * (len(GAP_BANDS) + 1)
    bought = np.bincount(counted, train.bought.ravel(), size)
    chance = (bought + train.bought.mean()) / (np.bincount(counted, minlength=size) + 1)
    return {
        "popularity": train.bought.mean(0)[pairs.candidate],
        "recency and frequency": chance[cell(moments)[pairs.moment, pairs.candidate]],
    }


def classical_chances(
    train: Moments, pairs: Pairs, test: Moments, asked: Pairs, *, seed: int
) -> dict[str, np.ndarray]:
    """Fit logistic regression and gradient boosting on the facts of pairs, and score others.

    Parameters
    ----------
    train, pairs
        What to learn from.
    test, asked
        What to score.
    seed : int

    Returns
    -------
    dict of arrays of shape (N,)
        ``"logistic"`` and ``"gradient boosting"``: chances, put right by the pairs' shift.

    References
    ----------
    Friedman (2001), Greedy function approximation: a gradient boosting machine.
    """
    trees = HistGradientBoostingClassifier(
        max_iter=100,
        learning_rate=0.1,
        max_leaf_nodes=8,
        min_samples_leaf=100,
        early_stopping=False,
        random_state=seed,
    )
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    facts, unseen = pair_facts(train, pairs), pair_facts(test, asked)
    chances = {}
    for name, model in {"logistic": regression, "gradient boosting": trees}.items():
        odds = model.fit(facts, pairs.bought).decision_function(unseen) + pairs.shift
        chances[name] = 1 / (1 + np.exp(-odds))
    return chances


@dataclass(frozen=True)
class Reader:
    """Turns pairs into a network's inputs, on scales learned from training pairs.

    Attributes
    ----------
    mean, std : arrays of shape (18,)
        Of the columns of `PAIR_COLUMNS`.
    own : bool
        Whether the network is told about pairs. If not, it has to find that in the history.
    """

    mean: np.ndarray
    std: np.ndarray
    own: bool = True

    @classmethod
    def learn(cls, moments: Moments, pairs: Pairs) -> "Reader":
        """Take means and deviations from training pairs."""
        facts = pair_facts(moments, pairs)
        return cls(facts.mean(0), np.maximum(facts.std(0), 1e-3))

    @property
    def facts(self) -> int:
        """How many numbers the network's head is told."""
        return len(PAIR_COLUMNS) if self.own else len(CONTEXT_COLUMNS)

    def inputs(self, moments: Moments, pairs: Pairs) -> list[Tensor]:
        """Return candidate (N,), moment (N,), facts (N, F)."""
        facts = ((pair_facts(moments, pairs) - self.mean) / self.std)[:, -self.facts :]
        parts = pairs.candidate + 1, pairs.moment, facts.astype(np.float32)
        return [torch.from_numpy(part) for part in parts]

    def histories(self, moments: Moments) -> tuple[Tensor, Tensor]:
        """Return history (M, T) and what is known of its items (M, T, 5)."""
        at = np.maximum(moments.history - 1, 0)[:, :, None]
        events = np.take_along_axis(moments.own[:, :, :EVENTS], at, 1)
        scaled = (events - self.mean[:EVENTS]) / self.std[:EVENTS]
        return torch.from_numpy(moments.history), torch.from_numpy(scaled.astype(np.float32))


class AtMoments(nn.Module):
    """Look each pair's history up by its moment, so that no history is stored twice.

    Parameters
    ----------
    net : PooledInterestNet
        Or its heir.
    history, events : Tensor of shape (M, T) and (M, T, G)
    """

    def __init__(self, net: PooledInterestNet, history: Tensor, events: Tensor) -> None:
        super().__init__()
        self.net, self.history, self.events = net, history, events

    def forward(self, candidate: Tensor, moment: Tensor, facts: Tensor) -> Tensor:
        """Candidate (B,), moment (B,), facts (B, F) → logit (B,)."""
        history, events = (part.index_select(0, moment) for part in (self.history, self.events))
        return self.net(candidate, history, facts, events)


def train_net(
    kind: type[PooledInterestNet],
    moments: Moments,
    pairs: Pairs,
    reader: Reader,
    *,
    epochs: int,
    seed: int,
    shuffle_labels: bool = False,
    **options: bool,
) -> PooledInterestNet:
    """Train a network on pairs, at the sizes that the book uses.

    Parameters
    ----------
    kind : PooledInterestNet or DeepInterestNet
    moments : Moments
    pairs : Pairs
        From `sample_pairs`.
    reader : Reader
    epochs, seed : int
    shuffle_labels : bool
        Deal the answers to other pairs first: the null, which has nothing to learn from.
    **options
        Passed on to the network.

    Returns
    -------
    PooledInterestNet
        In evaluation mode.
    """
    torch.manual_seed(seed)
    if kind is DeepInterestNet:
        options = {"attention": (32, 16)} | options
    sizes = {"facts": reader.facts, "events": EVENTS, "hidden": (64, 32)}
    net = kind(moments.bought.shape[1], **(sizes | options))
    target = torch.from_numpy(pairs.bought)
    if shuffle_labels:
        target = target[torch.randperm(len(target))]
    fit(
        AtMoments(net, *reader.histories(moments)),
        reader.inputs(moments, pairs),
        target,
        loss=nn.functional.binary_cross_entropy_with_logits,
        epochs=epochs,
        batch_size=512,
        learning_rate=2e-2,
        weight_decay=0.1,
        seed=seed,
    )
    return net


def net_chances(
    net: PooledInterestNet, moments: Moments, pairs: Pairs, reader: Reader, shift: float
) -> np.ndarray:
    """Return a trained network's chance of each pair.

    Parameters
    ----------
    net, reader
        As in `train_net`.
    moments, pairs
        What to score.
    shift : float
        Of the pairs that it was trained on.

    Returns
    -------
    array of shape (N,)
    """
    at = AtMoments(net, *reader.histories(moments))
    return (predict(at, reader.inputs(moments, pairs), batch_size=512) + shift).sigmoid().numpy()


def group_auc(target: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the AUC inside each row; its mean, weighted by rows' lengths, is known as GAUC.

    Parameters
    ----------
    target, score : arrays of shape (H, C)
        One row per household, one column per candidate.

    Returns
    -------
    array of shape (H,)
        Not a number where a row holds one class only.

    References
    ----------
    Zhou et al. (2018), Deep interest network, section 6.2.
    """
    ranks = pd.DataFrame(score.T).rank().to_numpy().T
    positive = target.sum(1)
    negative = target.shape[1] - positive
    with np.errstate(invalid="ignore", divide="ignore"):
        above = (ranks * target).sum(1) - positive * (positive + 1) / 2
        return above / (positive * negative)


def recall_at(target: np.ndarray, score: np.ndarray, k: int) -> np.ndarray:
    """Return the share of what was bought that stands among the k best candidates of each row.

    Parameters
    ----------
    target, score : arrays of shape (H, C)
    k : int

    Returns
    -------
    array of shape (H,)
        Not a number where nothing was bought.
    """
    best = np.argsort(-score, axis=1, kind="stable")[:, :k]
    with np.errstate(invalid="ignore"):
        return np.take_along_axis(target, best, 1).sum(1) / target.sum(1)


def log_losses(target: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Return the mean log loss of each row in nats, chances of 0 and 1 being drawn in a little.

    Parameters
    ----------
    target, chance : arrays of shape (H, C)

    Returns
    -------
    array of shape (H,)
    """
    safe = np.clip(chance, 1e-6, 1 - 1e-6)
    return -np.where(target > 0, np.log(safe), np.log1p(-safe)).mean(1)


def interest_scores(
    target: np.ndarray, chance: np.ndarray, *, k: int, weight: np.ndarray
) -> dict[str, np.ndarray]:
    """Score chances on the whole sample and on resamples of households.

    Parameters
    ----------
    target, chance : arrays of shape (H, C)
    k : int
        For the recall.
    weight : array of shape (R, H)
        Bootstrap weights; a first row of ones gives the sample itself.

    Returns
    -------
    dict of arrays of shape (R,)
        ``AUC``, ``GAUC``, ``log loss`` and ``recall@k``.
    """
    rows = {
        "GAUC": group_auc(target, chance),
        "log loss": log_losses(target, chance),
        f"recall@{k}": recall_at(target, chance, k),
    }
    means = {name: _weighted_mean(values, weight) for name, values in rows.items()}
    return {"AUC": resampled_auc(target, chance, weight)} | means


def resampled_auc(target: np.ndarray, score: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the AUC over the pairs of all households, each counted as often as it was drawn.

    How many pairs of household g each purchase of household h outranks is counted once, in a matrix
    A of H × H. With weights w the AUC is wᵀ A w / (wᵀ p · wᵀ n), where p and n count what each
    household bought and did not; a resample costs a product with A, not a pass over all pairs.

    Parameters
    ----------
    target, score : arrays of shape (H, C)
        0 or 1, and what the model said; ties count half.
    weight : array of shape (R, H)

    Returns
    -------
    array of shape (R,)
        Not a number where one class has no weight.
    """
    bought = target > 0
    order = np.argsort(score[bought])
    owner, found = np.nonzero(bought)[0][order], score[bought][order]
    above = np.empty((len(target), len(target)))
    for other in range(len(target)):
        left = np.sort(score[other, ~bought[other]])
        outranked = np.searchsorted(left, found) + np.searchsorted(left, found, side="right")
        above[:, other] = np.bincount(owner, outranked / 2, len(target))
    of_each = weight @ bought.sum(1), weight @ (~bought).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return ((weight @ above) * weight).sum(1) / (of_each[0] * of_each[1])


def resampled_scores(
    target: np.ndarray, chances: dict[str, np.ndarray], *, k: int, weight: np.ndarray
) -> dict[str, pd.DataFrame]:
    """Score several models by `interest_scores` on the sample and on the same resamples.

    Parameters
    ----------
    target, k, weight
        As in `interest_scores`; `weight` without the row of ones.
    chances : dict of arrays that fold to (H, C)

    Returns
    -------
    dict of DataFrames
        One row per resample, the sample itself first; one column per score.
    """
    rows = np.vstack([np.ones(len(target), int), weight])
    return {
        name: pd.DataFrame(interest_scores(target, chance.reshape(target.shape), k=k, weight=rows))
        for name, chance in chances.items()
    }


def points_and_ends(
    boots: dict[str, pd.DataFrame],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the scores of `resampled_scores` and the ends of their 95 % intervals.

    Parameters
    ----------
    boots : dict of DataFrames
        From `resampled_scores`.

    Returns
    -------
    points, low, high : DataFrame
        One row per model, one column per score.
    """
    points = pd.DataFrame({name: table.iloc[0] for name, table in boots.items()}).T
    low, high = (
        pd.DataFrame({name: table.iloc[1:].quantile(q) for name, table in boots.items()}).T
        for q in (0.025, 0.975)
    )
    return points, low, high


def auc_by_part(
    target: np.ndarray, chances: dict[str, np.ndarray], parts: dict[str, np.ndarray]
) -> pd.DataFrame:
    """Return each model's AUC over parts of the pairs.

    Parameters
    ----------
    target : array of shape (H, C)
    chances : dict of arrays that fold to (H, C)
    parts : dict of boolean arrays of shape (H, C)

    Returns
    -------
    DataFrame
        One row per model, one column per part.
    """
    return pd.DataFrame(
        {
            part: {
                name: roc_auc(target[mask], chance.reshape(target.shape)[mask])
                for name, chance in chances.items()
            }
            for part, mask in parts.items()
        }
    )


def _weighted_mean(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    return weight[:, known] @ values[known] / weight[:, known].sum(1)


def attention_by_gap(
    net: DeepInterestNet, moments: Moments, pairs: Pairs, reader: Reader
) -> pd.DataFrame:
    """Return how much weight a past item gets, by how long ago it was bought.

    Parameters
    ----------
    net, reader
        As in `train_net`.
    moments : Moments
    pairs : Pairs

    Returns
    -------
    DataFrame
        One row per band of `GAP_BANDS`. Columns: the mean absolute weight of the candidate's own
        past purchases, and of other items; not a number where there are none.
    """
    candidate, moment, _ = reader.inputs(moments, pairs)
    history, events = reader.histories(moments)

    def attend(candidate: Tensor, moment: Tensor) -> Tensor:
        return net.attend(candidate, history[moment], events[moment])

    net.eval()
    weight = predict(attend, [candidate, moment], batch_size=512).abs().numpy()
    past = moments.history[pairs.moment]
    gap = np.take_along_axis(moments.own[pairs.moment, :, _GAP], np.maximum(past - 1, 0), 1)
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
    moments: Moments,
    reader: Reader,
    names: Sequence[str],
    *,
    moment: int,
    candidates: Sequence[int],
    top: int = 4,
) -> pd.DataFrame:
    """Return which past items weigh most for some candidates of one household.

    Parameters
    ----------
    net, moments, reader
        As in `net_chances`.
    names : sequence of str
        The candidates' names.
    moment : int
        Row of `moments`.
    candidates : sequence of int
        Counted from 0.
    top : int
        How many items to name.

    Returns
    -------
    DataFrame
        One row per candidate, the item with most weight first, each with its share of all weight
        (taken without its sign) and the days since it was bought.
    """
    history, events = (part[[moment]] for part in reader.histories(moments))
    net.eval()
    with torch.no_grad():
        weight = torch.cat([net.attend(torch.tensor([c + 1]), history, events) for c in candidates])
    share = (weight.abs() / weight.abs().sum(1, keepdim=True)).numpy()
    past = moments.history[moment]
    days = np.rint(np.expm1(moments.own[moment, past - 1, _GAP])).astype(int)
    rows = {
        names[c].lower(): [
            f"{names[past[j] - 1].lower()} ({share[i, j]:.0%}, {days[j]} days)"
            for j in np.argsort(-share[i])[:top]
        ]
        for i, c in enumerate(candidates)
    }
    return pd.DataFrame(rows, index=[f"{rank + 1}." for rank in range(top)]).T


@dataclass(frozen=True)
class ClickLog:
    """A simulated log whose click probabilities are known.

    Attributes
    ----------
    user, item : arrays of shape (N,)
        Who was shown what; users count from 0, items from 1.
    history : array of shape (N, T)
        Items that the user clicked on before the log begins; 0 pads.
    probability : array of shape (N,)
        The true chance of a click.
    click : array of shape (N,), float32
    """

    user: np.ndarray
    item: np.ndarray
    history: np.ndarray
    probability: np.ndarray
    click: np.ndarray


def simulated_clicks(
    rows: int,
    *,
    users: int = 5000,
    items: int = 10_000,
    length: int = 20,
    shortest: int = 1,
    topics: int = 8,
    seed: int,
) -> ClickLog:
    """Draw a log of impressions in which users have tastes for topics, and items have one topic.

    Histories are drawn by taste and popularity (a power law), candidates by popularity alone. The
    logit of a click is linear in log(1 + topics × taste for the item's topic) and the item's
    appeal. Nothing but the history tells a user's taste.

    Parameters
    ----------
    rows : int
        Impressions.
    users, items, topics : int
    length, shortest : int
        Histories hold so many items at most and at least, each number being as likely.
    seed : int

    Returns
    -------
    ClickLog
    """
    rng = np.random.default_rng(seed)
    topic, appeal = rng.integers(topics, size=items), 0.4 * rng.normal(size=items)
    popularity = (1.0 + rng.permutation(items)) ** -1.3
    taste = rng.dirichlet(np.full(topics, 0.15), users)
    order = np.argsort(topic, kind="stable")
    mass = np.bincount(topic, popularity, topics)
    ends = np.cumsum(popularity[order])

    def draw(of: np.ndarray) -> np.ndarray:
        """One item of each topic in `of`, by popularity."""
        at = np.cumsum(mass)[of] - rng.random(len(of)) * mass[of]
        return order[np.minimum(np.searchsorted(ends, at), items - 1)]

    liked = (rng.random((users, length, 1)) > taste.cumsum(1)[:, None]).sum(2)
    history = 1 + draw(np.minimum(liked, topics - 1).ravel()).reshape(users, length)
    lengths = rng.integers(shortest, length + 1, users)
    history[np.arange(length) >= lengths[:, None]] = 0
    user, item = rng.integers(users, size=rows), draw(rng.integers(topics, size=rows))
    logit = 1.8 * np.log1p(topics * taste[user, topic[item]]) + appeal[item] - 2.4
    probability = 1 / (1 + np.exp(-logit))
    click = (rng.random(rows) < probability).astype(np.float32)
    return ClickLog(user, item + 1, history[user], probability, click)


def known_truth(
    n_train: int, n_test: int, *, items: int = 300, epochs: int = 3, seed: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Train both networks and a null on a simulated log, and let the oracle say what it knows.

    Parameters
    ----------
    n_train, n_test : int
        Impressions.
    items, epochs, seed : int

    Returns
    -------
    click : array of shape (n_test,)
    chances : dict of arrays of shape (n_test,)
        ``"click rate"`` (of the item, in training), ``"pooled"``, ``"DIN"``, ``"null"``,
        ``"oracle"``.
    """
    log = simulated_clicks(n_train + n_test, users=3000, items=items, seed=seed)
    learn, test = slice(n_train), slice(n_train, None)
    shown = np.bincount(log.item[learn], minlength=items + 1)
    rate = np.bincount(log.item[learn], log.click[learn], items + 1) + log.click[learn].mean()
    chances = {"click rate": (rate / (shown + 1))[log.item[test]]}
    rows, click = [torch.from_numpy(part) for part in (log.item, log.history)], log.click[learn]
    dealt = np.random.default_rng(seed).permutation(click)
    settings = {"epochs": epochs, "batch_size": 512, "learning_rate": 2e-2, "seed": seed}
    settings["loss"] = nn.functional.binary_cross_entropy_with_logits
    for name, kind, goal in (
        ("pooled", PooledInterestNet, click),
        ("DIN", DeepInterestNet, click),
        ("null", DeepInterestNet, dealt),
    ):
        torch.manual_seed(seed)
        net = kind(items, hidden=(64, 32))
        fit(net, [part[learn] for part in rows], torch.from_numpy(goal), **settings)
        logits = predict(net, [part[test] for part in rows], batch_size=512)
        chances[name] = logits.sigmoid().double().numpy()
    return log.click[test], chances | {"oracle": log.probability[test]}
