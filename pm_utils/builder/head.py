"""A Sphinx extension that tells other programs what a page is: its head, a sitemap, a 404 page.

What needs the address of the site is written only where ``html_baseurl`` gives it.
"""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

SHOWN_CHARACTERS = 160  # characters that search engines show
NOT_FOUND = "404"
# A base turns links within a page, as "skip to main content", into links to the front page.
OWN_LINKS = """<script>
addEventListener("DOMContentLoaded", () => {
  const here = location.href.split("#")[0];
  for (const link of document.querySelectorAll('a[href^="#"]'))
    link.href = here + link.getAttribute("href");
});
</script>"""


def description(doctree: nodes.document | None) -> str:
    """Return the start of a page's first paragraph, cut at a word; "" where there is none.

    Parameters
    ----------
    doctree : docutils.nodes.document or None
        The page. Paragraphs inside tables, notes and the like do not count.
    """
    for paragraph in doctree.findall(nodes.paragraph) if doctree else ():
        if isinstance(paragraph.parent, (nodes.section, nodes.document)):
            text = " ".join(paragraph.astext().split())
            return (
                text
                if len(text) <= SHOWN_CHARACTERS
                else f"{text[:SHOWN_CHARACTERS].rpartition(' ')[0]} …"
            )
    return ""


def head_tags(title: str, text: str, site: str, address: str | None) -> str:
    """Return the tags of a page's head.

    Parameters
    ----------
    title, text : str
        Of the page.
    site : str
        The book's title.
    address : str or None
        The page's own, where it is known. Sphinx writes the canonical link itself.

    Examples
    --------
    >>> from pm_utils.builder.head import head_tags
    >>> print(head_tags("Funnel", "From contact to order.", "A book", None))
    <meta name="description" content="From contact to order." />
    <meta property="og:title" content="Funnel" />
    <meta property="og:description" content="From contact to order." />
    <meta property="og:site_name" content="A book" />
    <meta property="og:type" content="article" />
    """
    shared = {"title": title, "description": text, "site_name": site, "type": "article"}
    pairs = [("name", "description", text)]
    pairs += [("property", f"og:{key}", value) for key, value in shared.items()]
    pairs += [("property", "og:url", address)] if address else []
    return "\n".join(
        f'<meta {kind}="{name}" content="{html.escape(value)}" />'
        for kind, name, value in pairs
        if value
    )


def add_tags(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Add the tags of one page."""
    title = re.sub("<[^>]*>", "", context.get("title", "")) or app.config.html_title
    text = description(doctree) or f"{app.config.html_title}: {title}"
    base = app.config.html_baseurl
    address = f"{base.rstrip('/')}/{name}.html" if base else None
    made = head_tags(html.unescape(title), text, app.config.html_title, address)
    if name == NOT_FOUND and base:  # it is shown at any depth, so its links need a start
        made = f'<base href="{html.escape(base.rstrip("/"))}/" />\n{made}\n{OWN_LINKS}'
    context["metatags"] = f"{context.get('metatags', '')}\n{made}"


def not_found(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Give Sphinx the page that a server shows for an address that leads nowhere."""
    body = (
        "<h1>There is no such page</h1><p>It may have moved. Start from the "
        '<a href="index.html">preface</a>, or use the search field.</p>'
    )
    yield NOT_FOUND, {"title": "There is no such page", "body": body}, "page.html"


def sitemap(base: str, names: list[str]) -> str:
    """Return the sitemap of pages under a site's address.

    Examples
    --------
    >>> from pm_utils.builder.head import sitemap
    >>> "<loc>https://example.org/book/a.html</loc>" in sitemap("https://example.org/book", ["a"])
    True
    """
    urls = "".join(
        f"  <url><loc>{html.escape(base.rstrip('/'))}/{name}.html</loc></url>\n"
        for name in sorted(names)
    )
    schema = "http://www.sitemaps.org/schemas/sitemap/0.9"
    start = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return f'{start}<urlset xmlns="{schema}">\n{urls}</urlset>\n'


def write_sitemap(app: Sphinx, error: Exception | None) -> None:
    """Write the sitemap where the site's address is known: it must hold whole addresses."""
    if error is None and app.config.html_baseurl and app.builder.format == "html":
        text = sitemap(app.config.html_baseurl, list(app.env.found_docs))
        Path(app.outdir, "sitemap.xml").write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Join the build: Sphinx calls this when ``_config.yml`` names the module."""
    app.connect("html-page-context", add_tags)
    app.connect("html-collect-pages", not_found)
    app.connect("build-finished", write_sitemap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
