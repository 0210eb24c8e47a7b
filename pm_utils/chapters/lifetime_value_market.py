"""Chapter 11: lifetime value where it is known, in histories from the simulated market.

In a week's end a customer leaves for good with a probability h of their own
(`pm_utils.market.truth`). Nobody tells the shop; it sees weeks without an order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from pm_utils.chapters.lifetime_value import NAIVE_MODEL, BuyingFits, Tried, try_models
from pm_utils.evaluation.bootstrap import percentile_interval
from pm_utils.inputs import aligned, aligned_tables, like, numbers, probabilities, whole_numbers
from pm_utils.lifetime.baselines import recalibrated
from pm_utils.lifetime.discounting import retained_value
from pm_utils.lifetime.ensemble import ValueRows
from pm_utils.lifetime.retention import keeping_gain, spend_budget, weekly_risk
from pm_utils.lifetime.rfm import WEEK, rfm_summary
from pm_utils.market import Market

START = np.datetime64("2017-01-01")


@dataclass(frozen=True, eq=False)
class Weeks:
    """What N customers did in W weeks without any ad; arrays of shape (N, W).

    Attributes
    ----------
    alive : bool
        Who has not left before the week: hidden from a shop.
    orders : int64
    spend : float64
        Dollars.
    """

    alive: np.ndarray
    orders: np.ndarray
    spend: np.ndarray


def quiet_weeks(market: Market, weeks: int) -> Weeks:
    """Play some weeks of a market in which nobody is shown an ad.

    Parameters
    ----------
    market : Market
    weeks : int

    Returns
    -------
    Weeks
    """
    state, nothing, seen = market.rested(), np.full(market.n_customers, -1), []
    for _ in range(weeks):
        alive = state.alive
        state, outcome = market.step(state, nothing)
        seen.append((alive, outcome.organic_orders, outcome.spend))
    return Weeks(*(np.column_stack(part) for part in zip(*seen, strict=True)))


def order_table(orders: np.ndarray, spend: np.ndarray) -> pd.DataFrame:
    """Write weekly counts as single orders, spread evenly over the days of their week.

    Parameters
    ----------
    orders, spend : arrays of shape (N, W)
        Counts and dollars; a week's orders share its dollars equally.

    Returns
    -------
    DataFrame
        ``customer_id`` (the row), ``ordered_at``, ``amount``, for
        `pm_utils.lifetime.rfm.rfm_summary`. The first week begins on 1 January 2017.

    Raises
    ------
    ValueError
        When a count is negative or not whole, dollars are not finite, or the rows do not match.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.chapters.lifetime_value_market import order_table
    >>> order_table(np.array([[2, 0, 1]]), np.array([[30.0, 0.0, 12.0]]))
       customer_id ordered_at  amount
    0            0 2017-01-02    15.0
    1            0 2017-01-06    15.0
    2            0 2017-01-18    12.0
    """
    orders, spend = _weekly(orders, spend)
    who, week = np.nonzero(orders)
    count = orders[who, week]
    row = np.repeat(np.arange(len(who)), count)
    number = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    day = 7 * week[row] + (7 * (2 * number + 1)) // (2 * count[row])
    return pd.DataFrame(
        {
            "customer_id": who[row],
            "ordered_at": START + day.astype("timedelta64[D]"),
            "amount": (spend[who, week] / count)[row],
        }
    )


def cohort_features(orders: np.ndarray, spend: np.ndarray) -> pd.DataFrame:
    """Describe each customer's weeks in numbers of like size.

    Parameters
    ----------
    orders, spend : arrays of shape (N, W)

    Returns
    -------
    DataFrame
        One row per customer; counts, dollars and weeks as log(1 + x).

    Raises
    ------
    ValueError
        As `order_table`, or when dollars are negative.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.chapters.lifetime_value_market import cohort_features
    >>> features = cohort_features(np.array([[1, 0, 2, 0, 0]]), np.array([[10, 0, 30, 0, 0]]))
    >>> np.expm1(features)[["orders", "order_value", "silence", "longest_gap"]].round(2)
       orders  order_value  silence  longest_gap
    0     3.0        13.33      2.0          2.0
    """
    model = orders, spend
    orders, spend = _weekly(orders, spend)
    numbers(spend, "spend", low=0)
    weeks, active = orders.shape[1], orders > 0
    place = np.where(active, np.arange(weeks), -1)
    last = place.max(1)
    before = np.maximum.accumulate(np.column_stack([np.full(len(orders), -1), place]), axis=1)
    gap = np.where(active, np.arange(weeks) - before[:, :-1], 0).max(1)  # longest, as it ended
    total, paid = orders.sum(1), spend.sum(1)
    columns = {
        "orders": total,
        "spend": paid,
        "order_value": paid / np.maximum(total, 1),
        "active_weeks": active.sum(1),
        "silence": weeks - 1 - last,
        "longest_gap": gap,
        "expected_in_silence": total / np.maximum(last + 1, 1) * (weeks - 1 - last),
        "most_in_a_week": spend.max(1),
    }
    for span in (4, 13):
        columns[f"orders_{span}w"] = orders[:, -span:].sum(1)
        columns[f"spend_{span}w"] = spend[:, -span:].sum(1)
    index = next((one.index for one in model if isinstance(one, pd.DataFrame)), None)
    return np.log1p(pd.DataFrame(columns, index))


def _weekly(orders: np.ndarray, spend: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Refuse weeks of orders and dollars that do not belong together."""
    orders, spend = aligned_tables(orders=orders, spend=spend)
    return whole_numbers(orders, "orders"), numbers(spend, "spend", ndim=2)


