"""What a chapter prints besides its figures: the source of the code that it uses."""

import inspect
from collections.abc import Callable

from IPython.display import Markdown


def show_source(*objects: Callable | type) -> Markdown:
    """Print the source of functions or classes, so that what is read is what is tested.

    Parameters
    ----------
    *objects : function or class
        Defined in a file, not in a notebook cell.

    Returns
    -------
    IPython.display.Markdown
        One highlighted block of Python with the objects in the order given.

    Raises
    ------
    ValueError
        When no object is given.
    """
    if not objects:
        raise ValueError("show_source needs at least one function or class")
    code = "\n\n".join(inspect.getsource(thing).rstrip() + "\n" for thing in objects)
    return Markdown(f"```python\n{code}```")
