"""Editions: kept, folded, without solutions; and the same figures as the book's."""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from pm_utils.builder import chapters, cli, pages, profiles, runs
from pm_utils.builder.chapters import tags
from pm_utils.builder.editions import all_editions, edition
from pm_utils.builder.project import Project
from pm_utils.builder.runs import Outcome
from pm_utils.builder.working_copies import Words
from tests.support.fake_book import FakeBook

PROJECT = Project(Path(__file__).parents[2])
CHAPTERS = chapters.discover(PROJECT, [])


def editions_of(kind):
    return all_editions(PROJECT, CHAPTERS, list(CHAPTERS), kind=kind, profile="quick")


@pytest.fixture
def book(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    book = FakeBook(tmp_path)
    book.chapter("01-a", give("x.json"), gives=["x.json"], prose="One {glue:text}`n`.")
    book.chapter("02-b", "1", needs=["x.json"], prose="After {doc}`01-a`.")
    return book


def give(name):
    return f'(out / "{name}").write_text("made");'


def pm(capsys, *words):
    status = cli.main(list(words))
    return status, capsys.readouterr()


def test_a_copy_is_kept_until_it_is_renewed(book, capsys):
    status, told = pm(capsys, "play")
    path = book.root / "play" / "01-a.ipynb"
    assert status == 0 and "2 written" in told.out
    whole = path.read_text()
    path.write_text("mine")
    status, told = pm(capsys, "play")
    assert path.read_text() == "mine"
    assert "kept as they are, --renew replaces them: 01-a, 02-b" in told.out
    pm(capsys, "play", "1", "--renew")
    assert path.read_text() == whole


def test_the_sources_are_not_touched(book, capsys):
    before = {path: path.read_bytes() for path in (book.root / "notebooks").iterdir()}
    pm(capsys, "play")
    pm(capsys, "student", "out")
    assert before == {path: path.read_bytes() for path in (book.root / "notebooks").iterdir()}


def test_links_lead_to_the_copies_that_are_there(book, capsys):
    pm(capsys, "play", "2")
    path = book.root / "play" / "02-b.ipynb"
    assert "After Title of 01-a." in path.read_text()
    pm(capsys, "play")
    pm(capsys, "play", "2", "--renew")
    assert "After [Title of 01-a](01-a.ipynb)." in path.read_text()


def test_a_copy_says_which_command_gives_what_it_lacks(book, capsys):
    _, told = pm(capsys, "play")
    assert "02-b needs x.json" in told.out and "never run: 01-a, 02-b" in told.out
    assert "not run yet" in (book.root / "play" / "01-a.ipynb").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", ["notebooks", "book/x", "_build", "pm_utils", ".", "file"])
def test_a_folder_that_would_lose_something_is_refused(book, capsys, place):
    (book.root / "file").write_text("")
    status, told = pm(capsys, "solutions", place, "--renew")
    assert status == 2
    assert "DIR is" in told.err and "give a folder" in told.err


def test_a_solution_is_folded_and_has_an_answer_cell_and_a_check_before_it():
    for name, copy in editions_of("play").items():
        source = CHAPTERS[name].notebook
        ids = [cell.id for cell in copy.cells]
        assert len(set(ids)) == len(ids)
        posed = [i for i, cell in enumerate(copy.cells) if "exercise" in tags(cell)]
        assert len(posed) == sum("exercise" in tags(cell) for cell in source.cells)
        for i in posed:
            answer, check = copy.cells[i + 1], copy.cells[i + 2]
            assert answer.id.startswith("answer-") and answer.source.startswith("# Your answer")
            assert check.id.startswith("check-")
            assert "self_check" in check.source or "No self-check:" in check.source
        for cell, following in itertools.pairwise(copy.cells):
            if "solution" in tags(cell) and cell.cell_type == "markdown":
                hidden = following.cell_type == "code" and "solution" in tags(following)
                assert ("folded: open the next cell" in cell.source) == hidden
            if "solution" in tags(cell) and cell.cell_type == "code":
                assert cell.metadata.jupyter == {"source_hidden": True, "outputs_hidden": True}
                assert cell.outputs == []
            elif "solution" in tags(cell):
                assert cell.source.startswith(("<details>", "**Solution of"))


def test_the_student_edition_has_every_cell_but_the_solutions():
    whole = editions_of("solutions")
    for name, copy in editions_of("student").items():
        source = CHAPTERS[name].notebook.cells
        text = nbformat.writes(copy)
        for cell in source:
            if "solution" in tags(cell) and cell.cell_type == "code":
                assert json.dumps(cell.source)[1:-1] not in text
                shown = next(other for other in whole[name].cells if other.id == cell.id)
                assert shown.source == cell.source and "jupyter" not in shown.metadata
        code = [c.id for c in source if c.cell_type == "code" and "solution" not in tags(c)]
        mine = [c.id for c in copy.cells if c.cell_type == "code"]
        assert [i for i in mine if not i.startswith(("answer-", "check-"))] == code
        assert not any("solution" in tags(cell) for cell in copy.cells)
        assert not any(cell.id.startswith("answer-") for cell in whole[name].cells)


def test_a_figure_has_its_caption_below():
    copy = editions_of("play")["01-formulas"]
    cells = CHAPTERS["01-formulas"].notebook.cells
    drawn = [c for c in cells if c.metadata.get("mystnb", {}).get("figure")]
    shown = [c.source for c in copy.cells if c.id.endswith("-caption")]
    assert len(shown) == len(drawn) > 3
    assert shown[0].startswith("**Fig. 1.1.** Three activations.")


def test_the_same_edition_is_written_to_the_byte():
    first, again = ({k: nbformat.writes(v) for k, v in editions_of("play").items()} for _ in "ab")
    assert first == again


def test_a_page_ends_with_the_executed_notebook(book):
    tasks = book.tasks()
    for name, task in tasks.items():
        task.folder.mkdir(parents=True)
        nbformat.write(book.read(name), task.folder / runs.NOTEBOOK)
    good = dict.fromkeys(tasks, Outcome("current"))
    pages.write_pages(book.project, tasks, good)
    link = "{download}`01-a.ipynb <../_generated/downloads/01-a.ipynb>`"
    assert link in book.page("01-a").cells[-1].source
    download = book.project.generated / "downloads" / "01-a.ipynb"
    first = download.read_bytes()
    assert b"{glue" not in first
    pages.write_pages(book.project, tasks, good)
    assert download.read_bytes() == first
    pages.write_pages(book.project, tasks, good | {"01-a": Outcome("failed", "why")})
    assert not download.exists()
    assert "download" not in [cell.id for cell in book.page("01-a").cells]


def test_the_executed_edition_keeps_outputs():
    source = CHAPTERS["01-formulas"]
    code = next(c for c in source.notebook.cells if c.cell_type == "code")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# T"), code.copy()])
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="kept")]
    chapter = chapters.Chapter("01-a", "A", (), (), {}, notebook)
    assert edition(chapter, Words(), kind="executed").cells[-1].outputs[0].text == "kept"


