"""The Sphinx extension: who is told what, and that citations look as before."""

import os
from pathlib import Path
from types import SimpleNamespace

import pybtex.plugin
import yaml

from pm_utils.builder import side_by_side


def test_pages_are_read_and_written_side_by_side(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(pybtex.plugin, "find_plugin", pybtex.plugin.find_plugin)
    hooks, mute, own = {}, SimpleNamespace(parallel_read_safe=None), SimpleNamespace()
    extensions = {side_by_side.SILENT[0]: mute, "other": own}
    app = SimpleNamespace(parallel=1, connect=hooks.__setitem__, extensions=extensions)
    assert side_by_side.setup(app) == {"parallel_read_safe": True, "parallel_write_safe": True}
    assert list(hooks) == ["builder-inited"] and app.parallel == os.cpu_count()
    hooks["builder-inited"](app)
    assert mute.parallel_read_safe is True and own == SimpleNamespace()


def test_a_plug_in_is_looked_up_once(monkeypatch):
    asked = []
    monkeypatch.setattr(pybtex.plugin, "find_plugin", lambda *words: asked.append(words) or words)
    side_by_side.setup(SimpleNamespace(connect=lambda *_: None))
    for _ in range(3):
        assert pybtex.plugin.find_plugin("pybtex.backends", "plaintext")[1] == "plaintext"
    assert pybtex.plugin.find_plugin("pybtex.backends", "html")[1] == "html"
    assert len(asked) == 2


def test_the_book_is_built_with_it():
    config = yaml.safe_load((Path(__file__).parents[2] / "_config.yml").read_text("utf-8"))
    assert side_by_side.__name__ in config["sphinx"]["config"]["extensions"]
    assert set(side_by_side.SILENT) - {"sphinx_multitoc_numbering"} <= set(
        config["sphinx"]["config"]["extensions"]
    )
