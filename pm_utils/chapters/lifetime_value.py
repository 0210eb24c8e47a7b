"""Chapter 11: readings of the formula, the holdout, and the models tried on the shop."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from IPython.display import Markdown

from pm_utils.formulas import discount_factor_from_rate
from pm_utils.learning.diagnostics import switching_share
from pm_utils.lifetime.baselines import fitted_dollars, lifetime_baselines
from pm_utils.lifetime.btyd import (
    BetaGeoNBD,
    BuyingModel,
    GammaGamma,
    ModifiedBetaGeoNBD,
    ParetoNBD,
)
from pm_utils.lifetime.discounting import retained_value
from pm_utils.lifetime.ensemble import ValueEnsemble, ValueRows, scaled
from pm_utils.lifetime.scores import SCORES, paired_value_gain, spearman, value_scores
from pm_utils.page.contest import Contest

BUYING = {"BG/NBD": BetaGeoNBD, "MBG/NBD": ModifiedBetaGeoNBD, "Pareto/NBD": ParetoNBD}
HIDDEN = (16, 64)  # units of the networks that are tried
# By August's scores: few rows, and a network that learns them by heart if it is left to
SHOP_NETWORK = {"dropout": 0.3, "weight_decay": 0.1}
NAIVE_MODEL = "naive"
UNITS = {"Spearman": "rank correlation", "normalised Gini": "share", "RMSE": "dollars"}
LEVELS = (0.5, 0.8, 0.95)  # of the intervals whose coverage is looked at


def readings(
    revenue: float, cost: float, *, rate: float, leaving: float, horizons: Iterable[float]
) -> pd.DataFrame:
    """Work out four readings of the lifetime value of one customer of constant cash flows.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    revenue, cost : float
        Dollars per period.
    rate, leaving : float
        Discount rate, and the share of customers who leave, per period.
    horizons : iterable of float
        Periods; infinity for no end.

    Returns
    -------
    DataFrame
        Indexed by horizon: ``as printed`` in the source (costs not discounted), ``rate for the
        factor`` (γ taken for a rate), ``corrected``, and ``with leaving``, in dollars.

    Examples
    --------
    A margin of 10 dollars a period without end: at a rate of 25 %, γ is 0.8 and the sum is
    10 / (1 - 0.8); if a quarter leaves each period, it is 10 / (1 - 0.6).

    >>> import numpy as np
    >>> from pm_utils.chapters.lifetime_value import readings
    >>> table = readings(30, 20, rate=0.25, leaving=0.25, horizons=[np.inf])
    >>> table.loc["no end", ["corrected", "with leaving"]].round(2).tolist()
    [50.0, 25.0]
    """
    factor, margin, rows = discount_factor_from_rate(rate), revenue - cost, {}
    for periods in horizons:
        name = "no end" if np.isinf(periods) else f"{periods:g}"
        rows[name] = {
            "as printed": retained_value(revenue, factor, periods=periods) - cost * periods,
            "rate for the factor": retained_value(margin, rate, periods=periods),
            "corrected": retained_value(margin, factor, periods=periods),
            "with leaving": retained_value(margin, factor, retention=1 - leaving, periods=periods),
        }
    return pd.DataFrame(rows).T.astype(float).rename_axis("periods")


@dataclass(frozen=True)
class BuyingFits:
    """The models of `BUYING` fitted to the same histories, and Gamma–Gamma for what orders bring.

    Explained in chapter ``lifetime-value``.

    Attributes
    ----------
    models : dict
        By name.
    spending : GammaGamma
    remarks : dict of str
        What each fit warned of: parameters that the data do not tell. Empty where nothing.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.lifetime_value import BuyingFits
    >>> past = pd.DataFrame({"frequency": [0, 1, 2, 8, 5, 0, 3, 1], "age": 39.0})
    >>> past["recency"] = [0.0, 2, 30, 35, 12, 0, 8, 20]
    >>> past["value"] = [0.0, 9, 12, 30, 20, 0, 11, 25]
    >>> fits = BuyingFits.fit(past)
    >>> list(fits.models)
    ['BG/NBD', 'MBG/NBD', 'Pareto/NBD']
    >>> fits.dollars(4, past)["BG/NBD"].shape
    (8,)
    """

    models: dict[str, BuyingModel]
    spending: GammaGamma
    remarks: dict[str, str]

    @classmethod
    def fit(cls, past: pd.DataFrame) -> Self:
        """Fit all to the histories of `pm_utils.lifetime.rfm.rfm_summary`."""
        models, remarks = {}, {}
        for name, model in BUYING.items():
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                models[name] = model.fit(*_history(past))
            remarks[name] = "; ".join(str(one.message) for one in told)
        return cls(models, GammaGamma.fit(past["frequency"], past["value"]), remarks)

    def dollars(self, weeks: float, past: pd.DataFrame) -> dict[str, pd.Series]:
        """Return each model's expected dollars of the weeks to come, by customer."""
        mean = self.spending.expected_value(past["frequency"], past["value"])
        return {
            name: model.expected_orders(weeks, *_history(past)) * mean
            for name, model in self.models.items()
        }

    def table(self, past: pd.DataFrame) -> pd.DataFrame:
        """Return parameters, what they mean on average, and what the fits warned of.

        *orders* is the mean rate per week of a customer who is there, *leave* the mean probability
        to leave at an order (BG/NBD, MBG/NBD) or the mean rate to leave per week (Pareto/NBD).
        """
        rows = {}
        for name, model in self.models.items():
            shape, scale = (
                (model.s, model.beta) if isinstance(model, ParetoNBD) else (model.a, model.b)
            )
            rows[name] = {
                "r": model.r,
                "α": model.alpha,
                "a or s": shape,
                "b or β": scale,
                "orders": model.r / model.alpha,
                "leave": _leaving(model),
                "log likelihood": model.log_likelihood(*_history(past)),
                "remark": self.remarks[name] or "–",
            }
        return pd.DataFrame.from_dict(rows, orient="index")