def probability_alive(
    silence: np.ndarray, order_rate: np.ndarray, leaving: np.ndarray
) -> np.ndarray:
    r"""Return the probability that a customer is still there, for one who knows all but that.

    After k weeks without an order, with order rate λ, probability of leaving h and
    :math:`q = (1 - h) e^{-\lambda}`, the odds against are

    .. math::
        \frac{h \sum_{j=0}^{k} q^j}{(1 - h) \, q^k}

    Parameters
    ----------
    silence : array of shape (N,), integers
        k, full weeks since the week of the last order.
    order_rate, leaving : arrays of shape (N,)
        λ and h, per week.

    Returns
    -------
    array of shape (N,)

    Raises
    ------
    ValueError
        When weeks are negative or not whole, a rate is negative or not finite, or a probability
        lies outside [0, 1]; pandas' rows are matched by index.

    Examples
    --------
    The longer the silence of one who orders weekly, the surer it is that they have left.

    >>> import numpy as np
    >>> from pm_utils.chapters.lifetime_value_market import probability_alive
    >>> silence = np.array([0, 1, 4])
    >>> probability_alive(silence, order_rate=np.ones(3), leaving=np.full(3, 0.1)).round(2)
    array([0.9 , 0.69, 0.07])
    """
    rows = {"silence": silence, "order_rate": order_rate, "leaving": leaving}
    indexed = {name: one for name, one in rows.items() if isinstance(one, pd.Series)}
    rows |= zip(indexed, aligned(**indexed), strict=True)
    given = silence, order_rate, leaving = tuple(rows.values())
    silence, rate = whole_numbers(silence, "silence"), numbers(order_rate, "order_rate", low=0)
    leaving = probabilities(leaving, "leaving")
    q = (1 - leaving) * np.exp(-rate)
    once_more = np.where(q < 1, (1 - q ** (silence + 1)) / np.where(q < 1, 1 - q, 1), silence + 1)
    gone = leaving * once_more
    stays = (1 - leaving) * q**silence
    return like(stays / (stays + gone), *given)


