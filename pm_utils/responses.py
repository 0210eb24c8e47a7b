"""What a shop learns from behaviour: profiles from orders, response models from logs of ads.

Nothing here reads the market's truth.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, logsigmoid

from pm_utils.loop import Log
from pm_utils.market import DISCOUNT_RATES, ImpressionLog, Market, Uniform
from pm_utils.market.weeks import LATEST
from pm_utils.models.profile import UserProfileNet
from pm_utils.studio import TEXTS, Menu
from pm_utils.training import fit, predict

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
    counts = np.bincount(who * 12 + code, minlength=n_customers * 12).reshape(-1, 12)
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
    net = UserProfileNet(15, 64, 12, dropout=0.1)
    inputs = [torch.tensor(history_features(early), dtype=torch.float32)]
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
    return ((columns - columns.mean(0)) / np.maximum(columns.std(0), 1e-9)).astype(np.float32)


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
    return Profile(_standard(_basics(past)[:, :2]), np.zeros((len(past.rate), 12), np.float32))


# --- Response models: who clicks on what, and who then orders ------------------------------------


@dataclass(frozen=True, eq=False)
class Rows:
    """A log as models read it; arrays of shape (n,), one row per customer and week.

    Attributes
    ----------
    customer, ad : int
    habit : (n, 2) float32
        From `Tally.habits`, as of that round.
    fatigue : float32
        Mean over the week's impressions.
    impressions, clicks, orders : float32
    mature : bool
        Where `orders` may be learned from.
    """

    customer: np.ndarray
    ad: np.ndarray
    habit: np.ndarray
    fatigue: np.ndarray
    impressions: np.ndarray
    clicks: np.ndarray
    orders: np.ndarray
    mature: np.ndarray


@dataclass(frozen=True, eq=False)
class Banners:
    """What is left of an old log of random banners.

    Attributes
    ----------
    rows : Rows
        Of its last part, with the habits as of all before: every click, and some of the
        impressions without, which count for all of them.
    tally : Tally
        Of the whole log.
    discount : (M,) int
        Level of each ad.
    """

    rows: Rows
    tally: "Tally"
    discount: np.ndarray


class Tally:
    """What each customer did with ads so far, against what others did with ads like them.

    Parameters
    ----------
    n_customers : int
    """

    def __init__(self, n_customers: int) -> None:
        self.sums = np.zeros((5, n_customers))

    def add(
        self, customer: np.ndarray, discount: np.ndarray, shown: np.ndarray, clicks: np.ndarray
    ) -> None:
        """Count rows of a log; what is usual is the rate of clicks at the same discount in it."""
        hits, trials = (np.bincount(discount, x, minlength=5) for x in (clicks, shown))
        usual = shown * (hits / np.maximum(trials, 1))[discount]
        x = np.sqrt(DISCOUNT_RATES)[discount]
        for total, part in zip(
            self.sums, (clicks, usual, clicks * x, usual * x, usual * x**2), strict=True
        ):
            total += np.bincount(customer, part, minlength=len(total))

    def habits(self, *, prior: float = 1.0, steepness: float = 3.0) -> np.ndarray:
        r"""Return how much more each customer clicks than others, and how much more on discounts.

        The first is log((clicks + prior) / (usual clicks + prior)). The second is the slope of
        that in :math:`\sqrt d`: one Newton step from 0, with `steepness` as its prior precision.

        Returns
        -------
        array of shape (N, 2), float32
        """
        clicks, usual, clicks_x, usual_x, usual_xx = self.sums
        level = (clicks + prior) / (usual + prior)
        mean = usual_x / np.maximum(usual, 1e-9)
        known = level * (usual_xx - mean * usual_x)
        slope = (clicks_x - mean * clicks) / (known + steepness)
        return np.column_stack([np.log(level), slope]).astype(np.float32)


def thin(
    log: ImpressionLog,
    n_customers: int,
    discount: np.ndarray,
    *,
    last: float = 0.5,
    per_click: int = 1,
) -> Banners:
    """Turn a long log of random impressions in one slot into few rows.

    Parameters
    ----------
    log : ImpressionLog
        By a uniform policy.
    n_customers : int
    discount : array of shape (M,), int
        Level of each ad.
    last : float
        Share of the log, at its end, that becomes rows.
    per_click : int
        Impressions without a click to keep for each with one.

    Returns
    -------
    Banners
    """
    cut, tally = round((1 - last) * len(log)), Tally(n_customers)
    one, level = np.ones(len(log)), discount[log.creative]
    tally.add(log.customer[:cut], level[:cut], one[:cut], log.click[:cut])
    habit = tally.habits()
    tally.add(log.customer[cut:], level[cut:], one[cut:], log.click[cut:])
    hit, miss = (cut + np.flatnonzero(part) for part in (log.click[cut:], ~log.click[cut:]))
    kept = miss[: per_click * len(hit)]
    at, size = np.concatenate([hit, kept]), len(hit)
    impressions = np.repeat([1, len(miss) / max(len(kept), 1)], [size, len(kept)])
    customer, zero = log.customer[at].astype(int), np.zeros(len(at), np.float32)
    numbers = [x.astype(np.float32) for x in (impressions, log.click[at], log.conversion[at])]
    mature = np.ones(len(at), bool)
    rows = Rows(customer, log.creative[at].astype(int), habit[customer], zero, *numbers, mature)
    return Banners(rows, tally, discount)


def as_rows(log: Log, banners: Banners) -> tuple[Rows, np.ndarray]:
    """Return banners and campaign as models read them, and every customer's habits by now."""
    parts, tally = [banners.rows], deepcopy(banners.tally)
    habit = tally.habits()
    for week in range(0, len(log.shown), log.weeks):
        raw = log.rows(week, week + log.weeks)
        numbers = [raw[k].astype(np.float32) for k in ("impressions", "clicks", "conversions")]
        seen = (raw["fatigue"] + (raw["impressions"] - 1) / 2).astype(np.float32)
        then = habit[raw["customer"]]
        mature = raw["week"] + LATEST <= len(log.shown)
        parts.append(Rows(raw["customer"], raw["creative"], then, seen, *numbers, mature))
        tally.add(raw["customer"], banners.discount[raw["creative"]], *numbers[:2])
        habit = tally.habits()
    names = [field.name for field in fields(Rows)]
    return Rows(*(np.concatenate([getattr(part, k) for part in parts]) for k in names)), habit


