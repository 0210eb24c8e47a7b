"""Chapter 09: bandits on validation games, and estimators over many logs and many splits."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import Ridge
from sklearn.preprocessing import PolynomialFeatures
from torch import Tensor

from pm_utils.decisions import bandits
from pm_utils.evaluation.bootstrap import bootstrap_weights, paired_interval
from pm_utils.evaluation.replications import mean_and_margin
from pm_utils.inputs import columns, numbers
from pm_utils.learning.diagnostics import switching_share
from pm_utils.learning.standardise import standard_scores
from pm_utils.learning.training import History
from pm_utils.market import Market, Policy
from pm_utils.measurement.off_policy import Estimate, evaluate_policy, reward_table
from pm_utils.page.scoreboard import Contest
from pm_utils.targeting import uplift

SLOPES = ", slopes by ad"
FAR = 4.0  # standard deviations beyond which a receipt says no more


def receipt_scores(market: Market) -> np.ndarray:
    """Return what the receipts say of each customer, on comparable scales → (N, D).

    Explained in chapter ``creative-optimisation``.

    Examples
    --------
    >>> from pm_utils.chapters.creative_optimisation import receipt_scores
    >>> from pm_utils.market import Market
    >>> receipt_scores(Market(50, seed=0)).shape
    (50, 16)
    """
    receipts = market.customers.drop(columns="customer_id").to_numpy()
    return standard_scores(np.sqrt(receipts)).numpy().clip(-FAR, FAR)


def best_by_receipts(market: Market, *, others: int) -> np.ndarray:
    """Return the ad for each customer that their receipts call the best, had one seen the truth.

    A ridge regression on the receipts, their squares and their products learns the *true* chances
    of a click of other customers of the same market. No policy is ever told so much; what it
    misses is what receipts do not say.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    market : Market
        With the ads in question.
    others : int
        Customers to learn from, none of them in the market's own N.

    Returns
    -------
    array of shape (N,), int

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.chapters.creative_optimisation import best_by_receipts
    >>> from pm_utils.market import Market, random_creatives
    >>> market = Market(300, seed=0, creatives=random_creatives(5, np.random.default_rng(0)))
    >>> ads, truth = best_by_receipts(market, others=2000), market.click_table
    >>> bool(truth.mean(0).max() < truth[np.arange(300), ads].mean() < truth.max(1).mean())
    True
    """
    n = len(market.customers)
    world = {"truth": market.truth, "households": market.households}
    larger = Market(n + others, market.seed, creatives=market.creatives, **world)
    features = PolynomialFeatures(2, include_bias=False).fit_transform(receipt_scores(larger))
    chance = larger.click_table[n:].astype(float)
    model = Ridge(30.0).fit(features[n:], np.log(chance / (1 - chance)))
    return model.predict(features[:n]).argmax(1)


def network_record(policy: bandits.DeepThompson, lost: np.ndarray) -> dict:
    """Return what the scoreboard keeps of a network's training.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    policy : DeepThompson
        After its game; its first replication is looked at.
    lost : array of shape (rounds,)
        What it lost in each round.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.chapters.creative_optimisation import network_record
    >>> from pm_utils.decisions.bandits import DeepThompson, play_bandit
    >>> policy = DeepThompson(np.eye(3), 2, 1, hidden=4, steps=5, batch_size=10)
    >>> game = {"rounds": 2, "batch": 30, "replications": 1, "seed": 0}
    >>> earned = play_bandit(policy, np.full((3, 2), 0.1), **game)
    >>> network_record(policy, 0.1 - earned[:, 0])["rows"]  # of two rounds
    100
    """
    inner, steps = policy.nets.inner, policy.steps * len(policy.seen)

    def hidden(x: Tensor) -> Tensor:
        return torch.relu(x @ inner.weight[0] + inner.bias[0])

    history = History(validation=lost.tolist(), steps=steps, rows=steps * policy.batch_size)
    return history.record(switching=switching_share(hidden, [policy.context]))


def paired_gains(
    share: Mapping[str, np.ndarray], pairs: Mapping[str, tuple[str, str]]
) -> pd.DataFrame:
    """Return by how much one policy earns more than another in the same replications.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    share : dict of arrays of shape (R,)
        From `bandits.shares_of_gain`.
    pairs : dict of (str, str)
        What is asked → the policy, and the one it is compared with.

    Returns
    -------
    DataFrame
        One row per question: mean difference ``by``, its 95 % interval ``from`` … ``to``, and the
        ``verdict``: *helps* or *harms* only where the interval excludes zero.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.chapters.creative_optimisation import paired_gains
    >>> share = {"deep": np.array([0.5, 0.7, 0.9]), "flat": np.array([0.4, 0.6, 0.7])}
    >>> paired_gains(share, {"hidden units": ("deep", "flat")}).round(2).values.tolist()
    [[0.13, -0.01, 0.28, 'cannot be told']]
    """
    rows = {}
    for question, (one, other) in pairs.items():
        mean, half = mean_and_margin(share[one] - share[other])
        verdict = "helps" if mean > half else "harms" if mean < -half else "cannot be told"
        rows[question] = [mean, mean - half, mean + half, verdict]
    return pd.DataFrame.from_dict(rows, "index", columns=["by", "from", "to", "verdict"])


def repeat(
    market: Market,
    old: Policy | Callable,
    target: np.ndarray,
    context: np.ndarray,
    *,
    logs: int,
    size: int,
    misses: bool = False,
) -> dict[str, list[Estimate]]:
    """Draw one log of the old policy after the other and evaluate the new policy on each.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    market : Market
    old : Policy or callable
        As in `Market.impressions`.
    target : array of shape (N, M)
        The new policy's probabilities.
    context : array of shape (N, D)
        What the reward model sees.
    logs, size : int
        Number of logs and impressions in each.
    misses : bool
        Let the reward be 1 where nobody clicks, rather than where somebody does.

    Returns
    -------
    dict of str to list of Estimate
        For each estimator, one per log. Where its name says so, the reward model gives every ad
        slopes of its own, as in `reward_table`.
    """
    weighted = ("DM", "IPS", "SNIPS", "DR")
    found = {name: [] for name in (*weighted, f"DM{SLOPES}", f"DR{SLOPES}")}
    for number in range(logs):
        log = market.impressions(old, size, start=number * size)
        reward = (log.click != misses).astype(float)
        rows = log.customer, log.creative, reward
        for model, names in {"": weighted, SLOPES: ("DM", "DR")}.items():
            table = reward_table(context, target.shape[1], *rows, interactions=model == SLOPES)
            estimates = evaluate_policy(log, target, table, reward=reward)
            for name in names:
                found[name + model].append(estimates[name])
    return found


def score(found: dict[str, list[Estimate]], truth: float) -> pd.DataFrame:
    """Hold the estimates of many logs against the true value.

    Explained in chapter ``creative-optimisation``.

    Returns
    -------
    DataFrame
        For each estimator: mean ``relative error``, relative ``bias``, the share of logs whose
        ``95 % interval holds`` the truth, and the mean ``effective size``.

    Examples
    --------
    Two logs: one estimate is 10 % too low, but its interval holds the truth; one is 20 % too high.

    >>> from pm_utils.chapters.creative_optimisation import score
    >>> from pm_utils.measurement.off_policy import Estimate
    >>> found = {"IPS": [Estimate(0.9, 0.8, 1.0, 50.0), Estimate(1.2, 1.1, 1.3, 50.0)]}
    >>> score(found, truth=1.0).round(2)
         relative error  bias  95 % interval holds  effective size
    IPS            0.15  0.05                  0.5            50.0
    """
    rows = {}
    for name, many in found.items():
        error = np.array([one.value for one in many]) / truth - 1
        holds = np.mean([one.covers(truth) for one in many])
        effective = np.mean([one.effective_size for one in many])
        rows[name] = [np.abs(error).mean(), error.mean(), holds, effective]
    columns = ["relative error", "bias", "95 % interval holds", "effective size"]
    return pd.DataFrame(rows, index=columns).T


def compare_errors(
    error: pd.DataFrame, pairs: list[tuple[str, str]], *, repeats: int, seed: int
) -> pd.DataFrame:
    """Say which of two estimators errs less, by intervals over logs.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    error : DataFrame
        One row per log, one column per estimator.
    pairs : list of (str, str)
        A baseline, and the estimator that is compared with it.
    repeats, seed : int
        Resamples of the logs.

    Returns
    -------
    DataFrame
        Mean error ``saved``, the 95 % interval ``from`` … ``to``, and the ``verdict``, which is
        *better* or *worse* only where the interval excludes zero.

    Raises
    ------
    KeyError
        When an estimator is missing.
    ValueError
        When an error is not finite.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.creative_optimisation import compare_errors
    >>> error = pd.DataFrame({"IPS": [0.25, 0.5, 0.75], "DR": [0.125, 0.375, 0.625]})  # three logs
    >>> table = compare_errors(error, [("IPS", "DR")], repeats=10, seed=0)
    >>> table.loc["DR against IPS", ["saved", "verdict"]].astype(str).tolist()
    ['0.125', 'better']
    """
    numbers(columns(error, list(dict.fromkeys(sum(map(tuple, pairs), ()))), "error"), "error")
    weights, rows = bootstrap_weights(len(error), repeats, seed), {}
    for baseline, name in pairs:
        first, second = error[baseline].to_numpy(), error[name].to_numpy()
        low, high = paired_interval(first, second, weights)
        verdict = "better" if low > 0 else "worse" if high < 0 else "cannot be told apart"
        rows[f"{name} against {baseline}"] = [(first - second).mean(), low, high, verdict]
    return pd.DataFrame(rows, index=["saved", "from", "to", "verdict"]).T


def judge_over_splits(
    learners: Mapping[str, uplift.Learner],
    trial: tuple[np.ndarray, np.ndarray, np.ndarray],
    effect: np.ndarray,
    home: np.ndarray,
    *,
    splits: int,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let learners of uplift learn from half of the households, again and again.

    The other half is judged, by what the experiment shows and by the truth.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    learners : dict
        Whatever has `fit` and `predict` as `uplift.TLearner`.
    trial : (x (N, D), treated (N,), outcome (N,))
    effect : array of shape (N,)
        True uplift.
    home : array of shape (N,), int
        Each customer's household, counted from 0.
    splits, seed : int

    Returns
    -------
    qini, gain : DataFrame
        One row per split, one column per learner: the Qini coefficient and the share of true gain
        of the judged households.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from pm_utils.chapters.creative_optimisation import judge_over_splits
    >>> from pm_utils.targeting.uplift import TLearner
    >>> rng = np.random.default_rng(0)
    >>> x, treated = rng.normal(size=(400, 1)), rng.random(400) < 0.5
    >>> outcome = rng.random(400) < 0.5 + 0.2 * treated * (x[:, 0] > 0)
    >>> trial, home = (x, treated, outcome.astype(float)), np.arange(400)
    >>> learners = {"linear": TLearner(LinearRegression())}
    >>> qini, gain = judge_over_splits(learners, trial, x[:, 0], home, splits=3, seed=0)
    >>> gain.round(2)["linear"].tolist()
    [1.0, 1.0, 1.0]
    """
    rng, (x, treated, outcome) = np.random.default_rng(seed), trial
    qini, gain = [], []
    for _ in range(splits):
        learn = (rng.permutation(home.max() + 1) % 2 == 0)[home]
        qini.append({})
        gain.append({})
        for name, learner in learners.items():
            score = learner.fit(x[learn], treated[learn], outcome[learn]).predict(x[~learn])
            seen = treated[~learn], outcome[~learn]
            qini[-1][name] = uplift.qini_coefficient(score, *seen)
            gain[-1][name] = uplift.share_of_targeting(score, effect[~learn])
    return pd.DataFrame(qini), pd.DataFrame(gain)