def _history(past: pd.DataFrame) -> list[pd.Series]:
    return [past[name] for name in ("frequency", "recency", "age")]


def _leaving(model: BuyingModel) -> float:
    """Mean probability to leave after an order, or by Pareto/NBD the mean rate per week."""
    if isinstance(model, ParetoNBD):
        return model.s / model.beta
    return model.a / (model.a + model.b)


def holdout_facts(
    model: BuyingModel, history: Sequence[np.ndarray], came: np.ndarray, weeks: float
) -> dict[str, float]:
    """Hold a fitted model against the orders that came.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    model : BetaGeoNBD or ParetoNBD
    history : (frequency, recency, age), arrays of shape (N,)
    came : array of shape (N,)
        Days with an order in the weeks after.
    weeks : float

    Returns
    -------
    dict
        ``rate`` (mean orders per week) and ``leaving`` (mean probability after an order; by
        Pareto/NBD the mean rate per week) as fitted; ``orders_ratio`` and ``naive_ratio``, orders
        expected by the model and by the past rate over those that came; ``silent`` and
        ``silent_expected``, customers without any; ``long``, customers silent for more than eight
        weeks before, and ``long_ratio``, orders that came from them over those expected.
    """
    x, t_x, T = history
    expected, long = model.expected_orders(weeks, *history), T - t_x > 8
    return {
        "rate": model.r / model.alpha,
        "leaving": _leaving(model),
        "orders_ratio": expected.sum() / came.sum(),
        "naive_ratio": (weeks * x / np.maximum(T, 1 / 7)).sum() / came.sum(),
        "silent": (came == 0).sum(),
        "silent_expected": model.probability_no_order(weeks, *history).sum(),
        "long": long.sum(),
        "long_ratio": came[long].sum() / expected[long].sum(),
    }


