"""Nothing of the user's own settings reaches a chapter."""

import json
import os
import subprocess
import sys

from pm_utils.builder import isolation
from tests.support.fake_book import FakeBook

LOOK = """import sys, locale, time, json
import matplotlib
try:
    import helper
except ImportError:
    helper = None
seen = dict(
    dpi=matplotlib.rcParams["figure.dpi"],
    order=list({"a", "b", "c", "d", "e", "f"}),
    encoding=locale.getpreferredencoding(),
    zone=time.tzname[0],
    flags=[sys.flags.optimize, sys.warnoptions, sys.flags.utf8_mode],
    helper=helper is not None,
    startup="planted" in globals(),
    width=__import__("shutil").get_terminal_size().columns,
    mine=sorted(set(os.environ) & {"GIT_DIR", "PYTHONWARNINGS", "PYTHONOPTIMIZE", "MY_OWN"}),
)
(out / "seen.json").write_text(json.dumps(seen))
"""


def looked(book, **variables):
    """What a chapter sees when the builder is started with variables."""
    command = [sys.executable, "-m", "pm_utils.builder.cli", "run", "1"]
    (book.root / "notebooks" / "quick.yml").write_text(f"01-a: {{seed: {len(variables)}}}\n")
    done = subprocess.run(
        command,
        cwd=book.root / "notebooks",
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((book.folder("01-a") / "seen.json").read_text())


def test_a_chapter_sees_the_same_whatever_the_user_has_set(tmp_path):
    (tmp_path / "book").mkdir()
    book = FakeBook(tmp_path / "book")
    book.chapter("01-a", LOOK, gives=["seen.json"])
    home = tmp_path / "home"
    for folder in (".config/matplotlib", ".ipython/profile_default/startup", "own"):
        (home / folder).mkdir(parents=True)
    (home / ".config/matplotlib/matplotlibrc").write_text("figure.dpi: 33\n")
    (book.root / "notebooks" / "matplotlibrc").write_text(
        "figure.dpi: 44\n"
    )  # where the builder is started
    (home / ".ipython/profile_default/startup/a.py").write_text("planted = 1\n")
    (home / "own" / "helper.py").write_text("")
    plain = looked(book)
    own = {"HOME": str(home), "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{home / 'own'}"}
    own |= {"IPYTHONDIR": str(home / ".ipython"), "MPLCONFIGDIR": str(home / ".config/matplotlib")}
    own |= {"PYTHONHASHSEED": "7", "PYTHONWARNINGS": "ignore", "PYTHONOPTIMIZE": "1"}
    own |= {"LC_ALL": "C", "TZ": "Asia/Tokyo", "COLUMNS": "33", "GIT_DIR": "/x", "MY_OWN": "1"}
    assert looked(book, **own) == plain
    assert plain["dpi"] == 100 and plain["encoding"].lower() == "utf-8" and plain["zone"] == "UTC"
    assert plain["flags"] == [0, [], 1]
    assert plain["mine"] == [] and not plain["helper"] and not plain["startup"]


def test_the_builder_keeps_its_own_environment(tmp_path):
    project = FakeBook(tmp_path).project
    before = dict(os.environ), os.getcwd()
    with isolation.as_of_a_chapter(project, {"MORE": "1"}):
        assert os.environ["PYTHONHASHSEED"] == "0" and os.environ["MORE"] == "1"
        assert os.getcwd() == os.environ["HOME"]
    assert (dict(os.environ), os.getcwd()) == before
    assert not any(
        os.path.samefile(p, os.getcwd()) for p in isolation.isolated_path() if p[-4:] != ".zip"
    )


def test_the_pages_are_written_by_a_plain_python(monkeypatch):
    """A user's PYTHONWARNINGS=error would end Jupyter Book with a traceback."""
    for name in ("PYTHONWARNINGS", "PYTHONHASHSEED", "PYTHONPATH", "MY_OWN"):
        monkeypatch.setenv(name, "error")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    found = isolation.environment_of_pages()
    assert "PYTHONWARNINGS" not in found and found["PYTHONHASHSEED"] == "0"
    assert found["PYTHONPATH"] == found["MY_OWN"] == "error" and found["TZ"] == "UTC"


def test_no_chapter_finds_what_another_left_at_home(tmp_path):
    book = FakeBook(tmp_path)
    book.chapter("01-a", "import pathlib; (pathlib.Path.home() / 'mark').touch()")
    look = "import pathlib; assert not (pathlib.Path.home() / 'mark').exists()"
    book.chapter("02-b", look)
    book.toc("01-a", "02-b")
    command = [sys.executable, "-m", "pm_utils.builder.cli", "book", "--jobs", "1"]
    done = subprocess.run(command, cwd=book.root, capture_output=True, text=True)
    assert "02-b: done" in done.stdout, done.stdout + done.stderr


def test_evidence_is_that_of_the_project_or_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PM_EVIDENCE", "before")
    with isolation.evidence_from(tmp_path):
        assert os.environ["PM_EVIDENCE"] == str(tmp_path)
        with isolation.evidence_from(None):
            assert os.environ["PM_EVIDENCE"] == "none"
        assert os.environ["PM_EVIDENCE"] == str(tmp_path)
    assert os.environ["PM_EVIDENCE"] == "before"
    monkeypatch.delenv("PM_EVIDENCE")
    with isolation.evidence_from(None):
        pass
    assert "PM_EVIDENCE" not in os.environ
