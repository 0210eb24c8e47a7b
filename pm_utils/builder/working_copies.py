"""A chapter's prose as plain Markdown: what Sphinx resolves on a page stands there in words.

JupyterLab shows no roles, no numbers and no citations of the book. `Words` knows what they stand
for, `readable` puts it into a text.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from pm_utils.builder.chapters import Chapter
from pm_utils.builder.project import BuildError, Project

NOT_RUN = "… (not run yet)"
GLUED = "application/papermill.record/text/plain"
CODE_OR_ROLE = re.compile(r"(?:\{([A-Za-z][\w:.+-]*)\})?(?<!`)(`+)(?!`)(.+?)(?<!`)\2(?!`)", re.S)
TITLED = re.compile(r"(.+?)\s*<([^<>]+)>", re.S)
FENCE = re.compile(r"( *)(`{3,}|~{3,}|:{3,}(?=\{))(?:\{([\w:.+-]+)\})?(.*)")
LABELLED = re.compile(r"^\$\$((?:(?!\$\$).)*)\$\$ *\(([\w:-]+)\) *$", re.M | re.S)
MATH_LABEL = re.compile(
    r"^(?:`{3,}|:{3,})\{math\}[^\n]*\n(?::[^\n]*\n)*?:label: *(\S+)|^\$\$ *\(([\w:-]+)\) *$", re.M
)
TARGET = re.compile(r"^\(([\w:.-]+)\)= *\n+(?:#+ +(.+)$)?", re.M)
EXERCISE = re.compile(r"^[`:]{3,}\{exercise\}.*\n(?::.*\n)*?:label: *(\S+)", re.M)
UNSEEN = {"contents", "toctree", "tableofcontents", "bibliography", "index", "solution-end"}
CODE = {"code", "code-block", "code-cell", "sourcecode"}


@dataclass(frozen=True)
class Words:
    """What roles of the book stand for.

    Attributes
    ----------
    titles : dict
        The title of each page by its name, as in ``"03-customer-profile"`` or ``"concepts"``.
    labels : dict
        What a reference to a label shows, as in ``"Fig. 3.2"`` or ``"(3.1)"``.
    places : dict
        The chapter that holds a label.
    works : dict
        Authors, year and address of each work by its key.
    copies : frozenset of str
        The chapters that lie beside the text, so that a link leads somewhere.
    numbers : dict
        What the chapter's last run glued, by name: the text that `repr` printed.
    """

    titles: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    works: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    copies: frozenset[str] = frozenset()
    numbers: dict[str, str] = field(default_factory=dict)

    def link(self, words: str, page: str) -> str:
        """Return words that lead to the copy of a chapter, bare words where there is none."""
        return f"[{words}]({page}.ipynb)" if page in self.copies else words


def read_words(project: Project, chapters: dict[str, Chapter]) -> Words:
    """Return the titles, labels and works of a book.

    Parameters
    ----------
    project : Project
        The checkout.
    chapters : dict
        All its chapters, in order.
    """
    prose = {path.stem: path.read_text(encoding="utf-8") for path in project.book.glob("*.md")}
    titles = {name: _first_heading(text) or name for name, text in prose.items()}
    titles |= {name: chapter.title for name, chapter in chapters.items()}
    labels, places = {}, {}
    for number, (name, chapter) in enumerate(chapters.items(), start=1):
        found = _labels(chapter.notebook, number)
        labels |= found
        places |= dict.fromkeys(found, name)
    for page, text in prose.items():
        labels |= {label: title or label for label, title in TARGET.findall(text)}
        found = [a or b for a, b in MATH_LABEL.findall(text)]
        labels |= dict.fromkeys(found, f"the equation of *{titles[page]}*")
    return Words(titles, labels, places, _works(project.book / "references.bib"))


def _first_heading(text: str) -> str:
    found = re.search(r"^# +(.+)$", text, re.M)
    return found[1].strip() if found else ""


def _labels(notebook: NotebookNode, number: int) -> dict[str, str]:
    """Number a chapter's equations, figures and exercises in their order, as the pages do."""
    found: dict[str, str] = {}
    equations = exercises = figures = 0
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if (figure := cell.metadata.get("mystnb", {}).get("figure", {})).get("caption"):
                figures += 1
                found[figure.get("name", cell.id)] = f"Fig. {number}.{figures}"
            continue
        for match in MATH_LABEL.finditer(cell.source):
            equations += 1
            found[match[1] or match[2]] = f"({number}.{equations})"
        for match in EXERCISE.finditer(cell.source):
            exercises += 1
            found[match[1]] = f"Exercise {number}.{exercises}"
        found |= {label: title or label for label, title in TARGET.findall(cell.source)}
    return found


