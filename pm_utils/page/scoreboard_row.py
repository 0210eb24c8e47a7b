"""One row of a scoreboard: what each kind of model reached on one metric."""

import math
from dataclasses import dataclass, field

COLUMNS = ("null", "naive", "classical", "deep", "limit")
LIMITS = ("exact", "bound", "attainable", "oracle")


@dataclass(frozen=True)
class Row:
    """One metric of a chapter; a model that does not exist is None.

    Attributes
    ----------
    metric, unit : str
        What is measured and in what.
    better : {"higher", "lower"}
        Which direction is better.
    naive, classical, deep : float or None
        A predictor without a model, the best method without deep learning, the network.
    limit : float or None
        What no model can pass, where it is known.
    null : float or None
        The network trained on shuffled labels.
    headline : bool
        Whether the preface shows the row.
    limit_is : str
        ``"exact"`` (an optimum), ``"bound"`` (proven), ``"attainable"`` (the best that what is
        observed allows) or ``"oracle"`` (it knows what nobody can); empty without a limit.
    names : dict
        Which contender stands in which column.
    contest : str
        The task whose contenders they are.

    Examples
    --------
    >>> from pm_utils.page.scoreboard_row import Row
    >>> Row("log loss", "nats", "lower", naive=0.69, classical=0.41, deep=0.42).limit is None
    True
    """

    metric: str
    unit: str
    better: str
    naive: float | None = None
    classical: float | None = None
    deep: float | None = None
    limit: float | None = None
    null: float | None = None
    headline: bool = False
    limit_is: str = ""
    names: dict[str, str] = field(default_factory=dict)
    contest: str = ""

    def __post_init__(self) -> None:
        """Check the direction and the limit's label; keep every value as a float or None."""
        if self.better not in ("higher", "lower"):
            raise ValueError(f"{self.metric}: better is {self.better!r}, give 'higher' or 'lower'")
        if self.limit_is and self.limit_is not in LIMITS:
            raise ValueError(
                f"{self.metric}: limit_is is {self.limit_is!r}, give one of {', '.join(LIMITS)}"
            )
        if self.limit_is and self.limit is None:
            raise ValueError(f"{self.metric}: limit_is is {self.limit_is!r}, but limit is None")
        for column in COLUMNS:
            value = getattr(self, column)
            if value is None:
                continue
            if not math.isfinite(value):
                raise ValueError(
                    f"{self.metric}: {column} is {value}, give a finite number or None"
                )
            object.__setattr__(self, column, float(value))
