"""papermill's client with limits, apart because it takes most of a second to import."""

import json
from typing import Any

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine

from pm_utils.builder.limits import LimitError, Limits

OUTPUT_PATIENCE_SECONDS = 600  # for output still on its way when the cell has ended


class CellError(Exception):
    """What a kernel said when a cell failed: the class and the text of the error."""

    def __init__(self, reply: dict[str, Any]) -> None:
        self.ename, self.evalue = reply.get("ename") or "Error", reply.get("evalue") or ""
        if self.ename == "SystemExit":
            self.evalue = "the cells below were not run: leave out sys.exit(), or raise an error"
        super().__init__(self.ename, self.evalue)


class LimitedClient(PapermillNotebookClient):
    """Runs cells within limits and waits for all that they print."""

    limits = own = Limits()

    def execute_cell(self, cell: NotebookNode, cell_index: int, **settings: Any) -> NotebookNode:
        """Run a cell; an end that a limit brought is named so.

        An error that the kernel showed while its reply says "ok", as ``%%capture`` lets it, is the
        cell's failure all the same.
        """
        self.taken, self.shown = 0, None
        try:
            done = super().execute_cell(cell, cell_index, **settings)
        except CellTimeoutError:
            raise LimitError(
                f"it ran for longer than {self.own.seconds:g} s, the limit of a cell: make it "
                "faster, or raise the limit by --cell-seconds or `pm.seconds` in its metadata"
            ) from None
        except DeadKernelError:
            if not self._too_much():
                raise
            raise LimitError(
                f"it printed or drew more than {self.own.output_mb:g} MB, the limit of a cell: "
                "print less, or raise the limit by `pm.output_mb` in its metadata"
            ) from None
        if self.shown:
            raise CellError(self.shown)
        return done

    def _get_timeout(self, cell: NotebookNode | None) -> float | None:
        if cell is None:
            return None
        self.own = self.limits.of(cell)  # here, where the builder knows which cell it is
        return self.own.seconds or None

    def _too_much(self) -> bool:
        return 0 < self.own.output_mb * 1e6 < self.taken

    def output(
        self, outs: list, msg: dict, display_id: str, cell_index: int
    ) -> NotebookNode | None:
        """Add an output to a cell; end the cell when it is too much."""
        if msg["msg_type"] == "error":
            self.shown = msg["content"]
        self.taken += len(json.dumps(msg["content"], default=repr))
        if self._too_much():
            self.task_poll_for_reply.cancel()  # seen by `execute_cell` as the end of the kernel
            return None
        return super().output(outs, msg, display_id, cell_index)


class LimitedEngine(NBClientEngine):
    """papermill's engine with `LimitedClient`."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, limits: Limits, **settings: Any
    ) -> None:
        """Run the cells of a notebook."""
        for name in ("input_path", "log_output", "stdout_file", "stderr_file"):
            settings.pop(name, None)
        settings["startup_timeout"] = settings.pop("start_timeout", 60)
        settings["iopub_timeout"] = OUTPUT_PATIENCE_SECONDS
        client = LimitedClient(nb_man, kernel_name=kernel_name, **settings)
        client.limits = limits
        client.execute()
