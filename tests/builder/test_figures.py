"""Drawings in the page: one ink for each theme, no id twice, all that is drawn kept."""

import io
import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from pm_utils.builder.figures import CLASS, RULE, in_page
from pm_utils.page.plots import COLORS, INK, grid, use_style


@pytest.fixture(scope="module")
def drawing() -> str:
    with mpl.rc_context():
        use_style()
        figure = Figure()
        axes = grid(figure.subplots())
        axes.plot([1, 2, 3], "o-", color=COLORS["deep"], label="deep")
        axes.imshow(np.eye(2), extent=(0, 1, 0, 1))
        axes.set(title="A <title> & more", xlabel="epoch")
        axes.legend()
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def tree(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def test_ink_is_the_color_of_the_page_and_data_keeps_its_own(drawing):
    made = in_page(drawing, "", prefix="a-")
    assert INK in drawing and INK not in made
    assert made.count("currentColor") == drawing.count(INK)
    assert made.count(COLORS["deep"]) == drawing.count(COLORS["deep"]) > 0


def test_ids_are_of_this_drawing_and_every_reference_finds_its_own(drawing):
    one, two = (tree(in_page(drawing, "", prefix=prefix)) for prefix in ("a-", "b-"))
    ids = [{e.get("id") for e in root.iter() if e.get("id")} for root in (one, two)]
    assert ids[0] and not ids[0] & ids[1]
    for root, known in zip((one, two), ids, strict=True):
        links = [e.get("href")[1:] for e in root.iter() if e.get("href", "").startswith("#")]
        links += re.findall(r"url\(#([^)]+)\)", ElementTree.tostring(root, "unicode"))
        assert set(links) == known


def test_nothing_drawn_is_lost_and_nothing_else_kept(drawing):
    """Neither what no reader sees, nor the rule that would hold for all of the page."""
    made = in_page(drawing, "", prefix="a-")
    shapes = ("<path", "<use", "<image", "<clipPath", "<rect")
    assert [made.count(s) for s in shapes] == [drawing.count(s) for s in shapes]
    assert "data:image/png" in made
    assert not re.search("<style|<metadata|<!|<[?]|xlink|\n", made)
    assert RULE in drawing and len(made) < len(drawing)


def test_the_element_says_what_there_is_to_see_and_keeps_its_size(drawing):
    made = in_page(drawing, 'a "wave" < 漏', prefix="a-", classes="pm-cover", width="100%")
    root, old = tree(made), tree(drawing)
    assert root.get("aria-label") == 'a "wave" < 漏' and root.get("role") == "img"
    assert root.get("class").split() == [CLASS, "pm-cover"] and root.get("style") == "width: 100%"
    for name in ("width", "height", "viewBox"):
        assert root.get(name) == old.get(name)
    assert "style" not in tree(in_page(drawing, "", prefix="a-")).attrib
