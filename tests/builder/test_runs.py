"""Runs: what is executed again, what failure and interruption leave, that chapters overlap."""

import importlib
import json
import os
import signal
import subprocess
import sys

import nbformat
import psutil
import pytest

from pm_utils.builder import cli, execute, html, pages, progress, project, runs
from pm_utils.builder.code import digest
from tests.support.fake_book import FakeBook, give, score, wait_for


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book without HTML: Sphinx has its own test."""
    monkeypatch.chdir(tmp_path)
    index = tmp_path / "_build" / "html" / "index.html"
    monkeypatch.setattr(html.Renderer, "start", lambda _: None)
    monkeypatch.setattr(html, "render", lambda *_, **__: project.write_whole(index, ""))
    return FakeBook(tmp_path)


def executed(output):
    """The chapters that the lines on a dull terminal say were done."""
    return {line.split(":")[0] for line in output.splitlines() if ": done in" in line}


def pm(capsys, *words):
    status = cli.main(list(words))
    return status, capsys.readouterr()


def texts(page):
    return [
        output.text for cell in page.cells if cell.cell_type == "code" for output in cell.outputs
    ]


def test_only_what_changed_runs_again(book, capsys):
    book.chapter("01-a", give("x.json"), score("01-a"), 'print("one")', gives=["x.json"])
    book.chapter(
        "02-b",
        "from pm_utils.plain import VALUE",
        'print("two", (pathlib.Path(os.environ["PM_INPUTS"]) / "x.json").read_text(), VALUE)',
        'print(os.getcwd(), os.environ["OMP_NUM_THREADS"], seed)',
        needs=["x.json"],
    )
    book.profile("quick", "02-b: {seed: 7}")
    book.chapter("03-c", "print('three')")
    book.toc("01-a", "02-b", "03-c")

    code, told = pm(capsys, "book")
    assert (code, executed(told.out)) == (0, {"01-a", "02-b", "03-c"})
    assert "chapters: 3 executed, 0 unchanged, 0 failed, 0 left out" in told.out
    assert texts(book.page("02-b")) == ["two made 1\n", f"{book.project.notebooks} 1 7\n"]
    injected = book.page("02-b").cells[3]
    assert injected.metadata == {} and "seed = 7" in injected.source
    assert not any("Parameters" in cell.source for cell in book.page("01-a").cells)
    published = book.project.results("quick") / "01-a.json"
    assert published.read_text() == (book.folder("01-a") / "scoreboard.json").read_text()
    assert "| 0.9000" in (book.project.generated / "scoreboard.md").read_text().replace("**", "")
    record = runs.read_record(book.folder("01-a"))
    assert record["status"] == "ok" and 20 < record["peak_memory_mb"] < 500
    assert record["seconds"] > 0 and record["environment"]["threads"] == 1
    built = (book.project.generated / "built.md").read_text()
    assert f"| {record['seconds']:.1f} | {record['peak_memory_mb']:.0f} | 0 |" in built

    seen = {path: path.stat().st_mtime_ns for path in book.root.rglob("*.ipynb")}
    code, told = pm(capsys, "book")
    assert (code, executed(told.out)) == (0, set())
    assert "HTML: unchanged" in told.out
    assert {path: path.stat().st_mtime_ns for path in seen} == seen
    assert (book.project.generated / "built.md").read_text() == built

    notebook = book.read("02-b")
    notebook.cells[3].source = "Other prose."
    book.write("02-b", notebook)
    code, told = pm(capsys, "book")
    assert (code, executed(told.out)) == (0, set())
    assert "HTML: built" in told.out
    page = book.page("02-b")
    assert page.cells[4].source == "Other prose." and texts(page)[0] == "two made 1\n"

    (book.root / "pm_utils" / "plain.py").write_text("VALUE = 'new'\n")
    assert pm(capsys, "status")[1].out.count("up to date") == 2
    states = json.loads(pm(capsys, "status", "--json")[1].out)
    assert states["02-b"]["reason"] == "pm_utils/plain.py"
    code, told = pm(capsys, "book")
    assert (code, executed(told.out)) == (0, {"02-b"})
    assert texts(book.page("02-b"))[0] == "two made new\n"

    book.path("03-c").unlink()
    book.toc("01-a", "02-b")
    code, told = pm(capsys, "book")
    assert (code, executed(told.out)) == (0, set())
    assert not (book.project.pages / "03-c.ipynb").exists()
    assert not book.folder("03-c").exists()


def test_a_failing_cell_is_told_and_leaves_no_stale_page(book, capsys):
    book.chapter("01-a", give("x.json"), score("01-a"), "limit = 1", gives=["x.json"])
    book.chapter("02-b", needs=["x.json"])
    book.toc("01-a", "02-b", "03-c")
    book.chapter("03-c")
    assert pm(capsys, "book", "--jobs", "2")[0] == 0
    good = book.page("01-a")

    book.chapter("01-a", give("x.json"), score("01-a"), "limit = 1 / 0", "limit", gives=["x.json"])
    book.chapter("03-c", "fresh = 1")
    code, told = pm(capsys, "book")
    assert code == 1
    assert (
        "01-a: failed in code cell 5 of 6 (code-2): ZeroDivisionError: division by zero" in told.out
    )
    assert "02-b: left out, because it needs 01-a" in told.out
    assert executed(told.out) == {"03-c"}
    assert len(book.page("01-a").cells) == 1
    assert "code cell 5 of 6 (code-2): ZeroDivisionError" in book.page("01-a").cells[0].source
    assert "it needs 01-a" in book.page("02-b").cells[0].source
    assert not (book.project.results("quick") / "01-a.json").exists()
    assert "No chapter has recorded" in (book.project.generated / "scoreboard.md").read_text()
    assert "| failed |" in (book.project.generated / "built.md").read_text()
    state = json.loads(pm(capsys, "status", "--json")[1].out)["01-a"]
    assert state["state"] == "failed" and "ZeroDivisionError" in state["reason"]

    book.chapter("01-a", give("x.json"), score("01-a"), "limit = 1", gives=["x.json"])
    assert "up to date" in pm(capsys, "status")[1].out.splitlines()[0]
    code, told = pm(capsys, "book")
    assert (code, executed(told.out)) == (0, set()), "the run of the sources as they were is kept"
    assert book.page("01-a") == good
    assert (book.project.results("quick") / "01-a.json").exists()


def test_a_missing_artifact_and_a_dead_kernel_are_failures(book, capsys):
    book.chapter("01-a", gives=["x.json"])
    book.chapter("02-b", "1", "os.kill(os.getpid(), 9)")
    book.chapter("03-c", "os.kill(os.getppid(), 9)")
    book.toc("01-a", "02-b", "03-c")
    code, told = pm(capsys, "book")
    assert code == 1
    assert "01-a: failed at its end: it did not write x.json" in told.out
    assert "02-b: failed in code cell 4 of 4 (code-1): DeadKernelError: Kernel died" in told.out
    assert "03-c: failed in code cell 3 of 3 (code-0): process ended with -9" in told.out
    assert not list(book.project.runs("quick").glob("*"))


MEET = """import time
(out.parent.parent.parent.parent / "{own}").write_text("here")
for _ in range(300):
    if (out.parent.parent.parent.parent / "{other}").exists():
        break
    time.sleep(0.1)
