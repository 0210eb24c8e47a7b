"""What of a source counts: its code, and what a page prints of it."""

import inspect
import textwrap

import pytest

from pm_utils.builder import code
from pm_utils.builder.code import counts, definition, read_code
from pm_utils.page import listing

PLAIN = 'def f(x):\n    """Double it."""\n    return 2 * x\n'


@pytest.mark.parametrize(
    "same",
    [
        '"""A module."""\n\n\n' + PLAIN,
        PLAIN.replace("Double it.", "Twice.\n\n    More.\n    "),
        PLAIN.replace("2 * x", "(2 *\n            x)  # why"),
        "\ufeff" + PLAIN,
        "# -*- coding: utf-8 -*-\n" + PLAIN,
    ],
)
def test_comments_positions_and_docstrings_are_no_code(same):
    assert read_code(same.encode()).code == read_code(PLAIN.encode()).code
    assert read_code(same.encode()).text != read_code(PLAIN.encode()).text


@pytest.mark.parametrize("other", ["3 * x", "2 * y", "2.0 * x", "'2 * x'"])
def test_code_counts(other):
    changed = PLAIN.replace("2 * x", other).encode()
    assert read_code(changed).code != read_code(PLAIN.encode()).code


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x = 1\nx", "x = 1  # a comment\n\nx", True),
        ("x", "x;", False),  # a semicolon hides what a cell shows
        ("x;", "x;  # hidden", True),
        ("'shown'", "'told'", False),
        ("%time x = 1", "%time x = 2", False),
        ("!ls", "!ls  # the same", False),  # what a shell reads is text
        ("def f():\n    'Help.'", "def f():\n    'More help.'", True),
    ],
)
def test_cells_count_by_what_they_do_and_show(one, other, same):
    marks = {read_code(cell.encode(), is_cell=True).code for cell in (one, other)}
    assert (len(marks) == 1) == same


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"V = (1\n", "line 1: '(' was never closed"),
        (b"a = 1\nV = '\xe9'\n", "'utf-8' codec"),
        (b"V = 1\0\n", "null bytes"),
        (b"def f():\nreturn 1\n", "line 2: expected an indented block"),
        (b"# coding: nonsense\n", "unknown encoding"),
    ],
)
def test_what_python_cannot_read_is_told(source, said):
    assert said in read_code(source).problem
    assert read_code(source).code == read_code(source).text


def test_another_encoding_is_fine_when_it_is_named():
    assert read_code("# coding: latin-1\nV = 'é'\n".encode("latin-1")).problem == ""


@pytest.mark.parametrize(
    "reader", ["f.__doc__", "help(f)", "inspect.getdoc(f)", "getattr(f, '__doc__')", "f?", "f??"]
)
def test_readers_of_docstrings_are_known(reader):
    assert read_code(reader.encode(), is_cell=True).reads_docstrings
    assert not read_code(b"'''Says help.'''\nx = 1  # __doc__").reads_docstrings


@pytest.mark.parametrize(
    ("name", "expected"),
    [("x.json", True), ("words.txt", True), (".x.swp", False), ("x.json~", False)]
    + [(".DS_Store", False), ("__pycache__", False), ("x.orig", False), ("4913", False)],
)
def test_files_of_editors_do_not_count(name, expected):
    assert counts(name) == expected


@pytest.mark.parametrize("thing", [code.Code, code.read_code, listing.show_source])
def test_a_definition_is_what_inspect_gives(thing):
    module = inspect.getmodule(thing)
    assert definition(inspect.getsource(module), thing.__qualname__) == inspect.getsource(thing)


def test_a_method_with_decorators_and_a_last_comment_is_found():
    text = (
        "class A:\n    @staticmethod\n    # why\n    def f():\n        pass\n        # end\n\nx = 1"
    )
    expected = "@staticmethod\n# why\ndef f():\n    pass\n    # end\n"
    assert textwrap.dedent(definition(text, "A.f")) == expected
    assert definition(text, "A.g") is None
    assert definition(text + "\nclass A:\n    def f(): pass\n", "A.f") is None  # which one?
