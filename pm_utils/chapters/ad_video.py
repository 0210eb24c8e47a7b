"""Chapter 06: makers of clips at several boldnesses, and the clicks that filmed ads earn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from torch import Tensor

from pm_utils.creatives.video.archive import CLIP_CATALOGUE, as_filmed, clip_request, shoot
from pm_utils.creatives.video.evaluation import (
    ads_in_clips,
    change_energy,
    clip_features,
    evaluate_clips,
    film,
    squared_errors,
)
from pm_utils.creatives.video.networks import (
    N_CATEGORIES,
    PIXELS,
    AdVideoVAE,
    ClipClassifier,
    ClipGenerator,
)
from pm_utils.creatives.video.sprites import SpriteClips
from pm_utils.evaluation.bootstrap import (
    bootstrap_weights,
    paired_interval,
    percentile_interval,
)
from pm_utils.evaluation.frechet import frechet_distance
from pm_utils.inputs import numbers, whole_numbers
from pm_utils.market import ATTRIBUTES, ImpressionLog, Market
from pm_utils.page.scoreboard import Contest

BOLDNESS = (0.0, 0.5, 1.0)
TIE_BREAK = 1e-5  # per unit of the Fréchet distance: far less than one clip more that counts
SMALLEST_SHARE = 0.003  # of spending: keeps the logarithm of nothing finite
STYLE_WEIGHTS = (0.0, 0.1, 0.2, 0.4, 0.8)  # tried: of personal style, beside all else
Maker = Callable[..., Tensor]  # codes (N, 4), rng, boldness=… → filmed clips


def network_maker(model: AdVideoVAE | ClipGenerator) -> Maker:
    """Return a maker of filmed clips from a network.

    Explained in chapter ``ad-video``.
    """
    return partial(film, model)


def linear_maker(model) -> Maker:
    """Return a maker of filmed clips from what has `sample`, as `LinearClips` and `SpriteClips`.

    Explained in chapter ``ad-video``.
    """

    def make(codes: np.ndarray, rng: np.random.Generator, *, boldness: float) -> Tensor:
        return as_filmed(model.sample(codes, rng, boldness=boldness), rng)

    return make


@dataclass(frozen=True)
class Judged:
    """What the judges say of the clips of one maker.

    Attributes
    ----------
    verdict : DataFrame of bool, one row per clip
        As `evaluate_clips` gives it.
    look : array of shape (N, F)
        Features, each in deviations of the real clips.
    energy : float
        Mean change energy of the clips that are asked to move.
    distance : float
        Fréchet distance from the real clips.
    """

    verdict: pd.DataFrame
    look: np.ndarray
    energy: float
    distance: float

    def scores(self) -> dict[str, float]:
        """Return the figures of the tables and of the scoreboard."""
        found = self.verdict[["motion", "counts", "valid", "frozen", "looping"]].mean().to_dict()
        return {**found, "energy": self.energy, "Fréchet": self.distance}


@dataclass(frozen=True)
class Jury:
    """All judges of made clips, for one set of requests.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    classifier : ClipClassifier
        Whose features the Fréchet distance is taken in.
    real : Tensor of shape (N, 12, 3, 32, 32)
        Real clips of the requests.
    asked : array of shape (N, 4)
    """

    classifier: ClipClassifier
    real: Tensor
    asked: np.ndarray

    def __post_init__(self) -> None:
        """Look at the real clips once."""
        features = clip_features(self.classifier, self.real)
        object.__setattr__(self, "scale", features.std(axis=0))
        object.__setattr__(self, "look", features / self.scale)

    def judge(self, clips: Tensor) -> Judged:
        """Judge clips that answer the requests, row by row."""
        look = clip_features(self.classifier, clips) / self.scale
        moving = self.asked[:, 3] > 0
        return Judged(
            verdict=evaluate_clips(clips, self.asked),
            look=look,
            energy=float(change_energy(clips[moving]).mean()),
            distance=frechet_distance(look, self.look),
        )

    def gaps(self, first: Judged, second: Judged, *, repeats: int, seed: int) -> np.ndarray:
        """Return how much further `first` is from the real clips than `second`, resampled.

        Requests are drawn with replacement. Row i of all three, the real clip and both made ones,
        belongs to request i, so they are drawn together.

        Returns
        -------
        array of shape (repeats,)
            Fréchet distance of `first` minus that of `second`, one per resample.

        Raises
        ------
        ValueError
            When there is no resample.
        """
        whole_numbers(repeats, "repeats", low=1)
        rng, found = np.random.default_rng(seed), []
        for _ in range(repeats):
            rows = rng.integers(len(self.look), size=len(self.look))
            real = self.look[rows]
            distances = [frechet_distance(one.look[rows], real) for one in (first, second)]
            found.append(distances[0] - distances[1])
        return np.array(found)

    def try_all(
        self, makers: Mapping[str, Maker], rng: np.random.Generator
    ) -> dict[tuple[str, float], Judged]:
        """Judge every maker at every boldness → by (name, boldness)."""
        return {
            (name, boldness): self.judge(make(self.asked, rng, boldness=boldness))
            for name, make in makers.items()
            for boldness in BOLDNESS
        }


def floor_of(jury: Jury, twins: Judged, *, repeats: int, rng: np.random.Generator) -> float:
    """Return the mean Fréchet distance of real clips, of `twins` and of more sets like them.

    Explained in chapter ``ad-video``.
    """
    more = [jury.judge(shoot(jury.asked, rng)).distance for _ in range(repeats)]
    return float(np.mean([twins.distance, *more]))


def maker_scores(judged: Mapping[tuple[str, float], Judged]) -> pd.DataFrame:
    """Return the scores of all that was judged, a row each.

    Explained in chapter ``ad-video``.
    """
    table = pd.DataFrame({name: one.scores() for name, one in judged.items()}).T
    return table.rename_axis(index=["maker", "boldness"])


def with_boldness(name: str, boldness: float) -> str:
    """Return what the scoreboard calls a maker at a boldness.

    Examples
    --------
    >>> from pm_utils.chapters.ad_video import with_boldness
    >>> with_boldness("VAE", 0.3)
    'VAE, boldness 0.3'
    """
    return f"{name}, boldness {boldness:g}"


def players(
    judged: Mapping[tuple[str, float], Judged], rest: Mapping[str, Judged]
) -> dict[str, Judged]:
    """Return all that was judged by the names of the scoreboard, those without boldness last.

    Explained in chapter ``ad-video``.
    """
    return {with_boldness(*setting): one for setting, one in judged.items()} | dict(rest)


def player_scores(players: Mapping[str, Judged]) -> pd.DataFrame:
    """Return the scores of all players, a row each.

    Explained in chapter ``ad-video``.
    """
    return pd.DataFrame({name: one.scores() for name, one in players.items()}).T


def boldest(players: Mapping[str, Judged]) -> dict[str, Judged]:
    """Return the players at the largest boldness, and those that have none.

    Explained in chapter ``ad-video``.

    Examples
    --------
    >>> from pm_utils.chapters.ad_video import boldest
    >>> list(boldest({"VAE, boldness 0.5": None, "VAE, boldness 1": None, "stills": None}))
    ['VAE, boldness 1', 'stills']
    """
    end = with_boldness("", max(BOLDNESS))
    return {
        name: one for name, one in players.items() if "boldness" not in name or name.endswith(end)
    }


def enter_players(
    contest: Contest,
    columns: Mapping[str, str],
    players: Mapping[str, Judged],
    score: Mapping[str, float],
    kinds: Mapping[str, str],
    records: Mapping[str, dict],
) -> None:
    """Enter players for a contest, those of no kind as naive.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    contest : Contest
    columns : dict
        Of each row of the contest, which of `Judged.scores` stands in it.
    players : dict
        As `players` gives them.
    score : Series or dict
        What each player is chosen by.
    kinds, records : dict
        By maker, without boldness; a record for those that were trained.
    """
    for name, one in players.items():
        maker, scores = name.split(",")[0], one.scores()
        contest.enter(
            name,
            kinds.get(maker, "naive"),
            validation=score[name],
            test={row: scores[column] for row, column in columns.items()},
            training=records.get(maker),
        )


def choosing_score(scores: pd.DataFrame) -> pd.Series:
    """Return what settings are chosen by: the share that counts, of equals the closest in look.

    The Fréchet distance is taken off, times `TIE_BREAK`, so that no two makers are equal.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    scores : DataFrame
        As `maker_scores` gives it, of requests that are not judged.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.ad_video import choosing_score
    >>> scores = pd.DataFrame({"counts": [0.9, 0.9, 0.8], "Fréchet": [2.0, 1.0, 0.5]}, list("abc"))
    >>> choosing_score(scores).idxmax()
    'b'
    """
    return scores["counts"] - TIE_BREAK * scores["Fréchet"]


def chosen_boldness(table: pd.DataFrame) -> dict[str, float]:
    """Return at which boldness each maker is best by `choosing_score`.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    table : DataFrame
        As `maker_scores` gives it, of requests that are not judged.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.ad_video import chosen_boldness
    >>> rows = pd.MultiIndex.from_product([["VAE"], [0.0, 0.3, 1.0]], names=["maker", "boldness"])
    >>> scores = {"counts": [0.9, 0.9, 0.7], "Fréchet": [2.0, 1.5, 1.0]}
    >>> chosen_boldness(pd.DataFrame(scores, rows))
    {'VAE': 0.3}
    """
    best = choosing_score(table).groupby("maker", sort=False).idxmax()
    return {name: float(boldness) for name, (_, boldness) in best.items()}


def of_chosen(table: pd.DataFrame, boldness: Mapping[str, float], score: str) -> dict[str, float]:
    """Return a score of each maker at its boldness.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    table : DataFrame
        As `maker_scores` gives it.
    boldness : dict
        As `chosen_boldness` gives it.
    score : str
        A column of the table.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.ad_video import of_chosen
    >>> rows = pd.MultiIndex.from_product([["VAE"], [0.0, 1.0]], names=["maker", "boldness"])
    >>> of_chosen(pd.DataFrame({"Fréchet": [2.0, 1.5]}, rows), {"VAE": 1.0}, "Fréchet")
    {'VAE': 1.5}
    """
    return {name: float(table.loc[(name, bold), score]) for name, bold in boldness.items()}


def failures_possible(n: int, level: float = 0.95) -> float:
    """Return the largest share of failures that n successes in a row leave possible.

    With a larger one, `n` successes would have a probability below 1 - `level`.

    Raises
    ------
    ValueError
        When there was no trial, or the level is not between 0 and 1.

    Examples
    --------
    >>> from pm_utils.chapters.ad_video import failures_possible
    >>> round(failures_possible(100), 3)  # about 3 / n
    0.03
    """
    n, level = int(whole_numbers(n, "n", low=1)), float(numbers(level, "level", low=0, high=1))
    return 1 - (1 - level) ** (1 / n)


def share_interval(first: ArrayLike, second: ArrayLike, draws: np.ndarray) -> tuple[float, float]:
    """Return a 95 % interval of how much more often `first` succeeds than `second`.

    Resampled, except where neither failed once: there a resample is sure of what
    `failures_possible` leaves open, 2.5 % on either side, so that is the interval.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    first, second : arrays of shape (N,)
        1 for a success and 0 for a failure, of the same requests.
    draws : array of shape (R, N)
        Weights of the resamples; each row sums to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.chapters.ad_video import share_interval
    >>> low, high = share_interval(np.ones(100), np.ones(100), np.full((5, 100), 0.01))
    >>> round(low, 3), round(high, 3)
    (-0.036, 0.036)
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if np.all(first == 1) and np.all(second == 1):
        possible = failures_possible(len(first), 0.975)
        return -possible, possible
    return paired_interval(first, second, draws)


