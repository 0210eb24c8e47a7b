"""What of a Python source can change a figure: its code, but no comment, position or docstring."""

import ast
import functools
import hashlib
import inspect
import io
import json
import re
import tokenize
from dataclasses import dataclass
from typing import Any

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
# With one of these, code can read docstrings, be it as a name, an attribute or a text.
DOCSTRING_READERS = re.compile(r"'(__doc__|getdoc|help|pydoc|doctest|pinfo2?)'")
# Swap files, backups and caches of editors and file managers, hidden files and compiled code.
BY_THE_WAY = re.compile(r"\..*|.*~|#.*#|.*\.(sw[a-z]|bak|orig|rej|tmp|py[co])|__pycache__|4913"
                        r"|Thumbs\.db|desktop\.ini", re.IGNORECASE)  # fmt: skip


def digest(value: Any) -> str:
    """Return a short fingerprint of bytes or of anything that JSON can hold.

    Examples
    --------
    >>> from pm_utils.builder.code import digest
    >>> digest({"seed": 0, "epochs": 3}) == digest({"epochs": 3, "seed": 0})  # in any order
    True
    >>> len(digest(b""))
    16
    """
    if not isinstance(value, bytes):
        value = json.dumps(value, sort_keys=True, default=repr).encode()
    return hashlib.sha256(value).hexdigest()[:16]


def counts(name: str) -> bool:
    """Tell whether a file or folder of this name belongs to the work, not to an editor's."""
    return not BY_THE_WAY.fullmatch(name)


@dataclass(frozen=True)
class Code:
    """What was read from one source.

    Attributes
    ----------
    text : str
        The fingerprint of all of it.
    code : str
        The fingerprint of what Python executes; that of the text where it cannot be parsed.
    imports : tuple of ast.Import and ast.ImportFrom
        Wherever they stand.
    reads_docstrings : bool
        Whether the code may look at docstrings, its own or those of others.
    problem : str
        Why it cannot be parsed: the line and what is wrong. Empty when all is well.
    """

    text: str
    code: str
    imports: tuple[ast.Import | ast.ImportFrom, ...] = ()
    reads_docstrings: bool = False
    problem: str = ""


@functools.lru_cache(maxsize=4096)
def read_code(source: bytes, *, is_cell: bool = False) -> Code:
    """Parse a source as Python would: a byte order mark and a named encoding are fine.

    Parameters
    ----------
    source : bytes
        The content of a file, or a cell in UTF-8.
    is_cell : bool
        A text alone in a cell is no docstring, it is shown. So a semicolon at the end counts too.
    """
    text = digest(source)
    try:
        tree = ast.parse(_python(source.decode()) if is_cell else source)
        imports: list[ast.Import | ast.ImportFrom] = []
        dump = _dump(tree, imports, is_cell=is_cell)
    except (SyntaxError, ValueError, RecursionError) as error:
        return Code(text, text, problem=_sentence(error))
    quiet = is_cell and _ends_in_semicolon(source.decode())
    docstrings = bool(DOCSTRING_READERS.search(dump))
    return Code(text, digest([dump, quiet]), tuple(imports), docstrings)


def _sentence(error: Exception) -> str:
    line = getattr(error, "lineno", None)
    reason = getattr(error, "msg", None) or str(error) or type(error).__name__
    return f"line {line}: {reason}" if line else reason


def _python(cell: str) -> str:
    """Return a cell as Python, its magics turned into calls."""
    try:
        ast.parse(cell)
        return cell
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager  # slow to import

        return TransformerManager().transform_cell(cell)


def _dump(node: Any, imports: list[ast.Import | ast.ImportFrom], *, is_cell: bool) -> str:
    """Return a tree as text, without docstrings and places, and collect its imports on the way."""
    if isinstance(node, list):
        return f"[{', '.join([_dump(item, imports, is_cell=is_cell) for item in node])}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, DEFINITIONS) or isinstance(node, ast.Module) and not is_cell:
        _drop_docstring(node)
    elif isinstance(node, ast.Import | ast.ImportFrom):
        imports.append(node)
    fields = [_dump(getattr(node, name, None), imports, is_cell=is_cell) for name in node._fields]
    return f"{type(node).__name__}({', '.join(fields)})"


def _drop_docstring(node: Any) -> None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
        del node.body[0]


def _ends_in_semicolon(cell: str) -> bool:
    """Tell whether IPython shows nothing of the last line for the semicolon at its end."""
    passed = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER}
    last = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(cell).readline):
            last = last if token.type in passed else token.string or last
    except (tokenize.TokenError, SyntaxError):  # magics; then the text decides
        return cell.rstrip().endswith(";")
    return last == ";"


@functools.lru_cache(maxsize=256)
def _definitions(source: str) -> list[Any]:
    """Return all functions and classes of a source, parsed once for all that chapters print."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, DEFINITIONS)]


def definition(source: str, name: str) -> str | None:
    """Return the lines that `inspect.getsource` gives of a function or class.

    Parameters
    ----------
    source : str
        A module's.
    name : str
        The qualified name, as in ``"Block.forward"``.

    Returns
    -------
    str or None
        None where the source has no such definition, or more than one.
    """
    first, *inner = name.split(".")
    nodes = [node for node in _definitions(source) if node.name == first]
    for part in inner:
        inside = [child for node in nodes for child in ast.walk(node) if child is not node]
        nodes = [n for n in inside if isinstance(n, DEFINITIONS) and n.name == part]
    if len(nodes) != 1:
        return None
    first = min(node.lineno for node in (nodes[0], *nodes[0].decorator_list))
    return "".join(inspect.getblock(source.splitlines(keepends=True)[first - 1 :]))
