"""The code of the chapters is no denser than the aims, or than ceilings that only fall."""

import json
from dataclasses import replace

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell

from tests.support.density import NOTEBOOKS, ROOT, faults, measure, measure_file, table

CEILINGS = json.loads((ROOT / "tests" / "density.json").read_text(encoding="utf-8"))


def code(source: str, *tags: str):
    return new_code_cell(source, metadata={"tags": list(tags)})


def density(*cells):
    """Measure a notebook of these cells; texts are code."""
    made = [code(cell) if isinstance(cell, str) else cell for cell in cells]
    return measure(new_notebook(cells=made))


# --- The helper, by hand -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "statements", "nodes"),
    [
        ("a = 1", 1, 4),  # Assign, Name, Store, Constant
        ("a + b", 1, 7),  # Expr, BinOp, Name, Load, Add, Name, Load
        ("import os\na = 1", 1, 4),  # an import at the top does not count
        # FunctionDef, arguments, Import, alias, Return, Constant
        ("def f():\n    import os\n    return 1", 3, 6),
        ("if a:\n    b = 1", 2, 7),  # If, Name, Load and the four of the assignment
        ("%matplotlib inline\n!ls -l\na = 1", 1, 4),  # a magic and a shell are no Python
        ("if a:\n    %time b\n    c = 1", 2, 7),
    ],
)
def test_statements_and_their_nodes(source, statements, nodes):
    found = density(source)
    assert found.statements == statements
    assert found.nodes == nodes / statements


@pytest.mark.parametrize(
    ("source", "packs"),
    [
        ("a, b = 1, 2", 1),
        ("(a, b) = (x, y)", 1),
        ("def f():\n    a, b = 1, 2", 0.5),  # one in two statements
        ("a, b = f()", 0),  # a function that returns two values is no pack
        ("a = 1, 2", 0),
        ("for a, b in pairs:\n    a", 0),
    ],
)
def test_packs(source, packs):
    assert density(source).packs == 100 * packs


@pytest.mark.parametrize(
    ("source", "merges"),
    [
        ("a | {'b': 1}", 1),
        ("{'b': 1} | a", 1),
        ("a | {k: 1 for k in b}", 1),
        ("a | {'b': 1} | {'c': 2}", 2),
        ("a |= b", 1),
        ("f(**a)", 1),
        ("f(**a, **b)", 2),
        ("{**a, **b, 'c': 1}", 2),
        ("a | b", 0),  # two masks as well as two dicts
        ("f(*a)", 0),
        ("f(a=1)", 0),
        ("{'b': 1}", 0),
        ("a += b", 0),
        ("a ** b", 0),
    ],
)
def test_merges(source, merges):
    assert density(source).merges == 100 * merges


def test_comprehensions_of_every_kind_those_inside_of_others_included():
    plain = ["[1]", "[x for x in a]", "{x for x in a}", "{x: 1 for x in a}", "sum(x for x in a)"]
    assert density("\n".join(plain)).comprehensions == 100 * 4 / 5
    assert density("[[x for x in row] for row in a]").comprehensions == 200


def test_comments_per_line_that_is_not_empty():
    source = "# why\nimport os\n\na = 1  # a unit\nb = '# no comment'\n"
    assert density(source).comments == 100 * 2 / 4
    assert density("a = 1").comments == 0


def test_a_long_line_has_more_than_88_characters():
    fits, long = f"a = '{'x' * 82}'", f"a = '{'x' * 83}'"
    assert (len(fits), len(long)) == (88, 89)
    assert density(f"{fits}\n\n{long}").long_lines == 0.5


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["a = 1\nb = 2"], 2),
        (["a = 1\na = 2", "a = 3"], 1 / 2),  # bound again: not new
        (["a = b = 1", "c, (d, e) = f()"], 5 / 2),
        (["a = 1", "a['x'] = 2", "b['x'] = 3"], 2 / 3),
        (["def f(x):\n    y = x\n    return y"], 1),  # y; only assignments count
        (["a = 1", "import os"], 1),  # a cell that only imports does not count
    ],
)
def test_names_that_are_new_in_the_notebook_per_cell(sources, names):
    assert density(*sources).names == names