else:
    raise TimeoutError("nobody came")"""


def test_independent_chapters_run_side_by_side(book, capsys):
    book.chapter("01-a", MEET.format(own="a", other="b"))
    book.chapter("02-b", MEET.format(own="b", other="a"))
    book.toc("01-a", "02-b")
    assert pm(capsys, "book", "--jobs", "2")[0] == 0


GROW = """import sys
taken = bytearray(b"1") * (150 * 2**20)
print("there", flush=True)
sys.stdin.read()
"""


def test_the_peak_is_that_of_the_largest_process_below_and_outlives_it(monkeypatch):
    monkeypatch.setattr(execute.Memory, "_watch", lambda self: None)
    memory = execute.Memory()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", GROW], **pipes) as child:
        assert child.stdout.readline() == b"there\n"
        memory.look()
    peak = memory.peak_mb
    assert peak > 150
    memory.look()
    assert memory.peak_mb == peak


def test_a_peak_between_cells_is_seen(book, capsys):
    held = "import time\ntaken = bytearray(b'1') * (700 * 2**20)\ntime.sleep(1)\ndel taken"
    book.chapter("01-a", held)
    book.toc("01-a")
    assert pm(capsys, "book")[0] == 0
    assert runs.read_record(book.folder("01-a"))["peak_memory_mb"] > 700


def test_without_a_server_to_fork_from_each_process_is_spawned():
    """As on Windows."""
    text = """import multiprocessing
