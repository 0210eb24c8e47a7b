"""Source that a page prints is the source that runs."""

import inspect

import pytest
from IPython.display import Markdown

from pm_utils import metrics
from pm_utils.models.profile import UserProfileNet
from pm_utils.page import show_source


def body(shown: Markdown) -> str:
    """The code between the fences."""
    assert isinstance(shown, Markdown)
    assert shown.data.startswith("```python\n")
    assert shown.data.endswith("\n```")
    return shown.data.removeprefix("```python\n").removesuffix("```")


@pytest.mark.parametrize("thing", [metrics.interval, UserProfileNet])
def test_the_block_is_the_source_and_nothing_else(thing):
    assert body(show_source(thing)) == inspect.getsource(thing)


def test_what_is_printed_can_be_run():
    names: dict = {"np": metrics.np, "ArrayLike": object}
    exec(body(show_source(metrics.interval)), names)
    values = [1.0, 2.0, 4.0, 8.0]
    assert names["interval"](values) == metrics.interval(values)


def test_several_objects_come_in_the_order_given_in_one_block():
    code = body(show_source(metrics.roc_auc, metrics.bootstrap_weights))
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
