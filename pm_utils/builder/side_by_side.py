"""A Sphinx extension that reads and writes pages side by side: fewer seconds, the same pages."""

import functools
import os
import sys
from typing import Any

import pybtex.plugin
from sphinx.application import Sphinx

SILENT = ("sphinx_multitoc_numbering", "sphinx-mathjax-offline")


def setup(app: Sphinx) -> dict[str, Any]:
    """Join the build: Sphinx calls this when ``_config.yml`` names the module.

    Jupyter Book's command line has no option for it. Sphinx warns where an extension does not
    declare that pages may be read side by side; two do not, but neither acts while pages are read.
    """
    if sys.platform == "linux":  # libraries of other systems do not survive a fork
        app.parallel = os.cpu_count() or 1
    app.connect("builder-inited", _declare)
    # Each citation looks its style up among the entry points of all installed packages.
    pybtex.plugin.find_plugin = functools.cache(pybtex.plugin.find_plugin)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _declare(app: Sphinx) -> None:
    for name in SILENT:
        if name in app.extensions:
            app.extensions[name].parallel_read_safe = True
