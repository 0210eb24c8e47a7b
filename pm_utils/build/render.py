"""Run Jupyter Book when the builder says so, and end with it.

The builder starts this process while chapters run, so that its libraries are there when the pages
are. One line on standard input, as `pm_utils.build.html.render` writes it, says what to do; the end
of standard input, as in `execute`, that the builder is no more.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import threading

LIBRARIES = (
    *("jupyter_book.cli.main", "jupyter_book.sphinx", "sphinx.builders.html"),
    *("myst_nb.sphinx_ext", "sphinxcontrib.bibtex", "sphinx_book_theme"),
)


def wait_for_job() -> dict[str, str | list[str]] | None:
    """Return the job that standard input brings, None when it ends without one."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 2**16)  # sys.stdin has a lock, which no fork would get back
        if not part:
            return None
        line += part
    return json.loads(line)


def end_with_parent() -> None:
    """Wait for the end of standard input and end this process."""
    while os.read(0, 1024):
        pass
    import psutil

    for child in psutil.Process().children(recursive=True):  # pages are written side by side
        child.kill()
    os._exit(130)


def main() -> None:
    """Load the libraries, wait, and run Jupyter Book with the arguments of the job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the builder that ends this process
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):  # Jupyter Book will say so
            importlib.import_module(name)
    job = wait_for_job()
    if job is None:
        return
    with open(job["log"], "wb", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.argv[1:] = job["arguments"]
    threading.Thread(target=end_with_parent, daemon=True).start()
    from jupyter_book.cli.main import main

    status = 0
    try:
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # the thread that reads standard input would hold up an ordinary exit


if __name__ == "__main__":
    main()
