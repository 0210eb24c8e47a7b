"""What a chapter's process has of the machine: nothing of the user's own settings.

The environment is made anew. Of the user's, the variables in `PASSED` go in, which say where
things are and not how they look. Home is an empty folder of the build, so that no start-up file, no
``matplotlibrc`` and no other setting is found; only caches stay where the user has them.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import util
from pathlib import Path

from pm_utils.builder.project import Project

PASSED = (
    *("PATH", "TMPDIR", "TEMP", "TMP", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "NUMBER_OF_PROCESSORS"),
)
FIXED = {
    **{"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "PYTHONNOUSERSITE": "1"},
    **{"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
}


def clean_environment(home: Path) -> dict[str, str]:
    """Return the environment of a chapter before what only this chapter has.

    Parameters
    ----------
    home : pathlib.Path
        An empty folder of the build, of this chapter alone.
    """
    home.mkdir(parents=True, exist_ok=True)
    folders = {"HOME": str(home), "USERPROFILE": str(home), "IPYTHONDIR": str(home / ".ipython")}
    passed = {name: os.environ[name] for name in PASSED if name in os.environ}
    return passed | FIXED | folders | _cache()


@contextlib.contextmanager
def evidence_from(folder: Path | None) -> Iterator[None]:
    """Let what this process reads of evidence come from a folder; from nowhere with None.

    Without it evidence is that of the checkout which holds the package.
    """
    before = os.environ.get("PM_EVIDENCE")
    os.environ["PM_EVIDENCE"] = str(folder) if folder else "none"
    try:
        yield
    finally:
        os.environ.pop("PM_EVIDENCE")
        if before is not None:
            os.environ["PM_EVIDENCE"] = before


def environment_of_pages() -> dict[str, str]:
    """Return the user's environment without what changes a Python, such as PYTHONWARNINGS.

    Where Python looks for modules stays: the package may be found by that alone.
    """
    kept = {n: v for n, v in os.environ.items() if n == "PYTHONPATH" or n[:6] != "PYTHON"}
    kept.pop("SOURCE_DATE_EPOCH", None)  # Sphinx would write that day
    return kept | FIXED | {"DOCUTILSCONFIG": ""}  # nor the user's ~/.docutils


def _cache() -> dict[str, str]:
    """Return where the user's caches lie: a list of fonts takes seconds to make again."""
    cache = os.environ.get("XDG_CACHE_HOME")
    try:
        return {"XDG_CACHE_HOME": cache or str(Path.home() / ".cache")}
    except RuntimeError:  # no home at all
        return {}


def isolated_path() -> list[str]:
    """Return where a Python looks for modules that heeds no variable, user or working directory."""
    command = [sys.executable, "-I", "-c", "import sys; print('\\n'.join(sys.path))"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8")
    return told.stdout.splitlines()


@contextlib.contextmanager
def as_of_a_chapter(project: Project, more: dict[str, str]) -> Iterator[None]:
    """Let a Python that is started meanwhile have a chapter's environment, home and no flags.

    Parameters
    ----------
    project : Project
        The checkout.
    more : dict
        Further variables.
    """
    variables, folder, flags = dict(os.environ), os.getcwd(), util._args_from_interpreter_flags
    os.environ.clear()
    os.environ.update(clean_environment(project.build / "home" / "server") | more)
    os.chdir(os.environ["HOME"])  # a file in the user's folder could pass for a library or settings
    util._args_from_interpreter_flags = list  # neither -W of PYTHONWARNINGS nor -O
    try:
        yield
    finally:
        util._args_from_interpreter_flags = flags
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(variables)
