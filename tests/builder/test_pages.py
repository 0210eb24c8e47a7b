"""Pages: outputs from the stored run, everything else from the present source."""

import copy

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from pm_utils.builder import chapters, pages, project
from pm_utils.builder.runs import Outcome
from tests.support.fake_book import FakeBook


@pytest.fixture
def book(tmp_path):
    book = FakeBook(tmp_path)
    book.chapter("01-a", "1 + 1", "2 + 2")
    return book


@pytest.fixture
def chapter(book):
    return chapters.discover(book.project, [])["01-a"]


@pytest.fixture
def executed(chapter):
    """The source as papermill leaves it, with a parameter injected."""
    notebook = copy.deepcopy(chapter.notebook)
    notebook.metadata.language_info = {"name": "python"}
    injected = new_code_cell("seed = 3", metadata={"tags": ["injected-parameters"], "x": 1})
    notebook.cells.insert(3, injected)
    for count, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), start=1):
        cell.execution_count, cell.metadata.papermill = count, {"duration": 1.0}
        cell.outputs = [new_output("stream", text=f"output of {cell.source}")]
    return notebook


def test_outputs_are_merged_into_the_source(chapter, executed):
    chapter.notebook.cells.insert(0, new_markdown_cell("New prose.", id="new"))
    chapter.notebook.cells[-1].metadata["tags"] = ["hide-input"]
    page = pages.assemble(chapter, executed)
    assert [cell.id for cell in page.cells] == (
        ["new", "title", "imports", "parameters", "injected-parameters", "prose"]
        + ["code-0", "code-1"]
    )
    assert page.cells[-1].outputs[0].text == "output of 2 + 2"
    assert page.cells[-1].execution_count == 5
    assert page.cells[-1].metadata == {"tags": ["hide-input"]}
    assert page.cells[4].source == "seed = 3" and page.cells[4].metadata == {}
    assert page.metadata.language_info == {"name": "python"}
    assert chapter.notebook.cells[-1].outputs == [], "the source is not touched"


def test_a_chapter_without_a_run_says_why(chapter):
    page = pages.substitute(chapter, "failed in code cell 2 of 4 (code-0): ValueError: `x` is 3")
    (cell,) = page.cells
    assert cell.source.startswith("# Title of 01-a\n")
    assert "01-a: failed in code cell 2 of 4 (code-0): ValueError: `x` is 3" in cell.source


def test_pages_of_chapters_that_are_gone_are_removed(book):
    tasks = book.tasks()
    book.project.pages.mkdir()
    (book.project.pages / "09-z.ipynb").write_text("{}")
    pages.write_pages(book.project, tasks, {"01-a": Outcome("failed", "failed")})
    assert [path.name for path in book.project.pages.iterdir()] == ["01-a.ipynb"]


def test_runs_and_results_of_chapters_that_are_gone_are_removed(book):
    for name in ("01-a", "09-z"):
        (book.folder(name)).mkdir(parents=True)
        book.project.results("quick").mkdir(parents=True, exist_ok=True)
        (book.project.results("quick") / f"{name}.json").write_text("{}")
    pages.forget_pages(book.project, "quick", {"01-a"})
    assert [path.name for path in book.project.runs("quick").iterdir()] == ["01-a"]
    assert [path.name for path in book.project.results("quick").iterdir()] == ["01-a.json"]


def test_a_file_is_written_only_when_it_changes(tmp_path):
    path = tmp_path / "sub" / "page.md"
    assert project.write_whole(path, "one")
    before = path.stat().st_mtime_ns
    assert not project.write_whole(path, "one")
    assert path.stat().st_mtime_ns == before
    assert project.write_whole(path, "two")
    assert [entry.name for entry in path.parent.iterdir()] == ["page.md"]