multiprocessing.get_all_start_methods = lambda: ["spawn"]
from pm_utils.builder import runs
print(runs.SERVER.get_start_method())"""
    told = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert told.stdout == "spawn\n"


def start(book, *words, deaf=False):
    """Start the builder; a `deaf` one ignores Ctrl-C, as what a script starts in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", "pm_utils.builder.cli", *words],
        cwd=book.root / "notebooks",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if deaf else None,
    )


@pytest.mark.parametrize(
    ("how", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_an_interrupted_run_leaves_nothing_half_done(book, capsys, how, status):
    """The first chapter is done and kept, the second is in its last cell when the end comes."""
    pause = 'import time; (out / "pid").write_text(str(os.getpid())); time.sleep(flag)'
    book.chapter("01-a", give("x.json"), gives=["x.json"])
    book.chapter("02-b", pause, needs=["x.json"], gives=["pid"], parameters="seed = 0\nflag = 0")
    book.profile("full", "02-b: {flag: 600}")
    book.toc("01-a", "02-b")
    builder = start(book, "run", "02", "--profile", "full", deaf=how == signal.SIGTERM)
    unfinished = book.project.aside("unfinished", book.folder("02-b", "full"))
    wait_for(lambda: (unfinished / "pid").exists() and (unfinished / "pid").read_text())
    kernel = psutil.Process(int((unfinished / "pid").read_text()))
    if how == signal.SIGTERM:
        assert cli.main(["run", "1"]) == 2
        assert f"another pm (process {builder.pid}) works in" in capsys.readouterr().err
    os.kill(builder.pid, how)
    output, _ = builder.communicate(timeout=20)
    assert builder.returncode == status, output
    wait_for(lambda: not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE, 10)
    assert not book.folder("02-b", "full").exists()
    assert (book.folder("01-a", "full") / "record.json").exists()
    if how != signal.SIGKILL:
        assert "interrupted" in output and not unfinished.exists()
        return
    book.profile("full", "{}")
    code, told = pm(capsys, "run", "02", "--profile", "full")
    assert (code, executed(told.out)) == (0, {"02-b"})
    assert "01-a: unchanged" in told.out
    assert not unfinished.exists()


def test_evidence_comes_from_seeds_and_variants(book, capsys):
    deep = "0.9 + seed / 100 + epochs / 10_000"
    book.chapter("01-a", give("x.json"), gives=["x.json"])
    varied = {"doubled": {"epochs": 2}, "halved": {"n": 0.5}}
    fields = {"needs": ["x.json"], "parameters": "seed = 0\nepochs = 4\nn = 3", **varied}
    book.chapter("02-b", score("02-b", deep=deep), **fields)
    path = book.root / "evidence" / "02.json"
    code, told = pm(capsys, "seeds", "02", "--runs", "2")
    assert code == 0
    seeds = {f"02-b{kind} seed {seed}" for kind in ("", " doubled", " halved") for seed in (0, 1)}
    assert executed(told.out) == {"01-a"} | seeds
    found = json.loads(path.read_text())
    assert found["seeds"] == [0, 1] and found["chapter"] == "02-b"
    assert found["variants"] == {"doubled": {"epochs": 8}, "halved": {"n": 2}}
    row = found["rows"]["m"]
    assert row["deep"] == [0.9004, 0.9104] and row["naive"] == [0.2, 0.2]
    assert row["variants"] == {"doubled": [0.9008, 0.9108], "halved": [0.9004, 0.9104]}
    assert row["names"] == {"classical": ["trees", "trees"], "deep": ["net", "net"]}

    before = path.read_bytes()
    code, told = pm(capsys, "seeds", "02", "--runs", "2")
    assert (code, executed(told.out), path.read_bytes()) == (0, set(), before)
    code, told = pm(capsys, "seeds", "02", "--runs", "3")  # what is done stays
    added = {f"02-b{kind} seed 2" for kind in ("", " doubled", " halved")}
    assert (code, executed(told.out)) == (0, added)

    before = path.read_bytes()
    book.chapter("02-b", "if seed: 1 / 0", score("02-b"), **fields)
    code, told = pm(capsys, "seeds", "02", "--runs", "2")
    assert code == 1 and "its evidence is left as it was: not every run succeeded" in told.err
    assert path.read_bytes() == before


def test_seeds_without_a_chapter_are_those_of_all(book, capsys):
    book.chapter("01-a", score("01-a"))
    book.chapter("02-b", score("02-b"))
    book.chapter("03-c", "1 / 0")
    code, told = pm(capsys, "seeds", "--runs", "2")
    assert code == 1 and "03-c: its evidence is left as it was" in told.err
    assert sorted(path.name for path in (book.root / "evidence").iterdir()) == [
        "01.json",
        "02.json",
    ]


def test_status_and_pages_say_what_evidence_is_of(book, capsys):
    book.chapter("01-a", score("01-a"))
    book.toc("01-a")
    (book.root / "book" / "index.md").write_text(
        "# The book\n\n```{include} _generated/built.md\n```\n"
    )
    assert pm(capsys, "book")[0] == 0
    assert "evidence: there is none" in pm(capsys, "status")[1].out
    assert "No seeds were run for this page" in book.page("01-a").cells[-2].source
    assert pm(capsys, "seeds", "--runs", "2")[0] == 0
    assert "evidence: of this code" in pm(capsys, "status")[1].out
    code, told = pm(capsys, "book")
    assert (code, executed(told.out)) == (0, set())  # this chapter's code reads no evidence
    built = (book.project.generated / "built.md").read_text()
    assert "2 seeds of this code" in built
    assert "seeds" not in book.page("01-a").cells[-2].source
    book.chapter("01-a", "x = 2", score("01-a"))
    assert "evidence: older than code cells" in pm(capsys, "status")[1].out
    assert pm(capsys, "book")[0] == 0
    assert "Changed since: code cells." in book.page("01-a").cells[-2].source
    assert "older than this code" in (book.project.generated / "built.md").read_text()


def test_evidence_outlives_drawing(book, capsys):
    """A module that draws makes no figure of a scoreboard."""
    drawing, making = (book.root / "pm_utils" / name for name in ("a_figures.py", "a.py"))
    drawing.write_text("COLOUR = 'red'\n")
    making.write_text("VALUE = 1\n")
    code = "from pm_utils.a import VALUE\nfrom pm_utils.a_figures import COLOUR"
    book.chapter("01-a", code, score("01-a"))
    assert pm(capsys, "seeds", "--runs", "2")[0] == 0
    drawing.write_text("COLOUR = 'blue'\n")
    assert "evidence: of this code" in pm(capsys, "status")[1].out
    making.write_text("VALUE = 2\n")
    assert "evidence: older than pm_utils/a.py" in pm(capsys, "status")[1].out


def test_verify_tells_inside_from_outside(book, capsys):
    book.chapter("01-a", score("01-a", deep="0.9 + seed / 1000"))
    book.toc("01-a")
    code, told = pm(capsys, "verify")
    assert code == 1 and "01-a: not built, `pm book` builds it" in told.out
    assert pm(capsys, "run", "01")[0] == 0
    code, told = pm(capsys, "verify")
    assert code == 1 and "01-a, m, deep: 0.9 no evidence" in told.out
    assert pm(capsys, "seeds", "--runs", "4")[0] == 0
    code, told = pm(capsys, "verify")
    assert code == 0 and "01-a, m, deep: 0.9 inside" in told.out
    assert told.out.splitlines()[-1].startswith("2 of 2 headline figures lie inside, 0 of 1")
    found = json.loads(pm(capsys, "verify", "--json")[1].out)
    assert [figure["inside"] for figure in found["figures"]] == [True, True]
    book.chapter("01-a", score("01-a", deep="0.5"))
    assert pm(capsys, "run", "01")[0] == 0
    code, told = pm(capsys, "verify")
    assert code == 1 and "01-a, m, deep: 0.5 OUTSIDE" in told.out


@pytest.fixture
def stored(book, capsys):
    """A book of one chapter that has been run."""
    book.chapter("01-a", give("x.json"), score("01-a"), gives=["x.json"])
    book.toc("01-a")
    assert runs.stale_reason(book.tasks()["01-a"]) == "never run"
    assert pm(capsys, "book")[0] == 0
    return book


def test_a_run_that_lost_a_file_is_run_again(stored, capsys):
    task = stored.tasks()["01-a"]
    for name in ("notebook.ipynb", "scoreboard.json", "x.json"):
        path = task.folder / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-2])
        assert runs.stale_reason(task) == f"{name} changed in its stored run"
        path.unlink()
        assert runs.stale_reason(task) == f"{name} missing from its stored run"
        path.write_bytes(whole)
        assert runs.stale_reason(task) == ""
    (task.folder / "notebook.ipynb").unlink()
    (task.folder / "scoreboard.json").unlink()
    code, told = pm(capsys, "book")
    assert (code, executed(told.out)) == (0, {"01-a"})
    assert "| 0.9000" in (stored.project.generated / "scoreboard.md").read_text().replace("**", "")
    assert "up to date" in pm(capsys, "status")[1].out


