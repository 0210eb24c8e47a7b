"""What a chapter prints besides its figures: the source of the code that it uses."""

import inspect
import sys
from collections.abc import Callable

import pandas as pd
from IPython.display import Markdown
from pandas.io.formats.style import Styler

from pm_utils.page.excerpt import shorten


def show_source(*objects: Callable | type) -> Markdown:
    """Print the source of functions or classes, so that what is read is what is tested.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    *objects : function or class
        Defined in a file, not in a notebook cell.

    Returns
    -------
    IPython.display.Markdown
        One highlighted block of Python with the objects in the order given, and below it where
        they are defined, with a link to the map of the package. Of each docstring the first line
        stays; the file has the rest.

    Raises
    ------
    ValueError
        When no object is given.

    Examples
    --------
    >>> from pm_utils.formulas import log_sigmoid
    >>> from pm_utils.page.listing import show_source
    >>> show_source(log_sigmoid).data.splitlines()[-1]
    'Defined in [`pm_utils/formulas.py`](#pm_utils.formulas).'
    """
    if not objects:
        raise ValueError("show_source needs at least one function or class")
    code = "\n\n".join(_short_source(thing) + "\n" for thing in objects)
    return Markdown(f"```python\n{code}```\n\n{_origin(objects)}")


def _origin(objects: tuple[Callable | type, ...]) -> str:
    """Return a line that links to where objects are defined, each module once."""
    modules = dict.fromkeys(thing.__module__ for thing in objects)
    known = [name for name in modules if name.startswith("pm_utils.")]
    links = [f"[`{name.replace('.', '/')}.py`](#{name})" for name in known]
    return f"Defined in {', '.join(links)}." if links else ""


def show_lines(table: pd.DataFrame) -> Styler:
    """Lay out a table of sentences so that long ones wrap in their cells.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    table : DataFrame
        Text in every cell. An index of numbers is hidden, one of names stays.

    Returns
    -------
    pandas.io.formats.style.Styler
    """
    cell = {"text-align": "left", "white-space": "normal", "padding": "0.3rem 0.6rem"}
    heading = {"selector": "th", "props": [("text-align", "left"), ("white-space", "nowrap")]}
    shown = table.style.set_properties(**cell).set_table_styles([heading])
    if isinstance(table.index, pd.RangeIndex):
        return shown.hide(axis="index")
    return shown


def _short_source(thing: Callable | type) -> str:
    """Return an object's source, shortened, and tell who listens which definition is printed."""
    thing = inspect.unwrap(thing)
    source = inspect.getsource(thing)
    sys.audit(__name__, inspect.getsourcefile(thing) or "", thing.__qualname__)
    return shorten(source)
