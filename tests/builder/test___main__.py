"""The command without make and without a script: ``python -m pm_utils.builder``."""

import os
import subprocess
import sys
import tomllib

from pm_utils.builder import cli
from pm_utils.builder.install import CHECKOUT
from tests.support.fake_book import FakeBook


def call(*words, folder):
    return subprocess.run(
        # -P: a fake book has a folder pm_utils of its own.
        [sys.executable, "-P", "-m", "pm_utils.builder", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_it_runs_a_chapter_like_the_script(tmp_path):
    book = FakeBook(tmp_path)
    book.chapter("01-a", "1 + 1;")
    ran = call("run", "01", folder=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    again = call("run", "01", folder=tmp_path)
    assert again.returncode == 0 and "01-a: unchanged" in again.stdout


def test_it_lists_the_commands(tmp_path):
    told = call("--help", folder=tmp_path)
    assert told.returncode == 0
    assert all(name in told.stdout for name in cli.COMMANDS)


def test_outside_of_a_checkout_it_says_so(tmp_path):
    told = call("status", folder=tmp_path)
    assert told.returncode == 2 and "not inside the book's repository" in told.stderr


def test_the_script_runs_the_same():
    scripts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"pm": "pm_utils.builder.__main__:main"}
