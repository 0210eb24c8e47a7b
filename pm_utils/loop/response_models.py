"""Models of who responds to which ad, learned from logs.

Nothing here reads the market's truth."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from pm_utils.learning.newton import inverses, newton_logistic
from pm_utils.learning.stacked import StackedLinear
from pm_utils.learning.standardise import standard_scores
from pm_utils.learning.training import History
from pm_utils.loop.ad_menu import AdCatalogue
from pm_utils.loop.customer_profiles import Profile
from pm_utils.loop.response_data import ExplorationLog, ResponseLog
from pm_utils.market import DISCOUNT_RATES

# By how much a logit falls with each ad lately seen: a guess, until a campaign tells.
FATIGUE = 0.02

# Weights of `ResponseNets`: of products of customers and ads, and of what either does by itself.
OF_PRODUCTS, OF_SINGLES = ("code", "levels"), ("inner.weight", "wide.weight", "appeal")


class ResponseNets(nn.Module):
    """E networks side by side: a customer's code against an ad's embedding, for clicks and orders.

    A hidden layer reads the customer's traits and affinity to the ad's category. From it and from
    what it reads come the code, so that what the looks of an ad are worth may depend on the
    interest in its product, and what the customer does with any ad of the category.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    members, traits, levels : int
        Networks; traits of a customer; levels of all attributes of an ad together.
    hidden, width : int
        Hidden units; width of codes and embeddings.

    Examples
    --------
    >>> import torch
    >>> from pm_utils.loop.response_models import ResponseNets
    >>> nets = ResponseNets(members=2, traits=5, levels=27)
    >>> pairs, ads = torch.zeros(2, 3, 6), torch.zeros(2, 3, 27)  # a batch of 3 for each network
    >>> fresh, tired = (nets(pairs, ads, torch.full((2, 3), f)) for f in (0.0, 10.0))
    >>> fresh.shape
    torch.Size([2, 3, 2])
    >>> [round(x, 3) for x in (fresh - tired)[0, 0].tolist()]  # no fatigue after a click
    [0.2, 0.0]
    """

    def __init__(self, members: int, traits: int, levels: int, *, hidden: int = 24, width: int = 6):
        super().__init__()
        reads = traits + 1
        self.inner = StackedLinear(torch.randn(members, reads, hidden) / reads**0.5)
        self.code = nn.Parameter(torch.randn(members, hidden + reads, 2 * width) / hidden**0.5)
        self.levels = nn.Parameter(0.1 * torch.randn(members, levels, 2 * width))
        self.appeal = nn.Parameter(torch.zeros(members, levels, 2))
        base = torch.tensor([-3.5, -2.5]).repeat(members, 1, 1)
        self.wide = StackedLinear(torch.zeros(members, hidden + reads, 2), base)
        self.fatigue_effect = nn.Parameter(torch.full((members, 1), FATIGUE))

    @property
    def shape(self) -> tuple[torch.Size, ...]:
        """Return the shapes of all weights of one network."""
        return tuple(weight.shape[1:] for weight in self.parameters())

    @classmethod
    def joined(cls, parts: Sequence["ResponseNets"]) -> "ResponseNets":
        """Return one set with copies of the networks of several sets, one after another."""
        whole = deepcopy(parts[0])
        for weight, *others in zip(*(part.parameters() for part in [whole, *parts]), strict=True):
            weight.data = torch.cat([other.detach() for other in others])
        return whole

    @torch.no_grad()
    def write_back(self, parts: Sequence["ResponseNets"]) -> None:
        """Copy the weights back to the sets that were `joined`."""
        for weight, *others in zip(*(part.parameters() for part in [self, *parts]), strict=True):
            for other, own in zip(others, weight.split([len(o) for o in others]), strict=True):
                other.copy_(own)

    def encode_customers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Customer and category x (E, B, R) → codes (E, B, 2, W), wide logits (E, B, 2)."""
        known = torch.cat([torch.tanh(self.inner(x)), x], 2)
        return (known @ self.code).unflatten(2, (2, -1)), self.wide(known)

    def embed_ads(self, one_hot: Tensor) -> tuple[Tensor, Tensor]:
        """Levels of ads as 0 and 1, (E, B, L) → embeddings (E, B, 2, W), appeal (E, B, 2)."""
        return (one_hot @ self.levels).unflatten(2, (2, -1)), one_hot @ self.appeal

    def forward(self, x: Tensor, one_hot: Tensor, fatigue: Tensor) -> Tensor:
        """Pairs (E, B, R), ads (E, B, L), fatigue (E, B) → logits of click and order (E, B, 2)."""
        (code, wide), (embedding, appeal) = self.encode_customers(x), self.embed_ads(one_hot)
        logit = (code * embedding).sum(3) + wide + appeal
        return logit - torch.stack([self.fatigue_effect * fatigue, torch.zeros_like(fatigue)], 2)


