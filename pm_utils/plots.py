"""One look for every figure: vector output, colour-blind safe, legible on light and dark pages.

Figures are transparent. Ink is a mid-grey and every colour has a contrast of at least 3 : 1 against
both a white page and the dark theme's background, so one drawing serves both (`contrast` computes
it, a test holds it). The hues are drawn from the palette of Okabe and Ito, darkened where needed.
"""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

INK = "#7b7b7b"
COLORS = {
    "naive": "#8c8c8c",
    "classical": "#c77c02",
    "deep": "#0077bb",
    "limit": "#0f8f6a",
    "null": "#b8659a",
    "ink": INK,
}
CYCLE = ["#0077bb", "#c77c02", "#0f8f6a", "#cf5c1d", "#b8659a", "#3b93c4", "#8a7d00", "#8c8c8c"]
MAP = "cividis"
DARK_PAGE = "#14181e"


def use_style() -> None:
    """Set matplotlib up for the book: SVG in notebooks, transparent, the book's colours."""
    mpl.rcParams.update(
        {
            "figure.figsize": (7.0, 3.4),
            "figure.facecolor": "none",
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "none",
            "savefig.transparent": True,
            "svg.fonttype": "path",
            "svg.hashsalt": "precision-marketing",
            "axes.facecolor": "none",
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "axes.titlecolor": INK,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "axes.labelsize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.prop_cycle": mpl.cycler(color=CYCLE),
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "legend.frameon": False,
            "legend.fontsize": 9,
            "lines.linewidth": 1.8,
            "image.cmap": MAP,
            "font.size": 10,
        }
    )
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg")
    except (ImportError, AttributeError):  # outside a notebook there is no inline backend to set
        pass


def contrast(color: str, background: str) -> float:
    """Return the contrast ratio of two colours, 1 (equal) to 21 (black on white).

    Parameters
    ----------
    color, background : str
        Any colour that matplotlib knows.

    Returns
    -------
    float

    References
    ----------
    Web Content Accessibility Guidelines 2.2, "contrast ratio" and "relative luminance".
    """

    def luminance(name: str) -> float:
        rgb = np.array(to_rgb(name))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted((luminance(color), luminance(background)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def grid(axes: Axes, axis: str = "y") -> Axes:
    """Draw faint grid lines behind the data and return the axes."""
    axes.grid(True, axis=axis, color=INK, alpha=0.25, linewidth=0.6)
    return axes


def label_bars(axes: Axes, values: np.ndarray, form: str = "{:.3f}") -> None:
    """Write each value at the end of its horizontal bar.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Axes with one horizontal bar per value, from the bottom up.
    values : array of shape (n,)
        The lengths of the bars.
    form : str
        How a value is written.
    """
    for row, value in enumerate(values):
        axes.annotate(
            form.format(value), (value, row), (4, 0), textcoords="offset points", va="center"
        )