def test_a_run_with_a_damaged_record_is_run_again(stored, capsys):
    path = stored.folder("01-a") / "record.json"
    parts = json.dumps(json.loads(path.read_text()) | {"parts": None}).encode()
    for text in (b"", b"{}", b"[]", b"null", b'{"key": "', b"\x80", parts):
        path.write_bytes(text)
        assert "out of date  its record is damaged" in pm(capsys, "status")[1].out
    code, told = pm(capsys, "book")
    assert (code, executed(told.out)) == (0, {"01-a"})


def test_the_log_of_a_run_is_no_figure(stored, capsys):
    (stored.folder("01-a") / "log.txt").unlink()
    assert "up to date" in pm(capsys, "status")[1].out


def test_the_commit_tells_uncommitted_changes(book):
    assert runs.commit(book.root) == "no repository"
    git = ["git", "-C", str(book.root), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "m"], check=True)
    clean = runs.commit(book.root)
    assert len(clean) >= 7 and " " not in clean
    (book.root / "README.md").write_text("new")
    assert runs.commit(book.root) == f"{clean} with uncommitted changes"


def test_the_commit_is_that_of_the_checkout_itself(book, tmp_path_factory, monkeypatch):
    """A folder inside another repository has none, and variables name none."""
    outer = tmp_path_factory.mktemp("outer")
    git = ["git", "-C", str(outer), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "m"], check=True)
    inner = outer / "book"
    inner.mkdir()
    assert runs.commit(inner) == "no repository"
    monkeypatch.setenv("GIT_DIR", str(outer / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(outer))
    assert runs.commit(inner) == runs.commit(book.root) == "no repository"
    (inner / ".git").mkdir()  # an empty one: git would look further up
    assert runs.commit(inner) == "unknown"
    assert " " not in runs.commit(outer)


@pytest.mark.parametrize("words", [["run", "1", "--jobs", "0"], ["seeds", "1", "--runs", "1"], []])
def test_a_wrong_call_is_refused(book, capsys, words):
    with pytest.raises(SystemExit, match="2"):
        cli.main(words)
    assert "usage: pm" in capsys.readouterr().err


def test_every_command_says_what_it_does(capsys):
    for words in (["--help"], ["book", "--help"], ["seeds", "--help"]):
        with pytest.raises(SystemExit, match="0"):
            cli.main(words)
    told = capsys.readouterr().out
    for word in ("book", "run", "status", "seeds", "--profile", "--jobs", "--cold", "--runs"):
        assert word in told


def test_a_result_is_published_only_while_it_is_good(book):
    book.chapter("01-a")
    tasks, folder = book.tasks(), book.folder("01-a")
    project.write_whole(folder / "scoreboard.json", "{}")
    published = book.project.results("quick") / "01-a.json"
    for status, expected in (("current", True), ("skipped", False), ("done", True)):
        pages.publish(book.project, tasks, {"01-a": runs.Outcome(status)})
        assert published.exists() == expected
    (folder / "scoreboard.json").unlink()
    pages.publish(book.project, tasks, {"01-a": runs.Outcome("current")})
    assert not published.exists()


def test_the_last_line_of_a_traceback_is_short_and_plain():
    class Failure(Exception):
        pass

    assert execute.last_line(Failure("\x1b[31mred\x1b[0m")) == "Failure: red"
    assert execute.last_line(Failure("one\ntwo")) == "Failure: one …"
    assert execute.last_line(Failure()) == "Failure"


@pytest.mark.parametrize("name", [*execute.RUNNER, *execute.CHAPTER_LIBRARIES])
def test_what_is_loaded_ahead_exists(name):
    importlib.import_module(name)  # the server would not say so


def test_only_libraries_that_chapters_use_are_loaded_ahead():
    assert execute.libraries(["x = 1", "# import torch is said here"]) == [*execute.RUNNER]
    cell = "import numpy as np\nfrom torch import nn\ntry:\n    import pandas as pd"
    assert execute.libraries([cell, "from sklearn.svm import SVC"]) == [
        *(*execute.RUNNER, *(x for x in execute.CHAPTER_LIBRARIES if x[:5] == "torch"), "pandas"),
        *(name for name in execute.CHAPTER_LIBRARIES if name.startswith("sklearn.")),
    ]


def test_a_chapter_finds_its_own_package_and_draws_inline(book):
    """The server has its own `pm_utils` and starts without an IPython to draw into."""
    book.chapter(
        "01-a",
        "import matplotlib.pyplot as plt, pm_utils; print(pm_utils.__file__)",
        "plt.plot([1, 2]);",
    )
    book.toc("01-a")
    builder = start(book, "run", "01")  # one of its own: the tests' server may be an older one
    assert builder.wait(120) == 0
    ran = nbformat.read(book.folder("01-a") / "notebook.ipynb", as_version=4)
    said, drawn = (cell.outputs[0] for cell in ran.cells[-2:])
    assert said.text == f"{book.root / 'pm_utils' / '__init__.py'}\n"
    assert set(drawn.data) >= {"image/png"}


def test_what_others_need_runs_first(book, capsys):
    book.chapter("01-a", give("x.json"), gives=["x.json"])
    book.chapter("02-b")
    book.chapter("03-c", needs=["x.json"])
    book.toc("01-a", "02-b", "03-c")
    out = pm(capsys, "book", "--jobs", "1")[1].out
    begun = [line.split(":")[0] for line in out.splitlines() if ": started" in line]
    assert begun[0] == "01-a", "without a need it would come last"


def test_what_took_longest_runs_first(book, capsys):
    for name in ("01-a", "02-b"):
        book.chapter(name)
    book.toc("01-a", "02-b")
    pm(capsys, "book")
    for slow, fast in (("01-a", "02-b"), ("02-b", "01-a")):
        for name, seconds in ((slow, 9.0), (fast, 1.0)):
            path = book.folder(name) / "record.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": seconds}))
        out = pm(capsys, "book", "--cold", "--jobs", "1")[1].out
        begun = [line.split(":")[0] for line in out.splitlines() if ": started" in line]
        assert begun == [slow, fast]