def response_loss(logits: Tensor, counts: Tensor) -> Tensor:
    """Return nats of clicks among impressions and of orders among mature clicks, a sum over rows.

    Parameters
    ----------
    logits : Tensor of shape (..., 2)
    counts : Tensor of shape (..., 4)
        Clicks, impressions without, orders, mature clicks without.

    Examples
    --------
    A logit of 0 costs log 2 = 0.693 for each click, impression without, order and click without.

    >>> import torch
    >>> from pm_utils.loop.response_models import response_loss
    >>> counts = torch.tensor([[1.0, 3.0, 0.0, 1.0]])
    >>> round(response_loss(torch.zeros(1, 2), counts).item(), 3)
    3.466
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
    menu : AdCatalogue
    members, first_steps, steps, batch_size : int
        Networks, and steps of Adam at first and after each round.
    learning_rate : float
        Adam's largest step, a third of it after the first fit.
    weight_decay, single_decay : float
        The penalty of half the squared weights, in nats: of all that makes products of customers
        and ads, and of the hidden layer and what either does by itself, which few rows can tell.
    seed : int

    Examples
    --------
    Of two customers, the first clicked nine times on the first ad, the other never on the last.

    >>> import numpy as np
    >>> from pm_utils.loop.ad_menu import AdCatalogue
    >>> from pm_utils.loop.customer_profiles import Profile
    >>> from pm_utils.loop.response_data import ResponseLog
    >>> from pm_utils.loop.response_models import DeepResponse
    >>> profile = Profile(np.zeros((2, 3), np.float32), np.zeros((2, 12), np.float32))
    >>> nine, clicks, none = np.full(2, 9.0), np.array([9.0, 0.0]), np.zeros(2)
    >>> numbers = [x.astype(np.float32) for x in (none, nine, clicks, none)]
    >>> mature, offset = np.ones(2, bool), np.zeros((2, 2), np.float32)
    >>> rows = ResponseLog(np.array([0, 1]), np.array([0, 239]), *numbers, mature, offset)
    >>> model = DeepResponse(profile, AdCatalogue.of(1), first_steps=20, weight_decay=0.0)
    >>> model.fit(rows, ResponseLog.empty())
    >>> click, order = model.logits()
    >>> click.shape
    (2, 240)
    >>> bool(click[0, 0] > click[1, 239])
    True
    """

    def __init__(
        self,
        profile: Profile,
        menu: AdCatalogue,
        *,
        members: int = 2,
        first_steps: int = 300,
        steps: int = 60,
        batch_size: int = 512,
        learning_rate: float = 1e-2,
        weight_decay: float = 60.0,
        single_decay: float = 12.0,
        hidden: int = 24,
        width: int = 6,
        seed: int = 0,
    ) -> None:
        torch.manual_seed(seed)
        self.traits, self.affinity = map(torch.as_tensor, (profile.traits, profile.affinity))
        self.category, self.one_hot = map(torch.as_tensor, (menu.codes()[:, 0], menu.one_hot()))
        self.members, self.categories = members, menu.categories
        self.weight_decay = weight_decay, single_decay
        sizes = {"hidden": hidden, "width": width}
        widths = profile.traits.shape[1], self.one_hot.shape[1]
        self.nets = ResponseNets(members, *widths, **sizes)
        self.steps, self.rate = (first_steps, steps), (learning_rate, learning_rate / 3)
        self.batch_size, self.rounds, self.old = batch_size, 0, None
        self.generator = torch.Generator().manual_seed(seed)
        self.history = History()

    def fit(
        self,
        old: ResponseLog,
        new: ResponseLog,
        *,
        callback: Callable[[int], None] | None = None,
    ) -> None:
        """Train on batches from banners and from all that the campaign has brought so far.

        Parameters
        ----------
        old, new : ResponseLog
        callback : callable, optional
            Called after each step with its number, counted from 1.

        Raises
        ------
        ValueError
            When there is no row, or one is of another customer or ad.
        """
        fit_side_by_side([self], [(old, new)], callback=callback)

    def rows_to_read(self, old: ResponseLog, new: ResponseLog) -> tuple[Tensor, Tensor, Tensor]:
        """Return banners, which are read once, and the campaign's rows as tensors.

        Raises
        ------
        ValueError
            When there is no row, or one is of another customer or ad.
        """
        for rows in (old, new):
            rows.within(len(self.traits), len(self.one_hot))
        if not len(old.ad) + len(new.ad):
            raise ValueError("no banners and no rows of the campaign: there is nothing to learn")
        self.old = self._tensors(old) if self.old is None else self.old
        pairs = zip(self.old, self._tensors(new), strict=True)
        customer, ad, columns = (torch.cat(pair) for pair in pairs)
        return customer, ad, columns

    @torch.no_grad()
    def loss(self, rows: ResponseLog) -> float:
        """Return nats per impression: of clicks, and of orders after old enough clicks.

        Raises
        ------
        ValueError
            When there is no row, or one is of another customer or ad.
        """
        rows.within(len(self.traits), len(self.one_hot))
        if not len(rows.ad):
            raise ValueError("no rows: there is no loss")
        customer, ad, columns = self._tensors(rows)
        affinity, fatigue, offset, outcome = columns.split([1, 1, 2, 4], 1)
        x = torch.cat([self.traits[customer], affinity], 1).expand(self.members, -1, -1)
        one_hot = self.one_hot[ad].expand(self.members, -1, -1)
        logits = self.nets(x, one_hot, fatigue[:, 0].expand(self.members, -1)).mean(0) + offset
        return float(response_loss(logits, outcome) / rows.impressions.sum())

    def _tensors(self, rows: ResponseLog) -> tuple[Tensor, Tensor, Tensor]:
        """Return customers, ads, and affinity, fatigue, offset and the four counts (n, 8)."""
        ad, customer = torch.as_tensor(rows.ad), torch.as_tensor(rows.customer)
        mature_clicks, orders = rows.clicks * rows.mature, rows.orders * rows.mature
        counts = [rows.clicks, rows.impressions - rows.clicks, orders, mature_clicks - orders]
        counts = np.maximum(np.stack(counts, 1), 0)
        affinity = self.affinity[customer, self.category[ad]]
        rest = np.hstack([rows.fatigue[:, None], rows.offset, counts])
        return customer, ad, torch.cat([affinity[:, None], torch.as_tensor(rest)], 1)

    @property
    def fatigue_effect(self) -> float:
        """Return by how much a logit falls with each ad lately seen."""
        return float(self.nets.fatigue_effect.detach().mean())

    @torch.no_grad()
    def logits(self) -> np.ndarray:
        """Return logits of the click of the rested and of the order after a click → (2, N, M)."""
        size = self.categories  # ads lie in order of their categories
        ads = self.nets.embed_ads(self.one_hot)
        embedding, appeal = (part.unflatten(1, (size, -1)) for part in ads)
        x = torch.cat([self.traits, self.affinity[:, :1]], 1).repeat(self.members, 1, 1)
        found = torch.empty(2, len(self.traits), *embedding.shape[1:3])
        for category in range(size):
            x[:, :, -1] = self.affinity[:, category]
            code, wide = self.nets.encode_customers(x)
            for k in range(2):
                ads = embedding[:, category, :, k].mT
                logit = torch.baddbmm(wide[:, :, k, None], code[:, :, k], ads).mean(0)
                found[k, :, category] = logit + appeal[:, category, :, k].mean(0)
        return found.flatten(2).numpy()


