"""Files that chapters hand to one another: parquet, safetensors, JSON and skops, never pickle.

A chapter writes to one directory and reads from the directories of the chapters that it needs. The
builder names both in the environment (``PM_OUTPUT`` and ``PM_INPUTS``). A notebook that runs in
JupyterLab writes to ``_build/lab`` and reads the newest file of a name, be it there or among what
the last quick build left: once `pm book` runs a chapter again, what JupyterLab wrote before is old.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
TAKEN = ("record.json", "notebook.ipynb", "log.txt")  # the builder's own files beside artifacts


class StoreError(Exception):
    """An artifact that cannot be written or read, with what to do about it."""

    def _render_traceback_(self) -> list[str]:
        """Show a notebook's reader what to do, in place of the calls that led here."""
        return [f"StoreError: {self}"]


def output_dir() -> Path:
    """Return the directory that the running chapter writes to, made if it was not there."""
    path = Path(os.environ.get("PM_OUTPUT") or ROOT / "_build" / "lab")
    path.mkdir(parents=True, exist_ok=True)
    return path


def input_dirs() -> list[Path]:
    """Return the directories that artifacts are looked for in."""
    named = os.environ.get("PM_INPUTS")
    if named is not None:
        separator = "\n" if "\n" in named else os.pathsep  # a path may have a colon in it
        return [Path(part) for part in named.split(separator) if part]
    return [ROOT / "_build" / "lab", *sorted((ROOT / "_build" / "runs" / "quick").glob("*"))]


def save(name: str, value: Any) -> Path:
    """Write an artifact of the running chapter, whole or not at all.

    Explained in chapter ``data-preparation``.

    Parameters
    ----------
    name : str
        A file name. Its suffix decides the format: ``.parquet`` (a DataFrame), ``.safetensors``
        (a dict of tensors), ``.json`` (what JSON can hold) or ``.skops`` (a scikit-learn
        estimator).
    value : object
        What to write.

    Returns
    -------
    pathlib.Path
        The file that was written.

    Raises
    ------
    StoreError
        When the name has a directory in it or is the builder's, or the suffix is none of the four;
        when a mapping for JSON has a key that is no text, and would come back as one.
    """
    write, _ = _format(name)
    if name in TAKEN:
        raise StoreError(f"{name}: the builder writes a file of this name, choose another")
    target = output_dir() / name
    handle, temporary = tempfile.mkstemp(suffix=target.suffix, dir=target.parent)
    os.close(handle)
    try:
        write(Path(temporary), value)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return target


def load(name: str) -> Any:
    """Read an artifact that a needed chapter, or this one, has written.

    Where ``PM_INPUTS`` names directories the first that holds the file counts, and the output
    directory comes last. Elsewhere, in JupyterLab, the file written last counts.

    Explained in chapter ``ad-text``.

    Parameters
    ----------
    name : str
        The file name under which `save` wrote it.

    Returns
    -------
    object
        What was saved.

    Raises
    ------
    StoreError
        When no directory holds it, the name has a directory in it or the suffix is unknown.
    """
    _, read = _format(name)
    places = [*input_dirs(), output_dir()]
    found = [place / name for place in places if (place / name).is_file()]
    if found and "PM_INPUTS" in os.environ:
        return read(found[0])
    if found:
        return read(max(found, key=lambda path: path.stat().st_mtime_ns))
    raise StoreError(f"{name} is missing: {remedy(name)} (looked in {_listed(places)})")


def _listed(places: list[Path]) -> str:
    return ", ".join(map(str, dict.fromkeys(places)))


def remedy(name: str) -> str:
    """Return the command that makes an artifact, as typed at the root of the checkout.

    Parameters
    ----------
    name : str
        A file name, as in ``"customer_profiles.parquet"``.
    """
    pm = Path(sys.executable).with_name("pm")
    if not pm.exists() and not pm.with_suffix(".exe").exists():
        command = "pm"
    else:
        command = str(pm.relative_to(ROOT)) if pm.is_relative_to(ROOT) else str(pm)
    giver = giver_of(name)
    return f"`{command} run {giver}` gives it" if giver else "no chapter gives it, check the name"


def giver_of(name: str) -> str | None:
    """Return the number of the chapter that gives an artifact, None where none says so.

    Parameters
    ----------
    name : str
        A file name, as in ``"customer_profiles.parquet"``.
    """
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]*.ipynb")):
        try:
            metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
            if name in metadata["pm"]["gives"]:
                return path.name[:2]
        except (OSError, ValueError, KeyError, TypeError):  # the builder says what is wrong
            continue
    return None


def _write_frame(path: Path, frame: pd.DataFrame) -> None:
    frame.to_parquet(path)


def _write_tensors(path: Path, tensors: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def _read_tensors(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(path)


def _odd_keys(value: Any) -> list[Any]:
    """Return the keys, at any depth, that JSON would refuse or turn into texts."""
    if isinstance(value, dict):
        odd = [key for key in value if not isinstance(key, str)]
        return odd + [key for inner in value.values() for key in _odd_keys(inner)]
    return [k for item in value for k in _odd_keys(item)] if isinstance(value, list | tuple) else []


def _write_json(path: Path, value: Any) -> None:
    if odd := _odd_keys(value):
        named = ", ".join(f"{key!r} ({type(key).__name__})" for key in odd[:5])
        raise StoreError(f"a key in JSON is a text: write str(key) for {named}")
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _write_estimator(path: Path, estimator: Any) -> None:
    import skops.io

    skops.io.dump(estimator, path)


def _read_estimator(path: Path) -> Any:
    import skops.io

    return skops.io.load(path)


_FORMATS: dict[str, tuple[Callable[[Path, Any], None], Callable[[Path], Any]]] = {
    ".parquet": (_write_frame, pd.read_parquet),
    ".safetensors": (_write_tensors, _read_tensors),
    ".json": (_write_json, _read_json),
    ".skops": (_write_estimator, _read_estimator),
}


def _format(name: str) -> tuple[Callable[[Path, Any], None], Callable[[Path], Any]]:
    if not isinstance(name, str) or set(name) & set("/\\:\0") or name in ("", ".", ".."):
        raise StoreError(f"{name!r}: give the name of a file as a text, without directories")
    suffix = Path(name).suffix
    if suffix not in _FORMATS:
        raise StoreError(f"{name}: give a name that ends in one of {', '.join(_FORMATS)}")
    return _FORMATS[suffix]