def test_sys_exit_is_a_failure_and_the_page_shows_no_half_chapter(book, capsys):
    book.chapter("01-a", "import sys", "sys.exit()", "print('after')")
    book.chapter("02-b", "raise SystemExit(0)", "print('after')")
    book.chapter("03-c", "print('good')")
    book.chapter("04-d", "%%capture\nraise SystemExit", "print('after')")
    book.chapter("05-e", "get_ipython().run_cell('1 / 0');", "print('after')")
    tried = "try:\n    raise SystemExit\nexcept SystemExit:\n    print('caught')"
    book.chapter("06-f", tried)
    book.toc(*(path.stem for path in book.project.sources))
    code, told = pm(capsys, "book")
    assert (code, executed(told.out)) == (1, {"03-c", "06-f"})
    assert "04-d: failed in code cell 3 of 4 (code-0): SystemExit: the cells below" in told.out
    assert "05-e: failed in code cell 3 of 4 (code-0): ZeroDivisionError" in told.out
    assert "01-a: failed in code cell 4 of 5 (code-1): SystemExit: the cells below" in told.out
    assert "02-b: failed in code cell 3 of 4 (code-0): SystemExit" in told.out


def test_rude_chapters_fail_alone_with_a_sentence(book, capsys):
    """What they do hurts the builder's own work on them, outside of their cells."""
    book.chapter("01-a", "import shutil", "shutil.rmtree(out)")
    book.chapter("02-b", '(out / "scoreboard.json").write_bytes(b"\\xff")')
    book.chapter("03-c", '(out / "scoreboard.json").write_text(\'{"rows": 3}\')')
    book.chapter("04-d", score("04-d", deep='"high"'))
    book.chapter("05-e", "%nosuchmagic 3")
    book.chapter("06-f", "raise ValueError('x' * 10**6)")
    book.chapter("07-g", "print(m)", parameters="seed = 0\nm = {'a': [1, None]}")
    book.chapter("08-h", "exit()", "import time; time.sleep(60)")
    names = [path.stem for path in book.project.sources]
    book.toc(*names)
    code, told = pm(capsys, "book")
    assert (code, executed(told.out)) == (1, {"07-g"}), told.out
    assert "Traceback" not in told.out + told.err
    said = {line[:4]: line for line in told.out.splitlines() if ": failed" in line}
    assert "a cell removed the folder PM_OUTPUT" in said["01-a"]
    for name in ("02-b", "03-c", "04-d"):
        assert "is no scoreboard" in said[name]
    assert "UsageError: Line magic function `%nosuchmagic` not found." in said["05-e"]
    assert len(said["06-f"]) < 400 and said["06-f"].endswith("…")
    assert "DeadKernelError: Kernel died (its process ended with 0)" in said["08-h"]
    assert "a" in texts(book.page("07-g"))[0]
    assert len(book.page("01-a").cells) == 1


