"""The scoreboard says what the numbers say: best, claim, table, figure and file."""

import json
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from pm_utils.page import scoreboard
from pm_utils.page.plots import COLORS
from pm_utils.page.scoreboard import Scoreboard, markdown_table
from pm_utils.page.scoreboard_figure import MARKERS
from pm_utils.page.scoreboard_row import COLUMNS, Row

FINITE = st.one_of(st.none(), st.floats(-1e9, 1e9))


@pytest.fixture(autouse=True)
def run(tmp_path, monkeypatch):
    """A chapter's output directory; figures are closed afterwards."""
    monkeypatch.setenv("PM_OUTPUT", str(tmp_path))
    monkeypatch.delenv("PM_PROFILE", raising=False)
    monkeypatch.setenv("PM_EVIDENCE", "none")
    yield tmp_path
    plt.close("all")


def board_of(*, better: str = "higher", classical=0.4, deep=0.6, **others) -> Scoreboard:
    board = Scoreboard("03-customer-profile", seed=5)
    board.add(Row("AP", "share", better, classical=classical, deep=deep, **others))
    return board


def cells(table: str) -> list[list[str]]:
    return [line.strip("| \n").split(" | ") for line in table.splitlines()]


@pytest.mark.parametrize("better", ["more", "", None, "Higher"])
def test_a_row_needs_a_direction(better):
    with pytest.raises(ValueError, match="AP: better is .*'higher' or 'lower'"):
        Row("AP", "share", better)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_row_holds_finite_numbers_or_none(column, value):
    with pytest.raises(ValueError, match=f"AP: {column} is .*finite number or None"):
        Row("AP", "share", "higher", **{column: value})
    with pytest.raises(ValueError, match=f"AP: {column}"):
        Row("AP", "share", "higher", **{column: np.float32(value)})


def test_numbers_of_any_kind_are_kept_as_floats():
    board = board_of(classical=np.float32(0.5), deep=1, null=np.array(0.25))
    row = board.row("AP")
    assert (row.classical, row.deep, row.null) == (0.5, 1.0, 0.25)
    assert all(type(value) is float for value in (row.classical, row.deep, row.null))


def test_a_metric_is_added_once_and_found_by_name():
    board = board_of()
    with pytest.raises(ValueError, match="already has a row 'AP'"):
        board.add(Row("AP", "share", "higher"))
    assert len(board.rows) == 1
    with pytest.raises(KeyError, match="'AUC' is no row of 03-customer-profile"):
        board.row("AUC")


@pytest.mark.parametrize(
    ("better", "interval", "verb", "recorded"),
    [
        ("higher", (0.1, 0.3), "**beats**", "beats"),
        ("higher", (-0.3, -0.1), "**loses to**", "loses"),
        ("higher", (-0.1, 0.3), "**cannot be told apart**", "tie"),
        ("higher", (0.0, 0.3), "**cannot be told apart**", "tie"),
        ("higher", (-0.3, 0.0), "**cannot be told apart**", "tie"),
        ("lower", (-0.3, -0.1), "**beats**", "beats"),
        ("lower", (0.1, 0.3), "**loses to**", "loses"),
        ("lower", (-0.3, 0.1), "**cannot be told apart**", "tie"),
        ("lower", (0.0, 0.1), "**cannot be told apart**", "tie"),
    ],
)
def test_the_interval_chooses_the_sentence(better, interval, verb, recorded):
    board = board_of(better=better)
    said = board.claim("AP", interval).data
    verbs = ("**beats**", "**loses to**", "**cannot be told apart**")
    assert [word for word in verbs if word in said] == [verb]
    fact = {"metric": "AP", "verdict": recorded, "interval": list(interval), "level": 0.95}
    assert board.claims == [fact]
    assert board.verdict("AP") == recorded


def test_a_claim_shows_its_numbers():
    said = board_of(better="lower").claim("AP", (-0.25, 0.75), level=0.9).data
    for fact in ("0.6000 against 0.4000", "difference +0.200", "90% interval -0.250 to +0.750"):
        assert fact in said