def test_words_of_prose_per_statement():
    prose = new_markdown_cell("# A title\n\nTwo words.")  # the sign of the title is a word, too
    found = density(prose, "a = 1\nb = 2", new_raw_cell("not counted"))
    assert found.words == 5 / 2


BOOKS = [
    "glue('a', 1)",
    "myst_nb.glue('a', 1)",
    "board.add('loss', deep=1)",
    "board.claim('loss', interval)",
    "for name in names:\n    glue(name, 1)",
]


@pytest.mark.parametrize("source", BOOKS)
def test_plumbing_is_the_share_of_shown_lines_in_cells_that_keep_books(source):
    lines = len(source.splitlines())
    assert density(source).plumbing == 1
    assert density(source, "a = 1\n\nb = 2\nc = 3").plumbing == lines / (lines + 3)


@pytest.mark.parametrize("source", ["seen.add(1)", "board.table()", "a.board", "glued(1)"])
def test_other_calls_are_no_plumbing(source):
    assert density(source).plumbing == 0


def test_what_tags_hide_is_not_shown():
    for tag in ("hide-input", "hide-cell", "remove-input", "remove-cell"):
        assert density("a = 1", code("glue('a', a)", tag)).plumbing == 0, tag
        assert density(code("b = 1\nc = 2", tag), "a = 1", "glue('a', a)").plumbing == 0.5, tag
        assert density(code("glue('a', 1)", tag)).plumbing == 0, "nothing is shown"
    for tag in ("hide-output", "remove-output", "parameters"):
        assert density("a = 1", code("glue('a', a)", tag)).plumbing == 0.5, tag


def test_what_is_hidden_is_as_dense_as_what_is_shown():
    shown, hidden = density("a, b = 1, 2"), density(code("a, b = 1, 2", "hide-input"))
    assert replace(hidden, explained=shown.explained) == shown


def explained(*cells: str) -> bool:
    """Whether a notebook is; "say", "title", "hide" and "import" stand for such cells."""
    kinds = {
        "say": lambda: new_markdown_cell("We add one."),
        "title": lambda: new_markdown_cell("## Adding: a title."),
        "hide": lambda: code("glue('a', 1)", "remove-input"),
        "import": lambda: code("import os"),
        "code": lambda: code("a = 1"),
    }
    return density(*(kinds[cell]() for cell in cells)).explained


def test_a_sentence_stands_right_before_every_code_cell():
    assert explained("say", "code", "say", "code")
    assert explained("say", "hide", "code", "hide"), "a hidden cell needs no sentence"
    assert not explained("say", "code", "code")
    assert not explained("say", "code", "title", "code")
    assert not explained("say", "import", "code")
    assert not explained("code")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("## Adding\n\nWe add one:", True),
        ("```{note}\n:class: tip\nWe add one.\n```", True),
        ("```{solution-start} ex-one\n:class: dropdown\n```", False),
        ("(a-label)=\n# Adding.", False),
        ("Adding", False),
    ],
)
def test_marks_and_titles_are_no_sentences(text, says):
    assert density(new_markdown_cell(text), "a = 1").explained is says


def test_a_notebook_without_code_is_refused():
    for cells in ([], [new_markdown_cell("We add one.")], ["import os"], ["# a comment"]):
        with pytest.raises(ValueError, match="no code cell"):
            density(*cells)


def test_code_that_is_not_python_is_refused():
    with pytest.raises(SyntaxError):
        density("a = 1", "a =")


def test_the_table_has_a_line_per_chapter():
    head, line = table({"01-a": density("a = 1\nb = 2")}).splitlines()
    said = dict(zip(head.split(), line.split()[1:], strict=True))
    assert line.startswith("01-a ")
    assert (said["statements"], said["nodes"], said["explained"]) == ("2", "4.00", "False")


