"""The simulated market: customers drawn from the real shop, ads, and a truth to score against."""

from collections.abc import Callable
from copy import copy
from dataclasses import fields, replace
from functools import cached_property

import numpy as np
import pandas as pd

from pm_utils.inputs import like, numbers, plain, whole_numbers
from pm_utils.market import truth as truth_formulas
from pm_utils.market._checks import by_number, known_codes, rows_by_index
from pm_utils.market.creatives import DISCOUNT_RATES, Creatives, random_creatives
from pm_utils.market.dynamics import (
    MarketState,
    WeekOutcome,
    advance,
    expected_lifetime_value,
    rested_state,
)
from pm_utils.market.experiments import OUTCOMES, expected_uplift, run_experiment
from pm_utils.market.impressions import ImpressionLog, simulate_impressions
from pm_utils.market.logging_policies import Policy, as_policy
from pm_utils.market.orders import simulate_orders
from pm_utils.market.population import Households, real_households
from pm_utils.market.truth import TruthParameters, draw_customers, plant_defect

DEFAULT_CREATIVES = 200
Ads = np.ndarray | Creatives


class Market:
    """A market with a known truth; the same seed gives the same market and the same events.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    n_customers : int
        Drawn with replacement from the real households.
    seed : int
        At least 0.
    creatives : Creatives, optional
        The catalogue of M ads that policies choose from; by default 200 random ones.
    truth : TruthParameters, optional
    households : Households, optional
        By default those of the real shop.

    Attributes
    ----------
    customers : DataFrame
        What a marketer sees of each customer: the household's ``customer_id`` (to join profiles
        by, and to split by: copies of one household are alike) and its record.
    truth_of_customers : `pm_utils.market.truth.CustomerTruth`
        What is true of them; not for models.

    Raises
    ------
    ValueError
        When a number is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market import Market, Uniform
    >>> market = Market(3, seed=0)
    >>> len(market.customers), len(market.creatives), market.click_table.shape
    (3, 200, (3, 200))
    >>> value = market.policy_value(Uniform(200), market.click_table)  # of every ad alike
    >>> bool(np.isclose(value, market.click_table.mean()))
    True
    """

    def __init__(
        self,
        n_customers: int,
        seed: int,
        *,
        creatives: Creatives | None = None,
        truth: TruthParameters | None = None,
        households: Households | None = None,
    ) -> None:
        whole_numbers(n_customers, "n_customers", low=None), whole_numbers(seed, "seed", low=None)
        if n_customers < 1:
            raise ValueError(f"n_customers is {n_customers}: give at least 1")
        if seed < 0:
            raise ValueError(f"seed is {seed}: give a whole number of at least 0")
        self.n_customers, self.seed = n_customers, seed
        self.truth = truth or TruthParameters()
        self.households = households or real_households()
        self.truth_of_customers = draw_customers(self.households, n_customers, seed, self.truth)
        rng = np.random.default_rng([seed, DEFAULT_CREATIVES])
        self.creatives = (
            random_creatives(DEFAULT_CREATIVES, rng) if creatives is None else creatives
        )
        record = self.households.record.reset_index()
        self.customers = record.iloc[self.truth_of_customers.household].reset_index(drop=True)
        self.customers.index.name = "customer"

    def with_creatives(self, creatives: Creatives) -> "Market":
        """Return the same market with another catalogue of ads."""
        return self._changed(creatives=creatives)

    def with_defect(self, stage: str, customers: np.ndarray, factor: float) -> "Market":
        """Return the same market in which some customers pass a stage less often.

        Parameters
        ----------
        stage : {'click', 'visit', 'order'}
        customers : array of integers or bool
        factor : float
            From 0 to 1; multiplies their probability at that stage.
        """
        broken = plant_defect(self.truth_of_customers, stage, customers, factor)
        return self._changed(truth_of_customers=broken)

    def with_event_seed(self, seed: int) -> "Market":
        """Return the same customers and ads, to whom other things happen.

        Parameters
        ----------
        seed : int
            At least 0; that of the market itself gives the same events.
        """
        whole_numbers(seed, "seed", low=None)
        if seed < 0:
            raise ValueError(f"seed is {seed}: give a whole number of at least 0")
        market = copy(self)
        market.seed = seed
        return market

    def of(self, customers: np.ndarray) -> "Market":
        """Return a market of some customers, one as often as named; each copy has its own events.

        Parameters
        ----------
        customers : array of shape (n,), integers
        """
        rows = known_codes(customers, "customers", self.n_customers)
        hidden = self.truth_of_customers
        taken = {one.name: getattr(hidden, one.name)[rows] for one in fields(hidden)}
        market = self._changed(truth_of_customers=replace(hidden, **taken), n_customers=len(rows))
        market.customers = self.customers.iloc[rows].reset_index(drop=True)
        market.customers.index.name = "customer"
        return market

    def _changed(self, **attributes) -> "Market":
        market = copy(self)
        for table in ("click_table", "conversion_table", "promoted_discount"):
            market.__dict__.pop(table, None)
        market.__dict__.update(attributes)
        return market

    # What is true of pairs of customers and ads

    def _true(self, formula: Callable, customer: np.ndarray, creative: Ads) -> np.ndarray:
        """Apply a formula of `pm_utils.market.truth` to pairs, after checking their codes."""
        customer = plain(customer)
        if isinstance(creative, Creatives):
            return formula(self.truth, self.truth_of_customers, customer, creative)
        creative = known_codes(creative, "creative", len(self.creatives), low=-1)
        shape = np.broadcast_shapes(customer.shape, creative.shape)
        if creative.ndim != 1:
            customer, creative = np.broadcast_arrays(customer, creative)
            customer, creative = customer.ravel(), creative.ravel()
        ads = self.creatives.take(np.maximum(creative, 0))
        result = formula(self.truth, self.truth_of_customers, customer, ads)
        return np.where(creative < 0, 0, result).reshape(shape)

    def _of_pairs(self, formula: Callable, customer: np.ndarray, creative: Ads) -> np.ndarray:
        """Apply a formula to pairs that pandas' index matches, and keep that index."""
        customer, creative = rows_by_index(customer=customer, creative=creative)
        return like(self._true(formula, customer, creative), customer, creative)

    def click_probability(
        self,
        customer: np.ndarray,
        creative: Ads,
        *,
        position: np.ndarray | int = 0,
        fatigue: np.ndarray | float = 0.0,
    ) -> np.ndarray:
        """Return the true P(click | customer, creative, position, fatigue).

        Parameters
        ----------
        customer : array of integers
        creative : array of integers or Creatives
            Codes into the catalogue, or ads of one's own. It broadcasts with `customer`: (B,) and
            (B,) are pairs, (B, 1) and (M,) cross. Code -1, an ad that says nothing, earns 0.
        position : array of integers
            Slot; the first, 0, is always looked at.
        fatigue : array of floats
            Impressions lately seen that still weigh.

        Returns
        -------
        array of floats, broadcast
            By the index of the first argument that has one; the others' rows are matched to it.

        Raises
        ------
        ValueError
            When a customer, an ad or a slot is none of the market's, or a fatigue is negative or
            not finite.

        Examples
        --------
        >>> import numpy as np
        >>> from pm_utils.market import Market
        >>> market, customer, creative = Market(3, seed=0), np.arange(3), np.arange(2)
        >>> market.click_probability(customer[:, None], creative).shape  # all three with both ads
        (3, 2)
        >>> first, last = (market.click_probability(0, creative, position=slot) for slot in (0, 3))
        >>> (last / first).round(2)  # how often the last slot is looked at
        array([0.4, 0.4])
        """
        given = customer, creative, position, fatigue = rows_by_index(
            customer=customer, creative=creative, position=position, fatigue=fatigue
        )
        slots = len(self.truth.examination)
        seen = np.array(self.truth.examination)[known_codes(position, "position", slots)]
        tired = np.exp(-self.truth.fatigue * numbers(fatigue, "fatigue", low=0))
        rested = self._true(truth_formulas.click_probability, customer, creative)
        return like(rested * (seen * tired), *given)

    def visit_probability(self, customer: np.ndarray, creative: Ads) -> np.ndarray:
        """Return the true P(visit | click); arguments as in `click_probability`."""
        return self._of_pairs(truth_formulas.visit_probability, customer, creative)

    def order_probability(self, customer: np.ndarray, creative: Ads) -> np.ndarray:
        """Return the true P(order | visit); arguments as in `click_probability`."""
        return self._of_pairs(truth_formulas.order_probability, customer, creative)

    def conversion_probability(self, customer: np.ndarray, creative: Ads) -> np.ndarray:
        """Return the true P(order | click), visit times order; as in `click_probability`."""
        customer, creative = rows_by_index(customer=customer, creative=creative)
        visit = self.visit_probability(customer, creative)
        return visit * self.order_probability(customer, creative)

    def mean_delay(self, customer: np.ndarray, creative: Ads) -> np.ndarray:
        """Return the mean days from click to order; arguments as in `click_probability`."""
        return self._of_pairs(truth_formulas.mean_delay, customer, creative)

    @cached_property
    def click_table(self) -> np.ndarray:
        """P(click) of each customer and ad, rested and in the first position → (N, M), float32."""
        return self._table(self.click_probability)

    @cached_property
    def conversion_table(self) -> np.ndarray:
        """P(order | click) of each customer and ad → (N, M), float32."""
        return self._table(self.conversion_probability)

    def _table(self, probability: Callable) -> np.ndarray:
        table = np.empty((self.n_customers, len(self.creatives)), np.float32)
        for first in range(0, self.n_customers, 2048):
            who = np.arange(first, min(first + 2048, self.n_customers))
            table[who] = probability(who[:, None], np.arange(len(self.creatives)))
        return table

    @cached_property
    def promoted_discount(self) -> np.ndarray:
        """Share of an order that each ad's discount takes off, π d → (M,)."""
        return self.truth.promoted_share * DISCOUNT_RATES[self.creatives.discount]

    def true_uplift(
        self,
        customer: np.ndarray,
        creative: np.ndarray,
        *,
        outcome: str = "profit",
        impressions: int = 1,
        days: float = 14,
    ) -> np.ndarray:
        """Return the expected effect of a flight of one ad against no ad within a window.

        Parameters
        ----------
        customer, creative : arrays of integers that broadcast
        outcome : {'orders', 'bought', 'spend', 'profit'}
            Orders, any order at all, dollars paid, or margin less discounts and cost.
        impressions : int
            Length of the flight.
        days : float
            Length of the window.

        Returns
        -------
        array of floats, broadcast
            By the formulas of `pm_utils.market.experiments`; pandas' rows as in
            `click_probability`.

        Examples
        --------
        >>> import numpy as np
        >>> from pm_utils.market import Market
        >>> market = Market(3, seed=0)
        >>> market.true_uplift(np.arange(3), np.array([0, 0, 5])).shape  # three pairs
        (3,)
        >>> market.true_uplift(np.array([0]), np.array([0]), impressions=0)  # no ad, no effect
        array([0.])
        """
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome is {outcome!r}: give one of {', '.join(OUTCOMES)}")
        uplift = expected_uplift(self, customer, creative, impressions=impressions, days=days)
        return uplift[outcome]

    def policy_value(self, policy: Policy | Callable, reward: np.ndarray) -> float:
        """Return the mean over all customers of a policy's expected reward.

        Parameters
        ----------
        policy : Policy or callable
        reward : array of shape (N, M)
            For instance `click_table`, or that times `conversion_table`. Of a DataFrame, rows and
            columns are found by the numbers of customers and ads.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            When a reward is not finite, or there is not one for each customer and ad.
        """
        reward = numbers(by_number(reward, "reward"), "reward", ndim=2)
        if reward.shape != (self.n_customers, len(self.creatives)):
            raise ValueError(
                f"reward has shape {reward.shape}: give ({self.n_customers}, {len(self.creatives)})"
            )
        policy, total = as_policy(policy, len(self.creatives)), 0.0
        for first in range(0, self.n_customers, 2048):
            who = np.arange(first, min(first + 2048, self.n_customers))
            total += float((policy.probabilities(who) * reward[who]).sum(dtype=np.float64))
        return total / self.n_customers

    # What happens

    def impressions(
        self,
        policy: Policy | Callable,
        n: int,
        *,
        start: int = 0,
        customers: np.ndarray | None = None,
    ) -> ImpressionLog:
        """Draw a log of n impressions to rested customers.

        Customer and position of each impression are uniform; the policy chooses the ad.

        Parameters
        ----------
        policy : Policy or callable
            From `pm_utils.market.logging_policies`, or a function from customers to
            probabilities (B, M).
        n : int
        start : int
            Number of the first impression. What happens at an impression depends on its number,
            so that one log of 1,000 is two of 500, the second from 500 on.
        customers : array of integers, optional
            Who may be shown an ad; by default everybody.

        Returns
        -------
        ImpressionLog

        Examples
        --------
        >>> from pm_utils.market import Market, Uniform
        >>> market = Market(3, seed=0)
        >>> log = market.impressions(Uniform(200), 1_000)
        >>> second_half = market.impressions(Uniform(200), 500, start=500)
        >>> bool((log.click[500:] == second_half.click).all())
        True
        """
        return simulate_impressions(self, policy, n, start=start, customers=customers)

    def orders(self, weeks: int, *, customers: np.ndarray | None = None) -> pd.DataFrame:
        """Draw the organic orders of some weeks before any campaign, in which nobody leaves.

        Parameters
        ----------
        weeks : int
            A longer history begins with the shorter one.
        customers : array of integers, optional

        Returns
        -------
        DataFrame
            One row per order: ``customer``, ``week``, ``day`` (since the first), ``order_value``
            (dollars), ``category`` that the order is mostly for, ``coupon`` (whether one was used).
        """
        return simulate_orders(self, weeks, customers=self._who(customers))

    def experiment(
        self,
        policy: Policy | Callable,
        *,
        treated: float = 0.5,
        impressions: int = 1,
        days: float = 14,
        trial: int = 0,
        customers: np.ndarray | None = None,
    ) -> pd.DataFrame:
        """Show a flight of ads to a random part of the customers and hold the others out.

        Parameters
        ----------
        policy : Policy or callable
            Chooses each treated customer's one ad.
        treated : float
            Probability of treatment.
        impressions, days : int, float
            Flight and window, as in `true_uplift`.
        trial : int
            Another number is another experiment.
        customers : array of integers, optional
            Who takes part; by default everybody.

        Returns
        -------
        DataFrame
            One row per customer: ``customer``, ``treated``, ``creative`` (-1 if held out),
            ``propensity`` (of what happened), ``clicks``, ``conversions``, the outcomes
            ``orders``, ``bought``, ``spend`` and ``profit``, organic orders included, and what no
            real experiment shows: each outcome's potential values ``…_without`` and ``…_with``.

        Examples
        --------
        >>> from pm_utils.market import Market, fixed
        >>> market = Market(40, seed=0)
        >>> trial = market.experiment(fixed(7, n_customers=40, n_creatives=200), treated=0.5)
        >>> len(trial), sorted(trial["creative"].unique().tolist())  # -1: held out
        (40, [-1, 7])
        >>> held_out = trial[~trial["treated"]]
        >>> bool((held_out["spend"] == held_out["spend_without"]).all())
        True
        """
        return run_experiment(
            self,
            policy,
            treated=treated,
            impressions=impressions,
            days=days,
            trial=trial,
            customers=self._who(customers),
        )

    def rested(self) -> MarketState:
        """Return the state of the market before its first week: nobody tired, nobody gone."""
        return rested_state(self.n_customers)

    def step(
        self, state: MarketState, creative: np.ndarray, impressions: np.ndarray | int = 1
    ) -> tuple[MarketState, WeekOutcome]:
        """Play one week.

        Parameters
        ----------
        state : MarketState
            From `rested` or an earlier step.
        creative : array of shape (N,), integers
            The ad for each customer, -1 for none; a Series by the customers' numbers.
        impressions : array of shape (N,) or int
            How often each is shown it this week.

        Returns
        -------
        MarketState, WeekOutcome
            An ad to somebody who has left reaches nobody and costs nothing.

        Examples
        --------
        >>> import numpy as np
        >>> from pm_utils.market import Market
        >>> market = Market(3, seed=0)
        >>> state, outcome = market.step(market.rested(), np.array([0, 5, -1]), impressions=2)
        >>> outcome.impressions
        array([2, 2, 0])
        >>> state.week, state.fatigue  # a week keeps 70 % of it
        (1, array([1.4, 1.4, 0. ]))
        """
        return advance(self, state, creative, impressions)

    def lifetime_value(
        self,
        policy: Policy | Callable | None,
        *,
        impressions: int = 1,
        discount_factor: float = 0.998,
        weeks: int | None = None,
        customers: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the expected discounted profit from each customer under a fixed policy.

        Parameters
        ----------
        policy : Policy, callable or None
            Draws a customer's ad anew every week; None shows nothing.
        impressions : int
            Per customer and week.
        discount_factor : float
            What a dollar in a week is worth today, above 0 and at most 1.
        weeks : int, optional
            Horizon: the weeks in which ads are shown and organic orders count (orders due from
            clicks within it count in full). By default there is no end.
        customers : array of integers, optional

        Returns
        -------
        array of shape (B,)
            Dollars, by the formula of `pm_utils.market.dynamics`.

        Examples
        --------
        >>> from pm_utils.market import Market, Uniform
        >>> market = Market(3, seed=0)
        >>> year = market.lifetime_value(None, weeks=52)  # of organic orders alone
        >>> year.shape, bool((market.lifetime_value(None) > year).all())
        ((3,), True)
        """
        return expected_lifetime_value(
            self,
            policy,
            impressions=impressions,
            discount_factor=discount_factor,
            weeks=weeks,
            customers=self._who(customers),
        )

    def _who(self, customers: np.ndarray | None) -> np.ndarray:
        """Everybody, where nobody is named."""
        return np.arange(self.n_customers) if customers is None else customers
