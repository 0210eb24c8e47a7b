"""The ads that a campaign may show: every text in every look, written, drawn and proof-read."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pm_utils.creatives.text.evaluation import ADS, ads_in_headlines
from pm_utils.creatives.text.networks import AdCopyGPT
from pm_utils.inputs import whole_numbers
from pm_utils.market import Creatives
from pm_utils.market.ad_reader import read_images
from pm_utils.market.creatives import level_columns, level_counts
from pm_utils.market.renderer import render_images

SAID = ("category", "tone", "discount")  # what a text says
PALETTES, LAYOUTS = level_counts("palette", "layout").values()
LOOKS = np.array(
    [(p, (p + q) % LAYOUTS) for q in range(LAYOUTS) for p in range(PALETTES)]
)  # (24, 2)


@dataclass(frozen=True, eq=False)
class AdCatalogue:
    """All ads that may be sent: every text in every look; ad = text · looks + look.

    Ads lie in the order of their categories, with equally many in each.

    Explained in chapter ``closed-loop``.

    Attributes
    ----------
    n_looks : int
        How many of `LOOKS` there are pictures in.
    open_texts : (240,) bool
        Which of `ADS` may be sent.
    open_looks : (n_looks,) bool
        Which looks may be.

    Examples
    --------
    >>> from pm_utils.loop.ad_menu import AdCatalogue
    >>> menu = AdCatalogue.of(2)
    >>> len(menu)  # 240 texts, two looks
    480
    >>> menu.open_texts[0] = False  # the first text fails its proof-reading
    >>> menu.open_ads[:3].tolist()
    [2, 3, 4]
    >>> menu.codes()[3].tolist()  # drinks, plain, 10 % off, second look
    [0, 12, 17, 22]
    >>> menu.one_hot().shape  # 12 categories, 4 tones, 5 discounts, 2 looks
    (480, 23)
    """

    n_looks: int
    open_texts: np.ndarray
    open_looks: np.ndarray

    @classmethod
    def of(cls, n_looks: int) -> "AdCatalogue":
        """Return the menu with the first looks, before anything is proof-read.

        Raises
        ------
        ValueError
            When there are not as many looks.
        """
        n_looks = int(whole_numbers(n_looks, "n_looks", low=1, high=len(LOOKS)))
        return cls(n_looks, np.ones(len(ADS), bool), np.ones(n_looks, bool))

    def __len__(self) -> int:
        """Return the number of ads, sendable or not."""
        return len(ADS) * self.n_looks

    @property
    def open_ads(self) -> np.ndarray:
        """Return the ads that may be sent."""
        return np.flatnonzero(np.outer(self.open_texts, self.open_looks))

    @property
    def categories(self) -> int:
        """Return how many categories there are."""
        return level_counts("category")["category"]

    @property
    def columns(self) -> dict[str, slice]:
        """Return the columns of category, tone, discount and look in `one_hot`."""
        return level_columns(level_counts(*SAID) | {"look": self.n_looks})

    def creatives(self) -> Creatives:
        """Return what the ads are meant to be."""
        text, look = np.divmod(np.arange(len(self)), self.n_looks)
        codes = np.column_stack([ADS[text], LOOKS[look]])
        return Creatives(*codes.T, *np.zeros((2, len(codes)), int))

    def codes(self) -> np.ndarray:
        """Return category, tone, discount and look of each ad → (M, 4).

        Codes count on: categories come first, then tones, discounts and looks.
        """
        text, look = np.divmod(np.arange(len(self)), self.n_looks)
        return np.column_stack([ADS[text], look]) + [at.start for at in self.columns.values()]

    def one_hot(self) -> np.ndarray:
        """Return 1 at the levels of each ad, 0 elsewhere → (M, 21 + looks), float32."""
        width = self.columns["look"].stop
        one_hot = np.zeros((len(self), width), np.float32)
        np.put_along_axis(one_hot, self.codes(), 1, axis=1)
        return one_hot

    def archive(self, n_texts: int, rng: np.random.Generator) -> "AdCatalogue":
        """Return what a shop without a studio has: a few of the texts, all in one look.

        Raises
        ------
        ValueError
            When fewer texts are open.
        """
        whole_numbers(n_texts, "n_texts", low=1, high=int(self.open_texts.sum()))
        few = np.zeros(len(ADS), bool)
        few[rng.choice(np.flatnonzero(self.open_texts), n_texts, replace=False)] = True
        return AdCatalogue(self.n_looks, few, np.arange(self.n_looks) == 0)


def one_hot_texts() -> Tensor:
    """Return the prefixes of the writer: what each of the 240 texts shall say → (240, 21).

    Explained in chapter ``closed-loop``.

    Examples
    --------
    >>> from pm_utils.creatives.text.evaluation import ADS
    >>> from pm_utils.loop.ad_menu import one_hot_texts
    >>> ADS[1].tolist()  # drinks, plain, 10 % off
    [0, 0, 1]
    >>> one_hot_texts()[1].nonzero().flatten().tolist()
    [0, 12, 17]
    """
    return torch.tensor(
        np.hstack([np.eye(n)[ADS[:, i]] for i, n in enumerate(level_counts(*SAID).values())])
    ).float()


def write_texts(writer: AdCopyGPT, *, tries: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Write a headline for every text, proof-read, and write again what went wrong.

    Explained in chapter ``closed-loop``.

    Parameters
    ----------
    writer : AdCopyGPT
        Trained on `one_hot_texts`.
    tries : int
        The first is greedy, later ones are bolder.
    seed : int

    Returns
    -------
    tokens : array of shape (240, T)
    right : array of shape (tries, 240), bool
        What reads as meant after each try.

    Raises
    ------
    ValueError
        When there is no try.
    """
    tries = int(whole_numbers(tries, "tries", low=1))
    prefix, history = one_hot_texts(), []
    page = writer.generate(prefix).numpy()
    history.append(ads_in_headlines(page) == np.arange(len(ADS)))
    for attempt in range(1, tries):
        wrong = np.flatnonzero(~history[-1])
        if len(wrong):
            page[wrong] = writer.generate(prefix[wrong], temperature=0.7, seed=seed + attempt)
        history.append(ads_in_headlines(page) == np.arange(len(ADS)))
    return page, np.array(history)


def draw_ads(menu: AdCatalogue, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw every ad of the menu and read the pictures back.

    Explained in chapter ``closed-loop``.

    Returns
    -------
    pictures : array of shape (M, 32, 32, 3)
    right : array of shape (M,), bool
        Where the reader accepts the picture and reads all that it shall show.
    """
    asked = menu.creatives()
    pictures = render_images(asked, rng)
    read = read_images(pictures)
    names = ("category", "tone", "discount", "palette", "layout")
    same = [getattr(read, name) == getattr(asked, name) for name in names]
    return pictures, read.valid & np.all(same, axis=0)
