"""What a page was made of: outputs that repeat byte for byte, their hashes, published results."""

import json
import re
from typing import Any

from nbformat import NotebookNode

from pm_utils.builder import runs
from pm_utils.builder.code import digest
from pm_utils.builder.project import Project, write_whole
from pm_utils.builder.runs import SCOREBOARD, Outcome, Task
from pm_utils.builder.tables import code_span, table

SITE = "site"  # below the generated text: copied to the site as it is
STYLED_TABLE = re.compile(r'<table id="(T_[0-9a-f]{5})"')  # pandas draws such an id for each table
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}(?=>|&gt;)")  # where an object happened to lie in memory


def settle_outputs(page: NotebookNode) -> None:
    """Replace, in a page, what differs between two equal runs: ids of tables, memory addresses.

    Parameters
    ----------
    page : nbformat.NotebookNode
        An executed notebook, which is changed. Ids that a chapter chose itself are kept.
    """
    number = 0
    for output in _outputs(page):
        texts = output.get("data", {})
        for kind in [kind for kind, text in texts.items() if isinstance(text, str)]:
            texts[kind] = ADDRESS.sub("at 0x…", texts[kind])
            for drawn in dict.fromkeys(STYLED_TABLE.findall(texts[kind])):
                number += 1
                texts[kind] = re.sub(rf"\b{drawn}(?=[\"_ ])", f"T_table{number}", texts[kind])
        if isinstance(output.get("text"), str):
            output["text"] = ADDRESS.sub("at 0x…", output["text"])


def _outputs(page: NotebookNode) -> list[dict[str, Any]]:
    return [out for cell in page.cells if cell.cell_type == "code" for out in cell.outputs]


def outputs_digest(page: NotebookNode) -> str:
    """Return a fingerprint of all that the cells of a page put out, in their order."""
    return digest(_outputs(page))


def provenance(task: Task, record: dict[str, Any], page: NotebookNode) -> dict[str, Any]:
    """Return what the outputs of a chapter come from, and their fingerprint.

    Parameters
    ----------
    task : Task
        The chapter and its profile.
    record : dict
        Of the stored run.
    page : nbformat.NotebookNode
        The assembled chapter, its outputs settled.
    """
    own = ("chapter", "profile", "commit", "finished", "environment", "key")
    facts = {field: record[field] for field in own}
    parts = record["parts"]
    facts["parameters"] = parts.get("parameters", task.chapter.parameters | task.changes)
    facts["requirements.lock"] = parts.get("requirements.lock")
    return facts | {"outputs": outputs_digest(page)}


def publish_results(
    project: Project,
    tasks: dict[str, Task],
    outcomes: dict[str, Outcome],
    found: dict[str, dict[str, Any]],
) -> None:
    """Write each good chapter's scoreboard, with its provenance, to the site, and remove others.

    Parameters
    ----------
    project : Project
        The checkout.
    tasks, outcomes : dict
        What was run and how it ended, by chapter.
    found : dict
        The provenance of each good chapter.
    """
    folder = project.generated / SITE / "results"
    folder.mkdir(parents=True, exist_ok=True)  # Sphinx asks for it even where nothing is good
    for name, facts in found.items():
        path = tasks[name].folder / SCOREBOARD
        board = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        text = json.dumps(facts | {"scoreboard": board}, indent=2, ensure_ascii=False)
        write_whole(folder / f"{name}.json", text + "\n")
    for path in folder.glob("*.json"):
        if path.stem not in found or not outcomes[path.stem].good:
            path.unlink()


def provenance_table(found: dict[str, dict[str, Any]]) -> str:
    """Return the parameters and fingerprints of each good chapter as Markdown."""
    rows = [["Chapter", "Parameters", "Key", "Outputs", "Results"], ["---"] * 5]
    for name, facts in found.items():
        given = facts["parameters"].items()
        parameters = ", ".join(code_span(f"{k} = {v!r}") for k, v in given)
        link = (
            f'<a href="results/{name}.json">JSON<span class="visually-hidden"> of {name}</span></a>'
        )
        key, outputs = code_span(facts["key"]), code_span(facts["outputs"])
        rows.append([name, parameters, key, outputs, link])
    return table(rows)


def read_provenance(task: Task, page: NotebookNode) -> dict[str, Any] | None:
    """Return the provenance of a chapter from its stored run, None where there is no record."""
    record = runs.read_record(task.folder)
    return record and provenance(task, record, page)
