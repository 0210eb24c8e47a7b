"""Execute one notebook with papermill, in a process of its own that `pm_utils.builder.runs` forks.

The process is forked from a server that has imported what chapters import, and forks its kernel
in turn, so that no chapter waits for libraries. It ends, with its kernel, when the builder asks it
to or is no more.
"""

import contextlib
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

import psutil
from jupyter_client import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

from pm_utils.builder.project import end_with_children, explain

RUNNER = ("papermill", "ipykernel.kernelapp")
CHAPTER_LIBRARIES = (
    *("torch", "torch._inductor.config"),  # loaded late by optimizers, and in seconds
    *("pandas", "pyarrow.parquet", "pyarrow.dataset", "pandera.backends.pandas.builtin_checks"),
    *("matplotlib.pyplot", "myst_nb", "scipy.stats"),
    *("sklearn.ensemble", "sklearn.linear_model", "sklearn.cluster", "sklearn.manifold"),
    *("sklearn.pipeline", "statsmodels.stats.proportion", "gymnasium", "jinja2"),
)
LOOK_SECONDS = 0.25
LONGEST_MESSAGE = 300
FORKS = sys.platform == "linux"  # libraries of other systems do not survive a fork
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def libraries(sources: list[str]) -> list[str]:
    """Return what to import ahead for chapters with these sources, cells and modules alike.

    Examples
    --------
    >>> from pm_utils.builder.execute import libraries
    >>> libraries(["import numpy as np", "from sklearn.cluster import KMeans"])[2:4]
    ['sklearn.ensemble', 'sklearn.linear_model']
    """
    text = "\n".join(sources)
    imported = set(re.findall(r"^\s*(?:import|from) (\w+)", text, re.MULTILINE))
    return [*RUNNER, *(name for name in CHAPTER_LIBRARIES if name.split(".")[0] in imported)]


class Kernel:
    """A process forked ahead of time that becomes the kernel when it is told where to listen.

    It has what jupyter_client asks of a `subprocess.Popen`.

    Parameters
    ----------
    root : str
        The checkout whose ``pm_utils`` the notebook imports.
    events : multiprocessing.connection.Connection
        Closed in the kernel: the builder waits for its end.
    """

    stdin = stdout = stderr = None

    def __init__(self, root: str, events: Connection) -> None:
        fork = multiprocessing.get_context("fork")
        receiver, self._sender = fork.Pipe(duplex=False)
        given = receiver, (self._sender, events), root, os.getpid()
        self._process = fork.Process(target=serve, args=given)
        self._process.start()
        receiver.close()
        self.pid = self._process.pid

    def begin(self, arguments: list[str]) -> None:
        """Pass on the arguments of ipykernel, once."""
        self._sender.send(arguments)
        self._sender.close()

    def poll(self) -> int | None:
        """Return the exit status, None while it runs."""
        return self._process.exitcode

    def wait(self) -> int:
        """Wait for the exit status."""
        self._process.join()
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End the process at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)


def serve(receiver: Connection, others: tuple[Connection, ...], root: str, parent: int) -> None:
    """Wait for the arguments, then be the kernel until it is shut down."""
    for connection in others:  # so that these pipes end with the parent
        connection.close()
    os.setsid()
    try:
        arguments = receiver.recv()
    except EOFError:
        return
    for name in [name for name in sys.modules if name.split(".")[0] == "pm_utils"]:
        del sys.modules[name]  # the builder's; the notebook imports that of its checkout
    sys.path.insert(0, root)
    from ipykernel.kernelapp import IPKernelApp

    class WholeOutput(IPKernelApp):
        def init_iopub(self, context: Any) -> None:
            context.sndhwm = 0  # else output is dropped once 1,000 messages wait
            super().init_iopub(context)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server may ignore it
    WholeOutput.launch_instance([*arguments, f"--IPKernelApp.parent_handle={parent}"])


class ForkedKernelManager(AsyncKernelManager):
    """Starts the forked kernel instead of a new process."""

    kernel: Kernel

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.provisioner = Provisioner(
            kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
        )


class Provisioner(LocalProvisioner):
    """Launches what the manager holds."""

    async def launch_kernel(self, cmd: list[str], **_: Any) -> dict[str, Any]:
        """Pass on what follows ``python -m ipykernel_launcher``."""
        self.process, self.pid = self.parent.kernel, self.parent.kernel.pid
        self.parent.kernel.begin(cmd[cmd.index("-f") :])
        return self.connection_info


def end_with_parent() -> None:
    """Wait for the end of the builder, then end too, with the kernel and its children."""
    multiprocessing.parent_process().join()
    end_with_children()


def largest_child_mb() -> float:
    """Return the resident memory in MB of the largest process below this one, 0 without any."""
    largest = 0
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            memory = child.memory_info()
            largest = max(largest, getattr(memory, "peak_wset", memory.rss))  # Windows keeps a peak
    return largest / 2**20


class Memory:
    """Watches the processes below this one.

    Attributes
    ----------
    peak_mb : float
        The most resident memory in MB that one of them, the kernel as a rule, was seen to hold. A
        peak that comes and goes between two looks, `LOOK_SECONDS` apart, is missed.
    """

    def __init__(self) -> None:
        self.peak_mb = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def look(self) -> None:
        """Look now."""
        self.peak_mb = max(self.peak_mb, largest_child_mb())

    def _watch(self) -> None:
        while True:
            self.look()
            time.sleep(LOOK_SECONDS)


