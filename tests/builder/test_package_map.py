"""The map of the package: its folders' sentences, its modules, and links to chapters that exist."""

import pytest

from pm_utils.builder.package_map import chapter_of, package_map

MODULE = '''"""Score rankings.

More about it.
"""


def auc():
    """Return an area.

    Explained in chapter ``interest``.

    Parameters
    ----------
    """


def other():
    """Explained in chapter ``gone``."""


def _private():
    """Say.

    Explained in chapter ``interest``.
    """


def helper():
    """Nobody explains it."""
'''


@pytest.fixture
def package(tmp_path):
    root = tmp_path / "pm_utils"
    (root / "scores").mkdir(parents=True)
    (root / "__init__.py").write_text('"""All of it."""\n')
    (root / "scores" / "__init__.py").write_text('"""Scores.\n\nNo data.\n"""\n')
    (root / "scores" / "ranking.py").write_text(MODULE)
    return root


def test_each_module_can_be_referred_to_and_leads_to_the_chapters_that_exist(package):
    assert package_map(package, ["07-interest"]) == (
        "## `pm_utils`\n\nAll of it.\n\n"
        "## `pm_utils.scores`\n\nScores.\n\nNo data.\n\n"
        "(pm_utils.scores.ranking)=\n"
        "**`ranking.py`** Score rankings. [interest](chapters/07-interest.ipynb): `auc`.\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "Explained in chapter interest.",
        "``interest``",
        "Say.\n\nExamples\n--------\nExplained in chapter ``interest``.",
    ],
)
def test_a_docstring_without_the_sentence_names_no_chapter(text):
    assert chapter_of(text) is None
