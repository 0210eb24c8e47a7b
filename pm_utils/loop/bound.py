"""What no strategy of a campaign can earn more than, whatever it knows."""

import numpy as np
from scipy.optimize import minimize_scalar

from pm_utils.inputs import numbers
from pm_utils.loop.campaign import Campaign, assign, weeks_there
from pm_utils.market import DISCOUNT_RATES, Market


def profit_bound(market: Market, campaign: Campaign, *, step: float = 0.2) -> float:
    r"""Return an upper bound on the true incremental profit of a campaign, all rounds, dollars.

    The budget is replaced by a price μ of an impression (a Lagrange multiplier). Then every
    customer can be planned alone, by dynamic programming over the fatigue; what all of them earn at
    that price, and the price times the budget, is no less than any strategy earns with the budget.
    We take the price at which that is least. Towards a bound, too, we take: any ad of the market,
    another in each week; a fatigue that is rounded down after each week; and the weeks that
    customers would stay if they were sent nothing, which in this market are known from its seed.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    market : Market
    campaign : Campaign
    step : float
        To what the fatigue is rounded; the smaller, the tighter.

    Returns
    -------
    float
        Per treated customer, as `pm_utils.loop.campaign.Run.true_profit` sums up.

    Raises
    ------
    ValueError
        When the step is not above 0 or not finite.

    References
    ----------
    Hawkins (2003), A Lagrangian decomposition approach to weakly coupled dynamic optimization
    problems and its applications.

    Examples
    --------
    >>> from pm_utils.loop.ad_menu import AdCatalogue
    >>> from pm_utils.loop.bound import profit_bound
    >>> from pm_utils.loop.campaign import Campaign, run_campaign
    >>> from pm_utils.loop.strategies import Oracle
    >>> from pm_utils.market import Market
    >>> menu, campaign = AdCatalogue.of(1), Campaign(rounds=1, weeks=3)
    >>> market = Market(20, seed=0, creatives=menu.creatives())
    >>> done = run_campaign(market, Oracle(market, campaign, menu), campaign)
    >>> bool(profit_bound(market, campaign) >= done.true_profit.sum())
    True
    """
    step = float(numbers(step, "step", above=0))
    weeks, cap, truth = campaign.rounds * campaign.weeks, campaign.frequency_cap, market.truth
    treated = assign(market.n_customers, market.seed, campaign.holdout)
    alive = _weeks_without_ads(market, weeks)[:, treated]
    most = truth.retention * cap / (1 - truth.retention) if truth.retention < 1 else cap * weeks
    fatigue = step * np.arange(int(most / step) + 2)
    lands = [(truth.retention * (fatigue + k) / step + 1e-9).astype(int) for k in range(cap + 1)]
    earned, lost = _profits(market, treated, fatigue, cap)
    there = market.truth_of_customers.leaving[treated]

    def value(price: float) -> float:
        later = np.zeros_like(earned[0])
        for week in reversed(range(weeks)):
            left = weeks_there(there, weeks - 1 - week).astype(np.float32)
            now = np.zeros_like(later)  # who earns less is let go
            for k in range(cap + 1):
                plan = earned[k] - lost[k] * left + later[lands[k]]
                plan -= np.float32(k * price)
                np.maximum(now, plan, out=now)
            later = now * alive[week]
        return float(later[0].mean()) + price * campaign.budget * weeks

    highest = float((earned[1] - earned[0]).max())
    found = minimize_scalar(
        value, bounds=(0.0, highest), method="bounded", options={"xatol": 1e-3, "maxiter": 14}
    )
    return min(float(found.fun), value(0.0))


def _weeks_without_ads(market: Market, weeks: int) -> np.ndarray:
    """Return who would be there in each week if nobody saw an ad → (weeks, N) bool."""
    state, alive = market.rested(), []
    nothing = np.zeros(market.n_customers, int)
    for _ in range(weeks):
        alive.append(state.alive)
        state, _ = market.step(state, nothing - 1, nothing)
    return np.array(alive)


def _profits(
    market: Market, treated: np.ndarray, fatigue: np.ndarray, cap: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return a week's profit by impressions, fatigue and customer, and what leaving takes a week.

    Two arrays of shape (cap + 1, fatigues, customers), float32: the first with the best ad for
    each, the second to be multiplied by the weeks that are left.
    """
    truth, hidden, who = market.truth, market.truth_of_customers, np.flatnonzero(treated)
    rate, value = hidden.order_rate[who], hidden.order_value[who]
    annoyance, leaving = hidden.annoyance[who], hidden.leaving[who]
    best = [np.zeros(len(who))] * len(DISCOUNT_RATES)  # chance of an order, by discount
    for code in np.unique(market.creatives.discount):
        ads = np.flatnonzero(market.creatives.discount == code)
        clicks = market.click_probability(who[:, None], ads)
        best[code] = (clicks * market.conversion_probability(who[:, None], ads)).max(1)
    decay, earned, lost = np.exp(-truth.fatigue), [], []
    for k in range(cap + 1):
        strain = fatigue[:, None] + k
        organic = rate * np.exp(-annoyance * strain)
        kept = truth.margin * (1 - truth.displacement * (1 - np.exp(-organic)))
        seen = decay ** fatigue[:, None] * ((1 - decay**k) / (1 - decay) if decay < 1 else k)
        gains = [
            chance * (kept - truth.promoted_share * rate_off)
            for chance, rate_off in zip(best, DISCOUNT_RATES, strict=True)
        ]
        profit = seen * value * np.max(gains, axis=0) - truth.impression_cost * k
        earned.append(profit - truth.margin * value * (rate - organic))
        leaves = np.minimum(leaving * np.exp(truth.leaving_fatigue * strain), 1) - leaving
        lost.append(leaves * truth.margin * value * rate)
    return np.array(earned, np.float32), np.array(lost, np.float32)
