"""Project: names that could lead elsewhere, removal below `_build` alone, errors in a sentence."""

import errno
import os
import shutil
import subprocess

import pytest

from pm_utils.builder import cli, project
from pm_utils.builder.install import CHECKOUT
from pm_utils.builder.project import BuildError, explain
from tests.support.fake_book import FakeBook


@pytest.fixture
def book(tmp_path, monkeypatch):
    root = tmp_path / "book"
    root.mkdir()
    monkeypatch.chdir(root)
    return FakeBook(root)


def test_a_profile_that_is_a_path_is_refused_and_nothing_is_removed(book, capsys):
    book.chapter("01-a")
    book.toc("01-a")
    outside, beside = book.root.parent / "mine", book.root / "docs"
    for folder in (outside, beside):
        (folder / "precious").mkdir(parents=True)
        folder.with_suffix(".yml").write_text("{}")
    (book.root / "notebooks" / "...yml").write_text("{}")  # its stem is ".."
    for profile in (str(outside), "../docs", "../../docs", "..", ".", "", "quick/../..", "quick/"):
        for command in (["book"], ["run", "01"], ["status"]):
            assert cli.main([*command, "--profile", profile]) == 2
            assert "profile" in capsys.readouterr().err
    assert (outside / "precious").is_dir() and (beside / "precious").is_dir()
    assert not (book.root / "_build").exists()


def test_what_a_link_leads_to_is_never_removed(book):
    outside = book.root.parent / "mine"
    (outside / "precious").mkdir(parents=True)
    runs = book.project.runs("quick")
    runs.parent.mkdir(parents=True)
    runs.symlink_to(outside)
    with pytest.raises(BuildError, match="leads out of .*_build, so it is not removed"):
        book.project.remove(runs / "precious")
    for path in (outside / "precious", runs / ".." / ".." / ".." / "mine", book.project.build):
        with pytest.raises(BuildError, match="is not removed"):
            book.project.remove(path)
    book.project.remove(runs)
    assert (outside / "precious").is_dir() and not runs.exists()


def test_a_build_folder_behind_a_link_is_cleaned_but_not_what_lies_beside(book, capsys):
    elsewhere = book.root.parent / "disk"
    (elsewhere / "_build" / "runs").mkdir(parents=True)
    (elsewhere / "mine").mkdir()
    book.project.build.symlink_to(elsewhere / "_build")
    (book.project.build / "lent").symlink_to(elsewhere / "mine")
    book.project.pages.mkdir()
    assert cli.main(["clean"]) == 0
    assert sorted(path.name for path in elsewhere.iterdir()) == ["_build", "mine"]
    assert {path.name for path in book.project.build.iterdir()} == {"pm.lock", "pm.pid"}
    assert not book.project.pages.exists()


def test_clean_is_refused_while_a_builder_works(book, capsys):
    (book.project.build / "runs").mkdir(parents=True)
    with book.project.lock():
        assert cli.main(["clean"]) == 2
    assert "another pm" in capsys.readouterr().err
    assert (book.project.build / "runs").is_dir()


def test_a_full_disk_can_be_cleaned(book, monkeypatch):
    (book.project.build / "runs").mkdir(parents=True)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(project, "write_whole", full)
    assert cli.main(["clean"]) == 0
    assert not (book.project.build / "runs").exists()


def test_make_clean_without_an_environment_keeps_the_lock(book):
    """A builder may work from another environment: a second one must not start beside it."""
    words = ["make", "-s", "-f", CHECKOUT / "Makefile", "clean", "VENV=none"]
    unbound = {name: value for name, value in os.environ.items() if name != "CONDA_PREFIX"}
    settings = {"cwd": book.root, "env": unbound, "capture_output": True, "text": True}
    assert subprocess.run(words, **settings).returncode == 0
    (book.project.build / "runs").mkdir(parents=True)
    with book.project.lock():
        told = subprocess.run(words, **settings)
        if shutil.which("flock"):
            assert told.returncode and "wait until it ends" in told.stderr
            assert (book.project.build / "runs").is_dir()
        assert cli.main(["clean"]) == 2
    assert subprocess.run(words, **settings).returncode == 0
    assert {path.name for path in book.project.build.iterdir()} == {"pm.lock", "pm.pid"}


def test_a_file_in_the_place_of_the_build_folder_is_named(book, capsys):
    book.chapter("01-a")
    book.toc("01-a")
    book.project.build.write_text("mine")
    assert cli.main(["run", "01"]) == 2
    told = capsys.readouterr().err
    assert str(book.project.build) in told and "remove it" in told
    assert book.project.build.read_text() == "mine"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), "/a/b: No space .* \\(free"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk: No space left .* \\(free"),
        (PermissionError(errno.EACCES, "Permission denied", "/a"), "/a: Permission .*yours"),
        (OSError(errno.EXDEV, "Cross-device link", "/a", None, "/b"), "/a → /b: .*one device"),
        (MemoryError(), "memory ran out .*--jobs"),
        (ValueError("one\ntwo"), "ValueError: one$"),
        (KeyError(), "KeyError$"),
    ],
)
def test_an_error_becomes_a_sentence_with_file_and_remedy(error, sentence):
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(explain(error))
