"""The truth of the simulated market: every formula and every parameter, in one place.

Symbols: customer i, ad c with category k, discount d (0 to 0.5), tone, palette, layout and motion;
σ is the logistic function. Nothing here is known to a marketer; models are scored against it.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, ndtri
from scipy.stats import rankdata

from pm_utils.inputs import like, numbers, plain, probabilities, whole_numbers
from pm_utils.market._checks import by_number, known_codes
from pm_utils.market.creatives import ATTRIBUTES, DISCOUNT_RATES, Creatives, level_counts
from pm_utils.market.population import Households
from pm_utils.market.randomness import normal, stream_key, uniform

URGENT = ATTRIBUTES["tone"].index("urgent")
STILL = ATTRIBUTES["motion"].index("still")
POPULATION_STREAM, STYLE_STREAM = 1, 2
STAGES = ("click", "visit", "order")


@dataclass(frozen=True)
class TruthParameters:
    r"""All parameters of the market, beside the formulas that use them.

    **Click** on an ad in position p, given that the customer carries fatigue F (ads lately seen)

    .. math::
        P(\text{click} \mid i, c, p, F) = e_p \, \sigma(\ell_{ic}) \, e^{-\phi F}, \quad
        \ell_{ic} = \alpha + \beta_u u_{ik} + \beta_v \sigma(\gamma u_{ik}) v_{ic}
          + \beta_d (s_i - \bar s) \sqrt{d_c} + \beta_x s_i [\text{urgent}, d_c > 0] + \beta_z z_i

    with ``examination`` :math:`e_p`, interest :math:`u_{ik} = \tanh \log(\theta_{ik} /
    \bar\theta_k)` from the customer's taste θ, price sensitivity s, style v and engagement z.
    Style :math:`v_{ic}` is the sum of preferences for tone, palette, layout and motion; for each
    level, the household's mixture of shopper types, in normal scores, times the types' loadings,
    plus ``shared_style`` that is the same for all, plus a ``quirk`` of the customer's own.
    Engagement is a standard normal score that activity mostly explains (correlation
    ``engagement_activity``). Style counts only where there is interest: the product is what a
    model without interactions misses.

    **Visit** after a click: :math:`P = v_0 (1 - v_1 [\text{moving}])`.

    **Order** after a visit

    .. math::
        P(\text{order} \mid \text{visit}, i, c) = \sigma(\alpha' + \beta'_u u_{ik} + \beta'_d s_i
          d_c - \beta'_x (1 - s_i) [\text{urgent}] + \beta'_z z_i)

    Conversion given a click is visit times order. Interest and engagement raise clicks and orders
    alike, so those who click convert better than those who do not would have.

    **Delay** from click to order: exponential with mean :math:`\delta_0 e^{-\delta_x
    [\text{urgent}]} (\lambda_i / \tilde\lambda)^{-\delta_a}` days, λ̃ the median order rate.

    **Value** of an order at list price: log-normal with the customer's own mean and spread. The
    discount holds for ``promoted_share`` π of an ad's order, so the customer pays V (1 - π d) and
    the profit is V (m - π d), m the ``margin``. An impression costs ``impression_cost``.

    **Organic orders**: Poisson, :math:`\lambda_i e^{-a_i F}` a week: ads annoy the price
    insensitive, :math:`a_i = a (1 - s_i)^2`. An ad's order takes the place of an organic one with
    probability χ where there is one in the same window; otherwise it is incremental.

    **Fatigue**: each impression adds 1; a week keeps ``retention`` ρ of it. The j-th impression of
    a week (j = 0, 1, …) meets F + j; all that depends on the whole week meets F + impressions.

    **Leaving** for good at the end of a week: :math:`h_i e^{\kappa F}`, at most 1, with
    :math:`h_i = h_0 (\lambda_i / \tilde\lambda)^{-h_a}`, kept within ``leaving_bounds``.

    Attributes
    ----------
    examination : tuple of float
        :math:`e_p`: how often a slot is looked at, the first one always.
    click_base, click_interest, click_style, style_gate, click_discount, discount_threshold, \
    click_urgent_discount, click_engagement : float
        :math:`\alpha, \beta_u, \beta_v, \gamma, \beta_d, \bar s, \beta_x, \beta_z`.
    visit_base, visit_moving : float
        :math:`v_0, v_1`.
    order_base, order_interest, order_discount, order_urgent, order_engagement : float
        :math:`\alpha', \beta'_u, \beta'_d, \beta'_x, \beta'_z`.
    delay_base, delay_urgent, delay_activity : float
        :math:`\delta_0` (days), :math:`\delta_x, \delta_a`.
    margin, promoted_share, impression_cost : float
        m, π, and dollars.
    annoyance, displacement, fatigue, retention : float
        a, χ, φ, ρ.
    leaving_base, leaving_activity, leaving_fatigue : float
        :math:`h_0` (per week), :math:`h_a`, κ.
    leaving_bounds : (float, float)
        Least and largest :math:`h_i`.
    engagement_activity : float
        Correlation of engagement with activity.
    shared_style, quirk : float
        Standard deviations of style preferences: over the levels, of what all share; over
        customers, of what nothing explains.
    individuality : float
        Standard deviation of the logarithm of a customer's order rate over the household's.

    Raises
    ------
    ValueError
        When a parameter is not finite, a share lies outside [0, 1], or a rate or a deviation is
        negative.

    Examples
    --------
    >>> from pm_utils.market import TruthParameters
    >>> truth = TruthParameters(fatigue=0.0)  # a market in which nobody tires of ads
    >>> truth.fatigue, truth.margin
    (0.0, 0.3)
    """

    examination: tuple[float, ...] = (1.0, 0.75, 0.55, 0.4)
    click_base: float = -3.7
    click_interest: float = 0.7
    click_style: float = 0.4
    style_gate: float = 2.0
    click_discount: float = 2.5
    discount_threshold: float = 0.4
    click_urgent_discount: float = 0.5
    click_engagement: float = 0.35
    visit_base: float = 0.9
    visit_moving: float = 0.1
    order_base: float = -3.5
    order_interest: float = 0.6
    order_discount: float = 6.0
    order_urgent: float = 0.8
    order_engagement: float = 0.45
    delay_base: float = 4.0
    delay_urgent: float = 0.7
    delay_activity: float = 0.3
    margin: float = 0.3
    promoted_share: float = 0.3
    impression_cost: float = 0.005
    annoyance: float = 0.0005
    displacement: float = 0.5
    fatigue: float = 0.03
    retention: float = 0.7
    leaving_base: float = 0.004
    leaving_activity: float = 0.5
    leaving_fatigue: float = 0.0003
    leaving_bounds: tuple[float, float] = (0.001, 0.02)
    engagement_activity: float = 0.8
    shared_style: float = 0.6
    quirk: float = 0.2
    individuality: float = 0.25

    def __post_init__(self) -> None:
        """Check that every parameter can be one."""
        for name, value in vars(self).items():
            numbers(value, name)
        shares = ("examination", "visit_base", "visit_moving", "promoted_share", "displacement")
        for name in (*shares, "retention", "leaving_bounds"):
            probabilities(getattr(self, name), name)
        least = ("fatigue", "annoyance", "impression_cost", "shared_style", "quirk")
        for name in (*least, "individuality", "delay_base", "leaving_base"):
            numbers(getattr(self, name), name, low=0)
        numbers(self.engagement_activity, "engagement_activity", low=-1, high=1)


@dataclass(frozen=True, eq=False, repr=False)
class CustomerTruth:
    """What is true of N customers; arrays of shape (N,) or (N, levels), hidden from a marketer.

    Attributes
    ----------
    household : array of int64
        Row of the household in `Households` that the customer was drawn from.
    interest : (N, 12); tone (N, 4); palette (N, 6); layout (N, 4); motion (N, 5, 2) : float32
        u and the style preferences; motion by direction and speed, one value where still.
    price_sensitivity, engagement : float32
        s and z.
    order_rate, log_value, value_spread : float64
        λ (orders per week); mean and standard deviation of an order's log dollars.
    annoyance, leaving : float64
        a and h.
    delay : float64
        Mean delay in days where the tone is not urgent.
    stages : (N, 3), float32
        What each stage of the funnel is multiplied by; one unless a defect was planted.

    Raises
    ------
    ValueError
        When the arrays differ in customers or a number is not finite.
    """

    household: np.ndarray
    interest: np.ndarray
    tone: np.ndarray
    palette: np.ndarray
    layout: np.ndarray
    motion: np.ndarray
    price_sensitivity: np.ndarray
    engagement: np.ndarray
    order_rate: np.ndarray
    log_value: np.ndarray
    value_spread: np.ndarray
    annoyance: np.ndarray
    leaving: np.ndarray
    delay: np.ndarray
    stages: np.ndarray

    def __post_init__(self) -> None:
        """Check once what all formulas will read."""
        for name, part in vars(self).items():
            if len(part) != len(self.household):
                raise ValueError(
                    f"{name} has {len(part):,} customers, household {len(self.household):,}: give "
                    "as many of each"
                )
            object.__setattr__(self, name, part if name == "household" else numbers(part, name))

    def __len__(self) -> int:
        """Return the number of customers."""
        return len(self.household)

    @property
    def order_value(self) -> np.ndarray:
        """Mean list price of an order in dollars → (N,)."""
        return np.exp(self.log_value + self.value_spread**2 / 2)


def draw_customers(
    households: Households, n_customers: int, seed: int, truth: TruthParameters
) -> CustomerTruth:
    """Draw customers with replacement from the households, and what is true of each.

    The first customers of a larger market are those of a smaller one with the same seed.

    Parameters
    ----------
    households : Households
    n_customers : int
    seed : int
        Decides who is drawn, the style loadings of the types of shopper, and all quirks.
    truth : TruthParameters

    Returns
    -------
    CustomerTruth

    Raises
    ------
    ValueError
        When there is no customer.
    """
    index = np.arange(int(whole_numbers(n_customers, "n_customers", low=1)))

    def key(name: int) -> np.uint64:
        return stream_key(seed, POPULATION_STREAM, name)

    drawn = (uniform(key(0), index) * len(households.record)).astype(np.int64)
    own = normal(key(1), index) * truth.individuality - truth.individuality**2 / 2
    rate = households.order_rate[drawn] * np.exp(own)
    typical = np.median(households.order_rate)
    log_rates = np.log(households.order_rate)
    activity = (np.log(households.order_rate[drawn]) - log_rates.mean()) / log_rates.std()
    share = truth.engagement_activity
    engagement = share * activity + np.sqrt(1 - share**2) * normal(key(2), index)
    sensitivity = households.price_sensitivity[drawn]
    spread = np.sqrt(np.log1p(households.order_variation[drawn] ** 2))
    leaving = truth.leaving_base * (rate / typical) ** -truth.leaving_activity
    interest = np.tanh(np.log(households.taste / households.taste.mean(0)))[drawn]
    style = _style_preferences(households, drawn, seed, truth)
    return CustomerTruth(
        household=drawn,
        interest=interest.astype(np.float32),
        **style,
        price_sensitivity=sensitivity.astype(np.float32),
        engagement=engagement.astype(np.float32),
        order_rate=rate,
        log_value=np.log(households.order_mean[drawn]) - spread**2 / 2,
        value_spread=spread,
        annoyance=truth.annoyance * (1 - sensitivity) ** 2,
        leaving=np.clip(leaving, *truth.leaving_bounds),
        delay=truth.delay_base * (rate / typical) ** -truth.delay_activity,
        stages=np.ones((n_customers, len(STAGES)), np.float32),
    )


def _style_preferences(
    households: Households, drawn: np.ndarray, seed: int, truth: TruthParameters
) -> dict[str, np.ndarray]:
    """Return how much each customer likes each level of each style attribute."""
    mixture = households.mixture
    types = ndtri((rankdata(mixture, axis=0) - 0.5) / len(mixture)) / np.sqrt(mixture.shape[1])
    types = np.column_stack([types, np.full(len(types), truth.shared_style)])
    preferences, counts = {}, level_counts("tone", "palette", "layout", "motion")
    speeds = level_counts("speed")["speed"]
    for number, name in enumerate(counts):
        levels = counts[name] * (speeds if name == "motion" else 1)
        cells = np.arange(types.shape[1] * levels).reshape(-1, levels)
        loadings = normal(stream_key(seed, STYLE_STREAM, number, 0), cells)
        own = np.arange(len(drawn))[:, None] * levels + np.arange(levels)
        quirks = normal(stream_key(seed, STYLE_STREAM, number, 1), own)
        liking = (types @ loadings)[drawn] + truth.quirk * quirks
        preferences[name] = liking.astype(np.float32)
    motion = preferences["motion"].reshape(len(drawn), -1, speeds)
    motion[:, STILL, 1:] = motion[:, STILL, :1]  # no speed where nothing moves
    return preferences | {"motion": motion}


def style_liking(customers: CustomerTruth, customer: np.ndarray, ads: Creatives) -> np.ndarray:
    """Return v: how much customers like the looks of ads; both broadcast.

    Raises
    ------
    ValueError
        As `click_probability`.
    """
    who = known_codes(customer, "customer", len(customers))
    return like(_style_liking(customers, who, ads), customer)


def _style_liking(customers: CustomerTruth, who: np.ndarray, ads: Creatives) -> np.ndarray:
    return (
        customers.tone[who, ads.tone]
        + customers.palette[who, ads.palette]
        + customers.layout[who, ads.layout]
        + customers.motion[who, ads.motion, ads.speed]
    )


def click_probability(
    truth: TruthParameters, customers: CustomerTruth, customer: np.ndarray, ads: Creatives
) -> np.ndarray:
    """Return P(click) in the first position of rested customers.

    Parameters
    ----------
    truth : TruthParameters
    customers : CustomerTruth
    customer : array of integers
        Broadcasts with the ads: shape (N,) pairs each with its ad, (N, 1) crosses all.
    ads : Creatives

    Returns
    -------
    array of float32

    Raises
    ------
    ValueError
        When a customer is none of them.
    """
    who = known_codes(customer, "customer", len(customers))
    interest = customers.interest[who, ads.category]
    sensitivity = customers.price_sensitivity[who]
    discount = DISCOUNT_RATES[ads.discount].astype(np.float32)
    logit = truth.click_style * _style_liking(customers, who, ads)
    logit *= expit(truth.style_gate * interest)
    logit += truth.click_interest * interest
    logit += truth.click_discount * (sensitivity - truth.discount_threshold) * np.sqrt(discount)
    urgent_discount = ((ads.tone == URGENT) & (ads.discount > 0)).astype(np.float32)
    logit += truth.click_urgent_discount * sensitivity * urgent_discount
    logit += truth.click_base + truth.click_engagement * customers.engagement[who]
    return like(expit(logit) * customers.stages[who, 0], customer)


def visit_probability(
    truth: TruthParameters, customers: CustomerTruth, customer: np.ndarray, ads: Creatives
) -> np.ndarray:
    """Return P(visit | click); as in `click_probability`."""
    who = known_codes(customer, "customer", len(customers))
    moving = (ads.motion != STILL).astype(np.float32)
    visit = truth.visit_base * (1 - truth.visit_moving * moving)
    return like(visit * customers.stages[who, 1], customer)


def order_probability(
    truth: TruthParameters, customers: CustomerTruth, customer: np.ndarray, ads: Creatives
) -> np.ndarray:
    """Return P(order | visit); as in `click_probability`."""
    who = known_codes(customer, "customer", len(customers))
    sensitivity = customers.price_sensitivity[who]
    discount = DISCOUNT_RATES[ads.discount].astype(np.float32)
    urgent = (ads.tone == URGENT).astype(np.float32)
    logit = truth.order_interest * customers.interest[who, ads.category]
    logit += truth.order_discount * sensitivity * discount
    logit -= truth.order_urgent * (1 - sensitivity) * urgent
    logit += truth.order_base + truth.order_engagement * customers.engagement[who]
    return like(expit(logit) * customers.stages[who, 2], customer)


def mean_delay(
    truth: TruthParameters, customers: CustomerTruth, customer: np.ndarray, ads: Creatives
) -> np.ndarray:
    """Return the mean days from click to order; as in `click_probability`."""
    who = known_codes(customer, "customer", len(customers))
    return like(customers.delay[who] * np.exp(-truth.delay_urgent * (ads.tone == URGENT)), customer)


def plant_defect(
    customers: CustomerTruth, stage: str, who: np.ndarray, factor: float
) -> CustomerTruth:
    """Return customers of whom some pass a stage less often, by a factor.

    Parameters
    ----------
    customers : CustomerTruth
    stage : {'click', 'visit', 'order'}
    who : array of integers, or of shape (N,), bool
    factor : float

    Raises
    ------
    ValueError
        When the stage is unknown, the factor is not within 0 to 1, a customer is none of them, or
        there is not one truth value for each.
    """
    if stage not in STAGES:
        raise ValueError(f"stage is {stage!r}: give one of {', '.join(STAGES)}")
    if not 0 <= factor <= 1:
        raise ValueError(f"factor is {factor}: give a number from 0 to 1")
    chosen = plain(who)
    if chosen.dtype == bool:
        chosen = plain(by_number(who, "who"))
        if chosen.shape != (len(customers),):
            raise ValueError(f"who has shape {chosen.shape}: give ({len(customers)},), one each")
    else:
        chosen = known_codes(chosen, "who", len(customers))
    stages = customers.stages.copy()
    stages[chosen, STAGES.index(stage)] *= factor
    return replace(customers, stages=stages)
