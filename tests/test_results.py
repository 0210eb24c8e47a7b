"""The figures of the last quick build, held against what ten seeds allow."""

from pathlib import Path

import pytest

from pm_utils.builder import bounds
from pm_utils.page import scoreboard

ROOT = Path(__file__).resolve().parent.parent
RESULTS = sorted((ROOT / "_build" / "results" / "quick").glob("*.json"))


@pytest.mark.skipif(not RESULTS, reason="no quick build here to check: run `make book` first")
def test_the_last_build_lies_within_its_bounds():
    boards = [scoreboard.read_scoreboard(path) for path in RESULTS]
    entries = bounds.read_bounds(ROOT / "tests" / "bounds.json")
    assert bounds.check(boards, entries) == []