def learner_standings(
    qini: pd.DataFrame, gain: pd.DataFrame, *, against: Mapping[str, str]
) -> pd.DataFrame:
    """Return means over splits, and by how much one learner gains more than another.

    Splits share households, so that their spread alone would understate the error: intervals are
    those of Nadeau and Bengio, with as many judged households as learned from.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    qini, gain : DataFrame
        From `judge_over_splits`.
    against : dict of str
        For some learners, the one they are compared with.

    Returns
    -------
    DataFrame
        For each learner ``Qini``, ``share of true gain``, half its 95 % interval ``±``
        and, where it is compared, ``more than``, ``by``, ``from`` and ``to``.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.creative_optimisation import learner_standings
    >>> gain = pd.DataFrame({"T": [0.5, 0.6, 0.7], "DR": [0.6, 0.7, 0.8]})
    >>> standings = learner_standings(gain, gain, against={"DR": "T"})
    >>> standings.loc["DR", "more than"], round(float(standings.loc["DR", "by"]), 2)
    ('T', 0.1)
    """
    rows = {}
    for name in gain:
        mean, half = mean_and_margin(gain[name].to_numpy(), overlap=1.0)
        rows[name] = {"Qini": qini[name].mean(), "share of true gain": mean, "±": half}
        if name in against:
            more = (gain[name] - gain[against[name]]).to_numpy()
            mean, half = mean_and_margin(more, overlap=1.0)
            difference = {"by": mean, "from": mean - half, "to": mean + half}
            rows[name] |= {"more than": against[name]} | difference
    return pd.DataFrame.from_dict(rows, orient="index")