def last_line(error: Exception) -> str:
    """Return what the last line of a traceback says, the message's first line if it has many.

    It is cut after `LONGEST_MESSAGE` characters, and has none that a page or a terminal refuses.

    Examples
    --------
    >>> from pm_utils.builder.execute import last_line
    >>> last_line(ValueError("give a share between 0 and 1"))
    'ValueError: give a share between 0 and 1'
    >>> last_line(KeyError())
    'KeyError'
    """
    name, text = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", str(error))
    lines = _ANSI.sub("", str(text)).strip().splitlines()
    line = f"{name}: {lines[0]}" if lines else name
    more = " …" if len(lines) > 1 or len(line) > LONGEST_MESSAGE else ""
    line = line[:LONGEST_MESSAGE].encode("utf-8", "backslashreplace").decode()
    return _CONTROL.sub(" ", line) + more


def cause(error: Exception) -> str:
    """Return why a notebook ended before its end, in one line."""
    from nbclient.exceptions import DeadKernelError

    if isinstance(error, DeadKernelError):
        status = ForkedKernelManager.kernel.poll() if FORKS else None
        ended = {
            None: "",
            -9: " (killed; perhaps memory ran out: run fewer side by side by --jobs)",
        }
        return last_line(error) + ended.get(status, f" (its process ended with {status})")
    if isinstance(error, OSError) and error.errno is not None:
        return explain(error)
    return last_line(error)


def run_job(job: dict[str, Any], emit: Any, **settings: Any) -> None:
    """Execute a job and emit its events.

    Parameters
    ----------
    job : dict
        ``notebook`` (a path, executed in place), ``parameters`` to inject, ``cells``, the
        identifiers of the code cells, and ``limits``, by name, as `pm_utils.builder.limits.Limits`
        takes them.
    emit : callable
        Takes an event: ``{"cell": i}`` when code cell i (from 1) starts, at the end
        ``{"error": text or None, "peak_memory_mb": float}``, see `Memory`.
    **settings
        For papermill.
    """
    import papermill
    from papermill.engines import papermill_engines

    from pm_utils.builder.client import CellError, LimitedEngine
    from pm_utils.builder.limits import Limits

    papermill_engines.register("limited", LimitedEngine)
    path = job["notebook"].replace("{", "{{").replace("}", "}}")  # papermill formats paths
    replies: list[dict[str, Any]] = []
    numbers = {identifier: i for i, identifier in enumerate(job["cells"], start=1)}
    memory = Memory()

    def start_cell(cell: Any, **_: Any) -> None:
        memory.look()
        if number := numbers.get(cell.get("id")):
            emit({"cell": number})

    def end_cell(execute_reply: dict[str, Any], **_: Any) -> None:
        replies.append(execute_reply["content"])

    error = None
    try:
        papermill.execute_notebook(
            path,
            path,
            job["parameters"],
            engine_name="limited",
            limits=Limits(**job["limits"]),
            progress_bar=False,
            request_save_on_cell_execute=False,
            on_cell_execute=start_cell,
            on_cell_error=end_cell,
            **settings,
        )
    except Exception as exception:  # whatever ends a notebook is reported with its cell
        with contextlib.suppress(OSError):  # the disk may be full
            print(exception, file=sys.stderr, flush=True)
        error = cause(exception)
    if replies:  # papermill passes over sys.exit(), and over what errors without a traceback say
        error = cause(CellError(replies[0]))
        with contextlib.suppress(OSError):
            print(error, file=sys.stderr, flush=True)
    emit({"error": error, "peak_memory_mb": round(memory.peak_mb, 1)})


def main(job: dict[str, Any], events: Connection) -> None:
    """Run a job in this process, which is forked for it.

    Parameters
    ----------
    job : dict
        What `run_job` needs, and ``root`` (the checkout), ``folder`` (where to run), ``log`` (a
        path), ``environment``, ``path`` (where to look for modules) and ``first`` (the line with
        which the kernel begins).
    events : multiprocessing.connection.Connection
        Where events go.
    """
    if hasattr(os, "setsid"):  # Ctrl-C is then the builder's alone
        os.setsid()
    try:
        with open(job["log"], "wb", buffering=0) as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
    except OSError as error:  # nobody else would see it but as a traceback
        with contextlib.suppress(OSError):  # the builder may be no more
            events.send({"error": explain(error), "peak_memory_mb": 0.0})
        return
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["folder"])
    sys.path[:] = job["path"]
    settings = {"extra_arguments": [f"--IPKernelApp.exec_lines={job['first']}"]}
    if FORKS:  # before there are threads
        ForkedKernelManager.kernel = Kernel(job["root"], events)
        settings["kernel_manager_class"] = ForkedKernelManager
    signal.signal(signal.SIGTERM, end_with_children)
    threading.Thread(target=end_with_parent, daemon=True).start()
    run_job(job, events.send, **settings)
    os._exit(0)  # the thread would hold up an ordinary exit
