"""What a shop learns from behaviour: profiles from orders, response models from logs of ads.

Nothing here reads the market's truth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from scipy.special import expit
from torch import Tensor, nn
from torch.nn.functional import log_softmax, softplus

from pm_utils.customers.networks import UserProfileNet
from pm_utils.learning.scaling import standard_scores
from pm_utils.learning.stacked import StackedLinear
from pm_utils.learning.training import fit, predict
from pm_utils.loop.ad_menu import Menu
from pm_utils.loop.campaign import Log
from pm_utils.market import DISCOUNT_RATES, ImpressionLog, Market, Uniform
from pm_utils.market.dynamics import LATEST

# --- Profile: what the order history says --------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Past:
    """What a shop knows of N customers before the campaign.

    Attributes
    ----------
    rate, value : (N,)
        Orders per week and dollars per order, shrunk towards all customers'.
    coupons : (N,)
        Share of orders with a coupon, shrunk likewise.
    recency : (N,)
        Weeks since the last order.
    counts : (N, 12)
        Orders by category.
    weeks : int
    """

    rate: np.ndarray
    value: np.ndarray
    coupons: np.ndarray
    recency: np.ndarray
    counts: np.ndarray
    weeks: int


def summarise(orders: pd.DataFrame, n_customers: int, weeks: int) -> Past:
    """Summarise an order history.

    Parameters
    ----------
    orders : DataFrame
        From `Market.orders`.
    n_customers, weeks : int

    Returns
    -------
    Past
    """
    who, code = orders["customer"].to_numpy(), orders["category"].cat.codes.to_numpy()
    size = len(orders["category"].cat.categories)
    counts = np.bincount(who * size + code, minlength=n_customers * size).reshape(-1, size)
    number = counts.sum(1)
    spend = np.bincount(who, orders["order_value"], minlength=n_customers)
    coupons = np.bincount(who, orders["coupon"], minlength=n_customers)
    last = np.full(n_customers, 0.0)
    np.maximum.at(last, who, orders["day"].to_numpy() / 7)
    rate = number / weeks
    spread = max(rate.var() - rate.mean() / weeks, 1e-6)
    prior = rate.mean() / spread  # weeks that the gamma prior of all customers counts for
    return Past(
        rate=(number + prior * rate.mean()) / (weeks + prior),
        value=(spend + 3 * spend.sum() / number.sum()) / (number + 3),
        coupons=(coupons + 10 * coupons.sum() / number.sum()) / (number + 10),
        recency=weeks - last,
        counts=counts,
        weeks=weeks,
    )


def smoothed_shares(counts: np.ndarray, strength: float) -> np.ndarray:
    """Return shares by category, starting from `strength` orders at everybody's → (N, 12)."""
    overall = counts.sum(0) / counts.sum()
    total = counts + strength * overall
    return total / total.sum(1, keepdims=True)


def history_features(past: Past) -> np.ndarray:
    """Return what the profile network reads → (N, 15), about standard scores."""
    shares = smoothed_shares(past.counts, 10)
    lift = np.sqrt(shares / shares.mean(0)) - 1
    rest = np.column_stack([np.log(past.rate), np.log(past.value), past.coupons])
    return np.hstack([3 * lift, (rest - rest.mean(0)) / rest.std(0)])


def category_loss(logits: Tensor, counts: Tensor) -> Tensor:
    """Return nats per order of the orders that came later, by category."""
    return -(log_softmax(logits, 1) * counts).sum() / counts.sum()


def learn_profile(early: Past, late: np.ndarray, *, epochs: int, seed: int) -> UserProfileNet:
    """Train a profile to foretell the categories of later orders.

    Parameters
    ----------
    early : Past
        The first part of the history.
    late : array of shape (N, 12)
        Orders by category in the rest.
    epochs, seed : int

    Returns
    -------
    UserProfileNet
    """
    torch.manual_seed(seed)
    inputs = [torch.tensor(history_features(early), dtype=torch.float32)]
    net = UserProfileNet(inputs[0].shape[1], 64, late.shape[1], dropout=0.1)
    target = torch.tensor(late, dtype=torch.float32)
    fit(net, inputs, target, loss=category_loss, epochs=epochs, learning_rate=1e-2, seed=seed)
    return net