def panel_facts(orders: pd.DataFrame) -> dict[str, float]:
    """Tell how the record begins and ends: a panel or a customer base?

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    orders : DataFrame
        ``customer_id`` and ``ordered_at``, the whole record.

    Returns
    -------
    dict
        ``first_two`` and ``first_four``, the share of customers whose first order falls into the
        record's first two or four weeks; ``last_four``, the share of those of the first four weeks
        who also order in the record's last four.

    Examples
    --------
    Of three customers two are there in the first week, and one of these in the last.

    >>> import pandas as pd
    >>> from pm_utils.chapters.lifetime_value import panel_facts
    >>> days = pd.to_datetime(["2017-01-01", "2017-12-20", "2017-01-05", "2017-06-01"])
    >>> orders = pd.DataFrame({"customer_id": [1, 1, 2, 3], "ordered_at": days})
    >>> {name: round(share, 2) for name, share in panel_facts(orders).items()}
    {'first_two': 0.67, 'first_four': 0.67, 'last_four': 0.5}
    """
    first = orders.groupby("customer_id")["ordered_at"].agg(["min", "max"])
    began, ended = first["min"] - first["min"].min(), first["max"].max() - first["max"]
    early = began < pd.Timedelta(weeks=4)
    return {
        "first_two": float((began < pd.Timedelta(weeks=2)).mean()),
        "first_four": float(early.mean()),
        "last_four": float((ended[early] < pd.Timedelta(weeks=4)).mean()),
    }


def value_by_frequency(
    past: pd.DataFrame, expected: pd.Series, came: np.ndarray, spent: pd.Series, *, parts: int = 5
) -> pd.DataFrame:
    """Compare the value of an order among customers of like frequency, before and after.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    past : DataFrame
        From `pm_utils.lifetime.rfm.rfm_summary`; who never came again is left out.
    expected : Series
        Dollars an order that a model expects, by customer.
    came, spent : arrays of shape (N,)
        Days with an order, and dollars, of the weeks after.
    parts : int
        Of equal size, by rising frequency.

    Returns
    -------
    DataFrame
        One row per part: mean ``frequency``; dollars an order ``before`` (the mean of the
        customers' own), ``expected`` and ``after``, where customers count by the orders that came;
        and ``expected / after``.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.lifetime_value import value_by_frequency
    >>> past = pd.DataFrame({"frequency": [1, 2, 8, 9], "value": [10.0, 20, 30, 40]})
    >>> expected, came = pd.Series([12.0, 18, 30, 40]), pd.Series([0, 2, 5, 5])
    >>> spent = pd.Series([0.0, 30, 150, 200])
    >>> value_by_frequency(past, expected, came, spent, parts=2).round(2).to_numpy().tolist()
    [[1.5, 15.0, 18.0, 15.0, 1.2], [8.5, 35.0, 35.0, 35.0, 1.0]]
    """
    told = pd.DataFrame({"came": np.asarray(came), "spent": np.asarray(spent)}, past.index)
    table = past[["frequency", "value"]].join(told)
    table["expected"] = np.asarray(expected) * table["came"]
    table = table[table["frequency"] > 0]
    rank = table["frequency"].rank(method="first")
    groups = table.groupby(pd.qcut(rank, parts, labels=range(1, parts + 1)), observed=True)
    sums, means = groups[["came", "spent", "expected"]].sum(), groups[["frequency", "value"]].mean()
    found = means.rename(columns={"value": "before"})
    found["expected"] = sums["expected"] / sums["came"]
    found["after"] = sums["spent"] / sums["came"]
    found["expected / after"] = found["expected"] / found["after"]
    return found.rename_axis("part")


Views = dict[str, tuple[ValueRows, ValueRows]]
PROFILE, ONE_MEMBER = ", profile", ", one member"


def shop_views(train: ValueRows, later: ValueRows) -> Views:
    """Scale two sets of the shop's rows and give them without (""), and with (", profile").

    Explained in chapter ``lifetime-value``.
    """
    both = scaled(train, later)
    return {"": tuple(rows.without_profile() for rows in both), PROFILE: both}


@dataclass(frozen=True)
class Tried:
    """What every candidate predicts, and the networks among them.

    Attributes
    ----------
    dollars : dict of arrays of shape (N,)
        By candidate.
    networks : dict of ValueEnsemble
    training : dict
        Of each network, from `pm_utils.learning.training.History.record`.
    """

    dollars: dict[str, np.ndarray]
    networks: dict[str, ValueEnsemble]
    training: dict[str, dict[str, Any]]


