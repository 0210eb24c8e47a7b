"""A Sphinx extension that mends in each page what the theme and its extensions leave inaccessible.

Each change is made to the finished HTML, in one place, because the parts come from a theme, two
extensions and pandas, none of which has a setting for it. The tests ask axe-core whether any page
breaks a rule. What can only be known in the browser is done by ``book/_static/page.js``.
"""

import itertools
import re
from collections.abc import Callable
from typing import Any

from sphinx.application import Sphinx
from sphinx.jinja2glue import BuiltinTemplateLoader

CHINESE = re.compile(
    "[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
    "(?:[\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]*"
    "[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])?"
)
# What is no text of the page, or may hold no element inside.
_PLAIN = ("script", "style", "title", "textarea", "option", "svg", "noscript")
_PIECE = re.compile(
    rf"<!--.*?-->|<(?P<plain>{'|'.join(_PLAIN)})\b.*?</(?P=plain)>"
    r"|<(?P<math>span|div) class=\"math\b.*?</(?P=math)>"  # MathJax reads no elements inside
    r"|<(?:\"[^\"]*\"|'[^']*'|[^>\"'])*>",
    re.DOTALL | re.I,
)
_ID = re.compile(r"""(<[^<>]*?\sid=)"([^"]+)\"""")


def mark_chinese(html: str) -> str:
    """Return a page whose Chinese words are marked as such, for voices, fonts and hyphenation.

    Examples
    --------
    >>> from pm_utils.builder.accessibility import mark_chinese
    >>> mark_chinese('<p title="漏斗">The funnel (漏斗)</p>')
    '<p title="漏斗">The funnel (<span lang="zh">漏斗</span>)</p>'
    """
    return _outside_tags(html, lambda text: CHINESE.sub(r'<span lang="zh">\g<0></span>', text))


def _outside_tags(html: str, change: Callable[[str], str]) -> str:
    """Apply a change to the text between tags."""
    parts, last = [], 0
    for piece in _PIECE.finditer(html):
        parts += [change(html[last : piece.start()]), piece.group()]
        last = piece.end()
    return "".join([*parts, change(html[last:])])


def unique_ids(html: str) -> str:
    """Return a page in which no two elements have one id; the first keeps it, as links lead there.

    Examples
    --------
    >>> from pm_utils.builder.accessibility import unique_ids
    >>> unique_ids('<p id="a"></p><p id="a"></p><p id="a-2"></p>')
    '<p id="a"></p><p id="a-3"></p><p id="a-2"></p>'
    """
    taken = {match.group(2) for match in _ID.finditer(html)}
    seen: set[str] = set()

    def once(match: re.Match[str]) -> str:
        name = match.group(2)
        if name in seen:
            names = (f"{name}-{number}" for number in itertools.count(2))
            name = next(other for other in names if other not in taken)
            taken.add(name)
        seen.add(name)
        return f'{match.group(1)}"{name}"'

    return _ID.sub(once, html)


def label_checkboxes(html: str) -> str:
    """Return a page whose checklists can be ticked, each box named by the text of its item."""
    numbers = itertools.count(1)

    def label(match: re.Match[str]) -> str:
        name = f"pm-task-{next(numbers)}"
        box = match.group("box").replace(' disabled="disabled"', "")
        box = box.replace("<input", f'<input aria-labelledby="{name}"')
        return f'<li class="task-list-item" id="{name}">{match.group("before")}{box}'

    item = r'<li class="task-list-item">(?P<before>\s*(?:<p>)?)(?P<box><input[^>]*>)'
    return re.sub(item, label, html)


def mend_theme(html: str) -> str:
    """Return a page whose parts from the theme have names, roles and landmarks that fit them."""
    # What a button shows is part of its name, or nobody can call it by what they see.
    html = re.sub(r'(<button class="btn search-button-field[^>]*?) aria-label="[^"]*"', r"\1", html)
    html = re.sub(r'(<i class="theme-switch[^>]*?)\s+title="[^"]*"', r"\1", html)
    # The sidebar holds the logo and the search beside its navigation: all of it is a landmark.
    return re.sub(
        r'(<div [^>]*class="bd-sidebar-primary bd-sidebar[^"]*")',
        r'\1 role="region" aria-label="Contents and search"',
        html,
    )


def mend_content(html: str) -> str:
    """Return a page whose bibliography is a list, and whose tables have no header without words."""
    html = html.replace('role="doc-biblioentry"', 'role="listitem"')  # a list's children
    html = html.replace('<summary aria-label="Toggle hidden content">', "<summary>")  # it has text
    return re.sub(r"<th\b([^>]*)>(?:\s|&nbsp;|&#160;|</?p>)*</th>", r"<td\1></td>", html)


def mend(html: str) -> str:
    """Return a finished page with all that this module mends."""
    head, body, rest = html.partition("<body")
    for change in (mend_theme, mend_content, label_checkboxes, mark_chinese):
        rest = change(rest)
    return unique_ids(head + body + rest)


class MendedTemplates(BuiltinTemplateLoader):
    """Sphinx's own templates, whose finished pages are mended."""

    def render(self, template: str, context: dict[str, Any]) -> str:
        """Return a rendered page; other files pass unchanged."""
        text = super().render(template, context)
        return mend(text) if template.endswith(".html") else text


def setup(app: Sphinx) -> dict[str, Any]:
    """Join the build: Sphinx calls this when ``_config.yml`` names the module."""
    app.config.template_bridge = f"{__name__}.{MendedTemplates.__name__}"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
