"""Source that a page prints is the source that runs, its docstrings cut to one line."""

import ast
import inspect

import numpy as np
import pandas as pd
import pytest
from IPython.display import Markdown

from pm_utils import inputs
from pm_utils.customers import purchase_log
from pm_utils.customers.networks import BasketRNN, UserProfileNet
from pm_utils.evaluation import bootstrap, ranking
from pm_utils.learning import training
from pm_utils.page import artifacts
from pm_utils.page.listing import show_lines, show_source

SHOWN = [
    bootstrap.percentile_interval,
    ranking._ap_and_auc,  # one line of docstring
    artifacts.save,
    artifacts._format,  # no docstring
    training.fit,
    purchase_log.customer_context,  # functions inside
    UserProfileNet,
    BasketRNN.profile,  # indented in its file
]
DOCUMENTED = (ast.FunctionDef, ast.ClassDef)


def body(shown: Markdown) -> str:
    """The code between the fences."""
    assert isinstance(shown, Markdown)
    assert shown.data.startswith("```python\n")
    code, fence, _ = shown.data.removeprefix("```python\n").partition("\n```\n")
    assert fence
    return code + "\n"


def docstrings(code: str) -> list[str | None]:
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, DOCUMENTED)]
    return [ast.get_docstring(node) for node in nodes]


def without_docstrings(code: str) -> str:
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree)


@pytest.mark.parametrize("thing", SHOWN)
def test_the_code_is_that_of_the_file_and_each_docstring_its_first_line(thing):
    source = inspect.cleandoc("\n" + inspect.getsource(thing))
    code = body(show_source(thing))
    assert without_docstrings(code) == without_docstrings(source)
    heads = [text and text.splitlines()[0] for text in docstrings(source)]
    assert docstrings(code) == heads


def sample(x):
    """Say the first line.

    Not this one.
    """
    if x:

        def inner():
            """Stay whole."""
            return 1

        return inner()  # a comment stays
    text = """Not a docstring:

    three lines."""
    return text


SAMPLE = '''\
def sample(x):
    """Say the first line."""
    if x:

        def inner():
            """Stay whole."""
            return 1

        return inner()  # a comment stays
    text = """Not a docstring:

    three lines."""
    return text
'''


def test_the_block_by_hand():
    assert body(show_source(sample)) == SAMPLE


def test_what_is_printed_can_be_run():
    names = {**vars(inputs), "np": np, "ArrayLike": object}  # what its module imports
    exec(body(show_source(bootstrap.percentile_interval)), names)
    values = [1.0, 2.0, 4.0, 8.0]
    assert names["percentile_interval"](values) == bootstrap.percentile_interval(values)


def test_several_objects_come_in_the_order_given_in_one_block():
    code = body(show_source(ranking.roc_auc, bootstrap.bootstrap_weights))
    first, second = code.split("\n\n\ndef ")
    assert first.startswith("def roc_auc(")
    assert second.startswith("bootstrap_weights(")
    assert "```" not in code


def test_at_least_one_object_is_needed():
    with pytest.raises(ValueError, match="at least one function or class"):
        show_source()


def test_a_value_without_source_is_refused():
    with pytest.raises(TypeError):
        show_source(3)


def test_lines_wrap_and_only_an_index_with_names_is_shown():
    lines = ["Tick tock: half price!", "Sleep well, neighbour."]
    numbered = show_lines(pd.DataFrame({"headline": lines})).to_html()
    named = show_lines(pd.DataFrame({"headline": lines}, index=["plain", "warm"])).to_html()
    for page in (numbered, named):
        assert "white-space: normal" in page
        assert all(line in page for line in lines)
    assert ">warm</th>" in named
    assert "row_heading" not in numbered


def test_a_listing_says_where_its_objects_are_defined_each_module_once():
    below = show_source(training.fit, training.predict, artifacts.save).data.splitlines()[-1]
    assert below == (
        "Defined in [`pm_utils/learning/training.py`](#pm_utils.learning.training), "
        "[`pm_utils/page/artifacts.py`](#pm_utils.page.artifacts)."
    )


def test_a_listing_of_somebody_elses_code_leads_nowhere():
    assert "Defined in" not in show_source(inspect.cleandoc).data
