"""Discovery, needs and gives, profiles: what is wrong is found before anything runs."""

import json
import subprocess

import pytest

from pm_utils.builder import chapters, cli, html
from pm_utils.builder.project import BuildError, Project
from tests.support.fake_book import FakeBook


@pytest.fixture
def book(tmp_path):
    return FakeBook(tmp_path)


def test_chapters_come_in_order_with_their_graph(book):
    book.chapter("02-b", needs=["x.json"], gives=["y.json"])
    book.chapter("01-a", gives=["x.json"], parameters="seed = 0\nepochs: int = 3")
    book.chapter("03-c", needs=["y.json"])
    book.chapter("04-d")
    found = chapters.discover(book.project, [])
    assert list(found) == ["01-a", "02-b", "03-c", "04-d"]
    assert found["01-a"].parameters == {"seed": 0, "epochs": 3}
    assert chapters.upstream(found) == {
        "01-a": set(),
        "02-b": {"01-a"},
        "03-c": {"02-b"},
        "04-d": set(),
    }
    assert chapters.with_upstream(found, ["03-c"]) == {"01-a", "02-b", "03-c"}


@pytest.mark.parametrize("requested", ["03", "3", "03-c", "03-c.ipynb"])
def test_a_chapter_is_selected_by_number_or_name(book, requested):
    book.chapter("03-c")
    assert chapters.select(chapters.discover(book.project, []), requested, []) == "03-c"


def test_an_unknown_chapter_is_told_with_those_that_exist(book):
    book.chapter("03-c")
    problems = []
    assert chapters.select(chapters.discover(book.project, []), "30", problems) is None
    assert problems == ["there is no chapter 30: 03-c"]


def test_missing_circular_and_double_artifacts_are_errors(book):
    book.chapter("01-a", needs=["lost.json"], gives=["x.json"])
    book.chapter("02-b", needs=["z.json"], gives=["y.json"])
    book.chapter("03-c", needs=["y.json"], gives=["z.json"])
    book.chapter("04-d", gives=["x.json"])
    problems = book.problems()
    assert "01-a needs lost.json, which no chapter gives" in problems
    assert "x.json is given more than once, by 01-a and 04-d" in problems
    assert any("in a circle" in p and "02-b" in p and "03-c" in p for p in problems)
    assert len(problems) == 3


def test_every_broken_notebook_is_reported_at_once(book):
    book.chapter("01-a", parameters="epochs = 3")
    book.chapter("02-b", parameters="seed = 0\nsteps = 2 * 8")
    book.chapter("05-Bad_Name")
    book.chapter("04-d")
    notebook = book.read("04-d")
    notebook.cells[2].metadata.tags = []
    del notebook.metadata.pm["needs"]
    book.write("04-d", notebook)
    book.chapter("09-e", gives=["sub/x.json"])
    (book.root / "notebooks" / "06-f.ipynb").write_text("{")
    book.chapter("07-g")
    book.chapter("07-h")
    book.chapter("08-i", "1 / 0")
    notebook = book.read("08-i")
    notebook.cells[-1].metadata.tags = ["raises-exception"]
    notebook.metadata.kernelspec.name = "julia"
    book.write("08-i", notebook)
    text = "\n".join(book.problems())
    for expected in (
        "01-a.ipynb: the parameters cell must assign a whole number to `seed`",
        "02-b.ipynb: the parameters cell may only assign literals",
        "05-Bad_Name.ipynb: name it NN-name.ipynb",
        "04-d.ipynb: 0 code cells are tagged `parameters`, there must be one",
        "04-d.ipynb: its metadata needs `pm` with title, needs and gives",
        "09-e.ipynb: `pm.gives` must be a list of file names",
        "06-f.ipynb: no valid notebook",
        "08-i.ipynb: papermill stops at a cell tagged `raises-exception`",
        "08-i.ipynb: its kernel must be python3",
        "the number 07 is used more than once: 07-g, 07-h",
    ):
        assert expected in text


def test_two_parameters_cells_are_an_error(book):
    book.chapter("01-a", "x = 1")
    notebook = book.read("01-a")
    notebook.cells[-1].metadata.tags = ["parameters"]
    book.write("01-a", notebook)
    assert book.problems() == [
        "01-a.ipynb: 2 code cells are tagged `parameters`, there must be one"
    ]


PARAMETERS = 'seed = 0\nrate = 0.1\nnames = ["a"]\nfast = True\nday = "2017-09-01"'


def test_a_profile_changes_only_what_differs(book):
    book.chapter("01-a", parameters=PARAMETERS)
    book.chapter("02-b")
    book.profile("full", "01-a: {seed: 0, rate: 1, names: [a, b], fast: false}")
    changes = {name: task.changes for name, task in book.tasks("full").items()}
    assert changes == {"01-a": {"rate": 1.0, "names": ["a", "b"], "fast": False}, "02-b": {}}
    assert type(changes["01-a"]["rate"]) is float


def test_a_profile_that_does_not_fit_is_an_error(book):
    book.chapter("01-a", parameters=PARAMETERS)
    book.profile(
        "quick",
        "01-a: {seed: true, rate: 1e-3, day: 2017-09-02, epochs: 3}\n09-z: {seed: 1}\n",
    )
    text = "\n".join(book.problems())
    assert "01-a: seed is True (bool), it must be of type int like 0" in text
    assert "rate is '1e-3' (str), it must be of type float" in text  # YAML 1.1 reads it as text
    assert "day is datetime.date(2017, 9, 2) (date), it must be of type str" in text
    assert "there is no parameter epochs (its parameters cell has seed, rate, names" in text
    assert "quick.yml names the chapter 09-z, which does not exist" in text
    assert len(book.problems()) == 5
    assert "there is no profile slow: full, quick" in book.problems("slow")


