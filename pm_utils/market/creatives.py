"""What an ad is: attributes that a marketer would name, as integer codes in arrays.

`ATTRIBUTES` is the only place that says which levels there are, and so how many: whoever puts
levels side by side asks `level_counts` and `level_columns`.
"""

from collections.abc import Container, Mapping
from copy import copy
from dataclasses import dataclass, fields

import numpy as np

from pm_utils.inputs import plain, whole_numbers
from pm_utils.market._checks import known_codes, rows_by_index

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "category": (
        *("drinks", "dairy", "bakery", "snacks", "meat", "produce"),
        *("frozen", "breakfast", "household", "beauty", "pets", "baby"),
    ),
    "tone": ("plain", "warm", "urgent", "playful"),
    "discount": ("none", "10%", "20%", "30%", "50%"),
    "palette": ("red", "orange", "green", "blue", "purple", "grey"),
    "layout": ("centre", "left", "right", "banner"),
    "motion": ("still", "left", "right", "up", "down"),
    "speed": ("slow", "fast"),
}
DISCOUNT_RATES = np.array(
    [0.0 if level == "none" else int(level.rstrip("%")) / 100 for level in ATTRIBUTES["discount"]]
)


def level_counts(*names: str) -> dict[str, int]:
    """Return how many levels some attributes have, in the order given, by default all of them.

    Examples
    --------
    >>> from pm_utils.market.creatives import level_counts
    >>> level_counts("tone", "speed")
    {'tone': 4, 'speed': 2}
    """
    return {name: len(ATTRIBUTES[name]) for name in names or ATTRIBUTES}


def level_columns(counts: Mapping[str, int]) -> dict[str, slice]:
    """Return which columns each attribute has in a table of levels side by side.

    Parameters
    ----------
    counts : mapping of str to int
        Levels of each attribute, in the order of the table; see `level_counts`.

    Returns
    -------
    dict of slice
        The first starts at 0, each other one where the one before ends.

    Examples
    --------
    >>> from pm_utils.market.creatives import level_columns
    >>> level_columns({"tone": 4, "speed": 2})
    {'tone': slice(0, 4, None), 'speed': slice(4, 6, None)}
    """
    ends = np.cumsum(list(counts.values())).tolist()
    return {
        name: slice(end - count, end)
        for (name, count), end in zip(counts.items(), ends, strict=True)
    }


def check_levels(name: str, known: Container[str], place: str) -> None:
    """Check that a table of words or drawings has something for every level of an attribute.

    Raises
    ------
    ValueError
        Names the levels that are missing and the place to add them.
    """
    missing = [level for level in ATTRIBUTES[name] if level not in known]
    if missing:
        raise ValueError(f"{place} has nothing for {name} {', '.join(missing)}: add it there")


@dataclass(frozen=True)
class Creatives:
    """N ads; every attribute is an array of shape (N,) with codes into `ATTRIBUTES`.

    Explained in chapter ``ad-text``.

    Attributes
    ----------
    category, tone, discount, palette, layout, motion, speed : arrays of shape (N,), int64
        ``speed`` has no effect where ``motion`` is still.

    Raises
    ------
    ValueError
        When the arrays differ in length, or a code is not whole or none of the levels. Pandas'
        rows are matched by index.

    Examples
    --------
    >>> from pm_utils.market import ATTRIBUTES, Creatives
    >>> ads = Creatives(
    ...     category=[0, 2],
    ...     tone=[0, 3],
    ...     discount=[0, 4],
    ...     palette=[1, 1],
    ...     layout=[0, 0],
    ...     motion=[0, 0],
    ...     speed=[0, 0],
    ... )
    >>> len(ads), ads.codes().shape
    (2, (2, 7))
    >>> ATTRIBUTES["category"][ads.category[1]], ATTRIBUTES["discount"][ads.discount[1]]
    ('bakery', '50%')
    """

    category: np.ndarray
    tone: np.ndarray
    discount: np.ndarray
    palette: np.ndarray
    layout: np.ndarray
    motion: np.ndarray
    speed: np.ndarray

    def __post_init__(self) -> None:
        """Check that all arrays have one length and hold known codes."""
        given = rows_by_index(**{name: getattr(self, name) for name in ATTRIBUTES})
        for (name, levels), one in zip(ATTRIBUTES.items(), given, strict=True):
            codes = whole_numbers(one, name, low=None)
            object.__setattr__(self, name, codes)
            if codes.shape != np.shape(self.category) or codes.ndim != 1:
                raise ValueError(
                    f"{name} has shape {codes.shape}: give one code per ad, as category has "
                    f"({np.shape(self.category)})"
                )
            if len(codes) and not 0 <= codes.min() <= codes.max() < len(levels):
                wrong = int(np.flatnonzero((codes < 0) | (codes >= len(levels)))[0])
                raise ValueError(
                    f"{name} of ad {wrong} is {codes[wrong]}: give a code from 0 to "
                    f"{len(levels) - 1} ({', '.join(levels)})"
                )

    def __len__(self) -> int:
        """Return the number of ads."""
        return len(self.category)

    def take(self, rows: np.ndarray) -> "Creatives":
        """Return the ads at the given positions, or where a mask is true.

        Raises
        ------
        ValueError
            When there is no such position, or not one truth value per ad.
        """
        rows = plain(rows)
        if rows.dtype == bool and rows.shape != (len(self),):
            raise ValueError(f"rows has shape {rows.shape}: give ({len(self)},), one per ad")
        rows = rows if rows.dtype == bool else known_codes(rows, "rows", len(self))
        taken = copy(self)  # its codes have been checked
        taken.__dict__.update({name: codes[rows] for name, codes in vars(self).items()})
        return taken

    def codes(self) -> np.ndarray:
        """Return all attributes side by side → (N, 7)."""
        return np.stack([getattr(self, field.name) for field in fields(self)], axis=1)


def random_creatives(n: int, rng: np.random.Generator) -> Creatives:
    """Draw ads whose attributes are independent and uniform.

    Explained in chapter ``creative-optimisation``.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.market import random_creatives
    >>> random_creatives(3, np.random.default_rng(0)).codes().shape  # three ads, seven attributes
    (3, 7)
    """
    return Creatives(*(rng.integers(len(levels), size=n) for levels in ATTRIBUTES.values()))