@dataclass(frozen=True, eq=False)
class Profile:
    """What response models read of N customers.

    Attributes
    ----------
    traits : (N, P) float32
        Standard scores.
    affinity : (N, 12) float32
        log (share of a category / everybody's share).
    """

    traits: np.ndarray
    affinity: np.ndarray


def _standard(columns: np.ndarray) -> np.ndarray:
    return standard_scores(columns).numpy()


def _basics(past: Past) -> np.ndarray:
    return np.column_stack([np.log(past.rate), np.log(past.value), past.coupons])


def plain_profile(past: Past, *, components: int = 6, strength: float = 10) -> Profile:
    """Return activity, order value, coupon use, and principal components of smoothed shares."""
    shares = smoothed_shares(past.counts, strength)
    affinity = np.log(shares / shares.mean(0))
    apart = np.sqrt(shares / shares.mean(0)) - 1
    main = np.linalg.svd(apart - apart.mean(0), full_matrices=False)[0][:, :components]
    traits = _standard(np.column_stack([_basics(past), main]))
    return Profile(traits, affinity.astype(np.float32))


def learned_profile(net: UserProfileNet, past: Past) -> Profile:
    """Return the network's hidden profile beside the plain one, and the shares it foretells."""
    inputs = [torch.tensor(history_features(past), dtype=torch.float32)]
    shares = torch.softmax(predict(net, inputs), 1).numpy()
    hidden = predict(net.profile, inputs).numpy()
    traits = np.hstack([plain_profile(past).traits, _standard(hidden)])
    return Profile(traits, np.log(shares / shares.mean(0)).astype(np.float32))


def no_profile(past: Past) -> Profile:
    """Return only what the till knows: activity and order value, nothing of what was bought."""
    return Profile(_standard(_basics(past)[:, :2]), np.zeros(past.counts.shape, np.float32))


# --- Response models: who clicks on what, and who then orders ------------------------------------

# By how much a logit falls with each ad lately seen: a guess, until a campaign tells.
FATIGUE = 0.02


@dataclass(frozen=True, eq=False)
class Rows:
    """A log as models read it; arrays of shape (n,).

    Attributes
    ----------
    customer, ad : int
    fatigue : float32
        Mean over the row's impressions.
    impressions, clicks, orders : float32
    mature : bool
        Where `orders` may be learned from.
    offset : (n, 2) float32
        What is known to be added to the logits of click and order.
    """

    customer: np.ndarray
    ad: np.ndarray
    fatigue: np.ndarray
    impressions: np.ndarray
    clicks: np.ndarray
    orders: np.ndarray
    mature: np.ndarray
    offset: np.ndarray

    @classmethod
    def none(cls) -> "Rows":
        """Return no rows."""
        no = np.zeros(0, np.float32)
        return cls(
            no.astype(int), no.astype(int), no, no, no, no, no.astype(bool), no.reshape(0, 2)
        )


@dataclass(frozen=True, eq=False)
class Banners:
    """What is left of an old log of random banners.

    Attributes
    ----------
    rows : Rows
        Every click, and some of the impressions without, which count for all of them.
    record : (2, 2, N, M) float32
        Of every customer with every ad: impressions and clicks, then clicks and orders.
    """

    rows: Rows
    record: np.ndarray

    def with_rows(self, rows: Rows, fatigue: float) -> np.ndarray:
        """Return the record with a campaign's rows; tired impressions count for less.

        Parameters
        ----------
        rows : Rows
        fatigue : float
            By how much a logit falls with each ad lately seen.

        Returns
        -------
        array of shape (2, 2, N, M), float32
        """
        record = self.record.copy()
        fresh = np.maximum(rows.impressions * np.exp(-fatigue * rows.fatigue), rows.clicks)
        counts = [fresh, rows.clicks, rows.clicks * rows.mature, rows.orders * rows.mature]
        for total, count in zip(record.reshape(4, *record.shape[2:]), counts, strict=True):
            np.add.at(total, (rows.customer, rows.ad), count)
        return record


