"""The drawings: what is committed is what the code draws, legible, and without results."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pm_utils.builder import cover
from pm_utils.page.plots import COLORS, INK, contrast

LIGHT, DARK = "#ffffff", "#121212"  # the theme's two pages
NAMES = sorted(cover.DRAWINGS)


def test_the_sunflower_is_inside_the_disc_and_even():
    points = cover.sunflower(400, radius=2.0)
    distance = np.hypot(*points.T)
    assert points.shape == (400, 2)
    assert distance.max() <= 2.0
    # as many points inside half the area as outside
    assert np.sum(distance < 2.0 / np.sqrt(2)) == 200
    # none crowds another: the mean area of a point is 4π/400, a disc of half that diameter is free
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    assert gaps.min() > 0.5 * np.sqrt(4 * np.pi / 400)


def test_the_sunflower_grows_outwards():
    distance = np.hypot(*cover.sunflower(50).T)
    assert (np.diff(distance) > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_drawing_is_what_the_code_draws(name, tmp_path):
    cover.draw_cover(tmp_path)
    assert (tmp_path / name).read_bytes() == (cover.STATIC / name).read_bytes(), (
        f"{name} is stale: python -m pm_utils.builder.cover"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_drawing_is_vector_and_self_contained(name):
    root = ElementTree.fromstring((cover.STATIC / name).read_text(encoding="utf-8"))
    tags = {element.tag.split("}")[1] for element in root.iter() if "}" in element.tag}
    assert "path" in tags
    assert not tags & {"image", "text", "script", "foreignObject"}  # no pixels, no reader's fonts
    links = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
    assert all(link.startswith("#") for link in links)


@pytest.mark.parametrize("name", NAMES)
def test_a_drawing_is_transparent(name):
    text = (cover.STATIC / name).read_text(encoding="utf-8")
    assert "#ffffff" not in text.lower()
    assert "#000000" not in text.lower()


def test_every_ink_reads_on_both_pages():
    inks = {INK, *(COLORS[key] for key in ("deep", "classical", "null", "limit"))}
    for ink in inks:
        assert min(contrast(ink, LIGHT), contrast(ink, DARK)) >= 3.0, ink


def test_the_loop_shows_four_stations_in_the_order_of_the_source():
    axes = cover.closed_loop().axes[0]
    texts = [text.get_text() for text in axes.texts]
    stations = [text for text in texts if text in dict(cover.STATIONS)]
    assert stations == ["Profile", "Create", "Target", "Measure"]
    left = [t.get_position()[0] for t in axes.texts if t.get_text() in stations]
    assert left == sorted(left)
    arrows = [p for p in axes.patches if type(p).__name__ == "FancyArrowPatch"]
    assert len(arrows) == 4  # three forward, one back


def test_the_text_of_a_station_stays_inside_its_box():
    figure = cover.closed_loop()
    renderer = FigureCanvasAgg(figure).get_renderer()
    axes = figure.axes[0]
    boxes = [p for p in axes.patches if type(p).__name__ == "FancyBboxPatch"]
    frames = [box.get_window_extent(renderer) for box in boxes]
    for text in axes.texts[:-1]:  # the last one is under the long arrow
        extent = text.get_window_extent(renderer)
        assert any(
            frame.x0 < extent.x0 and extent.x1 < frame.x1 and frame.y0 < extent.y0
            for frame in frames
        ), text.get_text()


def test_the_cover_keeps_everything_inside_its_frame():
    figure = cover.cover()
    renderer = FigureCanvasAgg(figure).get_renderer()
    for text in figure.axes[0].texts:
        extent = text.get_window_extent(renderer)
        assert extent.x0 >= 0 and extent.x1 <= figure.bbox.x1, text.get_text()


def test_drawing_leaves_the_style_of_the_caller_alone(tmp_path):
    import matplotlib as mpl

    before = mpl.rcParams["axes.edgecolor"]
    cover.draw_cover(tmp_path)
    assert mpl.rcParams["axes.edgecolor"] == before


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        cover.draw_cover(tmp_path / "nowhere")


def test_the_command_names_what_it_wrote(tmp_path, capsys):
    cover.main([str(tmp_path)])
    printed = capsys.readouterr().out.split()
    assert printed == [str(tmp_path / name) for name in cover.DRAWINGS]
    assert all((tmp_path / name).stat().st_size > 1000 for name in cover.DRAWINGS)
