"""The figures of the last quick build, held against what ten seeds allow."""

from pathlib import Path

import pytest

from pm_utils.builder import verify
from pm_utils.page import evidence, scoreboard

ROOT = Path(__file__).resolve().parent.parent
RESULTS = sorted((ROOT / "_build" / "results" / "quick").glob("*.json"))
EVIDENCE = sorted((ROOT / "evidence").glob("*.json"))


@pytest.mark.skipif(not RESULTS, reason="no quick build here to check: run `make book` first")
def test_the_last_build_lies_within_its_evidence():
    boards = [scoreboard.read_scoreboard(path) for path in RESULTS]
    known = {name: evidence.read_evidence(name, "quick", ROOT / "evidence") for name in names()}
    assert verify.check(boards, {name: found for name, found in known.items() if found}) == []


def names():
    return [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]


def test_each_file_of_evidence_is_of_a_chapter():
    assert [path.stem for path in EVIDENCE if path.stem not in {n[:2] for n in names()}] == []
