"""HTML: built when a page changed, warnings as errors, the navigation never stale."""

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest

from pm_utils.builder import html, isolation, render
from pm_utils.builder.html import HtmlError
from tests.support.fake_book import FakeBook, wait_for


@pytest.fixture
def book(tmp_path):
    book = FakeBook(tmp_path)
    book.project.build.mkdir()
    return book


@pytest.fixture
def sphinx(book, monkeypatch):
    """Stands in for Sphinx and notes whether it found earlier pages."""
    calls = []

    def build(project, process, *, strict, keep):
        page = project.build / "html" / "index.html"
        calls.append("again" if page.exists() else "afresh")
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("")
        if "bad" in (project.book / "index.md").read_text() and strict:
            raise HtmlError("index.md: WARNING: bad")

    monkeypatch.setattr(html, "render", build)
    return calls


def test_sphinx_is_called_only_for_a_change(book, sphinx):
    index = book.root / "book" / "index.md"
    assert html.build(book.project, Mock(), strict=True)
    assert not html.build(book.project, Mock(), strict=True)
    index.write_text("# The book\n\nMore.\n")
    assert html.build(book.project, Mock(), strict=True)
    assert not html.build(book.project, Mock(), strict=True)
    assert sphinx == ["afresh", "afresh"]  # it left no record of what pages share


def test_a_call_with_nothing_to_do_starts_no_process(book, sphinx):
    renderer, made_of = Mock(), {"a": "1"}
    assert not html.is_current(book.project, made_of)
    html.build(book.project, renderer, strict=True, sources=made_of)
    assert html.is_current(book.project, made_of)
    html.build(book.project, renderer, strict=True, sources=made_of)
    renderer.start.assert_called_once_with()
    made_of = {"a": "2"}
    assert not html.is_current(book.project, made_of)  # a page may change
    assert not html.build(book.project, renderer, strict=True, sources=made_of)  # none did
    assert html.is_current(book.project, made_of)


def test_a_file_that_is_no_notebook_is_left_to_sphinx(book, sphinx):
    (book.project.book / "Untitled.ipynb").write_text("")
    (book.project.book / "latin.md").write_bytes(b"# \xe9")
    assert html.build(book.project, Mock(), strict=True)
    assert not html.build(book.project, Mock(), strict=True)


def test_a_clock_that_was_set_back_builds_once(book, sphinx, monkeypatch):
    monkeypatch.setattr(html.time, "time_ns", lambda: 1_000_000_000)  # all files are of later
    assert html.build(book.project, Mock(), strict=True)
    assert not html.build(book.project, Mock(), strict=True)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("_config.yml", "title: another\n"),
        ("requirements.lock", "numpy==3\n"),
        ("book/index.md", "# Another title\n"),
        ("book/second.md", "# A second page\n"),
    ],
)
def test_what_all_pages_share_builds_them_all(book, sphinx, file, text):
    html.build(book.project, Mock(), strict=True)
    (book.root / file).write_text(text)
    html.build(book.project, Mock(), strict=True)
    assert sphinx == ["afresh", "afresh"]


def test_a_comment_in_the_lock_builds_nothing(book, sphinx):
    html.build(book.project, Mock(), strict=True)
    lock = book.root / "requirements.lock"
    lock.write_text("# why\n" + lock.read_text())
    assert not html.build(book.project, Mock(), strict=True)


def test_a_page_that_goes_takes_its_html_along(book, sphinx):
    second = book.root / "book" / "second.md"
    second.write_text("# Second\n")
    html.build(book.project, Mock(), strict=True)
    stale = book.project.build / "html" / "second.html"
    stale.write_text("")
    second.unlink()
    html.build(book.project, Mock(), strict=True)
    assert not stale.exists()


def test_a_warning_does_not_vanish_in_the_next_call(book, sphinx):
    (book.root / "book" / "index.md").write_text("# The book\n\nbad\n")
    for _ in range(2):
        with pytest.raises(HtmlError, match="bad"):
            html.build(book.project, Mock(), strict=True)
    assert sphinx == ["afresh", "afresh"]


def test_a_lenient_build_is_not_taken_for_a_good_one(book, sphinx):
    assert html.build(book.project, Mock(), strict=False)
    assert html.build(book.project, Mock(), strict=True)
    assert sphinx == ["afresh", "afresh"]


def test_a_cold_call_builds_every_page(book, sphinx):
    html.build(book.project, Mock(), strict=True)
    html.forget_html(book.project)
    assert html.build(book.project, Mock(), strict=True)
    assert sphinx == ["afresh", "afresh"]


NO_NAMES = json.dumps(dict.fromkeys(html.STAMP_FIELDS, [1]))