@pytest.mark.parametrize(
    ("interval", "shown"),
    [
        ((0.0000469, 0.00246), "difference -0.20000, 95% interval +0.00005 to +0.00246"),
        ((-2.5, 31.4), "difference -0.2, 95% interval -2.5 to +31.4"),
        ((-0.0, 0.0), "difference -0.200, 95% interval +0.000 to +0.000"),
        ((-1234.5, 1e-7), "difference -0.2, 95% interval -1,234.5 to +0.0"),
    ],
)
def test_a_claim_has_equally_many_decimals_and_no_false_zero(interval, shown):
    assert shown in board_of(better="lower", deep=0.4, classical=0.6).claim("AP", interval).data


def test_what_rounding_leaves_of_a_zero_is_no_win():
    board = board_of()
    said = board.claim("AP", (1.1e-17, 0.04)).data
    assert "**cannot be told apart**" in said and "interval +0.000 to +0.040" in said
    assert board.verdict("AP") == "tie"


@pytest.mark.parametrize("missing", ["classical", "deep"])
def test_a_claim_needs_both_models(missing):
    board = board_of(**{missing: None})
    with pytest.raises(ValueError, match="one is missing"):
        board.claim("AP", (0.1, 0.2))


@pytest.mark.parametrize("interval", [(0.3, 0.1), (float("nan"), 0.1), (0.1, float("nan"))])
def test_a_claim_needs_an_interval_the_right_way_up(interval):
    board = board_of()
    with pytest.raises(ValueError, match="lower end first"):
        board.claim("AP", interval)
    assert board.claims == []


def test_saved_boards_come_back(run, monkeypatch):
    monkeypatch.setenv("PM_PROFILE", "full")
    board = board_of(null=0.1, headline=True)
    board.add(Row("loss", "nats", "lower", naive=1.5, limit=0.25))
    board.claim("AP", (0.1, 0.2))
    path = board.save()
    assert path == run / "scoreboard.json"
    back = scoreboard.read_scoreboard(path)
    assert [Row(**row) for row in back.pop("rows")] == board.rows
    assert back == {
        "chapter": "03-customer-profile",
        "profile": "full",
        "seed": 5,
        "claims": [{"metric": "AP", "verdict": "beats", "interval": [0.1, 0.2], "level": 0.95}],
        "contenders": [],
    }


def test_a_run_outside_the_builder_is_of_the_quick_profile():
    assert board_of().as_dict()["profile"] == "quick"


@pytest.mark.parametrize("action", ["save", "figure"])
def test_an_empty_board_is_neither_saved_nor_drawn(action, run):
    with pytest.raises(ValueError, match="01-formulas has no row"):
        getattr(Scoreboard("01-formulas", seed=0), action)()
    assert list(run.iterdir()) == []


def damaged(change) -> str:
    board = json.loads(json.dumps(board_of().as_dict()))
    change(board)
    return json.dumps(board)


@pytest.mark.parametrize(
    "text",
    [
        *(damaged(lambda b, f=f: b.pop(f)) for f in ("chapter", "profile", "seed", "claims")),
        damaged(lambda b: b.pop("rows")),
        damaged(lambda b: b["rows"][0].pop("unit")),
        damaged(lambda b: b["rows"][0].update(median=0.3)),
        damaged(lambda b: b["rows"][0].update(better="up")),
        damaged(lambda b: b["rows"][0].update(deep="0.6")),
        damaged(lambda b: b["rows"][0].update(deep=float("nan"))),
        damaged(lambda b: b.update(rows=None)),
        "[]",
        '{"chapter": ',
        "",
    ],
)
def test_a_file_that_is_no_scoreboard_is_refused_by_name(text, run):
    path = run / "07-bad.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="is no scoreboard") as told:
        scoreboard.read_scoreboard(path)
    assert str(path) in str(told.value)


def test_the_table_of_a_chapter_by_hand():
    board = board_of(null=0.05, limit=0.9)
    board.add(Row("loss", "nats", "lower", naive=1234.5, classical=2.5e-4))
    expected = [
        ["metric", "unit", "null", "naive", "classical", "deep", "limit", "seeds"],
        ["---", "---", *["---:"] * 6],
        ["AP ↑", "share", "0.0500", "–", "0.4000", "0.6000", "0.9000", "–"],
        ["loss ↓", "nats", "–", "1,234.50", "2.50e-04", "–", "–", "–"],
    ]
    assert cells(board.table().data) == expected
    board.claim("AP", (0.1, 0.3))  # only what a claim supports is bold
    expected[2][5] = "**0.6000**"
    assert cells(board.table().data) == expected
    board.claim("AP", (-0.3, -0.1))
    expected[2][4:6] = ["**0.4000**", "0.6000"]
    assert cells(board.table().data) == expected
    board.claim("AP", (-0.3, 0.1))
    assert "**" not in board.table().data


