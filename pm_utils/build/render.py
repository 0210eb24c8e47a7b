"""Run Jupyter Book, and end with the builder: ``python render.py build ...``.

A builder that is killed cannot stop its Sphinx. As in `execute`, the end of standard input does.
"""

import os
import sys
import threading


def end_with_parent() -> None:
    """Wait for the end of standard input and end this process."""
    while os.read(0, 1024):  # sys.stdin has a lock, which no fork of this process would get back
        pass
    import psutil

    for child in psutil.Process().children(recursive=True):  # pages are written side by side
        child.kill()
    os._exit(130)


def main() -> None:
    """Run Jupyter Book with this process's arguments."""
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