@dataclass(frozen=True, eq=False)
class CohortStudy:
    """A market that was watched for some weeks; half of the households for a year more.

    Explained in chapter ``lifetime-value``.

    Attributes
    ----------
    market : Market
    lived : Weeks
        Watched weeks and the year after them.
    watched, year : int
        Weeks.
    discount_factor : float
        Of a week.
    followed, others : arrays of integers
        Customers with an order in the watched weeks, by whether their household is followed.
    """

    market: Market
    lived: Weeks
    watched: int
    year: int
    discount_factor: float
    followed: np.ndarray
    others: np.ndarray

    @classmethod
    def play(
        cls,
        market: Market,
        *,
        seed: int,
        watched: int = 39,
        year: int = 52,
        discount_factor: float = 0.998,
    ) -> Self:
        """Play the weeks; `seed` draws the households that are followed."""
        lived = quiet_weeks(market, watched + year)
        half = np.random.default_rng(seed).random(len(market.households.record)) < 0.5
        in_half = half[market.truth_of_customers.household]
        known = lived.orders[:, :watched].sum(1) > 0
        groups = (np.flatnonzero(known & part) for part in (in_half, ~in_half))
        return cls(market, lived, watched, year, discount_factor, *groups)

    @property
    def seen(self) -> tuple[np.ndarray, np.ndarray]:
        """Orders and spend of the watched weeks, (N, W) each."""
        return self.lived.orders[:, : self.watched], self.lived.spend[:, : self.watched]

    @cached_property
    def features(self) -> pd.DataFrame:
        """What the watched weeks show of every customer, by `cohort_features`."""
        return cohort_features(*self.seen)

    def rows(self, who: np.ndarray) -> ValueRows:
        """Features of the watched weeks, and the discounted margin that came in the year.

        Raises
        ------
        ValueError
            When a customer is none of the market's.
        """
        who = whole_numbers(who, "who", high=self.market.n_customers - 1)
        features = self.features.iloc[who]
        paid = self.lived.spend[who, self.watched :] @ self.discount_factor ** np.arange(self.year)
        return ValueRows(features, features.iloc[:, :0], self.market.truth.margin * paid)

    def alive(self) -> np.ndarray:
        """Who of the others is still there."""
        return self.lived.alive[self.others, self.watched]

    def true_value(self, weeks: int | None) -> np.ndarray:
        """Expected discounted margin of the others, 0 for who has left; None means no end."""
        settings = {"discount_factor": self.discount_factor, "weeks": weeks}
        return self.alive() * self.market.lifetime_value(None, **settings, customers=self.others)

    def _per_week(self) -> float:
        """What a dollar a week of spend is worth as margin over the year."""
        return self.market.truth.margin * float(
            retained_value(1.0, self.discount_factor, periods=self.year)
        )

    def past_rate(self) -> np.ndarray:
        """Value of the year if the others went on as in the watched weeks."""
        return self._per_week() * self.seen[1][self.others].mean(1)

    def histories(self) -> pd.DataFrame:
        """Frequency, recency, age and mean value of everybody with an order, by customer."""
        return rfm_summary(order_table(*self.seen), START + self.watched * WEEK)

    def by_buying(
        self, fits: BuyingFits, who: np.ndarray
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Value of the year and P(alive) of some customers, by each model of buying."""
        past = self.histories().loc[who]
        per_week = self._per_week() / self.year
        dollars = {
            name: per_week * each.to_numpy() for name, each in fits.dollars(self.year, past).items()
        }
        history = past["frequency"], past["recency"], past["age"]
        alive = {
            name: model.probability_alive(*history).to_numpy()
            for name, model in fits.models.items()
        }
        return dollars, alive

    def oracle(self) -> tuple[np.ndarray, np.ndarray]:
        """Value of the year and P(alive) by one who knows all but who has left.

        Nobody can be that good: weeks of orders do not show a customer's parameters. See
        `attainable`.
        """
        truth, settings = self.market.truth_of_customers, {"discount_factor": self.discount_factor}
        silence = np.expm1(self.features["silence"].to_numpy()[self.others]).round()
        there = probability_alive(
            silence, truth.order_rate[self.others], truth.leaving[self.others]
        )
        value = self.market.lifetime_value(None, weeks=self.year, customers=self.others, **settings)
        return value * there, there

    def attainable(self, *, seed: int, n_customers: int = 40_000) -> np.ndarray:
        """Value without end of the others, as well as what was watched allows, about.

        Trees read the same numbers, and learn from the *true* values of many customers of another
        market: no noise of a year, no lack of rows. What is left is what the weeks do not show.
        Still a model and no proof: another may come out above it by a little.

        Parameters
        ----------
        seed : int
            Of the other market and of the trees.
        n_customers : int
            Of the other market.
        """
        market = Market(n_customers, seed)
        lived = quiet_weeks(market, self.watched + 1)  # who is there as the last week begins
        orders, spend = lived.orders[:, : self.watched], lived.spend[:, : self.watched]
        known = orders.sum(1) > 0
        settings = {"discount_factor": self.discount_factor, "weeks": None}
        value = (lived.alive[:, -1] * market.lifetime_value(None, **settings))[known]
        shape = {"max_leaf_nodes": 16, "learning_rate": 0.05, "max_iter": 300}
        trees = HistGradientBoostingRegressor(
            loss="poisson", min_samples_leaf=60, early_stopping=False, random_state=seed, **shape
        )
        trees.fit(cohort_features(orders, spend).to_numpy()[known], value / value.mean())
        features = self.features.to_numpy()[self.others]
        return value.mean() * trees.predict(features)

    @cached_property
    def risks(self) -> tuple[np.ndarray, np.ndarray]:
        """Weekly probabilities to leave of the others, the same for all and each one's own.

        Learned from the followed who ordered in the year's first quarter; who did not in the last
        counts as having left.
        """
        future = self.lived.orders[self.followed, self.watched :] > 0
        began, left = future[:, :13].any(1), ~future[:, -13:].any(1)
        features = self.features.to_numpy()
        fate = features[self.followed][began], left[began]
        same, own = weekly_risk(*fate, features[self.others], weeks=self.year - 13)
        return np.full(len(own), same), own

    def true_risk(self) -> np.ndarray:
        """Each other customer's true probability to leave at a week's end."""
        return self.market.truth_of_customers.leaving[self.others]


@dataclass(frozen=True, eq=False)
class RetentionBudget:
    """A budget to keep the others of a `CohortStudy` market, and what it truly earns.

    Explained in chapter ``lifetime-value``.

    Attributes
    ----------
    study : CohortStudy
    scale : float
        Dollars that cut a customer's probability to leave to 1 / e, for a year.
    per_customer : int
        The budget in dollars over the number of customers.
    most : int
        Dollars that one customer may get.
    """

    study: CohortStudy
    scale: float
    per_customer: int
    most: int = 200

    def gain(self, value: np.ndarray, leaving: np.ndarray) -> np.ndarray:
        """What each dollar is believed to bring → (N, most + 1); see `keeping_gain`."""
        study = self.study
        weeks = {"value_weeks": study.year, "weeks": study.year, "scale": self.scale}
        return keeping_gain(
            value, leaving, self.most, discount_factor=study.discount_factor, **weeks
        )

    def gifts(self, value: np.ndarray, leaving: np.ndarray, *, min_gain: float = 1.0) -> np.ndarray:
        """Spend the budget by some beliefs → dollars (N,); `min_gain` as in `spend_budget`."""
        return self.spend(self.gain(value, leaving), min_gain=min_gain)

    def spend(self, gain: np.ndarray, *, min_gain: float = 1.0) -> np.ndarray:
        """Spend the budget by what each dollar is believed to bring → dollars (N,)."""
        return spend_budget(gain, self.per_customer * len(gain), min_gain=min_gain)

    @cached_property
    def true_gain(self) -> np.ndarray:
        """What each dollar truly brings → (N, most + 1)."""
        return self.gain(self.study.true_value(self.study.year), self.study.true_risk())

    def profit(self, gifts: np.ndarray) -> np.ndarray:
        """True profit from each customer, dollars brought less dollars spent → (N,).

        Raises
        ------
        ValueError
            When there is not one gift for each, or one is negative, not whole or too large.
        """
        gifts = whole_numbers(gifts, "gifts", high=self.most)
        if gifts.shape != (len(self.true_gain),):
            raise ValueError(f"gifts has shape {gifts.shape}: give ({len(self.true_gain)},)")
        return self.true_gain[np.arange(len(gifts)), gifts] - gifts

    def oracle(self) -> np.ndarray:
        """The gifts of one who knows value, risk, and who has left."""
        return self.spend(self.true_gain)

    @cached_property
    def most_profit(self) -> np.ndarray:
        """What the oracle's gifts earn from each customer → (N,)."""
        return self.profit(self.oracle())


@dataclass(frozen=True)
class Predicted:
    """What all models predict of the others of a market.

    Attributes
    ----------
    tried : Tried
        Dollars of the coming year by each model, and the networks.
    alive : dict of arrays of shape (N,)
        P(alive) by each model of buying.
    fits : BuyingFits
    """

    tried: Tried
    alive: dict[str, np.ndarray]
    fits: BuyingFits


def predict_market(study: CohortStudy, *, seed: int, **settings: Any) -> Predicted:
    """Fit every model to a market: buying to all histories, the table's to who is followed.

    Models of buying learn from no future; `RECALIBRATED` stands behind the name of one whose level
    was set right by the year of who is followed.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    study : CohortStudy
    seed : int
    **settings
        As in `pm_utils.chapters.lifetime_value.try_models`.
    """
    fits = BuyingFits.fit(study.histories())
    bought, alive = study.by_buying(fits, study.others)
    rows = study.rows(study.followed), study.rows(study.others)
    known, _ = study.by_buying(fits, study.followed)
    set_right = {
        name + RECALIBRATED: recalibrated(known[name], rows[0].value, each)
        for name, each in bought.items()
    }
    tried = try_models({"": rows}, seed=seed, **settings)
    dollars = {NAIVE_MODEL: study.past_rate()} | bought | set_right | tried.dollars
    return Predicted(Tried(dollars, tried.networks, tried.training), alive, fits)


RECALIBRATED = ", recalibrated"
SAME, OWN = "same risk for all", "own risk"
RISK_ALONE, EVERYBODY = "risk alone", "same for everybody"


def keeping_plans(
    plan: RetentionBudget, values: Mapping[str, np.ndarray], there: np.ndarray
) -> dict[tuple[str, str], np.ndarray]:
    """Spend a budget by each model's values, by risk alone, and evenly.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    plan : RetentionBudget
    values : mapping of arrays of shape (N,)
        Value of the coming year, by model.
    there : array of shape (N,)
        P(alive), for `RISK_ALONE`: it takes everybody who is there to be worth the same, the mean
        of the followed, and so goes to those most at risk among the living.

    Returns
    -------
    dict of arrays of shape (N,)
        Dollars, by (what is known of the value, what of the risk).
    """
    risks = zip((SAME, OWN), plan.study.risks, strict=True)
    per_dollar = {said: plan.gain(np.ones(len(there)), risk) for said, risk in risks}
    mean = plan.study.rows(plan.study.followed).value.mean()
    gifts = {
        (name, said): plan.spend(np.asarray(value)[:, None] * gain)
        for name, value in values.items()
        for said, gain in per_dollar.items()
    }
    gifts[RISK_ALONE, OWN] = plan.spend((mean * there)[:, None] * per_dollar[OWN])
    gifts[EVERYBODY, SAME] = np.full(len(there), plan.per_customer)
    return gifts


def keeping_shares(plan: RetentionBudget, gifts: Mapping[tuple[str, str], np.ndarray]) -> pd.Series:
    """Return what each plan takes of the oracle's profit, by what is known of value and risk.

    Explained in chapter ``lifetime-value``.
    """
    best = plan.most_profit.mean()
    return pd.Series({key: plan.profit(each).mean() / best for key, each in gifts.items()})


def null_shares(plan: RetentionBudget, nulls: Iterable[np.ndarray], risk: str) -> list[float]:
    """Return what the plans of nulls take of the oracle's profit, made as the plan that is judged.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    plan : RetentionBudget
    nulls : iterable of arrays of shape (N,)
        Value of the coming year, by each null.
    risk : str
        What the judged plan knows of the risk: `SAME` or `OWN`.

    Raises
    ------
    ValueError
        When `risk` is neither.
    """
    risks = dict(zip((SAME, OWN), plan.study.risks, strict=True))
    if risk not in risks:
        raise ValueError(f"risk is {risk!r}: give one of {', '.join(risks)}")
    best = plan.most_profit.mean()
    return [plan.profit(plan.gifts(each, risks[risk])).mean() / best for each in nulls]


def plan_of_true_risk(plan: RetentionBudget) -> np.ndarray:
    """Spend a budget by the true risk alone, as by `RISK_ALONE`, by one who knows who has left.

    Explained in chapter ``lifetime-value``.
    """
    mean = plan.study.rows(plan.study.followed).value.mean()
    return plan.gifts(mean * plan.study.alive(), plan.study.true_risk())


def shares_by_scale(
    study: CohortStudy,
    value: np.ndarray,
    there: np.ndarray,
    scales: Iterable[float],
    *,
    per_customer: int,
    redraw: np.ndarray,
) -> pd.DataFrame:
    """Tell what plans take of the oracle's profit, for several strengths of a gift.

    Explained in chapter ``lifetime-value``.

    Parameters
    ----------
    study : CohortStudy
    value, there : arrays of shape (N,)
        Value of the coming year by a model, and P(alive).
    scales : iterable of float
        As `RetentionBudget.scale`.
    per_customer : int
        The budget.
    redraw : array of shape (R, N)
        How often each customer counts in each resample.

    Returns
    -------
    DataFrame
        Indexed by scale: ``oracle ($)`` per customer, and the shares of ``value alone``,
        ``value and own risk``, ``risk alone`` and ``same for everybody``; then the 95 % interval of
        what own risk adds to value alone, ``adds, from`` and ``adds, to``.
    """
    rows = {}
    for scale in scales:
        plan = RetentionBudget(study, scale, per_customer)
        gifts = keeping_plans(plan, {"value": value}, there)
        share = keeping_shares(plan, gifts)
        more = plan.profit(gifts["value", OWN]) - plan.profit(gifts["value", SAME])
        low, high = percentile_interval(redraw @ more / (redraw @ plan.most_profit))
        rows[scale] = {
            "oracle ($)": plan.most_profit.mean(),
            "value alone": share["value", SAME],
            "value and own risk": share["value", OWN],
            RISK_ALONE: share[RISK_ALONE, OWN],
            EVERYBODY: share[EVERYBODY, SAME],
            "adds, from": low,
            "adds, to": high,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("c₀ ($)")


def said_of_keeping(shares: pd.DataFrame) -> str:
    """Say whether value or risk guides a budget, by `shares_by_scale`.

    Explained in chapter ``lifetime-value``.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.lifetime_value_market import said_of_keeping
    >>> shares = pd.DataFrame({"value alone": [0.9, 0.8], "risk alone": [0.3, 0.5]})
    >>> shares["adds, from"], shares["adds, to"] = [0.01, -0.02], [0.03, 0.04]
    >>> for part in said_of_keeping(shares).split("; "):
    ...     print(part)
    value alone takes more than risk alone at each strength
    own risk adds to value at 1 of 2 strengths
    >>> shares["adds, from"], shares["adds, to"] = [-0.03, -0.02], [-0.01, 0.04]
    >>> said_of_keeping(shares).split("; ")[1]
    'own risk takes from value at 1 of 2 strengths'
    """
    ahead = shares["value alone"] > shares[RISK_ALONE]
    first, second = ("value", "risk") if ahead.mean() >= 0.5 else ("risk", "value")
    won = ahead if first == "value" else ~ahead
    said = f"{first} alone takes more than {second} alone at {_how_many(won)}; own risk "
    helps, harms = shares["adds, from"] > 0, shares["adds, to"] < 0
    if not (helps | harms).any():
        return said + "adds nothing to value that can be told from luck"
    if not helps.any():
        return said + f"takes from value at {_how_many(harms)}"
    said += f"adds to value at {_how_many(helps)}"
    return said + (f" and takes from it at {_how_many(harms)}" if harms.any() else "")


def _how_many(true: pd.Series) -> str:
    return "each strength" if true.all() else f"{true.sum()} of {len(true)} strengths"
