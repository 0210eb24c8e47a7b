"""A book of five small pages that refer to each other in every way, with random edits."""

import json
import multiprocessing
import os
import random
import shutil
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from pm_utils.builder import figures, html, render
from pm_utils.builder.project import Project
from pm_utils.page.plots import INK

# Builds start from a process that has the libraries and has never built: Sphinx in the tests'
# own process would have registered its nodes already, and warned of each.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([*render.PAGE_LIBRARIES, __name__])

CONFIG = Path(__file__).parents[2] / "_config.yml"
# As matplotlib draws: its rule, its ink, an id that something refers to.
DRAWING = (
    '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9pt" height="9pt"'
    ' xmlns:xlink="http://www.w3.org/1999/xlink"><defs><style type="text/css">{rule}</style></defs>'
    '<g id="figure_1" style="fill: {ink}"><path id="m1" d="M 0 0"/><use xlink:href="#m1"/>'
    "<!-- {text} --><text>{text}</text></g></svg>"
)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><title>{}</title></svg>'
TOC = "format: jb-book\nroot: index\nparts:\n  - caption: C\n    numbered: 2\n    chapters:\n"
TOC += "".join(f"      - file: {name}\n" for name in ("p", "chapters/01-a", "q", "back"))
BLOCKS = {
    "section": "({label})=\n## {text}\n\nProse.",
    "exercise": "```{{exercise}} {text}\n:label: {label}\nHow?\n```",
    "equation": "$$\na = {label:.1}\n$$ ({label})",
    "figure": "```{{figure}} pic.svg\n:name: {label}\n:alt: a\n{text}\n```",
    "target": "{{index}}`{text}`\n\n({label})=\nA paragraph {{cite}}`b1`.",
}
ROLES = {"section": "ref", "exercise": "ref", "equation": "eq", "figure": "numref"}


