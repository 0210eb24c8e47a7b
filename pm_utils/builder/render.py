"""Run Jupyter Book when the builder says so, and end with it.

The builder starts this process while chapters run, so that its libraries are there when the pages
are. One line on standard input, as `pm_utils.builder.html.render` writes it, says what to do. A
builder that is killed cannot stop its Sphinx, but standard input ends, and with it this process.
"""

import contextlib
import importlib
import json
import os
import queue
import signal
import sys
import threading

from pm_utils.builder.project import end_with_children

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


def main() -> None:
    """Load the libraries, wait, and run Jupyter Book with the arguments of the job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the builder that ends this process
    jobs: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=listen, args=(jobs,), daemon=True).start()
    for name in PAGE_LIBRARIES:
        with contextlib.suppress(ImportError):  # Jupyter Book will say so
            importlib.import_module(name)
    job = jobs.get()
    with open(job["log"], "wb", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.argv[1:] = job["arguments"]
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
