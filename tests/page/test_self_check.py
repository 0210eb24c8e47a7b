"""Self-checks: right or not yet, nothing shown, nothing changed."""

import ast
import json

import pandas as pd
import pytest

from pm_utils.page import artifacts
from pm_utils.page import self_check as module
from pm_utils.page.self_check import agrees, find_solution, self_check


@pytest.fixture(autouse=True)
def chapter(tmp_path, monkeypatch):
    """A chapter whose solution prints, writes into a table and ends in one."""
    code = "print('spoilt')\nlosses['mine'] = [base + 1, 3]\nlosses.mean()"
    spec = {"answer": "the mean", "expression": 'result["mine"]', "digits": 2}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "```{solution-start} ex-a-b\n```"},
        {"cell_type": "code", "metadata": {"self_check": spec}, "source": code},
        {"cell_type": "markdown", "metadata": {}, "source": "```{solution-start} ex-a-c\n```"},
        {"cell_type": "code", "metadata": {"self_check": {"none": "yours"}}, "source": "1"},
    ]
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01-a.ipynb").write_text(json.dumps({"cells": cells}))
    monkeypatch.setattr(artifacts, "ROOT", tmp_path)


@pytest.fixture
def names():
    return {"losses": pd.DataFrame({"other": [1.0, 2.0]}), "base": 1, "self_check": self_check}


def ask(names, answer):
    names["answer"] = answer
    return eval("self_check('ex-a-b', answer)", names)


@pytest.mark.parametrize("answer", [2.5, 2.504, "2.5"])
def test_the_right_answer_is_right(names, answer):
    assert ask(names, answer) == module.RIGHT


@pytest.mark.parametrize("answer", [..., 2.52, 0, "a", None, float("nan"), [2.5, 2.5]])
def test_any_other_answer_is_not_yet_right(names, answer):
    assert ask(names, answer) == module.NOT_YET


def test_the_check_shows_nothing_and_changes_nothing(names, capsys):
    ask(names, 2.5)
    assert capsys.readouterr().out == ""
    assert list(names["losses"]) == ["other"]
    assert "result" not in names


def test_the_answer_is_that_of_the_readers_own_parameters(names):
    names["base"] = 4
    assert ask(names, 2.5) == module.NOT_YET
    assert ask(names, 4.0) == module.RIGHT


@pytest.mark.parametrize("label", ["ex-a", "ex-a-c", "ex-none"])
def test_an_exercise_without_a_check_is_named(label):
    with pytest.raises(ValueError, match=f"'{label}'.* give the label"):
        self_check(label, 1)


def test_a_text_must_be_the_same():
    assert agrees(" Good evening", "Good evening", digits=0)
    assert not agrees("Good", "Good evening", digits=0)
    assert not agrees(1, "1", digits=0)


def test_every_exercise_of_the_book_can_be_found(monkeypatch):
    monkeypatch.undo()
    notebooks = artifacts.ROOT / "notebooks"
    specs = 0
    for path in sorted(notebooks.glob("[0-9][0-9]*.ipynb")):
        label = ""
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown" and "{solution-start}" in source:
                label = source.split("{solution-start}")[1].split()[0]
            if "expression" in cell["metadata"].get("self_check", {}):
                assert find_solution(notebooks, label)[0] == source
                ast.parse(source)
                specs += 1
    assert specs >= 20
