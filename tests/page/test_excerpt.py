"""What stays of a printed definition."""

import pytest

from pm_utils.page.excerpt import shorten


def test_docstrings_are_cut_to_their_first_line_and_comments_stay():
    source = '''    def f(x):
        """Double it.

        More.
        """
        return 2 * x  # twice
'''
    expected = 'def f(x):\n    """Double it."""\n    return 2 * x  # twice'
    assert shorten(source) == expected


def test_what_is_no_python_is_an_error():
    with pytest.raises(SyntaxError):
        shorten("def f(")