class PageBook:
    """Write the pages, edit them at random and build them by the builder."""

    def __init__(self, root: Path):
        self.root, self.project = root, Project(root)
        self.blocks = [[kind, f"{kind}-{i}", f"Text {i}"] for i in range(2) for kind in BLOCKS]
        self.uses = [label for _, label, _ in self.blocks]
        self.words = {"term": "lift", "year": 2001, "css": "p", "shown": "one = 1"}
        self.words |= {"picture": "one", "figure": "one", "sentence": "A sentence."}
        self.words |= {"drawing": "one"}
        self.words |= {"value": 0.25, "count": 0, "download": "numbers", "result": "gain"}
        for name in ("book/_static", "book/chapters", "book/_generated/site/results", "_build"):
            (root / name).mkdir(parents=True)
        text = CONFIG.read_text("utf-8").replace("_static/mark.svg", "pic.svg")
        (root / "_config.yml").write_text(text)
        (root / "_toc.yml").write_text(TOC)
        self.write()

    def write(self):
        """Write every file whose text is another now."""
        words = self.words
        kept = [label for label in self.uses if label]
        kinds = {label: label.split("-")[0] for label in kept}
        roles = [f"{{{ROLES.get(kinds[label], 'ref')}}}`{label}`" for label in kept]
        roles = [r.replace("`target-", "`words <target-") for r in roles]  # no heading, no title
        roles = [f"{r[:-1]}>`" if "<" in r else r for r in roles]
        blocks = [BLOCKS[kind].format(label=label, text=text) for kind, label, text in self.blocks]
        texts = {
            "book/index.md": "# Start\n\nSee {doc}`p` and {ref}`section-0`.",
            "book/p.md": "# Page\n\n漏斗\n\n- [ ] A task\n\n"
            + "\n\n".join([words["sentence"], *blocks]),
            "book/q.md": "# Uses\n\n{term}`lift` {cite}`b1` {index}`Text 1`\n\n"
            + "\n\n".join([*roles, "```{literalinclude} ../shown.py\n```"]),
            "book/back.md": f"# Back\n\n```{{glossary}}\n{words['term']}\n  A gain.\n```\n\n"
            "{download}`All <_generated/all.txt>`\n\n"
            "```{bibliography}\n:all:\n```",
            "book/references.bib": f"@book{{b1, author={{Old, Ann}}, title={{T}}, "
            f"publisher={{P}}, year={{{words['year']}}}}}",
            "book/_static/custom.css": f"{words['css']} {{ color: red; }}",
            "book/pic.svg": SVG.format(words["picture"]),
            "shown.py": words["shown"],
            "book/_generated/all.txt": words["download"],
            "book/_generated/site/results/one.json": words["result"],
            "book/chapters/01-a.ipynb": nbformat.writes(self.chapter()),
        }
        for name, text in texts.items():
            path = self.root / name
            if not path.is_file() or path.read_text("utf-8") != text:
                path.write_text(text, "utf-8")

    def chapter(self):
        """An executed chapter: a figure, one of matplotlib, and a glued number."""
        figure = new_output("display_data", {"image/svg+xml": SVG.format(self.words["figure"])})
        text = DRAWING.format(rule=figures.RULE, ink=INK, text=self.words["drawing"])
        drawing = new_output("display_data", {"image/svg+xml": text})
        mime = "application/papermill.record/text/plain"
        glued = new_output("display_data", {mime: str(self.words["value"])})
        prefix = mime.removesuffix("text/plain")
        glued.metadata = {"scrapbook": {"name": "gap", "mime_prefix": prefix}}
        shown = {"figure": {"caption": "Fig.", "name": "fig-a"}, "image": {"alt": "a"}}
        cells = [
            new_markdown_cell("# Chapter\n\n{glue:text}`gap:.2f` by {numref}`figure-0`", id="t"),
            new_code_cell("draw()", id="c", outputs=[figure], metadata={"mystnb": shown}),
            new_code_cell(
                "plot()",
                id="p",
                outputs=[drawing],
                metadata={"mystnb": {"figure": {"caption": "Drawn.", "name": "fig-p"}}},
            ),
            new_code_cell("glue()", id="g", outputs=[glued], metadata={"tags": ["remove-cell"]}),
            new_markdown_cell(
                f"{self.words['sentence']} {{numref}}`fig-a` and {{numref}}`fig-p`", id="e"
            ),
        ]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        return new_notebook(cells=cells, metadata={"kernelspec": kernel})

    def edit(self, kind: str, chance: random.Random):
        """Make one change of a kind; `EDITS` names them."""
        words, block = self.words, chance.choice(self.blocks)
        words["count"] += 1
        new = f"new {words['count']}"
        if kind in words:
            words[kind] = words["count"] + 2001 if kind in ("year", "value") else new
            if kind == "shown":
                words[kind] = f"one = {words['count']}"
        elif kind == "rename":
            block[2] = new.capitalize()
        elif kind == "relabel":
            block[1] = f"{block[0]}-x{words['count']}"
        elif kind == "remove":
            self.blocks.remove(block)
        elif kind == "insert":
            sort = chance.choice(list(BLOCKS))
            place = chance.randrange(len(self.blocks))
            self.blocks.insert(place, [sort, f"{sort}-n{words['count']}", new.capitalize()])
        elif kind == "reorder":
            chance.shuffle(self.blocks)
        elif kind == "duplicate":
            self.blocks.append([*block])
        elif kind == "no result":
            (self.root / "book/_generated/site/results/one.json").unlink(missing_ok=True)
            return
        self.write()
        if kind in ("older", "same time"):
            self.replace(kind, chance)
        elif kind in ("damage", "delete", "unread"):
            self.damage(kind, chance)

    def replace(self, kind, chance):
        """Replace a file by another whose time does not tell: an older one, or the very same."""
        name = chance.choice(["book/pic.svg", "book/p.md", "shown.py", "book/_static/custom.css"])
        path = self.root / name
        times = path.stat().st_atime_ns, path.stat().st_mtime_ns
        text = path.read_text("utf-8")
        swaps = (("red", "tan"), ("one", "two"), ("Prose", "Verse"), ("e", "o"))
        path.write_text(text.replace(*next(pair for pair in swaps if pair[0] in text)), "utf-8")
        os.utime(path, (1_600_000_000,) * 2) if kind == "older" else os.utime(path, ns=times)

    def damage(self, kind, chance):
        """Spoil what an earlier build left."""
        places = {"unread": [".doctrees", "jupyter_execute"]}.get(kind, ["html"])
        folders = [self.root / "_build" / name for name in places]
        files = sorted(f for folder in folders for f in folder.rglob("*") if f.is_file())
        for file in chance.sample(files, min(3, len(files))):
            file.unlink() if kind == "delete" else file.write_bytes(file.read_bytes()[:50])

    def repair(self):
        """Let all references lead somewhere again."""
        self.words["term"], seen = "lift", {}
        for block in self.blocks:
            seen.setdefault(block[1], block)
        self.blocks = list(seen.values())
        for number, kind in enumerate([*BLOCKS, *BLOCKS]):
            label = f"{kind}-{number // len(BLOCKS)}"
            if label not in seen:
                self.blocks.append([kind, label, "Repaired"])
        self.write()

    def build(self):
        """Build in a process of its own, which has the libraries already; tell how it ended."""
        parent, child = FORKS.Pipe(duplex=False)
        process = FORKS.Process(target=self._build, args=(child,))
        process.start()
        child.close()  # a build that died leaves nothing to wait for
        answer = parent.recv()
        process.join()
        return answer

    def _build(self, answer):
        with open(self.root / "_build" / "out.log", "wb") as log:
            os.dup2(log.fileno(), 1)
        os.chdir(self.root)
        try:
            changed = html.build(self.project, _Here(), strict=True)
            answer.send("built" if changed else "unchanged")
        except html.HtmlError as error:
            told = str(error).replace(str(self.root), "ROOT").splitlines()
            answer.send(told[:-1])

    def fresh(self, place: Path):
        """Return the same sources elsewhere, where nothing was built."""
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.root, place, ignore=shutil.ignore_patterns("_build"))
        (place / "_build").mkdir()
        book = PageBook.__new__(PageBook)
        book.root, book.project = place, Project(place)
        return book

    def pages(self):
        """Return every file of the HTML."""
        folder = self.root / "_build" / "html"
        return {
            str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()
        }


class _Here:
    """Stands in for the renderer's process: does its work in a child of the present one."""

    returncode = None

    def start(self):
        return self

    @property
    def stdin(self):
        return self

    def write(self, line):
        self.job = json.loads(line)

    def flush(self):
        self.child = multiprocessing.get_context("fork").Process(target=self._work)
        self.child.start()

    def _work(self):
        os._exit(render.work(self.job))

    def wait(self):
        self.child.join()
        self.returncode = self.child.exitcode


WORDS = ("term", "year", "css", "shown", "picture", "sentence", "figure", "value")
WORDS += ("download", "result", "drawing")
SHAPES = ("rename", "relabel", "remove", "insert", "reorder", "duplicate")
EDITS = (*WORDS, *SHAPES, "no result", "older", "same time", "damage", "delete", "unread")
