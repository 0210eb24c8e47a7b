"""Progress: bars on a terminal, plain lines elsewhere."""

import io

from rich.console import Console

from pm_utils.builder import progress


def tell(shown):
    with shown:
        shown.start("03-c", 21)
        shown.cell("03-c", 7)
        shown.start("04-d", 5)
        shown.finish("03-c", 41.24, 812.4)
        shown.fail("04-d", "failed in code cell 2 of 5 (fit): ValueError: [red] is wrong")


EXPECTED = """03-c: started, 21 code cells
04-d: started, 5 code cells
03-c: done in 41.2 s, peak memory 812 MB
04-d: failed in code cell 2 of 5 (fit): ValueError: [red] is wrong
"""


def test_plain_lines(capsys):
    tell(progress.report())
    assert capsys.readouterr().out == EXPECTED


def test_bars_show_the_cell_and_end_in_the_same_lines():
    bars = progress.Bars()
    screen = io.StringIO()
    bars.progress.live.console = Console(file=screen, force_terminal=True, width=100)
    bars.start("03-c", 21)
    bars.cell("03-c", 7)
    drawn = Console(file=io.StringIO(), width=100)
    drawn.print(bars.progress.get_renderable())
    assert "03-c" in drawn.file.getvalue() and "7/21" in drawn.file.getvalue()
    with bars:
        bars.finish("03-c", 41.24, 812.4)
        bars.start("04-d", 5)
        bars.fail("04-d", "failed: [red]")
    assert "03-c: done in 41.2 s, peak memory 812 MB" in screen.getvalue()
    assert "04-d: failed: [red]" in screen.getvalue()
    assert bars.tasks == {}


def test_a_terminal_gets_bars(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert isinstance(progress.report(), progress.Bars)