def test_the_prefaces_table_links_headlines_to_their_chapters():
    first = board_of(headline=True)
    first.add(Row("AUC", "share", "higher", deep=0.7))
    second = Scoreboard("02-data-preparation", seed=0)
    second.add(Row("rows", "lines", "higher", naive=2.0, headline=True))
    header, _, *rows = cells(markdown_table([first.as_dict(), second.as_dict()]))
    assert header[:3] == ["chapter", "metric", "unit"]
    assert [row[:2] for row in rows] == [
        ["[03-customer-profile](chapters/03-customer-profile.ipynb)", "AP ↑"],
        ["[02-data-preparation](chapters/02-data-preparation.ipynb)", "rows ↑"],
    ]
    everything = markdown_table([first.as_dict()], headline_only=False)
    assert "AUC" in everything
    assert "chapters/" not in everything


@given(st.lists(st.tuples(FINITE, FINITE, FINITE, FINITE, FINITE), min_size=1, max_size=3))
def test_a_table_has_one_cell_per_column_and_nothing_bold_unclaimed(values):
    rows = [dict(zip(COLUMNS, numbers, strict=True)) for numbers in values]
    board = Scoreboard("x", seed=0)
    for at, numbers in enumerate(rows):
        board.add(Row(f"m{at}", "u", "lower", **numbers))
    _, _, *shown = cells(board.table().data)
    for numbers, line in zip(rows, shown, strict=True):
        assert [cell == "–" for cell in line[2:-1]] == [v is None for v in numbers.values()]
        assert "**" not in "".join(line)


@pytest.mark.parametrize("boards", [[], [board_of().as_dict()]])
def test_without_a_headline_the_preface_says_so(boards):
    assert markdown_table(iter(boards)) == "No chapter has recorded a result yet.\n"


@given(st.floats(-1e12, 1e12), st.sampled_from([1e-9, 1e-6, 1e-3, 1.0]))
def test_a_number_is_shown_short_and_to_at_least_two_digits(share, unit):
    value = share * unit
    shown = scoreboard._number(value)
    assert float(shown.replace(",", "")) == pytest.approx(value, rel=0.05)
    assert len(shown) <= 13


def drawn(figure) -> list[dict[str, float]]:
    """For each strip, where the marker of each colour stands."""
    names = {to_hex(COLORS[name]): name for name in COLUMNS}
    strips = []
    for axes in figure.axes[::2]:
        marks = [line for line in axes.lines if len(line.get_xdata())]
        strips.append({names[to_hex(m.get_color())]: m.get_xdata()[0] for m in marks})
        assert len(strips[-1]) == len(marks)
        for mark in marks:
            assert mark.get_marker() == MARKERS[names[to_hex(mark.get_color())]]
    return strips


def test_the_figure_marks_every_known_value_and_nothing_else():
    board = board_of(naive=0.1, null=0)  # zero is known, None is not
    board.add(Row("loss", "nats", "lower", classical=12.0, deep=11.0))
    figure = board.figure()
    expected = [
        {name: getattr(row, name) for name in COLUMNS if getattr(row, name) is not None}
        for row in board.rows
    ]
    assert drawn(figure) == expected
    assert all(np.isfinite(mark).all() for strip in expected for mark in strip.values())
    titles = [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes[::2]]
    assert titles == ["AP (share, higher is better)", "loss (nats, lower is better)"]


def test_models_short_of_a_limit_are_drawn_by_their_distance_to_it():
    board = board_of(naive=0.1, limit=0.9)
    board.add(Row("loss", "nats", "lower", classical=12.0, deep=11.0, limit=10.0))
    board.add(Row("passed", "nats", "lower", classical=9.0, deep=11.0, limit=10.0))
    figure = board.figure()
    share, loss, passed = drawn(figure)
    assert share == pytest.approx({"naive": 0.8, "classical": 0.5, "deep": 0.3})
    assert loss == pytest.approx({"classical": 2.0, "deep": 1.0})
    assert passed == {"classical": 9.0, "deep": 11.0, "limit": 10.0}
    assert [axes.get_xscale() for axes in figure.axes[::2]] == ["log", "log", "linear"]
    assert figure.axes[2].get_title() == "loss: nats short of the limit, 10"


