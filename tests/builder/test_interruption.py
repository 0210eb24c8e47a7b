"""Signals: one line and the shell's exit status, wherever they come."""

import os
import signal
import subprocess
import sys

import pytest

from pm_utils.builder.install import CHECKOUT
from pm_utils.builder.signals import SIGNALS, leave_on_signals
from tests.support.fake_book import FakeBook

KEPT = "interrupted: finished chapters are kept, call again to go on\n"
NOTHING = "interrupted: nothing was begun\n"

# Where the signal comes, as code that puts `strike` there.
IN_A_TASK = "nbformat.write = strike"
IN_MADE_CODE = "nbformat.write = lambda *_: exec('strike()')"
IN_A_DESTRUCTOR = """
class Fallen:
    def __del__(self):
        strike()
nbformat.write = lambda *_: Fallen() and None
"""
SWALLOWED = """
def swallow(*_):
    try:
        strike()
    except BaseException:
        pass
nbformat.write = swallow
"""
SCRIPT = """
import os, sys, nbformat
from pm_utils.builder import __main__
def strike(*_):
    os.kill(os.getpid(), NUMBER)
PLACE
sys.exit(__main__.main())
"""


def call(script, *words, folder):
    return subprocess.run(
        [sys.executable, "-P", "-c", script, *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize(
    ("place", "number"),
    [
        (IN_A_TASK, signal.SIGINT),
        (IN_MADE_CODE, signal.SIGTERM),
        (IN_A_DESTRUCTOR, signal.SIGINT),
        (SWALLOWED, signal.SIGTERM),
    ],
)
def test_a_signal_ends_in_one_line_wherever_it_comes(tmp_path, place, number):
    FakeBook(tmp_path).chapter("01-a")
    script = SCRIPT.replace("PLACE", place).replace("NUMBER", str(int(number)))
    told = call(script, "run", "01", folder=tmp_path)
    assert (told.returncode, told.stderr) == (128 + number, KEPT)


def test_before_the_builder_listens_a_signal_ends_it_with_a_line(tmp_path):
    script = "from pm_utils.builder.signals import leave_on_signals as begin; begin(); "
    for number in map(int, SIGNALS):  # which what started these tests may ignore
        heed = f"import os, signal; signal.signal({number}, signal.SIG_DFL); "
        told = call(f"{heed}{script} os.kill(os.getpid(), {number})", folder=tmp_path)
        assert (told.returncode, told.stderr) == (128 + number, NOTHING)


# It comes when each process of the server has been started.
IN_THE_START = """
from multiprocessing import forkserver, util
start, started = util.spawnv_passfds, []
def spawn(*words):
    started.append(start(*words))
    strike()
    return started[-1]
util.spawnv_passfds = spawn
import atexit
atexit.register(lambda: print("server:", forkserver._forkserver._forkserver_pid in started))
"""


def test_a_signal_waits_until_the_server_has_started(tmp_path):
    FakeBook(tmp_path).chapter("01-a")
    script = SCRIPT.replace("PLACE", IN_THE_START).replace("NUMBER", str(int(signal.SIGTERM)))
    told = call(script, "run", "01", folder=tmp_path)
    assert (told.returncode, told.stderr) == (128 + signal.SIGTERM, KEPT)
    assert "server: True" in told.stdout


def test_a_signal_after_the_work_changes_nothing(tmp_path):
    FakeBook(tmp_path).chapter("01-a")
    script = "import atexit, os, sys; from pm_utils.builder import __main__; "
    script += "atexit.register(lambda: [os.kill(os.getpid(), number) for number in (2, 15)]); "
    told = call(f"{script} sys.exit(__main__.main())", "status", folder=tmp_path)
    assert (told.returncode, told.stderr) == (0, ""), told.stdout


def test_an_ignored_signal_stays_ignored():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        leave_on_signals()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