def hidden_units(name: str) -> int:
    """Return how many hidden units a network of `try_models` has, by its name.

    Explained in chapter ``lifetime-value``.

    Examples
    --------
    >>> from pm_utils.chapters.lifetime_value import hidden_units
    >>> hidden_units("network of 64, one member, profile")
    64
    """
    return int(name.removeprefix("network of ").split(",")[0])


def try_models(views: Views, *, seed: int, members: int, **settings: Any) -> Tried:
    """Train every model of the table on the first rows of each view and predict the second.

    Parameters
    ----------
    views : dict
        From `shop_views`, or one view alone.
    seed : int
    members : int
        Of each ensemble; its first member is tried alone, too.
    **settings
        As in `ValueEnsemble.train`.
    """
    dollars, networks, training = {}, {}, {}
    for view, (train, later) in views.items():
        for name, model in lifetime_baselines(seed).items():
            dollars[name + view] = np.asarray(fitted_dollars(model, train, later))
        for hidden in HIDDEN:
            several = ValueEnsemble.train(
                train, hidden=hidden, members=members, seed=seed, **settings
            )
            switching = switching_share(several.nets[0], several.inputs(later))
            record = several.histories[0].record(switching=switching)
            for said, ensemble in {"": several, ONE_MEMBER: several.first()}.items():
                name = f"network of {hidden}{said}{view}"
                dollars[name] = np.asarray(ensemble.predict(later))
                networks[name], training[name] = ensemble, record
    return Tried(dollars, networks, training)


def predict_shop(
    views: Views, past: pd.DataFrame, naive: np.ndarray, *, weeks: float, **settings: Any
) -> tuple[Tried, BuyingFits]:
    """Fit every model to the shop and predict the second rows: buying by orders, others by table.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    views : dict
        From `shop_views`.
    past : DataFrame
        From `pm_utils.lifetime.rfm.rfm_summary`, as of the date of the second rows.
    naive : array of shape (N,)
        What the past rate says of the second rows.
    weeks : float
        That the rows' value adds up.
    **settings
        As in `try_models`.
    """
    fits = BuyingFits.fit(past)
    customers = views[""][1].features.index.get_level_values("customer_id")
    dollars = {NAIVE_MODEL: np.asarray(naive)}
    for name, each in fits.dollars(weeks, past).items():
        dollars[name] = each.loc[customers].to_numpy()
    tried = try_models(views, **settings)
    return replace(tried, dollars=dollars | tried.dollars), fits


def chosen_view(views: Views, name: str) -> tuple[ValueRows, ValueRows]:
    """Return the rows that a model of `try_models` reads, by its name.

    Explained in chapter ``lifetime-value``.
    """
    return views[PROFILE if name.endswith(PROFILE) else ""]


def null_dollars(
    views: Views, name: str, *, shuffles: int, members: int, seed: int, **settings: Any
) -> list[np.ndarray]:
    """Train a network of `try_models` once per shuffle of the targets → what each predicts, (N,).

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    views : dict
        As in `try_models`.
    name : str
        Of the network: its size, members and view are those of the name.
    shuffles : int
    members : int
        Of each ensemble, unless the name says one.
    seed : int
    **settings
        As in `ValueEnsemble.train`.
    """
    rows, later = chosen_view(views, name)
    several = 1 if ONE_MEMBER in name else members
    rng = np.random.default_rng([seed, 11])
    values = [rng.permutation(rows.value) for _ in range(shuffles)]
    how = {"hidden": hidden_units(name), "members": several, "seed": seed + 100}
    return [net.predict(later) for net in ValueEnsemble.train_each(rows, values, **how, **settings)]


def enter_scores(
    contest: Contest,
    scores: pd.DataFrame,
    rows: Mapping[str, str],
    *,
    validation: Mapping[str, float],
    training: Mapping[str, dict[str, Any]],
) -> None:
    """Enter all models of a table of scores, each as what it is.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    contest : Contest
    scores : DataFrame
        From `pm_utils.lifetime.scores.value_score_table`, `NAIVE_MODEL` among the models.
    rows : mapping of str
        Scores to enter, and what each is called on the scoreboard.
    validation : mapping
        A score for each model.
    training : mapping
        Of the networks.
    """
    for name, figures in scores[list(rows)].rename(columns=rows).iterrows():
        kind = "deep" if name in training else "naive" if name == NAIVE_MODEL else "classical"
        record = training.get(name)
        contest.enter(name, kind, test=figures, validation=validation[name], training=record)


