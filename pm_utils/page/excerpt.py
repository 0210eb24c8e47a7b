"""What a page prints of a definition's source. The builder asks the same, to see what changed."""

import ast
import textwrap


def shorten(source: str) -> str:
    """Return a definition with every docstring cut to its first line.

    Parameters
    ----------
    source : str
        A function or class, at any indentation.

    Returns
    -------
    str

    Raises
    ------
    SyntaxError
        When the source cannot be parsed.
    """
    lines = textwrap.dedent(source).rstrip().splitlines()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    nodes = [node for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, kinds)]
    for node in sorted(nodes, key=lambda node: node.lineno, reverse=True):
        if ast.get_docstring(node) and node.body[0].end_lineno > node.body[0].lineno:
            first, last = node.body[0].lineno - 1, node.body[0].end_lineno
            lines[first:last] = [lines[first].rstrip() + '"""']
    return "\n".join(lines)