@pytest.mark.parametrize("text", ["[]", "{}", '{"shell": 1}', "{", "\x00", NO_NAMES])
def test_a_damaged_stamp_builds_every_page(book, sphinx, text):
    html.build(book.project, Mock(), strict=True)
    (book.project.build / "html.json").write_text(text)
    assert html.build(book.project, Mock(), strict=True)
    assert not html.build(book.project, Mock(), strict=True)
    assert sphinx == ["afresh", "afresh"]


HELD = """
import sys, time
from pathlib import Path
from unittest.mock import Mock
from pm_utils.builder import html
from pm_utils.builder.project import Project

project = Project(Path(sys.argv[1]))
with project.lock() as lock, html.Renderer(project, lock=lock) as renderer:
"""
BUILDER = f"{HELD}    html.build(project, renderer, strict=True)\n"
IDLE = f"""{HELD}
    (project.build / "pid").write_text(str(renderer.start().pid))
    time.sleep(300)
"""
STALL = """import os, pathlib, time

def setup(app):
    pathlib.Path(app.confdir, "..", "_build", "pid").write_text(str(os.getpid()))
    time.sleep(300)
"""


def build(project, **held):
    with html.Renderer(project, **held) as renderer:
        return html.build(project, renderer, strict=True)


@pytest.mark.parametrize("seconds", [0, 4])
def test_a_renderer_without_work_frees_the_lock_of_a_killed_builder(book, seconds):
    """It is killed while the renderer loads its libraries, and while it waits."""
    builder = subprocess.Popen([sys.executable, "-c", IDLE, str(book.root)])
    mark = book.project.build / "pid"
    wait_for(lambda: builder.poll() is not None or (mark.exists() and mark.read_text()), 60)
    time.sleep(seconds)
    assert psutil.Process(int(mark.read_text())).is_running()
    builder.kill()
    builder.wait()
    with book.project.lock():
        pass


@pytest.mark.parametrize(("system", "given"), [("linux", {"pass_fds": (7,)}), ("win32", {})])
def test_the_renderer_inherits_the_lock_where_a_child_can(book, monkeypatch, system, given):
    monkeypatch.setattr("sys.platform", system)
    started = Mock()
    monkeypatch.setattr(html.subprocess, "Popen", started)
    with html.Renderer(book.project, lock=7) as renderer:
        renderer.start()
    _, settings = started.call_args
    own = {"cwd": book.root, "stdin": subprocess.PIPE, "start_new_session": True}
    own |= {"env": isolation.environment_of_pages()}
    assert settings == own | given


def test_a_renderer_that_died_is_no_success(book):
    with html.Renderer(book.project) as renderer:
        renderer.start().kill()
        renderer.start().wait()
        with pytest.raises(HtmlError, match="ended before it began, with -9"):
            html.build(book.project, renderer, strict=True)
    assert not (book.project.build / "html.json").exists()


@pytest.mark.parametrize("name", render.PAGE_LIBRARIES)
def test_what_is_loaded_ahead_exists(name):
    assert importlib.util.find_spec(name)


def test_the_sphinx_of_a_killed_builder_ends_and_holds_the_lock_until_then(book):
    """Sphinx stalls as it loads its extensions; the builder is killed; then all is as before."""
    (book.root / "stall.py").write_text(STALL)
    config = book.root / "_config.yml"
    plain = config.read_text()
    config.write_text(plain + "sphinx: {local_extensions: {stall: .}}\n")
    builder = subprocess.Popen([sys.executable, "-c", BUILDER, str(book.root)])
    mark = book.project.build / "pid"
    wait_for(lambda: builder.poll() is not None or (mark.exists() and mark.read_text()), 60)
    sphinx = psutil.Process(int(mark.read_text()))
    assert "pm.lock" in [Path(file.path).name for file in sphinx.open_files()]
    builder.kill()
    builder.wait()
    config.write_text(plain)
    with book.project.lock() as lock:  # waits for the end of the Sphinx that lost its builder
        assert not sphinx.is_running() or sphinx.status() == psutil.STATUS_ZOMBIE
        assert build(book.project, lock=lock)


def test_jupyter_book_tells_a_warning_and_builds_without(book):
    index = book.root / "book" / "index.md"
    index.write_text("# The book\n\nSee {ref}`nowhere`.\n")
    with pytest.raises(HtmlError, match=r"index.md:3: WARNING: undefined label: 'nowhere'"):
        build(book.project)
    index.write_text("# The book\n\nSee [itself](index.md).\n")
    assert build(book.project)
    assert "See" in (book.project.build / "html" / "index.html").read_text()