def _works(path: Path) -> dict[str, tuple[str, str, str]]:
    from pybtex.database import PybtexError, parse_file

    if not path.is_file():
        return {}
    try:
        entries = parse_file(str(path)).entries
    except (PybtexError, UnicodeDecodeError) as error:
        raise BuildError([f"{path.name} is no valid bibliography: {error}"]) from error
    return {key: (_authors(e), e.fields.get("year", ""), _address(e)) for key, e in entries.items()}


def _authors(entry: Any) -> str:
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    parts = [[*p.rich_prelast_names, *p.rich_last_names] for p in people]
    names = [" ".join(map(str, part)) for part in parts] or [entry.fields.get("title", entry.key)]
    return f"{names[0]} et al." if len(names) > 2 else " and ".join(names)


def _address(entry: Any) -> str:
    if doi := entry.fields.get("doi"):
        address = f"https://doi.org/{doi}"
    else:
        address = entry.fields.get("url", "")
    return address.replace("(", "%28").replace(")", "%29")  # they would end a link


def stored_numbers(notebook: NotebookNode) -> dict[str, str]:
    """Return what the cells of an executed notebook glued, by name."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return {
        output.metadata["scrapbook"]["name"]: text
        for output in outputs
        if "scrapbook" in output.get("metadata", {})
        and (text := output.data.get(GLUED, output.data.get("text/plain")))
    }


def readable(text: str, words: Words) -> str:
    """Return a MyST text as Markdown that any notebook program shows.

    Parameters
    ----------
    text : str
        The source of a Markdown cell.
    words : Words
        What its roles stand for.

    Returns
    -------
    str
        Without roles and directives. What stands between backticks as code is left alone.

    Examples
    --------
    >>> readable("By {eq}`eq-loss`, {term}`nats <nat>`.", Words(labels={"eq-loss": "(2.1)"}))
    'By (2.1), nats.'
    """
    done: list[str] = []
    prose: list[str] = []
    lines = text.splitlines()
    while lines:
        line = lines.pop(0)
        opened = FENCE.fullmatch(line)
        if not opened or ("`" in opened[4] and opened[2][0] == "`"):
            prose.append(line)
            continue
        body = _until_closed(lines, opened[2])
        done += [_prose("\n".join(prose), words), _block(opened, body, words)]
        prose = []
    return re.sub(r"\n{3,}", "\n\n", "\n".join([*done, _prose("\n".join(prose), words)])).strip()


def _until_closed(lines: list[str], fence: str) -> list[str]:
    """Take lines up to the fence's end, which may be longer than its beginning."""
    body: list[str] = []
    while lines:
        line = lines.pop(0)
        if set(line.strip()) == {fence[0]} and len(line.strip()) >= len(fence):
            break
        body.append(line)
    return body


def _block(opened: re.Match[str], body: list[str], words: Words) -> str:
    indent, fence, name, rest = opened.groups()
    if name is None:
        return "\n".join([opened[0], *body, f"{indent}{fence}"])
    options, inner = _options([line.removeprefix(indent) for line in body])
    text = _directive(name, rest.strip(), options, inner, words)
    return "\n".join(f"{indent}{line}" if line else "" for line in text.splitlines())


def _options(body: list[str]) -> tuple[dict[str, str], str]:
    options = {}
    while body and (found := re.fullmatch(r" *:([\w-]+): *(.*)", body[0])):
        options[found[1]] = found[2]
        body = body[1:]
    return options, "\n".join(body).strip("\n")


def _directive(name: str, argument: str, options: dict[str, str], body: str, words: Words) -> str:
    """Return a directive as plain Markdown; one that is not known becomes a quotation."""
    if name in UNSEEN:
        return ""
    if name == "math":
        return _display(f"{argument}\n{body}".strip(), words.labels.get(options.get("label", "")))
    if name in CODE:
        return f"````{argument}\n{body}\n````"
    if name in ("image", "figure"):
        image = f"![{options.get('alt', '')}]({argument})"
        return f"\n{image}\n\n{readable(body, words)}\n"
    if name.startswith("glue:"):
        return f"\n{_number(argument, words)}\n"
    if name == "solution-start":
        return f"\n**Solution of {words.labels.get(argument, argument)}**\n"
    return _quotation(_heading(name, argument, options, words), readable(body, words))


def _heading(name: str, argument: str, options: dict[str, str], words: Words) -> str:
    argument = _prose(argument, words)
    if name == "exercise":
        title = words.labels.get(options.get("label", ""), "Exercise")
        return f"### {title} {argument}".strip()
    said = argument or name.split(":")[-1].replace("-", " ").capitalize()
    return f"**{said}.**"