# --- Ceilings, by hand -------------------------------------------------------------------

PLAIN = replace(
    density("a = 1"),
    **{"nodes": 12.5, "packs": 1.0, "merges": 1.0, "comprehensions": 4.0},
    **{"comments": 6.0, "names": 2.0, "plumbing": 0.1},
)


def test_a_chapter_at_the_aims_has_no_fault():
    assert faults("01-a", PLAIN, {}) == []


@pytest.mark.parametrize(
    ("figure", "value", "aim"),
    [
        ("nodes", 12.51, "12.51, the aim is at most 12.5"),
        ("packs", 1.01, "1.01, the aim is at most 1"),
        ("merges", 1.01, "1.01, the aim is at most 1"),
        ("comprehensions", 4.01, "4.01, the aim is at most 4"),
        ("comments", 5.99, "5.99, the aim is at least 6"),
        ("names", 2.01, "2.01, the aim is at most 2"),
        ("plumbing", 0.11, "0.11, the aim is at most 0.1"),
    ],
)
def test_a_figure_without_a_ceiling_must_meet_its_aim(figure, value, aim):
    (said,) = faults("01-a", replace(PLAIN, **{figure: value}), {})
    assert said.startswith(f"01-a: {figure} is {aim}; ")


def test_sentences_stand_in_for_comments():
    silent = replace(PLAIN, comments=0.0)
    assert len(faults("01-a", silent, {})) == 1
    assert faults("01-a", replace(silent, explained=True), {}) == []
    (said,) = faults("01-a", replace(silent, explained=True), {"comments": 0.0})
    assert "remove the floor" in said


@pytest.mark.parametrize(
    ("figure", "value", "ceiling", "advice"),
    [
        ("nodes", 18.21, 18.3, ""),  # rounded up
        ("nodes", 18.3, 18.3, ""),
        ("nodes", 18.31, 18.3, "worse than its ceiling 18.3"),
        ("nodes", 18.01, 18.3, ""),  # 18.1 is within the slack
        ("nodes", 18.0, 18.3, "lower its ceiling 18.3 to 18.0"),
        ("nodes", 12.5, 18.3, "the aim is met: remove the ceiling"),
        ("nodes", 18.3, 18.31, "round the ceiling 18.31 to steps of 0.1"),
        ("plumbing", 0.301, 0.31, ""),
        ("plumbing", 0.311, 0.31, "worse than its ceiling 0.31"),
        ("plumbing", 0.28, 0.31, "lower its ceiling 0.31 to 0.28"),
        ("comments", 3.19, 3.1, ""),  # a floor is rounded down
        ("comments", 3.09, 3.1, "worse than its floor 3.1"),
        ("comments", 3.4, 3.1, "raise its floor 3.1 to 3.4"),
        ("comments", 0.0, 0.0, ""),
        ("comments", 6.0, 3.1, "the aim is met: remove the floor"),
    ],
)
def test_a_ceiling_only_falls(figure, value, ceiling, advice):
    said = faults("01-a", replace(PLAIN, **{figure: value}), {figure: ceiling})
    assert len(said) == bool(advice)
    assert advice in "".join(said)


def test_a_ceiling_of_an_unknown_figure_is_a_fault():
    assert faults("01-a", PLAIN, {"words": 12.0}) == ["01-a: words is no figure with an aim"]


# --- The chapters ------------------------------------------------------------------------


@pytest.mark.parametrize("chapter", NOTEBOOKS)
def test_a_chapter_meets_the_aims_or_its_ceilings(chapter):
    found = faults(chapter, measure_file(NOTEBOOKS[chapter]), CEILINGS.get(chapter, {}))
    assert not found, "\n".join([*found, "The ceilings stand in tests/density.json."])


def test_only_chapters_that_exist_have_ceilings():
    assert NOTEBOOKS
    assert set(CEILINGS) <= set(NOTEBOOKS)
    assert all(CEILINGS.values()), "a chapter without ceilings needs no entry"