def thin(log: ImpressionLog, shape: tuple[int, int], *, per_click: int = 1) -> Banners:
    """Turn a long log of random impressions in one slot into few rows, and a record.

    Parameters
    ----------
    log : ImpressionLog
        By a uniform policy.
    shape : (int, int)
        N customers, M ads.
    per_click : int
        Impressions without a click to keep for each with one.

    Returns
    -------
    Banners
    """
    hit, miss = np.flatnonzero(log.click), np.flatnonzero(~log.click)
    kept = miss[: per_click * len(hit)]
    at, size = np.concatenate([hit, kept]), len(hit)
    impressions = np.repeat([1, len(miss) / max(len(kept), 1)], [size, len(kept)])
    zero, mature = np.zeros(len(at), np.float32), np.ones(len(at), bool)
    numbers = [x.astype(np.float32) for x in (impressions, log.click[at], log.conversion[at])]
    customer, ad = log.customer[at].astype(int), log.creative[at].astype(int)
    cell = log.customer * np.int64(shape[1]) + log.creative
    counts = [
        np.bincount(some, minlength=shape[0] * shape[1]).astype(np.float32).reshape(shape)
        for some in (cell, cell[hit], cell[hit], cell[log.conversion])
    ]
    record, offset = np.stack(counts).reshape(2, 2, *shape), np.zeros((len(at), 2), np.float32)
    return Banners(Rows(customer, ad, zero, *numbers, mature, offset), record)


def as_rows(log: Log) -> Rows:
    """Return a campaign as models read it: a row per customer and week."""
    if not log.shown:
        return Rows.none()
    raw = log.rows()
    numbers = [raw[k].astype(np.float32) for k in ("impressions", "clicks", "conversions")]
    seen = (raw["fatigue"] + (raw["impressions"] - 1) / 2).astype(np.float32)
    mature = raw["week"] + LATEST <= len(log.shown)
    offset = np.zeros((len(seen), 2), np.float32)
    return Rows(raw["customer"], raw["creative"], seen, *numbers, mature, offset)


def shuffled(rows: Rows, rng: np.random.Generator) -> Rows:
    """Return rows whose outcomes were dealt out anew: who saw what says nothing any more."""
    order = rng.permutation(len(rows.ad))
    names = ("impressions", "clicks", "orders", "mature")
    return replace(rows, **{name: getattr(rows, name)[order] for name in names})


def shuffled_banners(banners: Banners, rng: np.random.Generator) -> Banners:
    """Return banners whose outcomes were dealt out anew among all customers and ads."""
    record = banners.record.reshape(4, -1)
    order = rng.permutation(record.shape[1])
    dealt = np.stack([part[order] for part in record]).reshape(banners.record.shape)
    return Banners(shuffled(banners.rows, rng), dealt)