def test_an_error_of_the_system_fails_one_chapter(book, capsys, monkeypatch):
    real = runs.os.replace

    def replace(source, target):
        if str(target).endswith("runs/quick/01-a"):
            raise OSError(18, "Invalid cross-device link", str(source), None, str(target))
        real(source, target)

    monkeypatch.setattr(runs.os, "replace", replace)
    book.chapter("01-a")
    book.chapter("02-b")
    book.toc("01-a", "02-b")
    code, told = pm(capsys, "book")
    assert (code, executed(told.out)) == (1, {"02-b"})
    assert "01-a: failed outside of its cells: " in told.out
    assert "keep all of _build on one device" in told.out


def test_a_stored_run_that_cannot_be_shown_is_a_failure_of_its_chapter(book, capsys):
    for name in ("01-a", "02-b"):
        book.chapter(name, score(name))
    tasks = book.tasks()
    assert pm(capsys, "run", "02")[0] == 0
    outcomes = {"01-a": runs.Outcome("current"), "02-b": runs.Outcome("current")}
    pages.write_pages(book.project, tasks, outcomes)
    assert "failed at its page: " in outcomes["01-a"].reason and outcomes["02-b"].good
    assert len(book.page("01-a").cells) == 1 and len(book.page("02-b").cells) > 1


