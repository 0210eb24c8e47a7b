"""A Chromium without a window, driven by its DevTools protocol: pages as readers meet them."""

import contextlib
import functools
import itertools
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import websocket

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*", "--force-color-profile=srgb"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
# Formulas are typeset after the page has loaded, and the page's own script runs at its end.
SETTLED = """
(async () => {
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  await document.fonts.ready;
  await new Promise((done) => setTimeout(done, 250));
})()
"""
# What has been opened fades in: until it has, its letters are fainter than a reader sees them.
MOVED = """
Promise.all(document.getAnimations().filter((one) => one.effect.getComputedTiming().endTime < 1e5)
  .map((one) => one.finished.catch(() => 0))).then(() => 0)
"""
OPEN_SOLUTIONS = """
document.querySelectorAll(".toggle-hidden > .admonition-title, details:not([open]) > summary,"
  + " button.toggle-button-hidden").forEach((one) => one.click());
"""


class Tab:
    """One page of the browser."""

    def __init__(self, address: str) -> None:
        self.socket = websocket.create_connection(address, timeout=120)
        self.numbers = itertools.count()
        for domain in ("Page", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol and return its result."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(self.socket.recv())).get("id") != number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def do(self, script: str) -> Any:
        """Run JavaScript in the page and return its value; a promise is waited for."""
        settings = {"returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", expression=script, **settings)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def show(
        self, url: str, *, width: int = 1400, theme: str = "light", media: str = "screen"
    ) -> None:
        """Open a page in a window of that width, in a theme of the book, and wait for it."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        features = [
            {"name": "prefers-color-scheme", "value": theme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)
        self.call("Page.navigate", url=url)
        deadline = time.monotonic() + 60
        loaded = f"location.href.startsWith({json.dumps(url)}) && document.readyState"
        while self.do(loaded) != "complete":
            assert time.monotonic() < deadline, f"{url} does not load"
            time.sleep(0.05)
        self.do(SETTLED)


@contextlib.contextmanager
def browser() -> Iterator[Tab]:
    """Start Chromium and give one tab; skip the test where there is none."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH to open pages with")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [CHROMIUM, *OPTIONS, f"--user-data-dir={folder}", "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, **quiet)
        try:
            yield Tab(_address(Path(folder) / "DevToolsActivePort"))
        finally:
            process.terminate()
            process.wait(30)


def _address(file: Path) -> str:
    """Return the address of the first tab, once the browser has written its port."""
    deadline = time.monotonic() + 60
    while not (file.is_file() and file.read_text().count("\n")):
        assert time.monotonic() < deadline, "Chromium does not start"
        time.sleep(0.05)
    port = file.read_text().splitlines()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=30) as answer:
        tabs = json.load(answer)
    return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")


@functools.cache
def axe() -> str:
    """Return the source of axe-core; skip the test where its package is not installed."""
    found = find_spec("axe_core_python")
    if found is None:
        pytest.skip("axe-core-python is not installed: pip install -r requirements.lock")
    path = Path(found.submodule_search_locations[0]) / "axe.min.js"
    return path.read_text(encoding="utf-8")


# The rule that a visible label is part of the name counts as experimental: it is asked for too.
RUN_AXE = """
axe.run(document, SETTINGS).then((found) =>
  found.violations.flatMap((rule) => rule.nodes.map((node) =>
    `${rule.id} (${rule.impact}): ${node.html.slice(0, 160)} at ${node.target.join(" ")} `
      + node.any.concat(node.all).map((check) => check.message).join("; ").slice(0, 200))))
"""


def violations(tab: Tab, *, only: str | None = None) -> list[str]:
    """Return one line for each element of the tab's page that breaks a rule of axe-core."""
    settings: dict[str, Any] = {"resultTypes": ["violations"]}
    settings["rules"] = {"label-content-name-mismatch": {"enabled": True}}
    if only:
        settings = {"resultTypes": ["violations"], "runOnly": [only]}
    tab.do(f"{axe()};0")
    tab.do(MOVED)
    return tab.do(RUN_AXE.replace("SETTINGS", json.dumps(settings)))