class ResponseNets(nn.Module):
    """E networks side by side: a customer's code against an ad's embedding, for clicks and orders.

    The code reads the customer's traits and affinity to the ad's category, so that what the looks
    of an ad are worth may depend on the interest in its product.

    Parameters
    ----------
    members, traits, levels : int
        Networks; traits of a customer; levels of all attributes of an ad together.
    hidden, width : int
        Hidden units; width of codes and embeddings.
    """

    def __init__(self, members: int, traits: int, levels: int, *, hidden: int = 24, width: int = 6):
        super().__init__()
        reads = traits + 1
        self.inner = StackedLinear(torch.randn(members, reads, hidden) / reads**0.5)
        self.code = nn.Parameter(torch.randn(members, hidden + reads, 2 * width) / hidden**0.5)
        self.levels = nn.Parameter(0.1 * torch.randn(members, levels, 2 * width))
        self.appeal = nn.Parameter(torch.zeros(members, levels, 2))
        base = torch.tensor([-3.5, -2.5]).repeat(members, 1, 1)
        self.wide = StackedLinear(torch.zeros(members, reads, 2), base)
        self.tired = nn.Parameter(torch.full((members, 1), FATIGUE))

    def codes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Customer and category x (E, B, R) → codes (E, B, 2, W), wide logits (E, B, 2)."""
        hidden = torch.relu(self.inner(x))
        codes = torch.cat([hidden, x], 2) @ self.code
        return codes.unflatten(2, (2, -1)), self.wide(x)

    def ads(self, marks: Tensor) -> tuple[Tensor, Tensor]:
        """Levels of ads as 0 and 1, (E, B, L) → embeddings (E, B, 2, W), appeal (E, B, 2)."""
        return (marks @ self.levels).unflatten(2, (2, -1)), marks @ self.appeal

    def forward(self, x: Tensor, marks: Tensor, fatigue: Tensor) -> Tensor:
        """Pairs (E, B, R), ads (E, B, L), fatigue (E, B) → logits of click and order (E, B, 2)."""
        (code, wide), (embedding, appeal) = self.codes(x), self.ads(marks)
        logit = (code * embedding).sum(3) + wide + appeal
        return logit - torch.stack([self.tired * fatigue, torch.zeros_like(fatigue)], 2)


def response_loss(logits: Tensor, counts: Tensor) -> Tensor:
    """Return nats of clicks among impressions and of orders among mature clicks, a sum over rows.

    Parameters
    ----------
    logits : Tensor of shape (..., 2)
    counts : Tensor of shape (..., 4)
        Clicks, impressions without, orders, mature clicks without.
    """
    yes, no = counts[..., ::2], counts[..., 1::2]
    return ((yes + no) * softplus(logits) - yes * logits).sum()


class DeepResponse:
    """An ensemble of `ResponseNets` that goes on learning round by round.

    Every member starts from weights of its own and sees batches of its own; their logits are
    averaged.

    Parameters
    ----------
    profile : Profile
    menu : Menu
    members, first, steps, batch_size : int
        Networks, and steps of Adam at first and after each round.
    learning_rate, decay : float
        Adam's largest step, a third of it after the first fit, and the penalty of half the squared
        weights, in nats.
    seed : int
    """

    def __init__(
        self,
        profile: Profile,
        menu: Menu,
        *,
        members: int = 2,
        first: int = 300,
        steps: int = 60,
        batch_size: int = 512,
        learning_rate: float = 1e-2,
        decay: float = 60.0,
        hidden: int = 24,
        width: int = 6,
        seed: int = 0,
    ) -> None:
        torch.manual_seed(seed)
        self.traits, self.affinity = map(torch.as_tensor, (profile.traits, profile.affinity))
        self.category, self.marks = map(torch.as_tensor, (menu.levels()[:, 0], menu.marks()))
        self.members, self.decay, self.categories = members, decay, menu.categories
        sizes = {"hidden": hidden, "width": width}
        widths = profile.traits.shape[1], self.marks.shape[1]
        self.nets = ResponseNets(members, *widths, **sizes)
        free = {"inner.bias", "wide.bias", "tired"}
        held = [part for name, part in self.nets.named_parameters() if name not in free]
        others = [part for name, part in self.nets.named_parameters() if name in free]
        groups = [{"params": held}, {"params": others}]  # only the first one is penalised
        self.optimizer = torch.optim.Adam(groups, lr=learning_rate, fused=True)
        self.steps, self.rate = (first, steps), (learning_rate, learning_rate / 3)
        self.batch_size, self.rounds, self.old = batch_size, 0, None
        self.draws = torch.Generator().manual_seed(seed)

    def fit(self, old: Rows, new: Rows) -> None:
        """Train on batches from banners and from all that the campaign has brought so far."""
        self.old = self._tensors(old) if self.old is None else self.old
        customer, ad, seen = (
            torch.cat(pair) for pair in zip(self.old, self._tensors(new), strict=True)
        )
        later = min(self.rounds, 1)
        steps, rate = self.steps[later], self.rate[later]
        self.rounds += 1
        size = (self.members, self.batch_size)
        self.optimizer.param_groups[0]["weight_decay"] = self.decay / len(ad)
        for step in range(steps):
            for group in self.optimizer.param_groups:
                group["lr"] = rate * min(1, 2 * (1 - step / steps))
            drawn = torch.randint(len(ad), size, generator=self.draws).flatten()
            traits = self.traits.index_select(0, customer[drawn])
            marks = self.marks.index_select(0, ad[drawn]).unflatten(0, size)
            extra, tired, offset, outcome = seen.index_select(0, drawn).split([1, 1, 2, 4], 1)
            x = torch.cat([traits, extra], 1).unflatten(0, size)
            logits = self.nets(x, marks, tired.reshape(size)) + offset.unflatten(0, size)
            loss = response_loss(logits, outcome.unflatten(0, size))
            loss.div(self.batch_size).backward()
            self.optimizer.step()
            self.optimizer.zero_grad()

    def _tensors(self, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
        """Return customers, ads, and affinity, fatigue, offset and the four counts (n, 8)."""
        ad, customer = torch.as_tensor(rows.ad), torch.as_tensor(rows.customer)
        ripe, orders = rows.clicks * rows.mature, rows.orders * rows.mature
        counts = [rows.clicks, rows.impressions - rows.clicks, orders, ripe - orders]
        counts = np.maximum(np.stack(counts, 1), 0)
        near = self.affinity[customer, self.category[ad]]
        rest = np.hstack([rows.fatigue[:, None], rows.offset, counts])
        return customer, ad, torch.cat([near[:, None], torch.as_tensor(rest)], 1)

    @property
    def fatigue(self) -> float:
        """Return by how much a logit falls with each ad lately seen."""
        return float(self.nets.tired.detach().mean())

    @torch.no_grad()
    def logits(self) -> np.ndarray:
        """Return logits of the click of the rested and of the order after a click → (2, N, M)."""
        size = self.categories  # ads lie in order of their categories
        embedding, appeal = (part.unflatten(1, (size, -1)) for part in self.nets.ads(self.marks))
        x = torch.cat([self.traits, self.affinity[:, :1]], 1).repeat(self.members, 1, 1)
        found = torch.empty(2, len(self.traits), *embedding.shape[1:3])
        for category in range(size):
            x[:, :, -1] = self.affinity[:, category]
            code, wide = self.nets.codes(x)
            for k in range(2):
                ads = embedding[:, category, :, k].mT
                logit = torch.baddbmm(wide[:, :, k, None], code[:, :, k], ads).mean(0)
                found[k, :, category] = logit + appeal[:, category, :, k].mean(0)
        return found.flatten(2).numpy()


class LogisticResponse:
    """Two logistic regressions on products of a customer's traits with an ad's levels.

    Products of the level indicators with [1, traits], and the affinity to the ad's category alone,
    squared, and times each level. Ridge penalty; Newton's method. The banners are read once: with
    their curvature, what they taught is the prior for what the campaign brings.

    Parameters
    ----------
    profile : Profile
        `plain_profile`, or one without traits for effects that are the same for all.
    menu : Menu
    ridge : (float, float)
        Penalties for clicks and orders.
    personal : bool
        Without it, ads have the same effect on all.
    """

    def __init__(
        self,
        profile: Profile,
        menu: Menu,
        *,
        ridge: tuple[float, float] = (60.0, 150.0),
        personal: bool = True,
    ) -> None:
        self.marks, self.category = menu.marks(), menu.levels()[:, 0]
        self.manner = slice(menu.columns["category"].stop, None)  # all levels but the categories
        self.ridge, self.personal = ridge, personal
        self.traits, self.affinity = profile.traits, profile.affinity
        self.taught: list[tuple] = []

    def _products(self, customer: np.ndarray, ad: np.ndarray) -> np.ndarray:
        level, one = self.marks[ad], np.ones((len(ad), 1), np.float32)
        if not self.personal:
            return np.hstack([one, level])
        near = self.affinity[customer, self.category[ad]][:, None]
        traits = np.hstack([one, self.traits[customer]])
        products = (traits[:, :, None] * level[:, None]).reshape(len(ad), -1)
        return np.hstack([traits, near, near**2, near * level[:, self.manner], products])

    def fit(self, old: Rows, new: Rows) -> None:
        """Fit both models to the banners, once, and then to the campaign so far."""
        if not self.taught:
            self.taught = [self._newton(old, k, None) for k in range(2)]
        self.coef = [self._newton(new, k, self.taught[k])[0] for k in range(2)]

    def _newton(self, rows: Rows, k: int, taught: tuple | None) -> tuple[np.ndarray, np.ndarray]:
        at = np.flatnonzero(rows.mature & (rows.clicks > 0)) if k else np.arange(len(rows.ad))
        hits, trials = (rows.orders, rows.clicks) if k else (rows.clicks, rows.impressions)
        hits = np.minimum(hits, trials)

        def part(some: slice) -> tuple[np.ndarray, ...]:
            here = at[some]
            x = self._products(rows.customer[here], rows.ad[here])
            x = x if k else np.column_stack([x, -rows.fatigue[here]])
            return x, hits[here], trials[here], rows.offset[here, k]

        first = taught is None
        if first:
            x, ridge = part(slice(1))[0], self.ridge[k]
            penalty = np.diag(np.r_[1e-6, np.full(x.shape[1] - 1, ridge)])
            rate = (hits[at].sum() + 0.5) / (trials[at].sum() + 1)
            guess = np.r_[np.log(rate / (1 - rate)), np.zeros(x.shape[1] - 1)]
            guess[-1] = guess[-1] if k else FATIGUE  # banners come one by one and do not tire
            taught = guess, penalty
        return newton_logistic(part, len(at), *taught, strides=(8, 1) if first else (1, 1))

    @property
    def fatigue(self) -> float:
        """Return by how much a logit falls with each ad lately seen."""
        return float(self.coef[0][-1])

    def logits(self) -> np.ndarray:
        """Return logits of the click of the rested and of the order after a click → (2, N, M)."""
        level, found = self.marks, [coef.astype(np.float32) for coef in self.coef]
        found[0] = found[0][:-1]
        if not self.personal:
            alike = [[coef[0] + level @ coef[1:]] for coef in found]
            return np.broadcast_to(alike, (2, len(self.traits), len(level)))
        traits = np.column_stack([np.ones(len(self.traits), np.float32), self.traits])
        p, q, near = traits.shape[1], level.shape[1], self.affinity[:, self.category]
        manner = level[:, self.manner]
        ends = np.cumsum([p, 2, manner.shape[1]])  # as `_products` has them
        for k, coef in enumerate(found):
            alone, (first, square), tilt, rest = np.split(coef, ends)
            found[k] = traits @ (alone[:, None] + rest.reshape(p, q) @ level.T)
            found[k] += near * (first + manner @ tilt + square * near)
        return np.stack(found)


def newton_logistic(
    part: Callable[[slice], tuple[np.ndarray, ...]],
    size: int,
    mean: np.ndarray,
    precision: np.ndarray,
    *,
    strides: Sequence[int],
    block: int = 8_192,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a binomial logistic regression with a normal prior by Newton's method, block by block.

    Parameters
    ----------
    part : callable
        Gives inputs (b, Q), hits, trials and logits to be added (b,) of a slice of the rows.
    size : int
        Rows.
    mean, precision : arrays of shape (Q,) and (Q, Q)
        Of the prior; Newton starts at its mean.
    strides : sequence of int
        A step for each: on every s-th row, which then counts for s.
    block : int

    Returns
    -------
    coef : array of shape (Q,)
    precision : array of shape (Q, Q)
        Of the normal distribution that stands for the posterior, bent as before the last step.
    """
    coef, bend = mean, precision
    for stride in strides if size else ():
        slope, bend = -precision @ (coef - mean), precision.copy()
        for first in range(0, size, block * stride):
            x, hits, trials, offset = part(slice(first, first + block * stride, stride))
            chance = expit(x @ coef.astype(np.float32) + offset)
            slope += stride * (x.T @ (hits - trials * chance))
            root = np.sqrt(stride * trials * chance * (1 - chance))[:, None] * x
            bend += root.T @ root
        coef = coef + np.linalg.solve(bend, slope)
    return coef, bend