def fit_side_by_side(
    models: Sequence[DeepResponse],
    logs: Sequence[tuple[ResponseLog, ResponseLog]],
    *,
    callback: Callable[[int], None] | None = None,
) -> None:
    """Fit models that do not know each other, in one pass: each as `DeepResponse.fit` would.

    All networks are laid side by side, as the members of one large `ResponseNets`, each with
    batches from its own log and with its own penalty. That takes a fraction of the time.

    Parameters
    ----------
    models : sequence of DeepResponse
        With one menu and equal layers, steps and batches, all of them new or none.
    logs : sequence of (ResponseLog, ResponseLog)
        Banners and campaign, for each.
    callback : callable, optional
        As in `DeepResponse.fit`.

    Raises
    ------
    ValueError
        When there is no model, or not a log for each; when the models differ in what they have to
        share; when one has no row, or a row is of another customer or ad.

    Examples
    --------
    Two models of one shop, which believe in their rows more or less.

    >>> import numpy as np
    >>> from pm_utils.loop.ad_menu import AdCatalogue
    >>> from pm_utils.loop.customer_profiles import Profile
    >>> from pm_utils.loop.response_data import ResponseLog
    >>> from pm_utils.loop.response_models import DeepResponse, fit_side_by_side
    >>> profile = Profile(np.zeros((2, 3), np.float32), np.zeros((2, 12), np.float32))
    >>> nine, clicks, none = np.full(2, 9.0), np.array([9.0, 0.0]), np.zeros(2)
    >>> numbers = [x.astype(np.float32) for x in (none, nine, clicks, none)]
    >>> mature, offset = np.ones(2, bool), np.zeros((2, 2), np.float32)
    >>> rows = ResponseLog(np.array([0, 1]), np.array([0, 239]), *numbers, mature, offset)
    >>> shop, quick = (profile, AdCatalogue.of(1)), {"members": 1, "first_steps": 50}
    >>> models = [DeepResponse(*shop, **quick, weight_decay=decay) for decay in (1.0, 100.0)]
    >>> fit_side_by_side(models, [(rows, ResponseLog.empty())] * 2)
    >>> believing, doubting = (model.logits()[0] for model in models)
    >>> bool(np.ptp(believing) > np.ptp(doubting))
    True
    """
    if not models:
        raise ValueError("models is empty: give at least one")
    settings = {(m.steps, m.rate, m.batch_size, min(m.rounds, 1), m.nets.shape) for m in models}
    if len(settings) != 1:
        raise ValueError(f"models differ in steps, batches or layers: {settings}; give equal ones")
    if any(not torch.equal(m.one_hot, models[0].one_hot) for m in models):
        raise ValueError("models read different menus: give models of one and the same")
    (steps, rate, batch_size, later, _), *_ = settings
    steps, rate = steps[later], rate[later]
    read = [model.rows_to_read(*log) for model, log in zip(models, logs, strict=True)]
    rows = [len(ad) for _, ad, _ in read]
    first_row, first_customer = _starts(rows), _starts([len(model.traits) for model in models])
    customer = torch.cat([part[0] + at for part, at in zip(read, first_customer, strict=True)])
    ad, columns = (torch.cat([part[k] for part in read]) for k in (1, 2))
    traits, table = torch.cat([model.traits for model in models]), models[0].one_hot
    nets = models[0].nets if len(models) == 1 else ResponseNets.joined([m.nets for m in models])
    penalties = _penalties(nets, models, rows)
    optimizer = torch.optim.Adam(nets.parameters(), lr=rate, fused=True)
    size = (sum(model.members for model in models), batch_size)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * min(1, 2 * (1 - step / steps))
        draws = [
            at + torch.randint(n, (model.members, batch_size), generator=model.generator)
            for model, n, at in zip(models, rows, first_row, strict=True)
        ]
        batch = torch.cat(draws).flatten()
        one_hot = table.index_select(0, ad[batch]).unflatten(0, size)
        chosen = columns.index_select(0, batch)
        affinity, fatigue, offset, outcome = chosen.split([1, 1, 2, 4], 1)
        x = torch.cat([traits.index_select(0, customer[batch]), affinity], 1).unflatten(0, size)
        logits = nets(x, one_hot, fatigue.reshape(size)) + offset.unflatten(0, size)
        loss = response_loss(logits, outcome.unflatten(0, size))
        loss.div(batch_size).backward()
        for weight, penalty in penalties:  # half of the squared weights, differentiated
            weight.grad.addcmul_(penalty, weight.detach())
        optimizer.step()
        optimizer.zero_grad()
        if callback is not None:
            callback(step + 1)
    if len(models) > 1:
        nets.write_back([model.nets for model in models])
    for model in models:
        model.rounds += 1
        model.history.steps += steps
        model.history.rows += steps * batch_size


