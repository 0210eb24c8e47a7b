"""HTML by Jupyter Book: only when a page changed, warnings as errors.

An incremental build ends as a build from nothing would. Content decides, never time: the stamp of
a build holds fingerprints of all that the pages are made of and of the pages themselves, and
whether a warning was an error. Who adds files to ``_build/html`` has to do so in an extension of
Sphinx, before the stamp is written.
"""

import contextlib
import importlib.resources
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import jsonschema
import yaml
from sphinx_external_toc.parsing import parse_toc_data

from pm_utils.builder import isolation, pins
from pm_utils.builder.code import digest
from pm_utils.builder.project import Project, write_whole
from pm_utils.builder.render import JOB, SHARED, clear, is_book_file

_STAMP = "html.json"
STAMP_FIELDS = ("files", "shell", "besides", "html", "sources")
SHELL = ("_config.yml", "_toc.yml")
PAGE_SUFFIXES = (".md", ".ipynb", ".rst", ".txt")
_GRACE_SECONDS = 5
_WARNING = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b")
_REASON = re.compile(r"^[\w.]+(Error|Exception): .")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class HtmlError(Exception):
    """Sphinx warned or failed."""


def check_toc(project: Project, names: list[str], problems: list[str]) -> None:
    """Append a problem for each chapter that `_toc.yml` lacks or that only it knows."""
    path = project.root / "_toc.yml"
    if not path.is_file():
        problems.append("_toc.yml is missing")
        return
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"_toc.yml is no valid YAML: {' '.join(str(error).split())}")
        return
    try:
        parse_toc_data(content)
    except Exception as error:  # of any class, when a list stands where a mapping has to be
        problems.append(f"_toc.yml is no table of contents: {' '.join(str(error).split())}")
    listed = _files(content)
    problems += [
        f"_toc.yml lists {name}, but book/{name} does not exist"
        for name in listed
        if not name.startswith("chapters/") and not _page_exists(project, name)
    ]
    listed = [file.removeprefix("chapters/") for file in listed if file.startswith("chapters/")]
    problems += [f"_toc.yml has no line `- file: chapters/{n}`" for n in names if n not in listed]
    existing = {file.stem for file in project.sources}
    problems += [
        f"_toc.yml lists chapters/{name}, but notebooks/{name}.ipynb does not exist"
        for name in listed
        if name.removesuffix(".ipynb") not in existing
    ]


def check_config(project: Project, problems: list[str]) -> None:
    """Append a problem when Jupyter Book will not accept `_config.yml`."""
    path = project.root / "_config.yml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problems.append("_config.yml is missing")
        return
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"_config.yml is no valid YAML: {' '.join(str(error).split())}")
        return
    schema = importlib.resources.files("jupyter_book").joinpath("config_schema.json")
    checker = jsonschema.validators.validator_for(rules := json.loads(schema.read_text("utf-8")))
    for error in checker(rules).iter_errors(content):
        place = ".".join(map(str, error.absolute_path))
        problems.append(f"_config.yml, {place or 'as a whole'}: {error.message[:300]}")


def _page_exists(project: Project, name: str) -> bool:
    path = project.book / name
    return path.is_file() or any(path.with_name(path.name + s).is_file() for s in PAGE_SUFFIXES)


