"""The book's sources obey the house rules, and the built pages show what they should."""

import ast
import json
import re
from decimal import Decimal
from pathlib import Path

import nbformat
import pytest
import yaml
from pybtex.database import parse_file

from tests.support.html_elements import elements, rows

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
HTML = ROOT / "_build" / "html"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]*.ipynb"))
PAGES = sorted(BOOK.glob("*.md"))
FENCE = re.compile(r"^ *(`{3,}|:{3,})\{([\w:-]+)\}([^\n]*)\n(.*?)^ *\1 *$", re.M | re.S)
SOLUTION = re.compile(
    r"^(?:`{3,}|:{3,})\{solution-(?:start\} *(\S+)|end\}) *\n((?:(?![`:]{3}).*\n)*)", re.M
)
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def cells(path: Path, kind: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == kind]


def prose(path: Path) -> str:
    """All text of a page or notebook that is not code."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(cell.source for cell in cells(path, "markdown"))


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def directives(text: str, name: str) -> list[tuple[str, str]]:
    """Argument and body of every directive `name`."""
    return [(m[3].strip(), m[4]) for m in FENCE.finditer(text) if m[2] == name]


# --- Order, citations, terms -------------------------------------------------------------


def toc_files() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [toc["root"], *(c["file"] for part in toc["parts"] for c in part["chapters"])]


def test_the_toc_lists_every_notebook_once_and_in_order():
    listed = [name for name in toc_files() if name.startswith("chapters/")]
    assert listed == [f"chapters/{path.stem}" for path in NOTEBOOKS]


def test_the_toc_lists_every_prose_page_once():
    listed = [name for name in toc_files() if not name.startswith("chapters/")]
    assert sorted(listed) == [path.stem for path in PAGES]


def test_chapters_are_numbered_and_prose_is_not():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    for part in toc["parts"]:
        kinds = {chapter["file"].startswith("chapters/") for chapter in part["chapters"]}
        assert len(kinds) == 1, part["caption"]
        assert bool(part.get("numbered")) == kinds.pop(), part["caption"]


def cited() -> dict[str, set[str]]:
    """Every citation key with the files that use it."""
    found: dict[str, set[str]] = {}
    for path in [*PAGES, *NOTEBOOKS]:
        for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", prose(path)):
            for key in keys.split(","):
                found.setdefault(key.strip(), set()).add(path.name)
    return found


def bibliography_keys() -> list[str]:
    return re.findall(r"^@\w+\{([^,\s]+),", (BOOK / "references.bib").read_text("utf-8"), re.M)


def test_every_citation_is_in_the_bibliography():
    unknown = {key: files for key, files in cited().items() if key not in bibliography_keys()}
    assert cited()
    assert unknown == {}


def test_no_key_of_the_bibliography_is_there_twice():
    keys = bibliography_keys()
    assert len(keys) >= 30
    assert sorted({key.lower() for key in keys}) == sorted(key.lower() for key in keys)


def test_every_reference_can_be_found_by_a_reader():
    entries = parse_file(str(BOOK / "references.bib")).entries
    assert set(entries) == set(bibliography_keys())
    for key, entry in entries.items():
        assert entry.persons["author"], key
        assert re.fullmatch(r"(19|20)\d\d", entry.fields["year"]), key
        assert entry.fields["title"], key
        where = {"doi", "url", "isbn", "eprint", "institution", "publisher"}
        assert where & set(entry.fields), key
        assert not entry.fields.get("doi", "").startswith("http"), key
        first, _, last = entry.fields.get("pages", "1--2").partition("--")
        assert int(last.split(":")[-1]) > int(first.split(":")[-1]), key


def glossary() -> dict[str, list[str]]:
    """Every entry: its forms and the lines of its definition."""
    ((_, body),) = directives((BOOK / "glossary.md").read_text(encoding="utf-8"), "glossary")
    entries = {}
    for block in body.replace(":sorted:\n", "").strip().split("\n\n"):
        lines = block.strip("\n").splitlines()
        forms = [line for line in lines if not line.startswith(" ")]
        entries["\n".join(forms)] = [line for line in lines if line.startswith(" ")]
    return entries


def test_every_term_of_the_glossary_is_unique_and_defined():
    forms = [form.casefold() for entry in glossary() for form in entry.splitlines()]
    assert len(forms) == len(set(forms)), {form for form in forms if forms.count(form) > 1}
    assert all(glossary().values())
    assert len(glossary()) > 100


SOURCE_TERMS = """
精准营销 客户画像 个性化内容生成 精准定向投放 营销效果评估 深度神经网络 卷积神经网络
循环神经网络 生成对抗网络 语言模型 用户兴趣预测 转化概率预测 广告创意 营销漏斗
点击率 转化率 终身价值 折现率 深度强化学习 数据预处理 特征工程 特征归一化 激活函数
权重矩阵 偏置 隐藏状态 池化层 全连接层 闭环 CTR CVR LTV propensity uplift
calibration scoreboard leakage oracle
"""


@pytest.mark.parametrize("term", SOURCE_TERMS.split())
def test_the_glossary_has_the_terms_of_the_source_and_of_the_plan(term):
    assert term in [form for entry in glossary() for form in entry.splitlines()]


# --- What a visitor reads first ----------------------------------------------------------


def test_the_readme_names_both_commands_and_files_that_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make book" in text
    assert "make test" in text
    links = re.findall(r"\]\(([^)#]+)\)", text)
    local = [link for link in links if not link.startswith("http")]
    assert local
    generated = "_build/"
    missing = [x for x in local if not x.startswith(generated) and not (ROOT / x).exists()]
    assert missing == []
    assert all(alt.strip() for alt in re.findall(r"!\[([^\]]*)\]", text))


def test_the_citation_file_agrees_with_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    version = re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == version
    assert citation["title"] == yaml.safe_load((ROOT / "_config.yml").read_text())["title"]
    assert {"message", "authors", "type"} <= set(citation)
    assert f"version = {{{version}}}" in (BOOK / "cite.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_prose_page_has_one_title_and_alt_text(path):
    text = prose(path)
    plain = re.sub(r"^ *(`{3,}).*?^ *\1 *$", "", text, flags=re.M | re.S)
    assert len(re.findall(r"^# \S", plain, re.M)) == 1
    assert images_without_alt(text) == []


def images_without_alt(text: str) -> list[str]:
    """Images of a Markdown text that a blind reader would miss."""
    bare = [target for alt, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text) if not alt]
    for name in ("image", "figure"):
        for target, body in directives(text, name):
            if not re.search(r"^ *:alt: *\S", body, re.M):
                bare.append(target)
    bare += [tag for tag in re.findall(r"<img\b[^>]*>", text) if not re.search(r'alt="[^"]', tag)]
    return bare


def test_the_finder_of_missing_alt_text_finds_it():
    good = '![a](b.svg)\n\n```{figure} c.svg\n:alt: d\n```\n<img src="e" alt="f">'
    assert images_without_alt(good) == []
    bad = '![](b.svg)\n\n```{figure} c.svg\n:name: d\n```\n<img src="e" alt="">'
    assert images_without_alt(bad) == ["b.svg", "c.svg", '<img src="e" alt="">']


# --- The notebooks ---------------------------------------------------------------------------


@each_notebook
def test_a_notebook_is_valid_and_stripped(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    assert notebook.metadata["kernelspec"]["name"] == "python3"
    assert "papermill" not in notebook.metadata
    for cell in cells(path, "code"):
        assert cell.outputs == [], cell.id
        assert cell.execution_count is None, cell.id
        assert not {"execution", "papermill"} & set(cell.metadata), cell.id


@each_notebook
def test_a_notebook_says_what_it_is(path):
    metadata = read(path).metadata["pm"]
    title = re.search(r"^# (.+)$", read(path).cells[0].source, re.M)
    assert title, "the first cell holds the title"
    assert metadata["title"] == title[1].strip()
    for field in ("needs", "gives"):
        assert all(re.fullmatch(r"[\w-]+\.\w+", name) for name in metadata[field]), field
        assert len(set(metadata[field])) == len(metadata[field]), field
    assert not set(metadata["needs"]) & set(metadata["gives"])


@each_notebook
def test_cell_ids_are_readable_and_unique(path):
    ids = [cell.id for cell in read(path).cells]
    assert len(set(ids)) == len(ids)
    for name in ids:
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name), name
        assert not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]+)*", name), f"{name} is a random id"


@each_notebook
def test_there_is_one_parameters_cell_with_a_seed_and_literals(path):
    found = [cell for cell in cells(path, "code") if "parameters" in tags(cell)]
    assert len(found) == 1
    values = {}
    for line in ast.parse(found[0].source).body:
        assert isinstance(line, ast.Assign), "parameters are plain assignments"
        values[line.targets[0].id] = ast.literal_eval(line.value)
    assert values["seed"] == 0


@each_notebook
def test_a_command_of_a_formula_has_one_backslash(path):
    formulas = re.findall(r"\$\$.+?\$\$|\$[^$\n]+\$", prose(path), re.S)
    assert [formula for formula in formulas if re.search(r"\\\\[A-Za-z]", formula)] == []


@each_notebook
def test_profiles_are_numbers_not_code_paths(path):
    code = "\n".join(cell.source for cell in cells(path, "code"))
    assert not re.search(r"\bif\b[^\n]*\b(quick|full|profile)\b", code, re.I)


@each_notebook
def test_a_chapter_ends_in_a_scoreboard(path):
    code = "\n".join(cell.source for cell in cells(path, "code"))
    for call in (f'Scoreboard("{path.stem}"', ".add(", ".table()", ".figure()", ".save()"):
        assert call in code, call


@each_notebook
def test_every_exercise_has_an_executed_hidden_solution(path):
    text = prose(path)
    exercises = [
        re.search(r"^:label: *(\S+)", body, re.M)[1] for _, body in directives(text, "exercise")
    ]
    assert len(exercises) >= 2
    solved, inside = {}, None
    for cell in read(path).cells:
        if cell.cell_type == "code" and inside:
            solved[inside] += 1
        elif cell.cell_type == "markdown":  # one cell may end a solution and begin the next
            for gate, body in SOLUTION.findall(cell.source):
                inside = gate.strip() or None
                if inside:
                    solved[inside] = 0
                    assert re.search(r"^:class: .*dropdown", body, re.M), inside
    assert inside is None, f"the solution of {inside} has no end"
    assert sorted(solved) == sorted(exercises)
    assert all(count >= 1 for count in solved.values())


@each_notebook
def test_exercises_and_solutions_are_tagged_cells_of_their_own(path):
    for cell in read(path).cells:
        prose = cell.cell_type == "markdown"
        gates = SOLUTION.findall(cell.source) if prose else []
        poses = prose and re.search(r"^[`:]{3,}\{exercise\}", cell.source, re.M)
        assert bool(poses) == ("exercise" in tags(cell)), cell.id
        if poses:
            assert re.fullmatch(r"(`{3,})\{exercise\}\n.*?\n\1", cell.source, re.S), cell.id
        assert len(gates) <= 1, cell.id
        if gates and gates[0][0]:
            assert cell.source.startswith("```{solution-start}"), cell.id
        elif gates:
            assert cell.source.endswith("```{solution-end}\n```"), cell.id


@each_notebook
def test_every_cell_of_a_solution_is_tagged_and_no_other(path):
    inside = False
    for cell in read(path).cells:
        gates = SOLUTION.findall(cell.source) if cell.cell_type == "markdown" else []
        assert ("solution" in tags(cell)) == (inside or bool(gates)), cell.id
        inside = bool(gates[0][0]) if gates else inside


@each_notebook
def test_every_solution_says_what_checks_an_answer_or_why_nothing_does(path):
    code = [c for c in cells(path, "code") if "solution" in tags(c)]
    asked = [c.metadata["self_check"] for c in code if "self_check" in c.metadata]
    assert len(asked) == len(directives(prose(path), "exercise"))
    for spec in asked:
        assert set(spec) in ({"answer", "expression", "digits"}, {"none"})
        ast.parse(spec.get("expression", "1"), mode="eval")


@each_notebook
def test_images_and_drawn_figures_have_alt_text(path):
    assert images_without_alt(prose(path)) == []
    for cell in cells(path, "code"):
        mystnb = cell.metadata.get("mystnb", {})
        draws = re.search(r"\bplt\.|\.figure\(|\bplots\.(?!use_style|COLORS)", cell.source)
        shown = mystnb.get("image") or mystnb.get("figure")
        if shown or (draws and cell.source.rstrip().endswith(("figure()", "figure", "show()"))):
            assert mystnb.get("image", {}).get("alt", "").strip(), cell.id
        if "figure" in mystnb:
            assert mystnb["figure"]["caption"].strip(), cell.id
            assert mystnb["figure"]["name"].startswith("fig-"), cell.id


def test_labels_are_unique_over_the_book():
    names = []
    for path in [*PAGES, *NOTEBOOKS]:
        text = prose(path)
        names += re.findall(r"^\(([\w-]+)\)=$", text, re.M)
        names += re.findall(r"^:(?:label|name): *(\S+)$", text, re.M)
        names += re.findall(r"^\$\$ *\(([\w-]+)\)$", text, re.M)
    for path in NOTEBOOKS:
        figures = [c.metadata.get("mystnb", {}).get("figure", {}) for c in cells(path, "code")]
        names += [figure["name"] for figure in figures if "name" in figure]
    assert len(set(names)) == len(names), {name for name in names if names.count(name) > 1}


# --- The built book --------------------------------------------------------------------------


def built_pages() -> dict[str, str]:
    """Name and text of every page of the built book."""
    if not (HTML / "index.html").is_file():
        pytest.skip("the book is not built here: make book")
    paths = [HTML / f"{name}.html" for name in toc_files()]
    return {path.relative_to(HTML).as_posix(): path.read_text("utf-8") for path in paths}


def images(text: str) -> list[dict[str, str]]:
    """The attributes of pictures, also of those drawn inside of the page."""
    found = [one for one in elements(text) if one.tag == "img" or "pm-figure" in one.classes]
    return [{"alt": one.attributes.get("aria-label", ""), **one.attributes} for one in found]


def faults(text: str) -> list[str]:
    """What a finished page must not show."""
    classes = [element.classes for element in elements(text)]
    found = []
    for image in images(text):
        alt = image.get("alt", "").strip()
        if not alt or "_images/" in alt:  # the renderer's stand-in for a missing text is the path
            found.append(f"no alt text: {image.get('src')}")
    if "Traceback (most recent call last)" in text or any(
        {"output", "traceback"} <= names for names in classes
    ):
        found.append("a traceback")
    if any({"output", "stderr"} <= names for names in classes):
        found.append("standard error")
    if re.search(r"\d+%\|[ █▏▎▍▌▋▊▉#]|\d+(\.\d+)?(it/s|s/it)\b", text):
        found.append("a progress bar")
    return found


def test_the_finder_of_faults_finds_them():
    assert faults('<img src="a.svg" alt="a wave"><div class="output stream"></div>') == []
    assert faults('<img src="a.svg">') == ["no alt text: a.svg"]
    assert faults('<svg class="pm-figure" aria-label="a wave"></svg>') == []
    assert faults('<svg class="pm-figure"></svg>') == ["no alt text: None"]
    assert faults('<img src="a.svg" alt="../_images/a.svg">') == ["no alt text: a.svg"]
    assert faults("<pre>Traceback (most recent call last)</pre>") == ["a traceback"]
    assert faults('<div class="output traceback highlight-ipythontb">') == ["a traceback"]
    assert faults('<div class="output stderr highlight">') == ["standard error"]
    assert faults("<pre> 40%|████      | 4/10</pre>") == ["a progress bar"]


def test_no_page_shows_a_fault():
    found = {name: faults(text) for name, text in built_pages().items()}
    assert {name: what for name, what in found.items() if what} == {}


def test_no_table_shows_customers_by_their_id():
    for name, text in built_pages().items():
        named = {element.text.strip() for element in elements(text) if element.tag == "th"}
        assert not named & {"customer_id", "user_id", "household_id"}, name


def test_every_chapter_is_built_with_its_figures_numbered():
    texts = built_pages()
    for path in NOTEBOOKS:
        text = texts[f"chapters/{path.stem}.html"]
        assert re.search(r"Fig. \d+\.1\b", text), path.stem
        assert len(images(text)) > 3, path.stem


MODELS = ("null", "naive", "classical", "deep", "limit")


def departures(text: str, boards: list[dict]) -> list[str]:
    """Where the table of a page says something else than the headline rows of scoreboards."""
    text = re.sub(r"<br ?/?><small>.*?</small>", "", text)  # names and ranges below the figures
    head, *shown = [row for row in rows(text) if len(row) == 4 + len(MODELS)] or [[]]
    if head != ["chapter", "metric", "unit", *MODELS, "seeds"]:
        return ["no table of headline rows"]
    told = {(row[0], row[1].rstrip(" ↑↓").replace("’", "'")): row for row in shown}  # typography
    headlines = {
        (board["chapter"], row["metric"]): row
        for board in boards
        for row in board["rows"]
        if row["headline"]
    }
    found = [f"{key} on one side only" for key in sorted(told.keys() ^ headlines.keys())]
    for key in sorted(told.keys() & headlines.keys()):
        row, cells = headlines[key], told[key]
        if cells[1][-1] != {"higher": "↑", "lower": "↓"}[row["better"]] or cells[2] != row["unit"]:
            found.append(f"{key}: {cells[1]}, {cells[2]}")
        for model, cell in zip(MODELS, cells[3:-1], strict=True):
            if not _says(cell, row[model]):
                found.append(f"{key}: {model} is {row[model]}, the page shows {cell}")
    return found


def _says(cell: str, value: float | None) -> bool:
    """Whether a cell shows a value, to the cell's last digit."""
    if cell == "–" or value is None:
        return cell == "–" and value is None
    shown = Decimal(cell.replace(",", ""))
    half = Decimal(5).scaleb(shown.as_tuple().exponent - 1)
    return abs(shown - Decimal(value)) <= half