def _starts(sizes: Sequence[int]) -> list[int]:
    """Return where each of some parts begins when they lie one after the other."""
    return [0, *np.cumsum(sizes)[:-1].tolist()]


def _penalties(
    nets: ResponseNets, models: Sequence[DeepResponse], rows: Sequence[int]
) -> list[tuple[nn.Parameter, Tensor]]:
    """Return each weight that is penalised, and how much of it goes to the gradient: (E, 1, 1)."""
    named, found = dict(nets.named_parameters()), []
    for k, names in enumerate((OF_PRODUCTS, OF_SINGLES)):
        decays = [
            model.weight_decay[k] / n
            for model, n in zip(models, rows, strict=True)
            for _ in range(model.members)
        ]
        penalty = torch.tensor(decays)[:, None, None]
        found += [(named[name], penalty) for name in names]
    return found


class LogisticResponse:
    """Two logistic regressions on products of a customer's traits with an ad's levels.

    Products of the level indicators with [1, traits], and the affinity to the ad's category alone,
    squared, and times each level. Ridge penalty; Newton's method. The banners are read once: with
    their curvature, what they taught is the prior for what the campaign brings.

    Parameters
    ----------
    profile : Profile
        `plain_profile`, or one without traits for effects that are the same for all.
    menu : AdCatalogue
    ridge : (float, float)
        Penalties for clicks and orders, of what ads and customers do by themselves.
    interaction : float
        By how much the penalty of a product of a trait and a level is larger.
    personal : bool
        Without it, ads have the same effect on all.

    Examples
    --------
    Nobody knows the customers, but clicks on the first ad say something on all ads of its category.

    >>> import numpy as np
    >>> from pm_utils.loop.ad_menu import AdCatalogue
    >>> from pm_utils.loop.customer_profiles import Profile
    >>> from pm_utils.loop.response_data import ResponseLog
    >>> from pm_utils.loop.response_models import LogisticResponse
    >>> profile = Profile(np.zeros((2, 3), np.float32), np.zeros((2, 12), np.float32))
    >>> nine, clicks, none = np.full(2, 9.0), np.array([9.0, 0.0]), np.zeros(2)
    >>> numbers = [x.astype(np.float32) for x in (none, nine, clicks, none)]
    >>> mature, offset = np.ones(2, bool), np.zeros((2, 2), np.float32)
    >>> rows = ResponseLog(np.array([0, 1]), np.array([0, 239]), *numbers, mature, offset)
    >>> model = LogisticResponse(profile, AdCatalogue.of(1), ridge=(1.0, 1.0), personal=False)
    >>> model.fit(rows, ResponseLog.empty())
    >>> click, order = model.logits()
    >>> (click[0, [0, 5, 234]] > click[0, [100, 105, 114]]).tolist()  # alike, but of category 5
    [True, True, False]
    """

    def __init__(
        self,
        profile: Profile,
        menu: AdCatalogue,
        *,
        ridge: tuple[float, float] = (12.0, 30.0),
        interaction: float = 25.0,
        personal: bool = True,
    ) -> None:
        self.one_hot, self.category = menu.one_hot(), menu.codes()[:, 0]
        self.other_levels = slice(menu.columns["category"].stop, None)  # all but the categories
        self.ridge, self.interaction, self.personal = ridge, interaction, personal
        self.traits, self.affinity = profile.traits, profile.affinity
        self.prior: list[tuple] = []

    def _products(self, customer: np.ndarray, ad: np.ndarray) -> np.ndarray:
        level, one = self.one_hot[ad], np.ones((len(ad), 1), np.float32)
        if not self.personal:
            return np.hstack([one, level])
        affinity = self.affinity[customer, self.category[ad]][:, None]
        traits = np.hstack([one, self.traits[customer]])
        products = (traits[:, :, None] * level[:, None]).reshape(len(ad), -1)
        other = affinity * level[:, self.other_levels]
        return np.hstack([traits, affinity, affinity**2, other, products])

    def fit(self, old: ResponseLog, new: ResponseLog) -> None:
        """Fit both models to the banners, once, and then to the campaign so far.

        Raises
        ------
        ValueError
            When a row is of another customer or ad.
        """
        for rows in (old, new):
            rows.within(len(self.traits), len(self.one_hot))
        if not self.prior:
            self.prior = [self._newton(old, k, None) for k in range(2)]
        self.coef = [self._newton(new, k, self.prior[k])[0] for k in range(2)]

    def _newton(
        self, rows: ResponseLog, k: int, prior: tuple | None
    ) -> tuple[np.ndarray, np.ndarray]:
        at = np.flatnonzero(rows.mature & (rows.clicks > 0)) if k else np.arange(len(rows.ad))
        hits, trials = (rows.orders, rows.clicks) if k else (rows.clicks, rows.impressions)
        hits = np.minimum(hits, trials)

        def part(some: slice) -> tuple[np.ndarray, ...]:
            here = at[some]
            x = self._products(rows.customer[here], rows.ad[here])
            x = x if k else np.column_stack([x, -rows.fatigue[here]])
            return x, hits[here], trials[here], rows.offset[here, k]

        first = prior is None
        if first:
            x = part(slice(1))[0]
            penalty = np.diag(np.r_[1e-6, self.ridge[k] * self._weights(x.shape[1])[1:]])
            rate = (hits[at].sum() + 0.5) / (trials[at].sum() + 1)
            mean = np.r_[np.log(rate / (1 - rate)), np.zeros(x.shape[1] - 1)]
            mean[-1] = mean[-1] if k else FATIGUE  # banners come one by one and do not tire
            prior = mean, penalty
        return newton_logistic(part, len(at), *prior, strides=(8, 8, 1, 1) if first else (1, 1))

    def _weights(self, columns: int) -> np.ndarray:
        """Return the penalties of all coefficients, in multiples of that of a main effect."""
        weights = np.ones(columns)
        if self.personal:  # the columns of `_products`
            levels = self.one_hot.shape[1]
            first = self.traits.shape[1] + 3  # after the constant, the traits, affinity, its square
            last = first + levels - self.other_levels.start  # affinity times levels
            weights[first:last] = self.interaction
            weights[last + levels : last + (self.traits.shape[1] + 1) * levels] = self.interaction
        return weights

    @property
    def fatigue_effect(self) -> float:
        """Return by how much a logit falls with each ad lately seen."""
        return float(self.coef[0][-1])

    def logits(self) -> np.ndarray:
        """Return logits of the click of the rested and of the order after a click → (2, N, M)."""
        level, found = self.one_hot, [coef.astype(np.float32) for coef in self.coef]
        found[0] = found[0][:-1]
        if not self.personal:
            alike = [[coef[0] + level @ coef[1:]] for coef in found]
            return np.broadcast_to(alike, (2, len(self.traits), len(level)))
        traits = np.column_stack([np.ones(len(self.traits), np.float32), self.traits])
        p, q, affinity = traits.shape[1], level.shape[1], self.affinity[:, self.category]
        other_levels = level[:, self.other_levels]
        ends = np.cumsum([p, 2, other_levels.shape[1]])  # as `_products` has them
        for k, coef in enumerate(found):
            alone, (first, square), tilt, rest = np.split(coef, ends)
            found[k] = traits @ (alone[:, None] + rest.reshape(p, q) @ level.T)
            found[k] += affinity * (first + other_levels @ tilt + square * affinity)
        return np.stack(found)


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

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    model : DeepResponse or LogisticResponse
    menu : AdCatalogue
    em_steps : int
        Steps of EM each time the likelihood is made normal, which the first fit does twice; later
        fits take one step. Without any, nobody departs from the model.
    variance : float
        Of every effect at first.

    References
    ----------
    Breslow & Clayton (1993), Approximate inference in generalized linear mixed models.
    Zhang et al. (2016), GLMix: generalized linear mixed models for large-scale response prediction.

    Examples
    --------
    Both customers have the same traits. After nine impressions of every ad the first has clicked
    five times on each, the other never: each departs from the model to his side.

    >>> import numpy as np
    >>> from pm_utils.loop.ad_menu import AdCatalogue
    >>> from pm_utils.loop.customer_profiles import Profile
    >>> from pm_utils.loop.response_data import ExplorationLog, ResponseLog
    >>> from pm_utils.loop.response_models import LogisticResponse, RandomEffects
    >>> menu, none = AdCatalogue.of(1), ResponseLog.empty()
    >>> profile = Profile(np.zeros((2, 1), np.float32), np.zeros((2, 12), np.float32))
    >>> record = np.zeros((2, 2, 2, 240), np.float32)
    >>> record[0, 0], record[0, 1, 0] = 9, 5
    >>> effects = RandomEffects(LogisticResponse(profile, menu, personal=False), menu)
    >>> effects.fit(ExplorationLog(none, record), none)
    >>> click, order = effects.probabilities()
    >>> bool((click[0] > 0.5).all() and (click[1] < 0.5).all())
    True
    """

    def __init__(
        self,
        model: DeepResponse | LogisticResponse,
        menu: AdCatalogue,
        *,
        em_steps: int = 4,
        variance: float = 0.05,
    ) -> None:
        self.model, self.em_steps = model, em_steps
        one_hot, one = menu.one_hot(), np.ones((len(menu), 1), np.float32)
        shown = [one_hot[:, menu.columns[name]] for name in ("category", "tone", "look")]
        rate = DISCOUNT_RATES[menu.creatives().discount]
        root, rate = (standard_scores(x[:, None]).numpy() for x in (np.sqrt(rate), rate))
        self.x = [np.hstack([one, *shown, root]), np.hstack([one, rate])]
        size = sum(x.shape[1] for x in self.x)
        self.mean, self.cov = np.zeros(size), variance * np.eye(size)
        self.effects, self.logits = np.zeros((len(model.traits), size)), None

    @property
    def fitted(self) -> bool:
        """Return whether it has learned from anything yet."""
        return self.logits is not None

    @property
    def fatigue_effect(self) -> float:
        """Return by how much a logit falls with each ad lately seen."""
        return self.model.fatigue_effect

    def fit(
        self, banners: ExplorationLog, rows: ResponseLog, *, model_is_fitted: bool = False
    ) -> None:
        """Fit the model, and then everybody's effects, to banners and the campaign so far.

        Parameters
        ----------
        banners : ExplorationLog
        rows : ResponseLog
        model_is_fitted : bool
            Fit the effects only: the model has read all this, as by `fit_side_by_side`.

        Raises
        ------
        ValueError
            When a row is of another customer or ad, or the banners' record is of others.
        """
        shape = len(self.effects), len(self.x[0])
        rows.within(*shape)
        if banners.record.shape[2:] != shape:
            raise ValueError(f"record has shape {banners.record.shape}: give (2, 2, *{shape})")
        rounds, em_steps = (1, min(self.em_steps, 1)) if self.fitted else (2, self.em_steps)
        if not model_is_fitted:
            self.model.fit(banners.rows, self._with_offset(rows))
        self.logits = self.model.logits()
        record = banners.with_rows(rows, self.fatigue_effect)
        for _ in range(rounds if em_steps else 0):
            (gradient, hessian), start = self._gradient_and_hessian(record), self.effects
            for _ in range(em_steps):
                precision = np.linalg.inv(self.cov)
                covariance = inverses(hessian + precision)  # (N, K, K)
                pull = gradient + precision @ self.mean
                step = np.einsum("nij,nj->ni", covariance, pull) - start
                self.effects = start + np.clip(step, -1, 1)  # no leap beyond where it holds
                self.mean = self.effects.mean(0)
                self.cov = np.cov(self.effects.T, bias=True) + covariance.mean(0)

    def _with_offset(self, rows: ResponseLog) -> ResponseLog:
        """Return rows with what the effects so far add: ads were chosen by these, too."""
        own = self.effects[rows.customer].astype(np.float32)
        pairs = zip(self.x, self._slices(), strict=True)
        added = [(own[:, part] * x[rows.ad]).sum(1) for x, part in pairs]
        return replace(rows, offset=np.stack(added, 1))

    def _gradient_and_hessian(self, record: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient (N, K) at 0 and minus Hessian (N, K, K) of the log-likelihood."""
        n, size = self.effects.shape
        gradient, hessian = np.zeros((n, size)), np.zeros((n, size, size))
        for probability, x, part, (trials, hits) in zip(
            self.probabilities(), self.x, self._slices(), record, strict=True
        ):
            expected = trials * probability
            gradient[:, part] = (hits - expected) @ x
            probability -= 1
            expected *= probability  # minus the variances
            i, j = np.triu_indices(x.shape[1])
            pairs = expected @ (x[:, i] * x[:, j])
            hessian[:, i + part.start, j + part.start] = -pairs
            hessian[:, j + part.start, i + part.start] = -pairs
        return gradient + np.einsum("nij,nj->ni", hessian, self.effects), hessian

    def _slices(self) -> list[slice]:
        first = self.x[0].shape[1]
        return [slice(0, first), slice(first, None)]

    def probabilities(self) -> list[np.ndarray]:
        """Return the probabilities of a click of the rested, and of an order after a click.

        Returns
        -------
        list of two arrays of shape (N, M), float32
        """
        effects, found = self.effects.astype(np.float32), []
        for logit, x, part in zip(self.logits, self.x, self._slices(), strict=True):
            shifted = torch.as_tensor(logit + effects[:, part] @ x.T)
            found.append(shifted.sigmoid().numpy())  # faster than SciPy's
        return found