def _quotation(heading: str, body: str) -> str:
    """An exercise is a heading of its own; all else is quoted under what it is."""
    if heading.startswith("#"):
        return f"\n{heading}\n\n{body}\n"
    lines = [heading, "", *body.splitlines()]
    return "\n" + "\n".join(f"> {line}".rstrip() for line in lines) + "\n"


def _display(formula: str, number: str | None) -> str:
    tag = f" \\tag{{{number.strip('()')}}}" if number else ""
    return f"\n$$\n{formula}{tag}\n$$\n"


def _prose(text: str, words: Words) -> str:
    """Return text between fences without comments, targets, labels and roles."""
    text = re.sub(r"^(?:%.*|\+\+\+.*)\n?", "", text, flags=re.M)
    text = re.sub(r"^\([\w:.-]+\)= *\n*", "", text, flags=re.M)
    text = LABELLED.sub(lambda m: _display(m[1].strip(), words.labels.get(m[2])).strip(), text)
    text = re.sub(r"\[([^\]]*)\]\(([^)\s]+)\)", lambda m: _markdown_link(m, words), text)
    return CODE_OR_ROLE.sub(lambda m: _role(m[1], m[3], words) if m[1] else m[0], text)


def _markdown_link(link: re.Match[str], words: Words) -> str:
    """Lead a link of the page to the copy, and leave words where no copy is."""
    said, target = link[1], link[2]
    if re.match(r"[a-z]+:", target) or link.string[: link.start()].endswith("!"):
        return link[0]
    label = target.removeprefix("#")
    page = words.places.get(label, re.sub(r"\.(md|ipynb|html)$", "", target.rsplit("/", 1)[-1]))
    return words.link(said or words.labels.get(label) or words.titles.get(page, page), page)


def _role(name: str, body: str, words: Words) -> str:
    kind = name.split(":")[-1] if name.startswith(("std:", "py:")) else name
    show: Callable[[str, Words], str] = ROLES.get(kind, _said)
    if kind.startswith("glue:"):
        show = _number
    elif kind.startswith("cite"):
        show = _cited_in_text if kind.endswith((":t", ":ct", ":ts")) else _cited
    return show(body, words)


def _said(body: str, words: Words) -> str:
    """Return the words of a role and not its target: ``nats <nat>`` is nats."""
    titled = TITLED.fullmatch(body)
    return (titled[1] if titled else body).removeprefix("~").removeprefix("!")


def _number(body: str, words: Words) -> str:
    from myst_nb.core.variables import format_plain_text  # as the pages do

    name, _, layout = body.partition(":")
    if name not in words.numbers:
        return NOT_RUN
    return format_plain_text(words.numbers[name], layout or "s")


def _cited(body: str, words: Words) -> str:
    return f"({'; '.join(_work(key.strip(), words, '{0}, {1}') for key in body.split(','))})"


def _cited_in_text(body: str, words: Words) -> str:
    return ", ".join(_work(key.strip(), words, "{0} ({1})") for key in body.split(","))


def _work(key: str, words: Words, form: str) -> str:
    authors, year, address = words.works.get(key, (key, "", ""))
    text = form.format(authors, year) if year else authors
    return f"[{text}]({address})" if address else text


def _page(body: str, words: Words) -> str:
    titled = TITLED.fullmatch(body)
    page = (titled[2] if titled else body).strip().rsplit("/", 1)[-1]
    return words.link(titled[1] if titled else words.titles.get(page, page), page)


def _reference(body: str, words: Words) -> str:
    titled = TITLED.fullmatch(body)
    label = (titled[2] if titled else body).strip()
    shown = words.labels.get(label, label)
    number = shown.removeprefix("Fig. ")
    said = re.sub(r"%s|\{number\}", number, titled[1]) if titled else shown
    return words.link(said.replace("{name}", shown), words.places.get(label, ""))


def _formula(body: str, words: Words) -> str:
    return f"${body}$"


def _abbreviation(body: str, words: Words) -> str:
    return body


def _tagged(tag: str) -> Callable[[str, Words], str]:
    return lambda body, words: f"<{tag}>{body}</{tag}>"


ROLES: dict[str, Callable[[str, Words], str]] = {
    "doc": _page,
    **dict.fromkeys(("ref", "numref", "eq", "prf:ref"), _reference),
    "math": _formula,
    "abbr": _abbreviation,
    "sub": _tagged("sub"),
    "sup": _tagged("sup"),
}


def read_numbers(path: Path) -> dict[str, str]:
    """Return the numbers of a stored run, none where there is no whole one."""
    try:
        return stored_numbers(nbformat.read(path, as_version=4))
    except Exception:  # nbformat lets through whatever its parsers raise
        return {}
