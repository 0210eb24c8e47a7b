"""A Sphinx extension that lets a page be written alone only where no other page can notice.

The builder names the files whose content changed. Sphinx reads the pages made of them again. When
all that pages share (labels, titles, numbers, terms, citations, pictures, ...) is then as it was,
the other pages are right as they are. Otherwise the build ends with `NOTICED`, and
`pm_utils.builder.render` builds from nothing.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import FilenameUniqDict

from pm_utils.builder.code import digest
from pm_utils.builder.project import write_whole
from pm_utils.builder.render import INDEX, JOB, NOTICED, SHARED, is_book_file

# What Sphinx compares itself, and what says when and where a page was read, not what is on it.
_PRIVATE = {
    *("app", "config", "config_status", "config_status_extra", "events", "project", "settings"),
    *("all_docs", "dependencies", "included", "original_image_uri", "temp_data", "ref_context"),
    *("_pickled_doctree_cache", "_write_doc_doctree_cache", "domains"),
}
_UNSHOWN = {"line", "lineno", "mtime"}  # numbers that others do not show: where, and when


def setup(app: Sphinx) -> dict[str, Any]:
    """Join the build: Sphinx calls this when ``_config.yml`` names the module."""
    app.connect("env-get-outdated", _changed_pages)
    app.connect("env-updated", _order, priority=0)  # before anything is numbered or named
    app.connect("env-get-updated", _compare, priority=10_000)  # after all numbers
    app.connect("html-collect-pages", _complete_search, priority=10_000)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _changed_pages(app: Sphinx, env: BuildEnvironment, *_: Any) -> list[str]:
    """Name the pages made of the changed files, whatever the times of these files."""
    job = Path(app.doctreedir, JOB)
    if not job.is_file():
        return []
    changed = {str(_root(app) / name) for name in json.loads(job.read_text("utf-8"))}
    return [name for name in env.all_docs if changed & {str(path) for path in _made_of(env, name)}]


def _order(app: Sphinx, env: BuildEnvironment) -> None:
    """Forget the order in which pages were read: the index, citations and pictures' names keep it.

    It depends on what is read again and, side by side, on chance.
    """
    vars(env).pop("sphinx_exercise_gated_registry", None)  # for reading: not merged, nor purged
    for data in env.domaindata.values():
        for name, value in data.items():
            if type(value) is dict and all(isinstance(key, str) for key in value):
                data[name] = dict(sorted(value.items()))
            elif isinstance(value, list) and all(hasattr(item, "docname") for item in value):
                value.sort(key=lambda item: item.docname)  # stable: a page's own order stays
    images, env.images = env.images, FilenameUniqDict()
    for path, (pages, _) in sorted(images.items(), key=lambda item: item[0]):
        for page in sorted(pages):
            env.images.add_file(page, path)


def _compare(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Leave the record of what was read, or end the build where other pages would notice.

    Never does it name more pages to write.
    """
    record = Path(app.doctreedir, SHARED)
    now = {"exports": exports(env)}
    now |= {"texts": _names(app, _texts(app)), "besides": _names(app, _besides(app))}
    now |= {"copies": _names(app, _copies(app))}
    if Path(app.doctreedir, JOB).is_file():
        before = json.loads(record.read_text("utf-8"))
        if any(before[name] != now[name] for name in now):
            sys.exit(NOTICED)  # not an exception, which Sphinx would report
    write_whole(record, json.dumps(now, indent=1) + "\n")
    return []


def _complete_search(app: Sphinx) -> list[Any]:
    """Give the search back what Sphinx forgets of kept pages, and take the words that went.

    It loads the earlier search index without the entries of index directives, and keeps words
    that no page has any more. No page is added.
    """
    indexer, kept = getattr(app.builder, "indexer", None), Path(app.doctreedir, INDEX)
    if indexer is None:
        return []
    entries = dict(indexer._index_entries)
    if Path(app.doctreedir, JOB).is_file():
        entries = json.loads(kept.read_text("utf-8")) | entries
    pages = sorted(set(entries) & set(app.env.all_docs))
    indexer._index_entries = {page: [tuple(entry) for entry in entries[page]] for page in pages}
    for words in (indexer._mapping, indexer._title_mapping):
        for word in [word for word, found in words.items() if not found]:
            del words[word]
    write_whole(kept, json.dumps(indexer._index_entries) + "\n")
    return []


