"""The elements of a page of HTML, for the tests that look at built pages."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

EMPTY = {
    "area",
    "base",
    "br",
    "col",
    "embed",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "source",
    "wbr",
}


@dataclass
class Element:
    """A tag with its attributes and all text inside it."""

    tag: str
    attributes: dict[str, str]
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.parts)

    @property
    def classes(self) -> set[str]:
        return set(self.attributes.get("class", "").split())


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Element] = []
        self.open: list[Element] = []

    def handle_starttag(self, tag, attrs):
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.found.append(element)
        if tag not in EMPTY:
            self.open.append(element)

    def handle_endtag(self, tag):
        if tag in [element.tag for element in self.open]:
            while self.open.pop().tag != tag:
                pass

    def handle_data(self, data):
        for element in self.open:
            element.parts.append(data)


def elements(text: str) -> list[Element]:
    """Every element of a page in order."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    return parser.found


def rows(text: str) -> list[list[str]]:
    """The cells' text of every row of every table of a page."""
    found: list[list[str]] = []
    for element in elements(text):
        if element.tag == "tr":
            found.append([])
        elif element.tag in ("th", "td") and found:
            found[-1].append(element.text.strip())
    return found