def test_the_finder_of_departures_finds_them():
    names = "".join(f"<th>{name}</th>" for name in ("chapter", "metric", "unit", *MODELS, "seeds"))
    cells = (
        "<td><a>01-a</a></td><td><p>loss ↓</p></td><td>nats</td><td>1,250.50</td><td>0.5000</td>"
    )
    cells += "<td>0.4000</td><td><b>0.3000</b><br><small>a net</small></td>"
    cells += "<td>–</td><td>–</td>"
    page = f"<table><tr>{names}</tr><tr>{cells}</tr></table>"
    row = {"metric": "loss", "unit": "nats", "better": "lower", "headline": True, "limit": None}
    row |= {"null": 1250.5, "naive": 0.5, "classical": 0.40001, "deep": 0.3}
    assert departures(page, [{"chapter": "01-a", "rows": [row]}]) == []
    for change in (
        {"deep": 0.3001}, {"deep": None}, {"limit": 0.1}, {"null": 1.2505}, {"better": "higher"},
        {"unit": "bits"}, {"metric": "gain"}, {"headline": False},
    ):  # fmt: skip
        assert departures(page, [{"chapter": "01-a", "rows": [row | change]}]), change
    assert departures("<p>loss</p>", [{"chapter": "01-a", "rows": [row]}])


def test_the_page_of_results_shows_the_headline_rows():
    texts = built_pages()
    (profile,) = [row[1] for row in rows(texts["how-built.html"]) if row[0] == "profile"]
    results = sorted((ROOT / "_build" / "results" / profile).glob("*.json"))
    assert results
    boards = [json.loads(path.read_text("utf-8")) for path in results]
    assert departures(texts["results.html"], boards) == []


def test_no_page_offers_to_run_code_elsewhere():
    for name, text in built_pages().items():
        assert "thebe" not in text.lower(), name
        assert "mybinder.org" not in text, name