def test_a_cell_has_a_limit_of_seconds_and_of_output(book, capsys):
    book.chapter("01-a", "while True: pass")
    book.chapter("02-b", "while True: print('x' * 10**5)")
    notebook = book.read("02-b")
    notebook.cells[4].metadata["pm"] = {"seconds": 300}  # however slow the machine prints
    book.write("02-b", notebook)
    book.chapter("03-c", "import time; time.sleep(4)", "print('x' * 2 * 10**7)")
    notebook = book.read("03-c")
    notebook.cells[4].metadata["pm"] = {"seconds": 0}
    notebook.cells[5].metadata["pm"] = {"output_mb": 30}
    book.write("03-c", notebook)
    book.chapter("04-d", "1")
    notebook = book.read("04-d")
    notebook.cells[4].metadata["pm"] = {"minutes": 2}
    book.write("04-d", notebook)
    book.toc("01-a", "02-b", "03-c", "04-d")
    code, told = pm(capsys, "book", "--cell-seconds", "3")
    assert (code, executed(told.out)) == (1, {"03-c"}), told.out
    assert "01-a: failed in code cell 3 of 3 (code-0): LimitError: it ran for longer" in told.out
    assert "--cell-seconds" in told.out
    assert "02-b: failed in code cell 3 of 3 (code-0): LimitError: it printed or drew" in told.out
    assert "04-d: failed in code cell 3 of 3 (code-0): LimitError: its metadata has" in told.out


def test_many_small_outputs_all_arrive(book, capsys):
    text = "import sys\nfor i in range(20000):\n    sys.stdout.write('0'); sys.stdout.flush()"
    book.chapter("01-a", text, "print('after')")
    book.toc("01-a")
    assert pm(capsys, "book")[0] == 0
    said = texts(book.page("01-a"))
    assert "".join(said[:-1]) + said[-1] == "0" * 20000 + "after\n"


def test_a_long_cell_is_named(book, capsys, monkeypatch):
    monkeypatch.setattr(runs, "LONG_SECONDS", 0.5)
    book.chapter("01-a", "import time; time.sleep(3)")
    book.toc("01-a")
    out = pm(capsys, "book")[1].out
    assert "01-a: still in code cell 3 of 3 (code-0), for " in out


def test_a_record_with_a_field_of_the_wrong_type_counts_as_none(stored, capsys):
    path = stored.folder("01-a") / "record.json"
    whole = json.loads(path.read_text())
    wrong = {"seconds": "9", "peak_memory_mb": None, "key": 3, "error": [], "finished": 1}
    for field, value in wrong.items():
        path.write_text(json.dumps(whole | {field: value}))
        assert runs.read_record(path.parent) is None, field
    spoilt = whole["parts"] | {"parameters": None}  # the key is that of other parts
    for parts in (spoilt, whole["parts"] | {"modules": None}, {}):
        path.write_text(json.dumps(whole | {"parts": parts}))
        assert runs.read_record(path.parent) is None, parts
    path.write_text(json.dumps(whole | {"parts": spoilt, "key": digest(spoilt)}))
    assert "out of date" in pm(capsys, "status")[1].out
    path.write_text(json.dumps(whole | {"seconds": float("nan")}))
    assert "its record is damaged" in pm(capsys, "status")[1].out


