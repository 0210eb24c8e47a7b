"""What a change of the package runs again: no more chapters than reach it."""

from pathlib import Path

import nbformat
import pytest

from pm_utils.builder.key import Modules
from tests.support.density import NOTEBOOKS

ROOT = Path(__file__).parents[1]


def reached(name: str) -> set[str]:
    """The files of the package that a chapter's key covers."""
    cells = nbformat.read(NOTEBOOKS[name], as_version=4).cells
    return set(Modules(ROOT).reached([c.source for c in cells if c.cell_type == "code"]))


REACHED = {name: reached(name) for name in NOTEBOOKS}


def chapter_called(slug: str) -> str:
    (name,) = (name for name in NOTEBOOKS if name[3:] == slug)
    return name


def test_a_change_in_images_does_not_run_experiments_again():
    for folder in ("creatives", "targeting/redemption", "loop", "lifetime"):
        path = f"pm_utils/{folder}/"
        touched = {
            file for file in REACHED[chapter_called("creative-optimisation")] if path in file
        }
        assert touched == set(), folder


@pytest.mark.parametrize("path", sorted((ROOT / "pm_utils/chapters").glob("[!_]*.py")))
def test_a_chapters_experiments_belong_to_one_chapter(path):
    users = {name for name, files in REACHED.items() if path.relative_to(ROOT).as_posix() in files}
    assert len(users) == 1, users


def test_no_chapter_reaches_the_builder():
    assert not any("pm_utils/builder/" in file for files in REACHED.values() for file in files)


def test_the_formulas_page_reaches_little_besides_formulas():
    folders = {Path(file).parent.as_posix() for file in REACHED[chapter_called("formulas")]}
    assert folders == {"pm_utils", "pm_utils/evaluation", "pm_utils/page"}
