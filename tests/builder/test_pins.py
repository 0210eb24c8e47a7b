"""The lock and what is installed."""

from importlib.metadata import version
from pathlib import Path

import pytest

from pm_utils.builder import cli, pins
from pm_utils.builder.project import Project
from tests.support.fake_book import FakeBook

NUMPY = version("numpy")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"numpy=={NUMPY}", ""),
        (f"NumPy=={NUMPY}  # a comment", ""),
        (f"numpy=={NUMPY} --hash=sha256:0", ""),
        ("# numpy==1.0", ""),
        ("", ""),
        ("--no-binary :none:", ""),
        ("numpy==1.0 ; sys_platform == 'nowhere'", ""),
        ("numpy==1.0", f"numpy {NUMPY} instead of numpy==1.0"),
        ("no-such-package==1.0", "no-such-package==1.0 is missing"),
        ("numpy=1", "no requirement: numpy=1"),
    ],
)
def test_a_pin_is_met_or_told(tmp_path, line, expected):
    Path(tmp_path, "lock").write_text(line)
    said = map(pins.unmet_pin, pins.requirements(tmp_path / "lock"))
    assert "".join(said) == expected


def test_a_build_of_a_version_is_that_version(monkeypatch):
    monkeypatch.setattr(pins, "version", lambda name: "2.13.0+cpu")
    assert pins.unmet_pin("torch==2.13.0") == ""
    assert "instead of" in pins.unmet_pin("torch==2.12.0")


def test_a_lock_that_is_not_installed_runs_nothing(tmp_path, monkeypatch, capsys):
    book = FakeBook(tmp_path)
    book.chapter("01-a")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requirements.lock").write_text("numpy==1.0\nno-such-package==2\n")
    assert cli.main(["run", "1"]) == 2
    said = capsys.readouterr().err
    assert f"numpy {NUMPY} instead of numpy==1.0; no-such-package==2 is missing" in said
    assert f"-m pip install -r {tmp_path / 'requirements.lock'}" in said
    assert cli.main(["status"]) == 0  # it runs nothing


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("# why\nnumpy==2\ntwo-three==1\n", True),
        ("two-three==1\r\nnumpy==2\r\n", True),
        ("Two_Three == 1  # why\nnumpy==2 \\\n  --hash=sha256:0\n--no-binary :none:\n", True),
        ("numpy==2\ntwo-three==1 ; sys_platform == 'linux'\n", False),
        ("numpy==2\n", False),
        ("numpy==3\ntwo-three==1\n", False),
    ],
)
def test_a_lock_counts_by_what_it_pins(tmp_path, text, same):
    lock, project = tmp_path / pins.PINS_FILE, Project(tmp_path)
    assert pins.lock_digest(project) is None
    lock.write_text("numpy==2\ntwo-three==1\n")
    before = pins.lock_digest(project)
    lock.write_bytes(text.encode())
    assert (pins.lock_digest(project) == before) == same