def _files(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [str(node["file"])] if "file" in node else []
        return own + [file for value in node.values() for file in _files(value)]
    return [file for item in node for file in _files(item)] if isinstance(node, list) else []


def state(project: Project) -> dict[str, dict[str, str]]:
    """Return fingerprints of what the HTML is made of.

    Returns
    -------
    dict
        ``files`` holds each file under ``book/``; ``shell`` what all pages share: settings, table
        of contents, pinned and installed versions and the pages' titles, which the navigation of
        every page repeats.
    """
    paths = [path for path in sorted(project.book.rglob("*")) if path.is_file()]
    paths = [path for path in paths if is_book_file(path, project.book)]
    shell = [project.root / name for name in SHELL if (project.root / name).is_file()]
    name = {path: path.relative_to(project.root).as_posix() for path in [*paths, *shell]}
    return {
        "files": {name[path]: digest(path.read_bytes()) for path in paths},
        "shell": {name[path]: digest(path.read_bytes()) for path in shell}
        | {f"title of {name[path]}": _title(path) for path in paths}
        | {"requirements.lock": pins.lock_digest(project) or ""}
        | {"installed": digest([sys.version, *installed()])},
    }


def installed() -> list[str]:
    """Return the names of all installed distributions with their versions."""
    places = [Path(place) for place in sys.path if Path(place).is_dir()]
    return sorted(path.name for place in places for path in place.glob("*.dist-info"))


def _title(path: Path) -> str:
    if path.suffix not in (".ipynb", ".md"):
        return ""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = json.loads(text)["cells"]
            text = "".join(next((c["source"] for c in cells if c["cell_type"] == "markdown"), ""))
    except (ValueError, KeyError, TypeError):  # Sphinx will say what is wrong with it
        return ""
    return next((line for line in text.splitlines() if line.startswith("# ")), "")


class Renderer:
    """Jupyter Book's process, which loads its libraries and waits for `build`.

    Parameters
    ----------
    project : Project
        The checkout.
    lock : int, optional
        The descriptor that `Project.lock` gave. Sphinx inherits it, so that no second builder
        writes the same pages while a Sphinx whose builder was killed still ends.
    """

    def __init__(self, project: Project, *, lock: int | None = None) -> None:
        self._project, self._lock = project, lock
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Return itself; nothing is started yet."""
        return self

    def start(self) -> subprocess.Popen[bytes]:
        """Return the process, started once: early where pages will change, so that it is ready."""
        if self._process is None:
            command = [sys.executable, "-P", str(Path(__file__).with_name("render.py"))]
            inherits = self._lock is not None and sys.platform != "win32"
            held = {"pass_fds": (self._lock,)} if inherits else {}
            # A session of its own: Ctrl-C is the builder's alone, which ends it.
            held |= {"cwd": self._project.root, "start_new_session": True}
            held |= {"env": isolation.environment_of_pages()}
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, **held)
        return self._process

    def __exit__(self, *_: object) -> None:
        """End the process where there is one."""
        if self._process is None:
            return
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()  # tells it that the builder is no more
        with contextlib.suppress(subprocess.TimeoutExpired):  # it ends its helpers first
            self._process.wait(_GRACE_SECONDS)
        self._process.kill()
        self._process.wait()


def is_current(project: Project, sources: dict[str, str]) -> bool:
    """Tell whether what pages are made of, and the pages, are those of the last strict build.

    Then none need be written again. `sources` holds `pages.page_sources` and `pages.records`.
    """
    last = _read_stamp(project)
    now = state(project) | {"sources": sources}
    return last is not None and (now | {"strict": True}).items() <= last.items()


def build(
    project: Project, renderer: Renderer, *, strict: bool, sources: dict[str, str] | None = None
) -> bool:
    """Build ``_build/html``.

    Parameters
    ----------
    project : Project
        The checkout, with its chapters' pages written.
    renderer : Renderer
        It builds once.
    strict : bool
        Whether a warning is an error. A book with a failed chapter is built leniently, because
        references into that chapter lead nowhere. What was built so serves the next lenient call.
    sources : dict, optional
        What the chapters' pages were made of, for `is_current`.

    Returns
    -------
    bool
        False when nothing changed since the last build and there was nothing to do.

    Raises
    ------
    HtmlError
        With Sphinx's warnings, or the end of its log.
    """
    stamp, start = project.build / _STAMP, time.time_ns()
    last, now = _read_stamp(project), state(project)
    whole = last is not None and _whole(project, last)
    made_of = {"sources": sources or {}}
    if whole and now.items() <= last.items() and (last["strict"] or not strict):
        if last["sources"] != made_of["sources"]:  # changed, but nothing that pages show
            write_whole(stamp, json.dumps(last | made_of, indent=1) + "\n")
        return False
    keep = whole and last["strict"] and _hand_over(project, last, now)
    if not keep:
        clear(project.build)
    stamp.unlink(missing_ok=True)  # pages that warned would otherwise pass when they are not reread
    render(project, renderer.start(), strict=strict, keep=keep)
    record = _read(project.build / ".doctrees" / SHARED, ("besides",)) or {"besides": []}
    made = {"besides": _digests(project, record["besides"]), "html": _written(project)}
    made |= made_of | {"strict": strict}
    if now == state(project) and not _touched(project, now | made, since=start):
        write_whole(stamp, json.dumps(now | made, indent=1) + "\n")
    return True


def _read_stamp(project: Project) -> dict[str, Any] | None:
    last = _read(project.build / _STAMP, STAMP_FIELDS)
    return last if last and isinstance(last.get("strict"), bool) else None


def _read(path: Path, fields: Iterable[str]) -> dict[str, Any] | None:
    """Return what a build left for the next one, or None where that is of no use."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict) and all(_of_names(found.get(field)) for field in fields):
            return found
    return None


def _of_names(value: Any) -> bool:
    return isinstance(value, dict | list) and all(isinstance(name, str) for name in value)


def _digests(project: Project, names: Iterable[str]) -> dict[str, str]:
    paths = {name: project.root / name for name in names}
    return {name: digest(p.read_bytes()) if p.is_file() else "" for name, p in paths.items()}


def _written(project: Project) -> dict[str, str]:
    paths = [path for path in (project.build / "html").rglob("*") if path.is_file()]
    return _digests(project, sorted(path.relative_to(project.root).as_posix() for path in paths))


def _whole(project: Project, last: dict[str, Any]) -> bool:
    """Whether the pages, and what they are made of outside of ``book/``, are as they were left."""
    return last["html"] == _written(project) and last["besides"] == _digests(
        project, last["besides"]
    )


def _hand_over(project: Project, last: dict[str, Any], now: dict[str, Any]) -> bool:
    """Tell Sphinx which texts changed, or return False where a change may concern all pages."""
    files, folder = (last["files"], now["files"]), project.build / ".doctrees"
    record = _read(folder / SHARED, ("texts", "copies"))
    changed = sorted(n for n in files[0] | files[1] if files[0].get(n) != files[1].get(n))
    if record is None or last["shell"] != now["shell"]:
        return False
    copies = set(record["copies"]) & set(files[1])  # one that is gone would stay on the site
    if not set(changed) <= set(record["texts"]) | copies:
        return False
    write_whole(folder / JOB, json.dumps(changed) + "\n")
    return True


def _touched(project: Project, made_of: dict[str, dict[str, str]], *, since: int) -> bool:
    """Whether a source was written, and perhaps written back, after the first look at it."""
    paths = [project.root / name for name in [*made_of["files"], *made_of["besides"]]]
    sources = [p for p in paths if not p.is_relative_to(project.build) and p.is_file()]
    now = time.time_ns()  # a clock that was set back leaves times to come
    return any(since <= path.stat().st_ctime_ns <= now for path in sources)


def render(project: Project, process: subprocess.Popen[bytes], *, strict: bool, keep: bool) -> None:
    """Have the pages written: all, or those alone that changed where the others can be kept."""
    log = project.build / "html.log"
    print(f"HTML: building, log in {log}", flush=True)
    arguments = ["build", "book", "--path-output", "."]
    arguments += ["--config", "_config.yml", "--toc", str(project.root / "_toc.yml")]
    arguments += ["-W", "-n", "--keep-going"] if strict else []
    log.unlink(missing_ok=True)
    job = json.dumps({"log": str(log), "arguments": arguments, "keep": keep}) + "\n"
    with contextlib.suppress(BrokenPipeError):  # there will be no log
        process.stdin.write(job.encode())
        process.stdin.flush()
    process.wait()
    if not log.is_file():
        raise HtmlError(f"Jupyter Book's process ended before it began, with {process.returncode}")
    if process.returncode:
        lines = _ANSI.sub("", log.read_text(encoding="utf-8", errors="replace")).splitlines()
        told = [line for line in lines if _WARNING.search(line) or _REASON.search(line)]
        messages = list(dict.fromkeys(told))
        if not any(map(_WARNING.search, messages)):  # then it stands before the traceback
            end = next((i for i, s in enumerate(lines) if "Traceback" in s), None)
            messages = lines[:end][-20:]
        raise HtmlError("\n".join([*messages, f"log: {log}"]))


def forget_html(project: Project) -> None:
    """Let the next build read and write every page again."""
    (project.build / _STAMP).unlink(missing_ok=True)