def test_the_table_of_contents_and_the_notebooks_must_agree(book):
    book.chapter("01-a")
    book.toc("02-b")
    problems = []
    html.check_toc(book.project, ["01-a"], problems)
    assert problems == [
        "_toc.yml has no line `- file: chapters/01-a`",
        "_toc.yml lists chapters/02-b, but notebooks/02-b.ipynb does not exist",
    ]


@pytest.mark.parametrize("text", ["format: [", "a: b: c", "\x80"])
def test_a_table_of_contents_that_is_no_yaml_is_an_error(book, monkeypatch, capsys, text):
    book.chapter("01-a")
    (book.root / "_toc.yml").write_bytes(text.encode("latin-1"))
    monkeypatch.chdir(book.root)
    assert cli.main(["book"]) == 2
    assert "error: _toc.yml is no valid YAML: " in capsys.readouterr().err


def test_scratch_notebooks_are_left_alone_and_named_in_one_line(book, monkeypatch, capsys):
    book.chapter("01-a")
    book.toc("01-a")
    for name in ("Untitled", "Untitled1", "my-01-test"):
        (book.root / "notebooks" / f"{name}.ipynb").write_text("{")
    monkeypatch.chdir(book.root)
    assert cli.main(["status", "--json"]) == 0
    told = capsys.readouterr()
    assert list(json.loads(told.out)) == ["01-a"]
    assert told.err.count("\n") == 1
    assert "Untitled.ipynb, Untitled1.ipynb, my-01-test.ipynb" in told.err
    book.profile("quick", "Untitled: {seed: 1}")
    (problem,) = book.problems()
    assert "names the chapter Untitled, which does not exist" in problem


def test_all_errors_come_together_and_nothing_runs(book, monkeypatch, capsys):
    book.chapter("01-a", needs=["lost.json"])
    book.profile("quick", "09-z: {}")
    monkeypatch.chdir(book.root / "book")
    assert cli.main(["book"]) == 2
    told = capsys.readouterr().err
    assert told.count("error: ") == 3
    for part in ("lost.json", "09-z", "_toc.yml has no line"):
        assert part in told
    assert not book.project.build.exists()


def test_the_project_is_found_from_any_directory_inside(book, tmp_path_factory):
    inside = book.root / "book" / "deep"
    inside.mkdir()
    assert Project.find(inside) == book.project
    with pytest.raises(BuildError, match="not inside the book's repository"):
        Project.find(tmp_path_factory.mktemp("elsewhere"))


def test_two_builders_do_not_share_a_checkout(book):
    busy = pytest.raises(BuildError, match=r"another pm \(process \d+\) works in")
    with book.project.lock(), busy, book.project.lock():
        pass
    with book.project.lock():
        pass


def test_the_lock_lasts_as_long_as_a_child_that_was_given_it(book):
    with book.project.lock() as lock:
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(lock,))
    with pytest.raises(BuildError, match="another pm"), book.project.lock():
        pass
    child.communicate()
    with book.project.lock():
        pass


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- 01-a", "quick.yml must map chapters to parameters"),
        ("01-a: 3", "quick.yml, 01-a: give a mapping of parameters to values"),
        ("01-a: {seed: 1", "quick.yml is no valid YAML"),
    ],
)
def test_a_profile_of_the_wrong_shape_is_an_error(book, text, expected):
    book.chapter("01-a")
    book.profile("quick", text)
    (problem,) = book.problems()
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("01-a: {seed: 1}\n01-a: {seed: 2}", "01-a is given more than once: keep one"),
        ("01-a: {seed: 1, seed: 2}", "seed is given more than once: keep one"),
        ("01-a: {names: [{a: 1, a: 2}]}", "a is given more than once: keep one"),
        ("01-a: {rate: .nan}", "01-a: rate holds nan: give a finite number"),
        ("01-a: {rate: -.inf}", "01-a: rate holds -inf: give a finite number"),
        ("01-a: {names: [a, .inf]}", "01-a: names holds inf: give a finite number"),
        (
            "01-a: {sizes: {1: 2, a: 3}}",
            "01-a: sizes has the key 1: a mapping's keys must be texts",
        ),
        ("01-a: {names: [2017-09-01]}", "01-a: names holds datetime.date(2017, 9, 1) (date)"),
        ("01-a: {seed: '\x80'}", "quick.yml is no valid YAML"),
    ],
)
def test_a_profile_that_could_mean_two_things_or_nothing_is_refused(book, text, expected):
    book.chapter("01-a", parameters=PARAMETERS + '\nsizes = {"b": 1}')
    (book.root / "notebooks" / "quick.yml").write_bytes(text.encode("latin-1"))
    (problem,) = book.problems()
    assert expected in problem


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (
            "seed = 0\nrate = 1\nrate = 2",
            "the parameters cell assigns rate more than once: keep one",
        ),
        ("seed = 0\nrate = 1e999", "rate holds inf: give a finite number"),
        ("seed = 0\nsizes = {1: [2], 'a': -1e999}", "sizes has the key 1"),
        ("seed = 0\nnames = {'a', 'b'}", "(set): give a number, a text"),
        ("seed = 0\nnames = b'a'", "names holds b'a' (bytes)"),
    ],
)
def test_a_parameters_cell_that_could_mean_two_things_or_nothing_is_refused(
    book, parameters, expected
):
    book.chapter("01-a", parameters=parameters)
    assert expected in "\n".join(book.problems())