def enter_nulls(
    contest: Contest, nulls: Iterable[np.ndarray], value: np.ndarray, rows: Mapping[str, str]
) -> None:
    """Enter what each network on shuffled targets scores; `rows` as in `enter_scores`.

    Explained in chapter ``lifetime-value``.
    """
    for number, dollars in enumerate(nulls, 1):
        scores = value_scores(value, dollars)
        figures = {row: scores[metric] for metric, row in rows.items()}
        contest.enter(f"shuffled {number}", "null", test=figures)


def claim_scores(
    contest: Contest,
    rows: Mapping[str, str],
    value: np.ndarray,
    dollars: Mapping[str, np.ndarray],
    redraw: np.ndarray,
    *,
    limits: Mapping[str, float] | None = None,
    limit_is: str = "",
) -> Markdown:
    """Add the rows of a contest to the scoreboard and claim each, by a paired interval.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    contest : Contest
    rows : mapping of str
        As in `enter_scores`; Spearman is the headline.
    value : array of shape (N,)
        What came.
    dollars : mapping of arrays of shape (N,)
        By model.
    redraw : array of shape (R, N)
        How often each customer counts in each resample.
    limits : mapping of float, optional
        By score, and what they are.
    limit_is : str

    Returns
    -------
    IPython.display.Markdown
        One sentence for each row.
    """
    pair = [dollars[contest.chosen(kind)] for kind in ("deep", "classical")]
    said = []
    for metric, name in rows.items():
        how = {"unit": UNITS[metric], "better": SCORES[metric], "headline": metric == "Spearman"}
        limit = None if limits is None else float(limits[metric])
        contest.add(name, limit=limit, limit_is=limit_is, **how)
        gain = paired_value_gain(metric, value, *pair, redraw)
        said.append(contest.board.claim(name, gain).data)
    return Markdown("\n\n".join(said))


def best_of(tried: Iterable[str], scores: pd.Series, *, kind: str) -> str:
    """Return the candidate with the largest score among those whose name begins with a word.

    Explained in chapter ``lifetime-value``.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.lifetime_value import best_of
    >>> scores = pd.Series({"boosting, 4 leaves of 5": 0.8, "boosting, 8 leaves of 5": 0.9})
    >>> best_of(scores.index, scores, kind="boosting")
    'boosting, 8 leaves of 5'
    """
    return scores[[name for name in tried if name.startswith(kind)]].idxmax()


def best_with_profile_and_without(tried: Iterable[str], scores: pd.Series) -> tuple[str, str]:
    """Return the best candidate of those that read a profile, and of those that do not.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.lifetime_value import best_with_profile_and_without
    >>> scores = pd.Series({"network of 16": 0.75, "network of 16, profile": 0.8, "naive": 0.9})
    >>> best_with_profile_and_without(["network of 16", "network of 16, profile"], scores)
    ('network of 16, profile', 'network of 16')
    """
    reads = {name: name.endswith(PROFILE) for name in tried}
    with_it, without = (
        scores[[name for name, does in reads.items() if does == which]].idxmax()
        for which in (True, False)
    )
    return with_it, without


def profile_facts(
    tried: Tried, scores: pd.Series, value: np.ndarray, redraw: np.ndarray
) -> dict[str, Any]:
    """Tell what a profile adds to the best network's rank correlation.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    tried : Tried
        Networks with a profile and without.
    scores : Series
        That choose the best of each.
    value : array of shape (N,)
        What came.
    redraw : array of shape (R, N)

    Returns
    -------
    dict
        ``change``, its 95 % interval ``low`` to ``high``, and what is ``said`` of it.
    """
    with_it, without = best_with_profile_and_without(tried.networks, scores)
    dollars = tried.dollars[with_it], tried.dollars[without]
    low, high = paired_value_gain("Spearman", value, *dollars, redraw)
    if low > 0:
        said = "the profile tells what receipts do not"
    elif high < 0:
        said = "with the profile it is worse: receipts alone are the better guide"
    else:
        said = "no difference can be told"
    change = spearman(value, dollars[0]) - spearman(value, dollars[1])
    return {"change": change, "low": low, "high": high, "said": said}