def clicks_interval(
    first: ArrayLike, second: ArrayLike, ads: ArrayLike, *, repeats: int, seed: int
) -> tuple[float, float]:
    """Return a 95 % interval of how much more `first` earns than `second`, over ads.

    Customers who are promised the same ad are shown clips of the same request, which fail together,
    so whole ads are drawn with replacement. Where no customer tells both apart, a resample has
    nothing to draw; there the interval is what `failures_possible` leaves open in as many ads.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    first, second : arrays of shape (N,)
        What is earned by each customer.
    ads : array of shape (N,)
        Which ad each customer is promised.
    repeats, seed : int

    Examples
    --------
    A hundred customers, but two ads: much remains possible.

    >>> import numpy as np
    >>> from pm_utils.chapters.ad_video import clicks_interval
    >>> earned, ads = np.full(100, 0.1), np.repeat([7, 9], 50)
    >>> low, high = clicks_interval(earned, earned, ads, repeats=100, seed=0)
    >>> round(low, 3), round(high, 3)
    (-0.084, 0.084)
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    found, which, size = np.unique(ads, return_inverse=True, return_counts=True)
    if np.array_equal(first, second):
        possible = failures_possible(len(found), 0.975) * float(first.mean())
        return -possible, possible
    gap = np.bincount(which, weights=first - second)
    draws = bootstrap_weights(len(found), repeats, seed)
    return percentile_interval((draws @ gap) / (draws @ size))


def basic_interval(point: float, drawn: ArrayLike) -> tuple[float, float]:
    """Return the basic bootstrap interval, 95 %: the resamples' quantiles, mirrored at the point.

    Resampling pulls a Fréchet distance up, for rows drawn twice make a set that varies less. By as
    much as the resamples are above the point, the point is thought to be above the truth.

    Explained in chapter ``ad-video``.

    References
    ----------
    Davison & Hinkley (1997), Bootstrap methods and their application, section 5.2.

    Examples
    --------
    >>> from pm_utils.chapters.ad_video import basic_interval
    >>> low, high = basic_interval(1.0, [1.5, 2.0, 2.5])  # drawn too high
    >>> low < high < 1.0
    True
    """
    low, high = percentile_interval(drawn)
    return 2 * point - high, 2 * point - low


# --- What the page says, computed ----------------------------------------------------------


def settled_said(last_change: float) -> str:
    """Say whether a distance still moves: more than 5 % between the last two looks.

    The steps become small towards the end, and so does what is seen: it says nothing of a longer
    training.

    Explained in chapter ``ad-video``.

    Examples
    --------
    >>> from pm_utils.chapters.ad_video import settled_said
    >>> settled_said(-0.01)
    'it hardly moves any more, as it must where steps become small'
    """
    if last_change < -0.05:
        return "it is still falling, so the GAN is judged before it has learned all that it can"
    if last_change > 0.05:
        return "it rises again, so the GAN has not settled"
    return "it hardly moves any more, as it must where steps become small"


def motion_added_said(still: float, moving: float) -> str:
    """Say how much more is missed in moving clips, against what is missed in still ones.

    Explained in chapter ``ad-video``.

    Examples
    --------
    >>> from pm_utils.chapters.ad_video import motion_added_said
    >>> motion_added_said(still=0.09, moving=0.10)
    'a little to what it misses in still clips'
    """
    if moving <= still:
        return "nothing to what it misses in still clips"
    if moving - still > still / 3:
        return "more than a third to what it misses in still clips"
    return "a little to what it misses in still clips"


def ceiling_said(first: pd.Series, second: pd.Series) -> str:
    """Say what two makers without a failure leave open, or that one has failed.

    Explained in chapter ``ad-video``.

    Examples
    --------
    >>> import pandas as pd
    >>> from pm_utils.chapters.ad_video import ceiling_said
    >>> ceiling_said(pd.Series([True, False]), pd.Series([True, True]))
    'Chosen by the clips that count, not both are at the ceiling.'
    """
    if not (first.all() and second.all()):
        return "Chosen by the clips that count, not both are at the ceiling."
    return (
        "Chosen by the clips that count, both are at the ceiling, and nothing can be told: with "
        f"{len(first)} clips up to {failures_possible(len(first), 0.975):.1%} of failures remain "
        "possible."
    )


def tempo_nats(layers: SpriteClips, clips: Tensor, codes: np.ndarray, variance: float) -> float:
    """Return what it costs sprites to draw the tempo at its middle, nats per clip.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    layers : SpriteClips
    clips : Tensor of shape (N, 12, 3, 32, 32)
        That move.
    codes : array of shape (N, 4)
    variance : float
        Of the Gaussian that the error is weighed by.
    """
    scene = layers.find(clips, codes)
    middle = scene.copy()
    middle[:, 3] = layers.scenes[:, 3].mean()
    drawn = [layers.draw(codes, one) for one in (middle, scene)]
    at_middle, found = (squared_errors(one, clips).mean().item() for one in drawn)
    return PIXELS * (at_middle - found) / (2 * variance)


def tempo_said(missed: float, price: float) -> str:
    """Say whether the numbers of the motion are worth their price, both in nats.

    Explained in chapter ``ad-video``.

    Examples
    --------
    >>> from pm_utils.chapters.ad_video import tempo_said
    >>> tempo_said(missed=900.0, price=8.0)
    'the two numbers of the motion say some of it'
    """
    if missed > price:
        return "the two numbers of the motion say some of it"
    return (
        "the two numbers of the motion are paid for and say nothing: this network has not learned "
        "the tempo"
    )


def clicks_advice(verdict: str, unbeaten: list[str]) -> str:
    """Say whether a generator pays: only if it is surely ahead of every rival.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    verdict : str
        Of the scoreboard, on clicks.
    unbeaten : list of str
        Rivals that the network is not surely ahead of.

    Examples
    --------
    >>> from pm_utils.chapters.ad_video import clicks_advice
    >>> clicks_advice("beats", ["templates"])
    'The network is not surely ahead of templates: no reason to train a generator.'
    """
    if verdict == "undertrained":
        return "We draw no advice from it."
    if unbeaten:
        named = ", ".join(unbeaten)
        return f"The network is not surely ahead of {named}: no reason to train a generator."
    return "The network is ahead of every rival, so for clips like these a generator pays."


# --- Customers -----------------------------------------------------------------------------


def split_customers(market: Market, n_judged: int, n_choosing: int) -> tuple[np.ndarray, ...]:
    """Split customers by household → who is judged, who decides, and who is in the log.

    Explained in chapter ``ad-video``.

    Raises
    ------
    ValueError
        When the market is too small.
    """
    household = pd.factorize(market.customers["customer_id"])[0]
    judged = np.flatnonzero(household % 3 == 0)
    choosing = np.flatnonzero(household % 3 == 1)
    if len(judged) < n_judged or len(choosing) < n_choosing:
        raise ValueError(
            f"{market.n_customers} customers: too few to judge {n_judged} and choose by "
            f"{n_choosing}, for each comes from a third of the households"
        )
    return judged[:n_judged], choosing[:n_choosing], np.flatnonzero(household % 3 == 2)


class ClickModel:
    """Logistic regression of clicks on what a shop sees: spending, and the ad's attributes.

    A row holds how much more the customer spends on the ad's product than others do, how often
    the customer buys, one number per level of the ad, and all but the product's once more, times
    a gate that opens with interest. The slot is known too; the first one is predicted.

    Personal style comes as products: of what the customer spends on each product and each level of
    palette, layout and motion, times the gate. They are many and weak, so they have a penalty of
    their own: multiplied by a weight, their coefficients have to be larger by as much. Of
    `STYLE_WEIGHTS` that one stays whose clicks of one household in five, held back, are the most
    probable; then all are fitted.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    market : Market
        Of which only ``customers`` are read: what a marketer sees.
    log : ImpressionLog
        Of ads of `CLIP_CATALOGUE`.

    Attributes
    ----------
    losses : Series
        Log loss of the clicks that were held back, by weight.
    weight : float
        The one chosen; at 0 there is no personal style.
    """

    def __init__(self, market: Market, log: ImpressionLog) -> None:
        self.market = market
        household = pd.factorize(market.customers["customer_id"].to_numpy()[log.customer])[0]
        held = household % 5 == 0
        losses = {}
        for weight in STYLE_WEIGHTS:
            self.weight = weight
            rows = self._rows(log.customer, log.creative, log.position)
            model = self._fit(rows[~held], log.click[~held])
            losses[weight] = log_loss(log.click[held], model.predict_proba(rows[held])[:, 1])
        self.losses = pd.Series(losses)
        self.weight = float(self.losses.idxmin())
        self.model = self._fit(self._rows(log.customer, log.creative, log.position), log.click)

    def predict(self, customers: np.ndarray) -> np.ndarray:
        """Customers (N,) → predicted P(click) of each ad of the catalogue (N, 2592)."""
        ads = np.arange(len(CLIP_CATALOGUE))
        found = [
            self.model.predict_proba(self._rows(np.full(len(ads), one), ads, 0 * ads))[:, 1]
            for one in customers
        ]
        return np.stack(found)

    @staticmethod
    def _fit(rows: np.ndarray, click: np.ndarray) -> LogisticRegression:
        return LogisticRegression(C=0.1, max_iter=500).fit(rows, click)

    def _rows(self, customer: np.ndarray, ad: np.ndarray, position: np.ndarray) -> np.ndarray:
        seen = self.market.customers
        shares = seen[[f"share_{name}" for name in ATTRIBUTES["category"]]].to_numpy()
        usual = shares.mean(axis=0)
        interests = np.tanh(np.log((shares + SMALLEST_SHARE) / (usual + SMALLEST_SHARE)))
        interest = interests[customer, CLIP_CATALOGUE[ad, 0]]
        activity = np.log(seen["orders_per_week"].to_numpy() + 0.1)[customer]
        levels = clip_request(CLIP_CATALOGUE).numpy()[ad]
        gate = 1 / (1 + np.exp(-2 * interest))
        slots = np.eye(4, dtype=np.float32)[position][:, 1:]
        gated = (gate[:, None] * levels[:, N_CATEGORIES:]).astype(np.float32)
        parts = [interest, activity, levels, gated, slots]
        if self.weight > 0:
            spread = (interests - interests.mean(axis=0)) / interests.std(axis=0)
            tastes = (self.weight * spread).astype(np.float32)[customer]
            parts.append((tastes[:, :, None] * gated[:, None]).reshape(len(ad), -1))
        return np.column_stack(parts).astype(np.float32)


def clicks_of_clips(truth: np.ndarray, clips: Tensor) -> np.ndarray:
    """Return what filmed clips earn, one for each customer → (N,), clicks per impression.

    An invalid clip earns nothing, one that shows another plain ad earns what that ad earns.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    truth : array of shape (N, 2592)
        P(click) of each customer and ad of `CLIP_CATALOGUE`.
    clips : Tensor of shape (N, 12, 3, 32, 32)
    """
    ads = ads_in_clips(clips)
    return np.where(ads >= 0, truth[np.arange(len(truth)), ads], 0.0)


def lost_by_product(planned: np.ndarray, earned: np.ndarray, ads: np.ndarray) -> pd.DataFrame:
    """Return, by the product asked for, how many clicks per thousand filming costs.

    Explained in chapter ``ad-video``.

    Parameters
    ----------
    planned, earned : arrays of shape (N,)
        Clicks per impression of the ads asked for and of the clips.
    ads : array of shape (N, 4)
        Codes of the ads asked for.

    Returns
    -------
    DataFrame, one row per product
        *Asked for*, in customers; *lost*, in clicks per thousand impressions to all, so that the
        column sums to what is lost in all.
    """
    product = np.asarray(ATTRIBUTES["category"])[ads[:, 0]]
    rows = pd.DataFrame({"product": product, "lost": 1000 * (planned - earned) / len(ads)})
    found = rows.groupby("product")["lost"].agg(["size", "sum"])
    found = found.rename(columns={"size": "asked for", "sum": "lost"})
    return found.reindex(ATTRIBUTES["category"], fill_value=0)


def nearest_clips(clips: Tensor, codes: np.ndarray, asked: np.ndarray) -> Tensor:
    """Return for each request the archived clip with most attributes right; of equals, the first.

    A motion in the right direction counts half.

    Explained in chapter ``ad-video``.
    """
    same = (codes[None] == asked[:, None]).sum(axis=2).astype(float)
    directions = [(part[:, 3] + 1) // 2 for part in (codes, asked)]
    same_way = directions[0][None] == directions[1][:, None]
    other_pace = codes[None, :, 3] != asked[:, None, 3]
    return clips[(same + 0.5 * (same_way & other_pace)).argmax(axis=1)]
