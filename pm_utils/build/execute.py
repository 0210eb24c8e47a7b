"""Execute one notebook with papermill: ``python execute.py job.json``, one process per chapter.

The job names the notebook (executed in place), the parameters to inject and the identifiers of
the code cells. Events go to standard output as lines of JSON, everything else to standard error.
The process ends, with its kernel, as soon as its standard input is closed: by the builder when it
is interrupted, or by the system when the builder is killed.
"""

import json
import os
import re
import resource
import sys
import threading
from pathlib import Path
from typing import Any

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def end_with_parent() -> None:
    """Wait for the end of standard input, then end the kernel, its children and this process."""
    sys.stdin.buffer.read()
    import psutil

    for child in psutil.Process().children(recursive=True):
        child.kill()
    os._exit(130)


def peak_memory_mb() -> float:
    """Return the peak memory in MB of the largest process that this one has waited for."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def last_line(error: Exception) -> str:
    """Return what the last line of a traceback says, the message's first line if it has many."""
    name, text = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", str(error))
    lines = ANSI.sub("", str(text)).strip().splitlines()
    more = " …" if len(lines) > 1 else ""
    return f"{name}: {lines[0]}{more}" if lines else name


def run(job: dict[str, Any], emit: Any) -> None:
    """Execute a job and emit its events.

    Parameters
    ----------
    job : dict
        ``notebook`` (a path), ``parameters`` and ``cells`` (identifiers of the code cells).
    emit : callable
        Takes an event: ``{"cell": i}`` when code cell i (from 1) starts, at the end
        ``{"error": text or None, "peak_memory_mb": float}``.
    """
    import papermill

    numbers = {identifier: i for i, identifier in enumerate(job["cells"], start=1)}

    def start_cell(cell: Any, **_: Any) -> None:
        if number := numbers.get(cell.get("id")):
            emit({"cell": number})

    error = None
    try:
        papermill.execute_notebook(
            job["notebook"],
            job["notebook"],
            job["parameters"],
            progress_bar=False,
            request_save_on_cell_execute=False,
            on_cell_execute=start_cell,
        )
    except Exception as exception:  # whatever ends a notebook is reported with its cell
        print(exception, file=sys.stderr)
        error = last_line(exception)
    emit({"error": error, "peak_memory_mb": round(peak_memory_mb(), 1)})


def main() -> None:
    """Run the job that the command line names."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    threading.Thread(target=end_with_parent, daemon=True).start()
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    run(job, lambda event: events.write(json.dumps(event) + "\n"))
    events.close()
    os._exit(0)  # the thread that reads standard input would hold up an ordinary exit


if __name__ == "__main__":
    main()