def test_learning_curves_stand_below_the_rows_of_the_headlines():
    board = Scoreboard("03-customer-profile", seed=0)
    made = board.contest("tags", chosen_by="AP of June", better="higher")
    record = {"steps": 30, "rows": 1200, "curve": [0.7, 0.5, 0.4], "curve_of": "validation"}
    record["switching"] = 0.25
    made.enter("mean", "naive", test={"AP": 0.2, "AUC": 0.5}, validation=0.2)
    made.enter("net", "deep", test={"AP": 0.6, "AUC": 0.5}, validation=0.6, training=record)
    other = record | {"curve": [0.1, 0.2]}
    made.enter("worse", "deep", test={"AP": 0.5}, validation=0.5, training=other)
    made.add("AUC", unit="share", better="higher")
    assert len(board.figure().axes) == 2  # no headline yet
    assert "network" not in board.table().data
    made.add("AP", unit="share", better="higher", headline=True)
    *_, curve, empty = board.figure().axes
    (line,) = curve.lines
    assert list(line.get_ydata()) == [0.7, 0.5, 0.4]
    assert curve.get_title() == "net, tags (validation rows)"
    assert not empty.axison
    shown = board.table().data.split("\n\n")[1]
    expected = ["AP", "net", "30", "1,200", "25%", "better", "not run", "not run"]
    assert cells(shown)[2] == expected


def test_the_table_of_training_says_what_twice_the_steps_did(seeds):
    seeds(10, doubled=[0.52, 0.53, 0.54])
    board = Scoreboard("03-customer-profile", seed=0)
    made = board.contest("tags", chosen_by="AP of June", better="higher")
    made.enter("mean", "naive", test={"AP": 0.7}, validation=0.2)
    made.enter("net", "deep", test={"AP": 0.6}, validation=0.6, training={"steps": 30})
    made.add("AP", unit="share", better="higher", headline=True)
    last = cells(board.table().data.split("\n\n")[1])[2]
    # deep .51, .52, .53 under the first seeds; of all ten s = 0.0302765; t(.975, 9) = 2.262157
    assert last[5:] == ["**not better**", "+0.0100<br><small>luck: ±0.0395</small>", "not run"]


def test_what_the_large_profile_gave_has_a_column_of_its_own(seeds, tmp_path):
    seeds(10)
    (tmp_path / "full").mkdir()
    facts = json.loads((tmp_path / "03.json").read_text()) | {"profile": "full"}
    (tmp_path / "full" / "03.json").write_text(json.dumps(facts))
    header, _, line = cells(board_of().table().data)
    assert header[-1] == "published"
    assert line[-1] == "deep 0.5550<br>classical 0.5000<br><small>10 seeds</small>"


def test_each_strip_shows_all_its_marks_within_its_own_scale():
    board = board_of(naive=0.1)
    board.add(Row("spend", "dollars", "lower", classical=2000.0, deep=1000.0))
    for axes, marks in zip(board.figure().axes[::2], drawn(board.figure()), strict=True):
        low, high = axes.get_xlim()
        assert all(low < value < high for value in marks.values())
        assert high - low < 2 * (max(marks.values()) - min(marks.values()))


def test_the_legend_names_the_models_that_are_there():
    board = board_of(limit=0.5)  # which deep passes
    board.add(Row("loss", "nats", "lower", naive=1.0))
    (legend,) = board.figure().legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["naive", "classical", "deep", "limit"]
    marks = {handle.get_marker() for handle in legend.legend_handles}
    assert marks == {MARKERS[name] for name in names}


def test_models_differ_by_shape_as_well_as_by_colour():
    assert len(set(MARKERS.values())) == len({COLORS[name] for name in COLUMNS}) == len(COLUMNS)
    assert re.fullmatch(r"[\w|]+", "".join(MARKERS.values()))


