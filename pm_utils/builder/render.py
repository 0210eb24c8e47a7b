"""Run Jupyter Book when the builder says so, and end with it.

The builder starts this process while chapters run, so that its libraries are there when the pages
are. One line on standard input, as `pm_utils.builder.html.render` writes it, says what to do. A
builder that is killed cannot stop its Sphinx, but standard input ends, and with it this process.

Where pages of an earlier build can be kept, a child tries to write the changed ones alone. Unless
it succeeds without a warning, all is built from nothing, by a process that has not built before:
what libraries remember from page to page would differ, and warnings of kept pages would be lost.
"""

import contextlib
import importlib
import json
import multiprocessing
import os
import queue
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from pm_utils.builder.project import end_with_children

NOTICED = 75  # the exit status where other pages would notice a change
JOB, SHARED, INDEX = "pm-job.json", "pm-record.json", "pm-index.json"  # beside read pages
PAGE_LIBRARIES = (
    *("jupyter_book.cli.main", "jupyter_book.sphinx", "sphinx.builders.html"),
    *("myst_nb.sphinx_ext", "sphinxcontrib.bibtex", "sphinx_book_theme"),
)


def listen(jobs: queue.SimpleQueue) -> None:
    """Pass on the first line of standard input; at its end, end this process and its children."""
    line = b""
    while part := os.read(0, 2**16):  # sys.stdin has a lock, which no fork would get back
        line += part
        if line.endswith(b"\n"):
            jobs.put(json.loads(line))
    end_with_children()  # pages are written side by side


def is_book_file(path: Path, book: Path) -> bool:
    """Whether a file is a page or a part of the book, not an editor's own or a hidden one.

    Sphinx reads those only where a page includes them.
    """
    if not path.is_relative_to(book):
        return False
    parts = path.relative_to(book).parts
    return not path.name.endswith("~") and not any(part.startswith(".") for part in parts)


def clear(build: Path) -> None:
    """Remove all that Sphinx reads or keeps from an earlier build."""
    for name in ("html", ".doctrees", "jupyter_execute", ".jupyter_cache"):
        shutil.rmtree(build / name, ignore_errors=True)


def jupyter_book(arguments: list[str]) -> int:
    """Run Jupyter Book's command line and return its exit status."""
    sys.argv[1:] = arguments
    from jupyter_book.cli.main import main

    status = 0
    try:
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _try(arguments: list[str]) -> None:
    os._exit(jupyter_book(arguments))


def changed_pages_alone(arguments: list[str]) -> bool:
    """Try to write the changed pages alone, in a child, and tell whether that was possible."""
    method = "fork" if sys.platform == "linux" else "spawn"  # a fork has the libraries already
    child = multiprocessing.get_context(method).Process(target=_try, args=(arguments,))
    child.start()
    child.join()
    return child.exitcode == 0


def work(job: dict[str, Any]) -> int:
    """Do what `pm_utils.builder.html.render` asks for and return the exit status."""
    log_to(job["log"])
    build = Path(job["log"]).parent
    if job["keep"]:
        # Extensions copy some assets at the end: found earlier, their links would carry checksums.
        shutil.rmtree(build / "html" / "_static", ignore_errors=True)
        if changed_pages_alone(job["arguments"]):
            return 0
    clear(build)
    log_to(job["log"])
    return jupyter_book(job["arguments"])


def log_to(file: str) -> None:
    """Send what this process and its children print to a new file."""
    with open(file, "wb", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def main() -> None:
    """Load the libraries, wait, and run Jupyter Book with the arguments of the job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the builder that ends this process
    jobs: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=listen, args=(jobs,), daemon=True).start()
    for name in PAGE_LIBRARIES:
        with contextlib.suppress(ImportError):  # Jupyter Book will say so
            importlib.import_module(name)
    os._exit(work(jobs.get()))  # the reading thread would hold up an ordinary exit


if __name__ == "__main__":
    main()
