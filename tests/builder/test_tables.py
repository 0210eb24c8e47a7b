"""Tables of Markdown: every text comes out as it went in."""

import pytest
from markdown_it import MarkdownIt

from pm_utils.builder.tables import as_shown, code_span, table

TEXTS = ["a|b", "a`b", "``", "`", "a\\|b", "*a* _b_", "[x](y) <b> $c$ {ref}`d`", "# 1 ~e~", "&amp;"]


def cells(markdown: str) -> list[str]:
    """The words of each cell below the head."""
    tokens = MarkdownIt().enable("table").parse(markdown)
    inline = [token for token in tokens if token.type == "inline"]
    return ["".join(child.content for child in token.children) for token in inline][2:]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("wrap", [as_shown, code_span])
def test_a_cell_shows_its_text(text, wrap):
    assert cells(table([["h", "h"], ["---", "---"], [wrap(text), wrap("next")]])) == [text, "next"]


@pytest.mark.parametrize("wrap", [as_shown, code_span])
def test_a_line_break_does_not_end_a_row(wrap):
    assert cells(table([["h", "h"], ["---", "---"], [wrap("a\nb"), "c"]])) == ["a b", "c"]