@pytest.fixture
def contest():
    """Five contenders, of which validation and test disagree on the best."""
    board = Scoreboard("03-customer-profile", seed=0)
    made = board.contest("tags", chosen_by="AP of June", better="higher")
    made.enter("popularity", "naive", test={"AP": 0.2}, validation=0.2)
    made.enter("own rate", "naive", test={"AP": 0.1}, validation=0.3)
    made.enter("logistic", "classical", test={"AP": 0.4}, validation=0.5)
    made.enter("trees", "classical", test={"AP": 0.5}, validation=0.4)
    made.enter("net", "deep", test={"AP": 0.6}, validation=0.6, training={"steps": 3})
    return made


def test_validation_and_not_the_test_chooses_who_stands_in_a_column(contest):
    contest.enter("shuffled 0", "null", test={"AP": 0.02})
    contest.enter("shuffled 1", "null", test={"AP": 0.04})
    contest.add("AP", unit="share", better="higher", limit=0.9, limit_is="oracle")
    row = contest.board.row("AP")
    assert (row.naive, row.classical, row.deep) == (0.1, 0.4, 0.6)
    assert row.null == pytest.approx(0.03)
    assert row.names == {"naive": "own rate", "classical": "logistic", "deep": "net"}
    shown = cells(contest.board.table().data)[2]
    assert shown[4] == "0.4000<br><small>logistic</small>"
    assert shown[6] == "0.9000<br><small>oracle</small>"


def test_a_naive_method_that_beats_all_others_is_the_classical_one(contest):
    contest.enter("last weeks", "naive", test={"AP": 0.45}, validation=0.55)
    contest.add("AP", unit="share", better="higher")
    assert contest.board.row("AP").names["classical"] == "last weeks"


def test_one_model_stands_for_all_rows_of_a_contest():
    board = Scoreboard("03-customer-profile", seed=0)
    made = board.contest("tags", chosen_by="loss", better="lower")
    for name, loss, scores in (("a", 0.3, (0.9, 0.1)), ("b", 0.2, (0.1, 0.9))):
        made.enter(name, "classical", test=dict(zip("xy", scores, strict=True)), validation=loss)
    for metric in "xy":
        made.add(metric, unit="share", better="higher")
    assert [row.names for row in board.rows] == [{"classical": "b"}] * 2
    assert [row.classical for row in board.rows] == [0.1, 0.9]


def test_the_table_of_contenders_leaves_nobody_out(contest):
    table = contest.table()
    assert list(table.index) == ["popularity", "own rate", "logistic", "trees", "net"]
    assert list(table) == ["kind", "AP of June", "AP"]
    assert contest.board.as_dict()["contenders"][-1]["training"] == {"steps": 3}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"kind": "best"}, "kind is 'best', give one of naive, classical, deep, null"),
        ({"name": "net"}, "net is entered for 'tags' already"),
        ({"test": {"AP": float("nan")}}, "x: AP is nan, give a finite number"),
        ({"validation": float("inf")}, "x: validation is inf"),
        ({"kind": "classical", "training": {"steps": 1}}, "training is given, but its kind is"),
    ],
)
def test_a_wrong_entry_is_refused(contest, wrong, told):
    given = {"name": "x", "kind": "deep", "test": {"AP": 0.5}, "validation": 0.5} | wrong
    with pytest.raises(ValueError, match=told):
        contest.enter(given.pop("name"), given.pop("kind"), **given)
    assert len(contest.contenders) == 5


def test_what_a_choice_lacks_is_named(contest):
    contest.enter("SVD", "classical", test={"AP": 0.9})
    with pytest.raises(ValueError, match="SVD: give validation, it decides who stands as classic"):
        contest.add("AP", unit="share", better="higher")
    with pytest.raises(ValueError, match="'tags' has no contender of kind 'null'"):
        contest.chosen("null")
    with pytest.raises(ValueError, match="say what the limit is, one of exact, bound"):
        contest.add("AP", unit="share", better="higher", limit=1.0)
    with pytest.raises(ValueError, match="net was entered for 'tags' without 'AUC'"):
        board = contest.board
        board.contenders = [one for one in board.contenders if one.kind == "deep"]
        contest.add("AUC", unit="share", better="higher")
    with pytest.raises(ValueError, match="limit_is is 'roof', give one of"):
        Row("AP", "share", "higher", limit=1.0, limit_is="roof")
    with pytest.raises(ValueError, match="but limit is None"):
        Row("AP", "share", "higher", limit_is="exact")
    with pytest.raises(ValueError, match="better is 'more'"):
        board.contest("x", chosen_by="y", better="more")