def shuffled(rows: Rows, rng: np.random.Generator) -> Rows:
    """Return rows whose outcomes were dealt out anew: who saw what says nothing any more."""
    order = rng.permutation(len(rows.ad))
    names = ("impressions", "clicks", "orders", "mature")
    return replace(rows, **{name: getattr(rows, name)[order] for name in names})


class ResponseNets(nn.Module):
    """E networks side by side: a customer's code against an ad's embedding, for clicks and orders.

    The code reads the customer's traits, habits and affinity to the ad's category, so that what the
    looks of an ad are worth may depend on the interest in its product.

    Parameters
    ----------
    members, traits, levels : int
        Networks; traits of a customer; levels of all attributes of an ad together.
    hidden, width : int
        Hidden units; width of codes and embeddings.
    """

    def __init__(self, members: int, traits: int, levels: int, *, hidden: int = 24, width: int = 6):
        super().__init__()
        reads = traits + 3
        self.inner = nn.Parameter(torch.randn(members, reads, hidden) / reads**0.5)
        self.shift = nn.Parameter(torch.zeros(members, 1, hidden))
        self.code = nn.Parameter(torch.randn(members, hidden + reads, 2 * width) / hidden**0.5)
        self.levels = nn.Parameter(0.1 * torch.randn(members, levels, 2 * width))
        self.appeal = nn.Parameter(torch.zeros(members, levels, 2))
        self.wide = nn.Parameter(torch.zeros(members, reads, 2))
        self.tired = nn.Parameter(torch.full((members, 1), 0.02))
        self.base = nn.Parameter(torch.tensor([-3.5, -2.5]).repeat(members, 1, 1))

    def codes(self, x: Tensor, asked: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Customer and category x (E, B, R) → codes (e, B, 2, W), wide logits (e, B, 2)."""
        x = x[: len(asked)] if x.stride(0) == 0 else x
        shift, inner, code, wide, base = self._of(asked, "shift", "inner", "code", "wide", "base")
        hidden = torch.relu(torch.baddbmm(shift, x, inner))
        codes = torch.cat([hidden, x], 2) @ code
        return codes.unflatten(2, (2, -1)), torch.baddbmm(base, x, wide)

    def _of(self, asked: Sequence[int], *names: str) -> list[Tensor]:
        """Return parameters of the members that are asked; of all, without a copy."""
        parts = [getattr(self, name) for name in names]
        return parts if len(asked) == len(self.inner) else [part[asked] for part in parts]

    def codes_by_category(
        self, known: Tensor, affinity: Tensor, asked: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Return `codes` of customers (B, R - 1) with every category (B, 12), faster.

        Codes are (e, B, 12, 2, W), wide logits (e, B, 12, 2).
        """
        affinity, r = affinity[..., None], known.shape[1]
        shift, inner, code, wide, base = self._of(asked, "shift", "inner", "code", "wide", "base")
        first = known @ inner[:, :r] + shift  # (e, B, H)
        hidden = torch.relu(first[:, :, None] + affinity * inner[:, None, r:])  # (e, B, 12, H)
        h = inner.shape[2]
        total = (hidden.flatten(1, 2) @ code[:, :h]).unflatten(1, (-1, 12))
        total = total + (known @ code[:, h : h + r])[:, :, None] + affinity * code[:, None, h + r :]
        logit = (known @ wide[:, :r] + base)[:, :, None] + affinity * wide[:, None, r:]
        return total.unflatten(3, (2, -1)), logit

    def ads(self, marks: Tensor, asked: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Levels of ads as 0 and 1, (e, B, L) → embeddings (e, B, 2, W), appeal (e, B, 2)."""
        levels, appeal = self._of(asked, "levels", "appeal")
        return (marks @ levels).unflatten(2, (2, -1)), marks @ appeal

    def forward(self, x: Tensor, marks: Tensor, fatigue: Tensor) -> Tensor:
        """Pairs (E, B, R), ads (E, B, L), fatigue (E, B) → logits of click and order (E, B, 2)."""
        everyone = range(len(x))
        (code, wide), (embedding, appeal) = self.codes(x, everyone), self.ads(marks, everyone)
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
    return -(yes * logsigmoid(logits) + no * logsigmoid(-logits)).sum()


class DeepResponse:
    """An ensemble of `ResponseNets` that goes on learning round by round.

    Every member starts from weights of its own and sees batches of its own. Where data are
    scarce, they disagree.

    Parameters
    ----------
    profile : Profile
    menu : Menu
    members, steps, batch_size : int
        Networks, and steps of Adam after each round.
    learning_rate, decay : float
        Adam's largest step, and the penalty of half the squared weights, in nats.
    seed : int

    References
    ----------
    Lu & Van Roy (2017), Ensemble sampling, who also perturb the data.
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
        self.menu, self.members, self.decay = menu, members, decay
        sizes = {"hidden": hidden, "width": width}
        self.nets = ResponseNets(members, profile.traits.shape[1], 21 + menu.looks, **sizes)
        free = {"shift", "tired", "base"}
        held = [part for name, part in self.nets.named_parameters() if name not in free]
        others = [part for name, part in self.nets.named_parameters() if name in free]
        groups = [{"params": held}, {"params": others}]  # only the first one is penalised
        self.optimizer = torch.optim.Adam(groups, lr=learning_rate, fused=True)
        self.steps, self.batch_size, self.rate = [first, steps], batch_size, learning_rate
        self.rounds = 0
        self.draws = torch.Generator().manual_seed(seed)

    def fit(self, rows: Rows) -> None:
        """Train on batches from all that was seen so far."""
        ad, customer = torch.as_tensor(rows.ad), torch.as_tensor(rows.customer)
        near = self.affinity[customer, self.category[ad]]
        habit, fatigue = torch.as_tensor(rows.habit), torch.as_tensor(rows.fatigue)
        ripe = rows.clicks * rows.mature
        counts = [rows.clicks, rows.impressions - rows.clicks, rows.orders * rows.mature]
        counts = torch.as_tensor(np.stack([*counts, ripe - counts[2]], 1)).clamp(min=0)
        seen = torch.cat([habit, near[:, None], fatigue[:, None], counts], 1)  # one row, one copy
        steps = self.steps[min(self.rounds, 1)]
        self.rounds += 1
        size = (self.members, self.batch_size)
        self.optimizer.param_groups[0]["weight_decay"] = self.decay / len(ad)
        for step in range(steps):
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate * min(1, 2 * (1 - step / steps))
            drawn = torch.randint(len(ad), size, generator=self.draws).flatten()
            traits = self.traits.index_select(0, customer[drawn])
            marks = self.marks.index_select(0, ad[drawn]).unflatten(0, size)
            extra, tired, outcome = seen.index_select(0, drawn).split([3, 1, 4], 1)
            x = torch.cat([traits, extra], 1).unflatten(0, size)
            logits = self.nets(x, marks, tired.reshape(size))
            loss = response_loss(logits, outcome.unflatten(0, size))
            loss.div(self.batch_size).backward()
            self.optimizer.step()
            self.optimizer.zero_grad()

    @property
    def fitted(self) -> bool:
        """Return whether it has learned from anything yet."""
        return self.rounds > 0

    @property
    def fatigue(self) -> float:
        """Return by how much a logit falls with each ad lately seen."""
        return float(self.nets.tired.detach().mean())

    def choose_members(self, explore: float) -> np.ndarray:
        """Return whom to believe for each customer → (N,): -1, the mean of all, or one member."""
        n = len(self.traits)
        alone = torch.rand(n, generator=self.draws) < explore
        drawn = torch.randint(self.members, (n,), generator=self.draws)
        return torch.where(alone, drawn, -1).numpy()

    @torch.no_grad()
    def text_chances(
        self, habit: np.ndarray, who: np.ndarray, member: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return P(click) of the rested and P(order | click) on texts in the first look.

        Parameters
        ----------
        habit : array of shape (N, 2)
        who : array of shape (B,)
            Customers.
        member : int
            The network to ask, -1 for the mean logit of all.

        Returns
        -------
        arrays of shape (B, 240)
        """
        known = torch.cat([self.traits, torch.as_tensor(habit)], 1)[who]
        asked = range(self.members) if member < 0 else [member]
        code, wide = self.nets.codes_by_category(known, self.affinity[who], asked)
        embedding, appeal = self.nets.ads(self.marks[:: self.menu.looks], asked)
        found = []
        for k in range(2):
            c = code[:, :, :, k].transpose(1, 2)  # (E, 12, B, W)
            a = embedding[:, :, k].unflatten(1, (12, -1))  # (E, 12, 20, W)
            logit = (c @ a.mT).mean(0) + appeal[:, :, k].mean(0).reshape(12, 1, -1)
            logit += wide[..., k].mean(0).T[..., None]
            found.append(logit.sigmoid().transpose(0, 1).flatten(1).numpy())
        return tuple(found)

    @torch.no_grad()
    def chances(
        self, habit: np.ndarray, who: np.ndarray, ads: np.ndarray, member: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return both chances for pairs of customers (B,) and ads (B,), as `text_chances`."""
        asked = range(self.members) if member < 0 else [member]
        near = self.affinity[who, self.category[ads]][:, None]
        x = torch.cat([self.traits[who], torch.as_tensor(habit)[who], near], 1)
        code, wide = self.nets.codes(x.expand(self.members, -1, -1), asked)
        embedding, appeal = self.nets.ads(self.marks[ads], asked)
        logit = ((code * embedding).sum(3) + wide + appeal).mean(0)
        return tuple(logit.sigmoid().T.numpy())


class LogisticResponse:
    """Two logistic regressions on products of a customer's traits with an ad's levels.

    Products of the level indicators with [1, traits, habits], and the affinity to the ad's category
    alone, squared, and times each level. Ridge penalty; Newton's method, warm-started.

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
        self, profile: Profile, menu: Menu, *, ridge=(60.0, 150.0), personal: bool = True
    ) -> None:
        self.menu, self.ridge, self.personal = menu, ridge, personal
        self.traits, self.affinity = profile.traits, profile.affinity
        self.coef: list[np.ndarray | None] = [None, None]

    @property
    def fitted(self) -> bool:
        """Return whether it has learned from anything yet."""
        return self.coef[0] is not None

    def _products(self, customer, ad, habit) -> np.ndarray:
        level, one = self.menu.marks()[ad], np.ones((len(ad), 1), np.float32)
        if not self.personal:
            return np.hstack([one, level])
        near = self.affinity[customer, self.menu.levels()[ad, 0]][:, None]
        traits = np.hstack([one, self.traits[customer], habit])
        products = (traits[:, :, None] * level[:, None]).reshape(len(ad), -1)
        return np.hstack([traits, near, near**2, near * level[:, 12:], products])

    def fit(self, rows: Rows) -> None:
        """Fit both models to all that was seen so far."""
        z = self._products(rows.customer, rows.ad, rows.habit)
        tired = np.column_stack([z, -rows.fatigue])
        some = rows.mature & (rows.clicks > 0)
        data = [
            (tired, rows.clicks, rows.impressions),
            (z[some], np.minimum(rows.orders[some], rows.clicks[some]), rows.clicks[some]),
        ]
        for k, (inputs, hits, trials) in enumerate(data):
            settings = {"start": self.coef[k], "steps": 2 if self.coef[k] is None else 1}
            self.coef[k] = ridge_logistic(inputs, hits, trials, self.ridge[k], **settings)

    @property
    def fatigue(self) -> float:
        """Return by how much a logit falls with each ad lately seen."""
        return float(self.coef[0][-1])

    def choose_members(self, explore: float) -> np.ndarray:
        """Return -1 throughout: there is one model."""
        return np.full(len(self.traits), -1)

    def text_chances(
        self, habit: np.ndarray, who: np.ndarray, member: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return both chances on texts in the first look; see `DeepResponse.text_chances`."""
        level, found = self.menu.marks()[:: self.menu.looks], []
        for coef in (self.coef[0][:-1], self.coef[1]):
            coef = coef.astype(np.float32)
            logit = self._cross(coef, level, who, habit) if self.personal else level @ coef[1:]
            if not self.personal:
                logit = np.broadcast_to(logit + coef[0], (len(who), len(TEXTS)))
            found.append(1 / (1 + np.exp(-logit)))
        return tuple(found)

    def _cross(self, coef: np.ndarray, level: np.ndarray, who, habit) -> np.ndarray:
        traits = np.column_stack([np.ones(len(who)), self.traits[who], habit[who]])
        p, q = traits.shape[1], level.shape[1]
        alone, (near, square), rest = coef[:p], coef[p : p + 2], coef[p + 2 :]
        logit = (traits @ alone)[:, None] + traits @ rest[q - 12 :].reshape(p, q) @ level.T
        affinity = np.repeat(self.affinity[who], len(level) // 12, axis=1)
        return logit + affinity * (near + level[:, 12:] @ rest[: q - 12]) + square * affinity**2

    def chances(
        self, habit: np.ndarray, who: np.ndarray, ads: np.ndarray, member: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return both chances for pairs of customers (B,) and ads (B,)."""
        z = self._products(who, ads, habit[who])
        logits = z @ self.coef[0][:-1].astype(np.float32), z @ self.coef[1].astype(np.float32)
        return tuple(1 / (1 + np.exp(-logit)) for logit in logits)


def ridge_logistic(
    x: np.ndarray,
    hits: np.ndarray,
    trials: np.ndarray,
    ridge: float,
    *,
    start: np.ndarray | None = None,
    steps: int = 4,
) -> np.ndarray:
    """Fit a binomial logistic regression by Newton's method; column 0, the constant, goes free.

    Parameters
    ----------
    x : array of shape (n, Q)
    hits, trials : arrays of shape (n,)
    ridge : float
        Half of it times the squared coefficients is added to the loss, in nats.
    start : array of shape (Q,), optional
    steps : int

    Returns
    -------
    array of shape (Q,)
    """
    penalty = np.full(x.shape[1], ridge)
    penalty[0] = 1e-6
    if start is None:
        start = np.zeros(x.shape[1])
        rate = (hits.sum() + 0.5) / (trials.sum() + 1)
        start[0] = np.log(rate / (1 - rate))
    coef = start.copy()
    for _ in range(steps):
        chance = 1 / (1 + np.exp(-(x @ coef.astype(np.float32)).astype(float)))
        slope = x.T @ (hits - trials * chance).astype(np.float32) - penalty * coef
        root = np.sqrt(trials * chance * (1 - chance)).astype(np.float32)[:, None] * x
        bend = (root.T @ root).astype(float) + np.diag(penalty)
        coef = coef + np.linalg.solve(bend, slope)
    return coef


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
    return past, thin(log, n, market.creatives.discount), learned_profile(net, past)