def coverage(network: ValueEnsemble, rows: ValueRows, *, seed: int) -> dict[str, float]:
    """Tell how often the predicted distributions hold what came.

    Explained in chapter ``lifetime-value``.

    Returns
    -------
    dict
        ``no dollars, expected`` and ``no dollars, actual``, shares of customers; then the share
        whose dollars lie within their central interval of 50, 80 and 95 %, and ``below the
        median``, the share below their own, which should be a half.
    """
    places = network.places(rows, seed=seed)
    none = [1 - output[:, 0].sigmoid().mean() for output in network.outputs(rows)]
    shares = {
        "no dollars, expected": float(np.mean(none)),
        "no dollars, actual": float((rows.value == 0).mean()),
    }
    for level in LEVELS:
        shares[f"within {level:.0%}"] = float((np.abs(places - 0.5) <= level / 2).mean())
    return shares | {"below the median": float((places < 0.5).mean())}


def said_of_coverage(shares: Mapping[str, float], customers: float) -> str:
    """Say in which way the distributions of `coverage` are wrong, by more than luck.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    shares : mapping of float
        From `coverage`.
    customers : float
        Of whom they are shares, each by himself. Of whole households give the square of the
        customers over the sum of squared sizes: as if all in a household were alike, which errs on
        the side of luck. A departure counts from two standard errors on.

    Examples
    --------
    >>> from pm_utils.chapters.lifetime_value import said_of_coverage
    >>> shares = {"within 50%": 0.61, "within 80%": 0.8, "within 95%": 0.95}
    >>> said_of_coverage(shares | {"below the median": 0.41}, customers=2500)
    'no: 41 % lie below their median (it is too low); 61 % within 50 % (too wide)'
    """
    found = []
    wrong = {1: "it is too high", -1: "it is too low"}
    if side := _off(shares["below the median"], 0.5, customers):
        found.append(f"{shares['below the median']:.0%} lie below their median ({wrong[side]})")
    wrong = {1: "too wide", -1: "too narrow"}
    for level in LEVELS:
        share = shares[f"within {level:.0%}"]
        if side := _off(share, level, customers):
            found.append(f"{share:.0%} within {level:.0%} ({wrong[side]})")
    return ("no: " + "; ".join(found) if found else "as far as can be told, yes").replace("%", " %")


def _off(share: float, wanted: float, customers: float) -> int:
    """1 or -1 where a share is above or below what it should be, 0 where it may be luck."""
    gap = share - wanted
    return int(np.sign(gap)) if abs(gap) > 2 * np.sqrt(wanted * (1 - wanted) / customers) else 0


def said_of_totals(totals: Mapping[str, float], chosen: str) -> str:
    """Say whether a model's total is further off than those of others.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    totals : mapping of float
        Predicted over actual dollars, by model.
    chosen : str
        One of them.

    Examples
    --------
    >>> from pm_utils.chapters.lifetime_value import said_of_totals
    >>> said_of_totals({"network": 0.99, "trees": 1.0, "regression": 1.02}, "network")
    'further off than 1 of the 2 others'
    """
    off = {name: abs(total - 1) for name, total in totals.items()}
    others = [gap for name, gap in off.items() if name != chosen]
    nearer = sum(gap < off[chosen] for gap in others)
    return f"further off than {nearer or 'none'} of the {len(others)} others"


def said_of_models(verdict: str, network: str, rival: str) -> str:
    """Say what the verdict on a contest means for one who has to choose a model.

    Explained in chapter ``lifetime-value``.

    Examples
    --------
    >>> from pm_utils.chapters.lifetime_value import said_of_models
    >>> said_of_models("loses", "network of 64", "boosting, 4 leaves of 20")
    '“boosting, 4 leaves of 20” is better than “network of 64”'
    """
    return {
        "beats": f"“{network}” is better than “{rival}”",
        "loses": f"“{rival}” is better than “{network}”",
        "tie": f"“{network}” and “{rival}” cannot be told apart",
        "undertrained": f"“{network}” needs more training before anything can be said",
    }[verdict]