@pytest.fixture
def seeds(tmp_path, monkeypatch):
    """Write evidence: deep ahead of .5 by .01 times the seeds' numbers, or a little behind."""

    def write(ahead, **variants):
        deep = [0.5 + (0.01 * (seed + 1) if seed < ahead else -0.001) for seed in range(10)]
        row = {"unit": "share", "better": "higher", "headline": True, "names": {}}
        row |= {"variants": variants, "naive": [0.1] * 10, "classical": [0.5] * 10, "deep": deep}
        row |= {"null": [0.01 * seed for seed in range(10)], "limit": None}
        facts = {"profile": "quick", "seeds": list(range(10)), "made_of": {}, "variants": {}}
        facts |= {"chapter": "03-customer-profile", "rows": {"AP": row}}
        (tmp_path / "03.json").write_text(json.dumps(facts))
        monkeypatch.setenv("PM_EVIDENCE", str(tmp_path))

    return write


@pytest.mark.parametrize(("ahead", "verb"), [(10, "beats"), (9, "beats"), (8, "cannot be told")])
def test_seeds_decide_with_the_interval(seeds, ahead, verb):
    seeds(ahead)
    board = board_of(naive=0.05, null=0.05)
    said = board.claim("AP", (0.1, 0.3)).data
    tail = f"; ahead in {ahead} of 10 seeds; twice the steps were not tried)."
    assert verb in said and said.endswith(tail)
    assert ("the seeds do not bear it out" in said) == (ahead < 9)
    shown = cells(board.table().data)[2]
    assert ("**" in shown[5]) == (ahead >= 9)
    assert shown[-1].endswith(f"<small>ahead in {ahead} of 10</small>")
    assert shown[2] == "0.0500<br><small>0.0000 to 0.0900</small>"
    assert "within the nulls" not in shown[3]


def test_an_undertrained_network_is_called_so(seeds):
    seeds(10, doubled=[0.9, 0.9, 0.9])
    board = board_of()
    assert "**undertrained**" in board.claim("AP", (0.1, 0.3)).data
    assert board.verdict("AP") == "undertrained"
    assert cells(board.table().data)[2][5] == "0.6000<br><small>undertrained</small>"


def test_the_figure_shows_each_seed_beside_this_run(seeds):
    seeds(9)
    gains = board_of().figure().axes[1]
    rings, run, line = gains.lines
    assert len(rings.get_xdata()) == 10 and sum(x > 0 for x in rings.get_xdata()) == 9
    assert run.get_xdata()[0] == pytest.approx(0.2)
    assert list(line.get_xdata()) == [0, 0]
    lonely = board_of(deep=None).figure().axes[1]
    assert not lonely.lines and not lonely.axison


def test_nothing_turns_on_what_was_not_claimed():
    with pytest.raises(KeyError, match="nothing was claimed of 'AP'"):
        board_of().verdict("AP")


def test_one_example_of_each_verdict_in_the_order_of_chapters():
    boards = []
    for chapter, intervals in (("01-a", [(-0.1, 0.1)]), ("02-b", [(0.1, 0.3), (-0.1, 0.1)])):
        board = Scoreboard(chapter, seed=0)
        for at, interval in enumerate(intervals):
            row = {"naive": 0.1, "classical": 0.4, "deep": 0.6, "headline": True}
            board.add(Row(f"m{at}", "share", "higher", **row))
            board.claim(f"m{at}", interval)
        board.add(Row("side", "share", "higher", classical=0.4, deep=0.3))
        board.claim("side", (-0.3, -0.1))
        boards.append(board.as_dict())
    win, tie = scoreboard.examples(boards).splitlines()
    assert win.startswith(
        "- {doc}`02-b <chapters/02-b>`: m0 (higher is better) is 0.1000 for naive, "
    )
    assert win.endswith("0.6000 for deep, which **beats** the classical one.")
    assert "`01-a " in tie and "**cannot be told apart**" in tie
    assert scoreboard.examples([]) == "Nothing is claimed yet.\n"