def enter(
    contest: Contest,
    kinds: Mapping[str, str],
    reached: pd.DataFrame,
    validation: Mapping[str, float] | None = None,
    *,
    training: Mapping[str, dict] | None = None,
) -> None:
    """Enter methods of a results table for a contest of the scoreboard.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    contest : Contest
    kinds : dict of str
        Name and kind of each method, as in `Contest.enter`.
    reached : DataFrame
        One row per method, one column per metric.
    validation : mapping of float, optional
        Of each method.
    training : dict, optional
        Records of the networks among them.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.creative_optimisation import enter
    >>> from pm_utils.page.scoreboard import Scoreboard
    >>> contest = Scoreboard("01-formulas", seed=0).contest("x", chosen_by="y", better="higher")
    >>> reached = pd.DataFrame({"share": {"mean": 0.2, "ridge": 0.4}})
    >>> scores = {"mean": 0.1, "ridge": 0.3}
    >>> enter(contest, {"mean": "naive", "ridge": "classical"}, reached, scores)
    >>> contest.chosen("classical")
    'ridge'
    """
    for name, kind in kinds.items():
        contest.enter(
            str(name) if kind != "null" else f"null, shuffle {name}",
            kind,
            test=reached.loc[name].to_dict(),
            validation=None if validation is None else validation[name],
            training=(training or {}).get(name),
        )


def learner_verdicts(standings: pd.DataFrame) -> str:
    """Say in words which learner gains more, as the intervals have it.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    standings : DataFrame
        From `learner_standings`.

    Returns
    -------
    str
        A sentence for each pair.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.creative_optimisation import learner_verdicts
    >>> row = {"more than": "T", "by": 0.1, "from": 0.05, "to": 0.15}
    >>> learner_verdicts(pd.DataFrame([row], index=["DR"]))
    'The DR gains **more** than the T (+0.100, interval +0.050 to +0.150).'
    """
    said = []
    for name, row in standings.dropna(subset="more than").iterrows():
        other = row["more than"]
        verdict = f"The {name} and the {other} **cannot be told apart**"
        if row["from"] > 0:
            verdict = f"The {name} gains **more** than the {other}"
        elif row["to"] < 0:
            verdict = f"The {name} gains **less** than the {other}"
        interval = f"interval {row['from']:+.3f} to {row['to']:+.3f}"
        said.append(f"{verdict} ({row['by']:+.3f}, {interval}).")
    return " ".join(said)