def test_a_working_copy_gives_the_books_figures_to_the_byte(tmp_path):
    """One chapter, by the book's own stored run; the rest is measured apart."""
    changes = profiles.load_profile(PROJECT, "quick", CHAPTERS, [])
    task = runs.chapter_tasks(PROJECT, "quick", CHAPTERS, changes)["01-formulas"]
    if runs.stale_reason(task):
        pytest.skip("the stored run of 01-formulas is not current: make book")
    (copy,) = all_editions(PROJECT, CHAPTERS, [task.label], kind="play", profile="quick").values()
    nbformat.write(copy, tmp_path / "copy.ipynb")
    code = "import nbformat, nbclient; n = nbformat.read('copy.ipynb', 4)"
    code += "; nbclient.NotebookClient(n, timeout=600).execute()"
    places = {"PM_OUTPUT": str(tmp_path), "PYTHONPATH": str(PROJECT.root)}
    environment = os.environ | runs.ONE_THREAD | places
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    figures = (tmp_path / runs.SCOREBOARD).read_bytes()
    assert figures == (task.folder / runs.SCOREBOARD).read_bytes()


def test_lab_opens_with_the_threads_of_a_run(book, monkeypatch, capsys):
    seen = {}

    def start(command, *, cwd, env):
        seen.update(command=command, env=env)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(runs.subprocess, "run", start)
    assert pm(capsys, "play", "--lab")[0] == 0
    assert seen["command"][1:] == ["-m", "jupyterlab", f"--notebook-dir={book.root / 'play'}"]
    assert {**seen["env"], **runs.ONE_THREAD} == seen["env"]


def test_git_ignores_working_copies():
    if not shutil.which("git") or not (PROJECT.root / ".git").exists():
        pytest.skip("no checkout of git here")
    command = ["git", "-C", str(PROJECT.root), "check-ignore", "play/01-formulas.ipynb"]
    assert subprocess.run(command, capture_output=True).returncode == 0