def inverses(matrices: np.ndarray) -> np.ndarray:
    """Return the inverse of each matrix (N, K, K), by PyTorch, which takes half of NumPy's time."""
    return torch.linalg.inv(torch.as_tensor(matrices)).numpy()


class RandomEffects:
    r"""A response model, and by how much every customer departs from it.

    To the model's logits comes :math:`x_c \cdot \beta_i`. On clicks x holds a constant, the ad's
    levels of category, tone and look, and the root of its discount; on orders a constant and the
    discount. The customer's own effects β, on both together, are normal around what is usual,
    :math:`\beta_i \sim N(\mu, \Sigma)`. With much on record, β follows the record, with little it
    stays near μ; what β does to clicks says by Σ something on orders, too. Expectation maximisation
    finds μ, Σ and each β, the likelihood being made normal around the latest β; no effect moves by
    more than 1 at a time. Banners teach the model alone; rows of the campaign are read
    beside the effects that chose their ads.

    Parameters
    ----------
    model : DeepResponse or LogisticResponse
    menu : Menu
    sweeps : int
        Steps of EM each time the likelihood is made normal, which the first fit does twice; later
        fits take one step. Without any, nobody departs from the model.
    variance : float
        Of every effect at first.

    References
    ----------
    Breslow & Clayton (1993), Approximate inference in generalized linear mixed models.
    Zhang et al. (2016), GLMix: generalized linear mixed models for large-scale response prediction.
    """

    def __init__(
        self,
        model: DeepResponse | LogisticResponse,
        menu: Menu,
        *,
        sweeps: int = 4,
        variance: float = 0.05,
    ) -> None:
        self.model, self.sweeps = model, sweeps
        marks, one = menu.marks(), np.ones((len(menu), 1), np.float32)
        shown = [marks[:, menu.columns[name]] for name in ("category", "tone", "look")]
        rate = DISCOUNT_RATES[menu.creatives().discount]
        root, rate = (_standard(x[:, None]) for x in (np.sqrt(rate), rate))
        self.x = [np.hstack([one, *shown, root]), np.hstack([one, rate])]
        size = sum(x.shape[1] for x in self.x)
        self.mean, self.cov = np.zeros(size), variance * np.eye(size)
        self.effects, self.logits = np.zeros((len(model.traits), size)), None

    @property
    def fitted(self) -> bool:
        """Return whether it has learned from anything yet."""
        return self.logits is not None

    @property
    def fatigue(self) -> float:
        """Return by how much a logit falls with each ad lately seen."""
        return self.model.fatigue

    def fit(self, banners: Banners, rows: Rows) -> None:
        """Fit the model, and then everybody's effects, to banners and the campaign so far."""
        rounds, sweeps = (1, min(self.sweeps, 1)) if self.fitted else (2, self.sweeps)
        self.model.fit(banners.rows, self._beside(rows))
        self.logits = self.model.logits()
        record = banners.with_rows(rows, self.fatigue)
        for _ in range(rounds if sweeps else 0):
            (slope, bend), start = self._around(record), self.effects
            for _ in range(sweeps):
                precision = np.linalg.inv(self.cov)
                spread = inverses(bend + precision)  # (N, K, K)
                pull = slope + precision @ self.mean
                step = np.einsum("nij,nj->ni", spread, pull) - start
                self.effects = start + np.clip(step, -1, 1)  # no leap beyond where it holds
                self.mean = self.effects.mean(0)
                self.cov = np.cov(self.effects.T, bias=True) + spread.mean(0)

    def _beside(self, rows: Rows) -> Rows:
        """Return rows with what the effects so far add: ads were chosen by these, too."""
        own = self.effects[rows.customer].astype(np.float32)
        pairs = zip(self.x, self._parts(), strict=True)
        added = [(own[:, part] * x[rows.ad]).sum(1) for x, part in pairs]
        return replace(rows, offset=np.stack(added, 1))

    def _around(self, record: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return slope (N, K) at 0 and curvature (N, K, K) of the record's likelihood."""
        n, size = self.effects.shape
        slope, bend = np.zeros((n, size)), np.zeros((n, size, size))
        for chance, x, part, (trials, hits) in zip(
            self.chances(), self.x, self._parts(), record, strict=True
        ):
            expected = trials * chance
            slope[:, part] = (hits - expected) @ x
            chance -= 1
            expected *= chance  # minus the variances
            i, j = np.triu_indices(x.shape[1])
            pairs = expected @ (x[:, i] * x[:, j])
            bend[:, i + part.start, j + part.start] = -pairs
            bend[:, j + part.start, i + part.start] = -pairs
        return slope + np.einsum("nij,nj->ni", bend, self.effects), bend

    def _parts(self) -> list[slice]:
        first = self.x[0].shape[1]
        return [slice(0, first), slice(first, None)]

    def chances(self) -> list[np.ndarray]:
        """Return the chances of a click of the rested, and of an order after a click.

        Returns
        -------
        list of two arrays of shape (N, M), float32
        """
        effects, found = self.effects.astype(np.float32), []
        for logit, x, part in zip(self.logits, self.x, self._parts(), strict=True):
            shifted = torch.as_tensor(logit + effects[:, part] @ x.T)
            found.append(shifted.sigmoid().numpy())  # faster than SciPy's
        return found


# --- Everything before the first round -----------------------------------------------------------


def study_customers(
    market: Market, *, weeks: int, banners: int, epochs: int, seed: int
) -> tuple[Past, Banners, Profile]:
    """Collect orders and random banners, and learn a profile from the orders.

    Parameters
    ----------
    market : Market
    weeks : int
        Length of the order history. The profile learns to foretell its last quarter.
    banners : int
        Random banners per customer.
    epochs, seed : int
        Of the profile's training.

    Returns
    -------
    Past, Banners, Profile
    """
    n, orders = market.n_customers, market.orders(weeks)
    past, cut = summarise(orders, n, weeks), 3 * weeks // 4
    early = summarise(orders[orders["week"] < cut], n, cut)
    net = learn_profile(early, past.counts - early.counts, epochs=epochs, seed=seed)
    log = market.impressions(Uniform(len(market.creatives)), banners * n)
    return past, thin(log, (n, len(market.creatives))), learned_profile(net, past)
