"""Chapter 03: which of its models stands in which column of the scoreboard."""

from collections.abc import Iterable

ENCODERS = ("UserProfileNet", "PurchaseCNN", "BasketRNN")
CLASSICAL = ("logistic", "logistic + SVD", "gradient boosting")


def kinds(models: Iterable[str]) -> dict[str, str]:
    """Sort the chapter's models into the scoreboard's columns; the null is left out.

    Explained in chapter ``customer-profile``.

    Parameters
    ----------
    models : iterable of str
        Names, as in the chapter.

    Returns
    -------
    dict
        ``"naive"``, ``"classical"`` or ``"deep"`` for each name.

    Examples
    --------
    >>> from pm_utils.chapters.customer_profile import kinds
    >>> kinds(["null", "last eight weeks", "logistic", "PurchaseCNN"])
    {'last eight weeks': 'naive', 'logistic': 'classical', 'PurchaseCNN': 'deep'}
    """
    kind = dict.fromkeys(CLASSICAL, "classical") | dict.fromkeys(ENCODERS, "deep")
    kind |= {"last eight weeks": "naive", "three networks": "deep"}
    return {name: kind[name] for name in models if name in kind}
