"""Settings of chapter 09's policies, tried in validation games in other markets.

``python -m pm_utils.chapters.creative_optimisation_trials`` plays them all anew, some minutes, and
writes ``creative_optimisation_trials.json`` beside this file. Every policy gets `TRIALS` settings.
Test, then commit tests for one to `TRIALS` rounds of the game, noted as shares of its rounds; every
other policy gets a usual setting with and without a uniform week, and others drawn at random from
ranges of its own before anything was played. Which are best is read off by `best_trials`. Neither a
market nor the luck of these games is one of the chapter's.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pm_utils.chapters.creative_optimisation import receipt_scores
from pm_utils.decisions import bandits
from pm_utils.market import Market, random_creatives

TRIALS_FILE = Path(__file__).with_suffix(".json")
TRIALS = 12  # settings of each policy
DRAWN = TRIALS - 2  # of them at random
SEEDS = (9_000, 9_001)  # of the markets
REPLICATIONS = 2  # in each
SIZES = {"customers": 6000, "ads": 20}
GAME = {"rounds": 20, "batch": 4000}
WEEKLY_STEPS = 40  # of the deep policy, each week
CLICK_RATE = 0.03  # on which Thompson's prior is centred
USUAL = {  # what each had before anything was searched for
    "Thompson": {"strength": 31},
    "LinUCB": {"alpha": 0.05, "ridge": 30},
    "logistic Thompson": {"doubt": 0.1, "prior_precision": 10},
    "deep": {"doubt": 0.1, "prior_precision": 10, "learning_rate": 1e-3, "hidden": 8},
}


def draw_trials(seed: int = 0) -> dict[str, list[dict[str, float]]]:
    """Return the settings that each policy is tried with.

    Returns
    -------
    dict of lists of `TRIALS` dicts
        What `learner` takes, by policy. Where one looks at customers and draws, the deep one takes
        the settings of the logistic one and further ones of its own. The first two are the usual
        ones, but for the policy that tests and commits: its settings are shares of the rounds.

    Examples
    --------
    >>> from pm_utils.chapters.creative_optimisation_trials import draw_trials
    >>> {name: len(some) for name, some in draw_trials().items()}["LinUCB"]
    12
    """
    rng = np.random.default_rng([seed, 9])

    def between(low: float, high: float) -> list[float]:
        """Draw evenly on a logarithmic scale; three digits will do."""
        drawn = np.exp(rng.uniform(np.log(low), np.log(high), DRAWN))
        return [float(f"{one:.3g}") for one in drawn]

    def starts() -> list[int]:
        return [int(one) for one in rng.permutation(np.arange(DRAWN) % 2)]

    bold = {"doubt": between(0.02, 1), "prior_precision": between(1, 100), "uniform": starts()}
    drawn = {
        "test, then commit": {"test_share": _test_shares()},
        "Thompson": {"strength": between(3, 1000), "uniform": starts()},
        "LinUCB": {"alpha": between(0.01, 0.3), "ridge": between(3, 300), "uniform": starts()},
        "logistic Thompson": bold,
        "deep": {
            **bold,
            "learning_rate": between(3e-4, 1e-2),
            "hidden": [int(one) for one in rng.choice([4, 8, 16], DRAWN)],
        },
    }
    tried = {name: pd.DataFrame(some).to_dict("records") for name, some in drawn.items()}
    for name, usual in USUAL.items():
        tried[name] = [{**usual, "uniform": weeks} for weeks in (0, 1)] + tried[name]
    return tried


def _test_shares() -> list[float]:
    return [rounds / GAME["rounds"] for rounds in range(1, TRIALS + 1)]


def learner(
    name: str,
    setting: Mapping[str, float | Sequence[float]],
    context: np.ndarray,
    n_ads: int,
    *,
    rounds: int = GAME["rounds"],
    steps: int = WEEKLY_STEPS,
    seed: int = 0,
) -> Callable[[int], bandits.BanditPolicy]:
    """Return the maker of a policy: a number of replications → the policy.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    name : str
        One of those that `draw_trials` names.
    setting : mapping
        As there; ``uniform`` weeks, in which all ads are shown equally often, come first.
    context : array of shape (N, D)
        What is known of customers.
    n_ads : int
    rounds : int
        Of the game, of which ``test_share`` is a share; at least one is a test.
    steps : int
        Of the deep policy each week.
    seed : int

    Raises
    ------
    ValueError
        When there is no such policy.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.chapters.creative_optimisation_trials import learner
    >>> setting = {"alpha": 0.1, "ridge": 1.0, "uniform": 1}
    >>> make = learner("LinUCB", setting, np.eye(3), 2)
    >>> make(4).choose(np.zeros((4, 2), int))[0]  # a uniform week shows both ads
    array([0, 1])
    """
    own = {key: value for key, value in setting.items() if key != "uniform"}
    if name == "test, then commit":
        make = partial(_tester, n_ads, rounds=max(1, round(own["test_share"] * rounds)))
    elif name == "Thompson":
        prior = CLICK_RATE * own["strength"], (1 - CLICK_RATE) * own["strength"]
        make = partial(bandits.Thompson, n_ads, prior=prior, seed=seed)
    elif name == "LinUCB":
        with_one = np.column_stack([np.ones(len(context)), context])
        make = partial(bandits.LinUCB, with_one, n_ads, **own)
    elif name == "logistic Thompson":
        make = partial(bandits.DeepThompson, context, n_ads, hidden=0, seed=seed, **own)
    elif name == "deep":
        make = partial(bandits.DeepThompson, context, n_ads, steps=steps, seed=seed, **own)
    else:
        raise ValueError(f"{name} is no policy: give one of {', '.join(draw_trials())}")
    return bandits.starting(make, n_ads, rounds=int(setting.get("uniform", 0)))


def _tester(n_ads: int, replications: int, *, rounds: int) -> bandits.TestThenCommit:
    return bandits.TestThenCommit(n_ads, replications, rounds=rounds)


def play_trials(
    tried: dict[str, list[dict[str, float]]], market_seed: int
) -> dict[str, list[float]]:
    """Return each setting's share of the oracle's gain in the last quarter of a game → by policy.

    Parameters
    ----------
    tried : dict of lists
        From `draw_trials`.
    market_seed : int
        Of the market, its ads and its luck.
    """
    creatives = random_creatives(SIZES["ads"], np.random.default_rng(market_seed))
    market = Market(SIZES["customers"], market_seed, creatives=creatives)
    truth, context = market.click_table.astype(float), receipt_scores(market)
    fixed = np.full(len(truth), truth.mean(0).argmax())
    players = {
        "fixed": lambda n: bandits.Known(fixed),
        "oracle": lambda n: bandits.Known(truth.argmax(1)),
    }
    for name, some in tried.items():
        for number, setting in enumerate(some):
            make = learner(name, setting, context, SIZES["ads"], seed=market_seed)
            players[name, number] = make
    sizes = dict.fromkeys(players, REPLICATIONS)
    _, earned = bandits.tournament(players, truth, sizes, seed=market_seed, **GAME)
    quarter = slice(-(GAME["rounds"] // 4), None)
    share = bandits.shares_of_gain(earned, "fixed", "oracle", rounds=quarter)
    return {
        name: [float(share[name, number].mean()) for number in range(len(some))]
        for name, some in tried.items()
    }


def read_trials() -> pd.DataFrame:
    """Return what was tried: a row for each policy and setting, with its ``share``.

    Explained in chapter ``creative-optimisation``.

    Returns
    -------
    DataFrame
        ``policy``, ``setting`` (a dict, for `learner`) and ``share``: of the oracle's gain in the
        last quarter, mean over markets and replications.

    Examples
    --------
    >>> from pm_utils.chapters.creative_optimisation_trials import read_trials
    >>> set(read_trials().groupby("policy").size())  # as many for each
    {12}
    """
    return pd.DataFrame(json.loads(TRIALS_FILE.read_text()))


def best_trials(trials: pd.DataFrame, *, uniform: int | None = None) -> pd.DataFrame:
    """Return each policy's best setting and its share, in the order of the policies.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    trials : DataFrame
        From `read_trials`.
    uniform : int, optional
        Look only at settings with so many uniform weeks.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.creative_optimisation_trials import best_trials
    >>> rows = [("a", {"x": 1, "uniform": 0}, 0.2), ("a", {"x": 2, "uniform": 1}, 0.3)]
    >>> trials = pd.DataFrame(rows, columns=["policy", "setting", "share"])
    >>> best_trials(trials).loc["a", "setting"]["x"]
    2
    >>> best_trials(trials, uniform=0).loc["a", "setting"]["x"]
    1
    """
    if uniform is not None:
        trials = trials[[one.get("uniform") == uniform for one in trials["setting"]]]
    best = trials.groupby("policy", sort=False)["share"].idxmax()
    return trials.loc[best].set_index("policy")


def trial_table(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the best setting of each policy in words, its share, and those of all its settings.

    Explained in chapter ``creative-optimisation``.

    Parameters
    ----------
    trials : DataFrame
        From `read_trials`.

    Returns
    -------
    DataFrame
        By policy: ``best setting``, its ``share``, how many were ``tried``, and ``median`` and
        ``least`` of their shares.
    """
    best = best_trials(trials)
    words = [", ".join(f"{key} {value}" for key, value in one.items()) for one in best["setting"]]
    table = best.assign(**{"best setting": words})[["best setting", "share"]]
    every = trials.groupby("policy")["share"]
    return table.assign(tried=every.size(), median=every.median(), least=every.min())


def main() -> None:
    """Play all trials and write them."""
    tried, found = draw_trials(), []
    shares = [play_trials(tried, seed) for seed in SEEDS]
    for name, some in tried.items():
        for number, setting in enumerate(some):
            share = np.mean([each[name][number] for each in shares])
            found.append({"policy": name, "setting": setting, "share": round(float(share), 4)})
    lines = ",\n".join(json.dumps(one) for one in found)
    TRIALS_FILE.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