def exports(env: BuildEnvironment) -> str:
    """Return the fingerprint of all that one page can show of another.

    It holds whatever Sphinx and its extensions keep between pages, so that an extension nobody
    thought of counts too, and the values that chapters glue, which lie beside.

    Parameters
    ----------
    env : sphinx.environment.BuildEnvironment
        After reading, with its domains' data.
    """
    facts = {name: value for name, value in vars(env).items() if name not in _PRIVATE}
    glued = sorted(_executed(env).rglob("*.glue.json")) if _executed(env) else []
    return digest([comparable(facts), {str(path): digest(path.read_bytes()) for path in glued}])


def _executed(env: BuildEnvironment) -> Path | None:
    config = getattr(env, "mystnb_config", None)
    return Path(config.output_folder) if config else None


def comparable(value: Any) -> Any:
    """Return what JSON can hold of a value, free of order where order means nothing.

    Parameters
    ----------
    value : object
        Parts of documents count with their text, other objects with their fields. Lines, times
        and counts of words are left out.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, nodes.Node):
        return value.pformat()
    if isinstance(value, Mapping):
        shown = [(key, item) for key, item in value.items() if not _is_unshown(key, item)]
        return sorted(([comparable(key), comparable(item)] for key, item in shown), key=json.dumps)
    if isinstance(value, set | frozenset):
        return sorted(map(comparable, value), key=json.dumps)
    if hasattr(value, "_asdict"):
        return comparable(value._asdict())
    if isinstance(value, list | tuple):
        return [comparable(item) for item in value]
    if hasattr(value, "__dict__") and not isinstance(value, type):
        return [type(value).__name__, comparable(vars(value))]
    return repr(value)


def _is_unshown(key: Any, value: Any) -> bool:
    """Whether a field says where and when a page was read, or how much it holds.

    A label that an author gave such a name is no number.
    """
    if key == "wordcount":
        return isinstance(value, Mapping) and set(value) <= {"words", "minutes"}
    return key in _UNSHOWN and (value is None or isinstance(value, int | float))


def _root(app: Sphinx) -> Path:
    return Path(app.srcdir).parent


def _made_of(env: BuildEnvironment, page: str) -> list[Path]:
    """Return a page's source and the files that it includes, shows or lists."""
    folder = Path(env.srcdir)
    files = [env.doc2path(page), *env.dependencies.get(page, ())]
    return [(folder / file).resolve() for file in files]


def _texts(app: Sphinx) -> set[Path]:
    """Return the files that pages are made of, or offer, and that nothing but pages needs."""
    env, folder = app.env, Path(app.srcdir)
    shown = {(folder / file).resolve() for file in env.images}
    texts = {path for page in env.all_docs for path in _made_of(env, page)}
    texts -= shown | _bibliographies(env)
    return {path for path in texts if not any(map(path.is_relative_to, _shared(app)))}


def _copies(app: Sphinx) -> set[Path]:
    """Return the files that every build copies to the pages as they are."""
    places = [Path(app.srcdir, name) for name in app.config.html_extra_path]
    return {path.resolve() for place in places for path in place.rglob("*") if path.is_file()}


def _besides(app: Sphinx) -> set[Path]:
    """Return the files outside of the book's folder that pages are made of, and the modules."""
    env, root = app.env, _root(app).resolve()
    files = {path for page in env.all_docs for path in _made_of(env, page)} | _bibliographies(env)
    files |= {path for place in _shared(app) for path in place.rglob("*") if path.is_file()}
    loaded = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    own = (root, Path(__file__).resolve().parents[1])
    modules = {Path(file).resolve() for file in loaded if file}
    files |= {path for path in modules if any(map(path.is_relative_to, own))}
    installed = {path for path in files if "site-packages" in path.parts}  # versions say it
    book = root / app.srcdir.name  # its files are looked at one by one
    return {path for path in files - installed if not is_book_file(path, book)}


def _shared(app: Sphinx) -> list[Path]:
    """Return the places that are copied to the pages, or lay them out, whole."""
    config = app.config
    names = [*config.html_static_path, *config.html_extra_path, *config.templates_path]
    return [Path(app.srcdir, name).resolve() for name in names]


def _bibliographies(env: BuildEnvironment) -> set[Path]:
    data = env.domaindata.get("cite", {}).get("bibdata")
    return {Path(path).resolve() for path in data.bibfiles} if data else set()


def _names(app: Sphinx, paths: Iterable[Path]) -> list[str]:
    root = _root(app).resolve()
    return sorted(
        path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        for path in paths
    )
