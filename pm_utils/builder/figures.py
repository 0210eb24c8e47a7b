"""A Sphinx extension that draws figures in the ink of the page: dark on white, light on black.

A picture in a file of its own cannot know the theme that a reader chose, and no single grey can be
read on both pages (`pm_utils.page.plots`). So matplotlib's drawings are written into the page, and
what is drawn with ink there takes the colour that ``book/_static/custom.css`` gives the figure.
Colours of data stay as they are.
"""

import html
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from pm_utils.page.plots import INK

CLASS = "pm-figure"
# Matplotlib's rule for all elements. It would hold for the whole page, so custom.css has it.
RULE = "*{stroke-linejoin: round; stroke-linecap: butt}"
# What says nothing on a page.
_NEEDLESS = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>|<style\b.*?</style>", re.DOTALL)
_REFERENCE = re.compile(r'xlink:href="#([^"]+)"|url\(#([^)]+)\)')
_SIZE = re.compile(r'\b(?:width|height|viewBox)="[^"]*"')


def in_page(drawing: str, alt: str, *, prefix: str, classes: str = "", width: str = "") -> str:
    """Return a drawing of matplotlib as an element of a page.

    Parameters
    ----------
    drawing : str
        The text of an SVG file.
    alt : str
        What there is to see, for those who do not see it.
    prefix : str
        Before each id, so that no two drawings of a page share one. Ids that nothing refers to go.
    classes, width : str
        The element's own, besides `CLASS` and the drawing's size.

    Examples
    --------
    >>> from pm_utils.builder.figures import in_page
    >>> in_page('<?xml?><svg><g id="b" style="fill: #767676"/></svg>', "A wave", prefix="a-")
    '<svg class="pm-figure" role="img" aria-label="A wave"><g style="fill: currentColor"/></svg>'
    """
    head, tag, body = re.split(r"(<svg\b[^>]*>)", drawing, maxsplit=1)
    body = _NEEDLESS.sub("", body)
    used = {name for pair in _REFERENCE.findall(body) for name in pair if name}
    body = re.sub(r' id="([^"]*)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", body)
    body = re.sub(r'xlink:href="#', f'href="#{prefix}', body).replace("xlink:href=", "href=")
    body = body.replace("url(#", f"url(#{prefix}")
    body = re.sub(rf"(?<=: ){INK}\b", "currentColor", body)
    body = re.sub(r">\s+<", "><", re.sub(r"\s*\n\s*", " ", body)).strip()
    own = {"class": f"{CLASS} {classes}".strip(), "role": "img", "aria-label": alt}
    own |= {"style": f"width: {width}"} if width else {}
    written = [f'{name}="{html.escape(value)}"' for name, value in own.items()]
    return f"<svg {' '.join([*written, *_SIZE.findall(tag)])}>{body}"


class FiguresInPage(SphinxPostTransform):
    """Put matplotlib's drawings in place of the pictures that show them."""

    default_priority = 900  # after all that looks for pictures
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Change one page."""
        for number, image in enumerate(list(self.document.findall(nodes.image)), start=1):
            path = Path(self.env.srcdir, image["uri"])
            drawing = path.read_text("utf-8") if path.suffix == ".svg" and path.is_file() else ""
            if RULE in drawing:
                text = in_page(
                    drawing,
                    image.get("alt", ""),
                    prefix=f"f{number}-",
                    classes=" ".join(image["classes"]),
                    width=image.get("width", ""),
                )
                image.replace_self(nodes.raw("", text, format="html"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Join the build: Sphinx calls this when ``_config.yml`` names the module."""
    app.add_post_transform(FiguresInPage)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