def test_what_finished_before_the_interruption_is_published(book, capsys):
    book.chapter("01-a", score("01-a"), gives=["scoreboard.json"])
    book.chapter("02-b", "import time; time.sleep(600)", needs=["scoreboard.json"])
    book.toc("01-a", "02-b")
    builder = start(book, "run", "02")
    for line in builder.stdout:
        if "02-b: started" in line:
            break
    builder.send_signal(signal.SIGINT)
    builder.communicate(timeout=60)
    assert builder.returncode == 130
    published = book.project.results("quick") / "01-a.json"
    assert json.loads(published.read_text())["rows"][0]["deep"] == 0.9


def test_what_is_said_to_be_done_is_published(book, capsys, monkeypatch):
    def finish(self, label, seconds, peak_memory_mb):
        assert (book.project.results("quick") / f"{label}.json").exists()
        self.say(f"{label}: is there")

    monkeypatch.setattr(progress.Lines, "finish", finish)
    book.chapter("01-a", score("01-a"))
    assert "01-a: is there" in pm(capsys, "run", "01")[1].out


@pytest.mark.parametrize("folder", ["{x}", "a{b", "a:b", "50 %é"])
def test_a_checkout_may_lie_anywhere(tmp_path, monkeypatch, capsys, folder):
    root = tmp_path / folder
    root.mkdir()
    book = FakeBook(root)
    monkeypatch.chdir(root)
    find = 'places = os.environ["PM_INPUTS"].strip("\\n"); '
    book.chapter("01-a", give("x.json"), gives=["x.json"])
    book.chapter(
        "02-b", find + 'print((pathlib.Path(places) / "x.json").read_text())', needs=["x.json"]
    )
    assert pm(capsys, "run", "02")[0] == 0
    ran = nbformat.read(book.folder("02-b") / "notebook.ipynb", as_version=4)
    assert texts(ran) == ["made\n"]


@pytest.mark.parametrize("wish", ["", "²", "-1", "9" * 5000])
def test_a_chapter_that_is_none_is_refused_with_those_that_are(book, capsys, wish):
    book.chapter("01-a")
    for command in (["run"], ["seeds"]):
        assert cli.main([*command, "--", wish]) == 2
        assert "there is no chapter" in (told := capsys.readouterr().err) and "01-a" in told


def test_settings_of_the_pages_are_checked_before_any_chapter_runs(book, capsys):
    book.chapter("01-a")
    book.toc("01-a", "01-a")
    (book.root / "_config.yml").write_text("title: [\n")
    assert pm(capsys, "book")[0] == 2
    code, told = pm(capsys, "book")
    assert "_toc.yml is no table of contents: document file used multiple times" in told.err
    assert "_config.yml is no valid YAML: while parsing" in told.err
    book.toc("01-a")
    (book.root / "_toc.yml").write_text("format: jb-book\nroot: nowhere\nchapters: 3\n")
    for text, sentence in (("title: [1]\n", "_config.yml, title: "), ("[]\n", "as a whole: ")):
        (book.root / "_config.yml").write_text(text)
        assert sentence in pm(capsys, "book")[1].err
    (book.root / "_config.yml").unlink()
    assert "_config.yml is missing" in pm(capsys, "book")[1].err
    assert not book.project.build.exists()


def test_a_reader_that_goes_and_a_terminal_that_knows_ascii_stop_nothing(book, capsys):
    book.chapter("01-a", "raise ValueError('é')")
    book.toc("01-a")
    words = [sys.executable, "-m", "pm_utils.builder.cli"]
    settings = {"cwd": book.project.notebooks, "capture_output": True, "text": True}
    settings["env"] = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run([*words, "run", "01"], **settings)
    assert done.returncode == 1 and "ValueError: \\xe9" in done.stdout and done.stderr == ""
    reader, writer = os.pipe()
    os.close(reader)
    settings = {
        "cwd": book.project.notebooks,
        "stdout": writer,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    for command, code in ((["status", "--json"], 141), (["run", "01"], 1)):
        done = subprocess.run([*words, *command], **settings)
        assert (done.returncode, done.stderr) == (code, "")
    os.close(writer)
