"""Make the environment that the book runs in, or leave it alone when it is whole.

The Makefile runs this file before anything is installed, with the Python that it found. So it
imports the standard library only, and it runs as ``python -I``: modules beside it are called like
modules of the standard library.

An environment is whole when it has its stamp, which is removed before anything is changed and
written after every pin was found installed. Whatever interrupts an installation, the next call
notices.
"""

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 14)
CHECKOUT = Path(__file__).resolve().parents[2]
SOURCES = ("requirements.lock", "pyproject.toml")
STAMP, INSTALL_LOCK = "pm-stamp.json", "pm-install.lock"
PATIENT_SECONDS = 3600.0

# What a new environment is asked: which Python it has, and which packages.
PROBE = """
import json, sys
from importlib.metadata import distributions
packages = {found.metadata["Name"]: found.version for found in distributions()}
print(json.dumps({"python": sys.version_info[:2], "packages": packages}))
"""
# A module that ends with whoever started it, since nobody then holds its standard input open.
ENDS_WITH_PARENT = """
import os, runpy, sys, threading
threading.Thread(target=lambda: os.read(0, 1) or os._exit(1), daemon=True).start()
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


class InstallError(Exception):
    """A sentence on what went wrong and what to do."""


def missing_part() -> str:
    """Return why this Python cannot make the environment; an empty text when it can."""
    if sys.implementation.name != "cpython":
        return f"is {sys.implementation.name}, for which there are no packages"
    if not OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON:
        return f"is Python {_dotted(sys.version_info[:2])}"
    for name in ("venv", "ensurepip", "ssl"):
        try:
            importlib.import_module(name)
        except ImportError:
            return f"lacks the module {name} (on Debian and Ubuntu: the package python3-venv)"
    return ""


def _dotted(version: Iterable[int]) -> str:
    return ".".join(str(number) for number in version)


def canonical(name: str) -> str:
    """Return a package's name as every spelling of it compares."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(lock: Path) -> dict[str, str]:
    """Return the version of each package in a file of lines ``name==version``.

    Raises
    ------
    InstallError
        When a line is no pin.
    """
    pins = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        line = line.partition("#")[0].strip()
        if not line:
            continue
        name, sign, version = line.partition("==")
        if not sign:
            raise InstallError(f"{lock}: {line!r} is no pin, write it as name==version")
        pins[canonical(name.strip())] = version.strip()
    return pins


def unmet_pins(pins: dict[str, str], packages: dict[str, str]) -> list[str]:
    """Return a phrase for each pin that is not what is installed.

    A local version counts as its public one: ``2.13.0+cpu`` meets ``2.13.0``.
    """
    installed = {canonical(name): version for name, version in packages.items() if name}
    return [
        f"{name} {installed.get(name) or 'missing'} (pinned: {version})"
        for name, version in pins.items()
        if (installed.get(name) or "").partition("+")[0] != version
    ]


def python_of(environment: Path) -> Path:
    """Return the path of an environment's Python."""
    folder = "Scripts" if os.name == "nt" else "bin"
    return environment / folder / "python"


def probe(environment: Path) -> dict[str, Any] | None:
    """Return the Python and the packages of an environment, None where its Python does not run."""
    call = [str(python_of(environment)), "-I", "-c", PROBE]
    try:
        told = subprocess.run(call, capture_output=True, text=True, check=True, timeout=120)
        return json.loads(told.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def source_hashes() -> dict[str, str]:
    """Return the hash of each file that says what is installed."""
    return {name: hashlib.sha256((CHECKOUT / name).read_bytes()).hexdigest() for name in SOURCES}


def own_name() -> str:
    """Return the name under which this checkout itself is installed."""
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "name"
    ]


def faults_inside(packages: dict[str, str]) -> list[str]:
    """Return what the packages of an environment lack: pins, and this checkout."""
    unmet = unmet_pins(read_pins(CHECKOUT / "requirements.lock"), packages)
    if canonical(own_name()) not in {canonical(name) for name in packages if name}:
        unmet.append(f"{own_name()} missing")
    return unmet


def read_stamp(environment: Path) -> dict[str, Any] | None:
    """Return what an environment was finished with, None when it was not finished."""
    try:
        stamp = json.loads((environment / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None


def why_anew(environment: Path, *, asked: bool) -> str:
    """Return why an environment must be made anew; an empty text when it can be kept.

    Parameters
    ----------
    environment : pathlib.Path
        Its folder.
    asked : bool
        Whether the user named this Python. Otherwise the environment keeps its own one: another
        found on another day is no reason to install gigabytes again.
    """
    if not python_of(environment).parent.exists():
        return "there is none yet"
    stamp = read_stamp(environment)
    if stamp is None:
        return "its installation was not finished"
    if stamp.get("location") != str(environment.resolve()):
        return f"it was made in {stamp.get('location')}, and an environment cannot be moved"
    found = probe(environment)
    if found is None:
        return "its Python does not run"
    here, there = list(sys.version_info[:2]), found["python"]
    if there != stamp.get("python") or not OLDEST_PYTHON <= tuple(there) <= NEWEST_PYTHON:
        return f"it has Python {_dotted(there)}"
    if asked and there != here:
        return f"it has Python {_dotted(there)}, and PYTHON asks for {_dotted(here)}"
    return ""


def why_update(environment: Path) -> str:
    """Return why packages must be installed over an environment; an empty text when it is whole."""
    stamp, hashes = read_stamp(environment) or {}, source_hashes()
    changed = [name for name in SOURCES if stamp.get("hashes", {}).get(name) != hashes[name]]
    if changed:
        return f"{' and '.join(changed)} changed since"
    unmet = faults_inside((probe(environment) or {"packages": {}})["packages"])
    return "; ".join(unmet[:3]) + (f" and {len(unmet) - 3} more" if len(unmet) > 3 else "")


@contextlib.contextmanager
def alone(environment: Path) -> Iterator[None]:
    """Keep a second installation waiting; the system frees the lock however this process ends."""
    environment.mkdir(parents=True, exist_ok=True)
    lock = sqlite3.connect(environment / INSTALL_LOCK, timeout=0, isolation_level=None)
    with contextlib.closing(lock):
        if not _held(lock):
            print(f"another installation works in {environment}: waiting for it", flush=True)
            end = time.monotonic() + PATIENT_SECONDS
            while not _held(lock) and time.monotonic() < end:
                time.sleep(0.5)
        yield


def _held(lock: sqlite3.Connection) -> bool:
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        # Some network disks know no locks: then nothing keeps a second installation out.
        return error.sqlite_errorname != "SQLITE_BUSY"
    return True


def empty(environment: Path) -> None:
    """Remove what is in an environment, the stamp first. The folder may be a mounted one."""
    (environment / STAMP).unlink(missing_ok=True)
    for attempt in range(5):
        try:
            for entry in environment.iterdir():
                if entry.name == INSTALL_LOCK:
                    continue
                whole = entry.is_dir() and not entry.is_symlink()
                shutil.rmtree(entry) if whole else entry.unlink()
            return
        except OSError:  # the last breath of an installation that was killed writes a file
            if attempt == 4:
                raise
            time.sleep(1)


def start(python: Path | str, *words: str) -> subprocess.Popen:
    """Start a module that ends with this process, unmoved by the user's settings of Python."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    return subprocess.Popen(
        [str(python), "-I", "-c", ENDS_WITH_PARENT, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=CHECKOUT,
        env=kept | {"PIP_USER": "0"},  # a user's own default would leave the environment
    )


def pip(environment: Path, *words: str, follow: Callable[[str], None]) -> None:
    """Install with pip, handing on each line that it prints.

    Raises
    ------
    InstallError
        When pip fails; it has said why.
    """
    options = ("--disable-pip-version-check", "--no-input", "--progress-bar", "off")
    with start(python_of(environment), "pip", "install", *options, *words) as process:
        for line in process.stdout:
            follow(line)
    if process.returncode:
        raise InstallError(
            "pip could not install the packages and says why above; mend that and call again "
            "(README, If the installation fails)"
        )


def end_line() -> None:
    """Leave the line that progress is shown on."""
    if sys.stdout.isatty():
        print(flush=True)


def show(text: str) -> None:
    """Print a line of progress; on a terminal, over the one before."""
    if sys.stdout.isatty():
        print(f"\r\033[K{text[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
    else:
        print(text, flush=True)


class Counter:
    """Turn what pip prints into ``3 of 190 numpy``.

    Parameters
    ----------
    pins : collection of str
        The packages to count; what else pip brings is named, and not counted.
    """

    def __init__(self, pins: Iterable[str]) -> None:
        self.pins, self.seen = set(pins), set()

    def follow(self, line: str) -> None:
        """Read a line of pip's."""
        asked = re.match(
            r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)"
            r"|Processing (?:.*[/\\])?([\w.]+)-\d",  # a file of a folder that pip was given
            line,
        )
        loads = re.match(r"\s+Downloading .*\((\d[\d.]* [MG]B)\)", line)
        if asked:
            self.count(canonical(asked[1] or asked[2]))
        elif loads:
            show(f"  downloading {loads[1]}")
        elif line.startswith("Installing collected packages:"):
            show(f"  unpacking {line.count(',') + 1} packages: this takes a while")

    def count(self, name: str) -> None:
        """Show a package, once."""
        if name not in self.seen:
            self.seen.add(name)
            extra = "" if name in self.pins else ", which is not in the lock"
            show(f"  {len(self.seen & self.pins)} of {len(self.pins)} {name}{extra}")


def fill(environment: Path) -> None:
    """Install the lock and this checkout, see that every pin is there, and write the stamp.

    Raises
    ------
    InstallError
        When pip fails, or a pin is not installed afterwards.
    """
    (environment / STAMP).unlink(missing_ok=True)
    hashes, pins = source_hashes(), read_pins(CHECKOUT / "requirements.lock")
    pip(environment, "-r", "requirements.lock", follow=Counter(pins).follow)
    show("  this checkout")
    own = ("--no-deps", "--no-build-isolation", "-e", ".")
    pip(environment, *own, follow=lambda line: None)
    found = probe(environment)
    unmet = faults_inside(found["packages"]) if found else ["its Python does not run"]
    if unmet:
        raise InstallError(f"{environment} is not what requirements.lock says: {'; '.join(unmet)}")
    stamp = {"python": found["python"], "location": str(environment.resolve()), "hashes": hashes}
    temporary = environment / f"{STAMP}.tmp"
    temporary.write_text(json.dumps(stamp), encoding="utf-8")
    os.replace(temporary, environment / STAMP)


def make_anew(environment: Path) -> None:
    """Replace an environment by an empty one.

    Raises
    ------
    InstallError
        When Python's own module venv fails; it has said why.
    """
    empty(environment)
    # The base, because this Python may be that of the environment which was just emptied.
    with start(sys._base_executable, "venv", str(environment)) as process:
        process.stdout.read()
    if process.returncode:
        raise InstallError(f"Python's module venv could not make {environment}: see above")


def ensure(environment: Path, *, asked: bool) -> None:
    """Make an environment, mend it, or leave it alone when it is whole.

    Raises
    ------
    InstallError
        When that fails, or when the folder is another tool's.
    """
    if (environment / "conda-meta").exists():
        raise InstallError(f"{environment} belongs to conda: conda env update -f environment.yml")
    if environment.exists() and not environment.is_dir():
        raise InstallError(f"{environment} is not a folder: move it away and call again")
    with alone(environment):
        began, anew = time.monotonic(), why_anew(environment, asked=asked)
        why = anew or why_update(environment)
        if not why:
            return
        if anew:
            print(f"{environment}: made with Python {_here()}, since {why}", flush=True)
            make_anew(environment)
        else:
            print(f"{environment}: packages are installed over it: {why}", flush=True)
        fill(environment)
        show(f"  installed in {time.monotonic() - began:.0f} s")
        end_line()


def _here() -> str:
    return f"{_dotted(sys.version_info[:3])} ({sys.executable})"


def conda_state(prefix: Path) -> str:
    """Return whether a conda environment is ``whole``, ``stale`` or ``other`` than the book's."""
    packages = (probe(prefix) or {"packages": {}})["packages"]
    if canonical(own_name()) not in {canonical(name) for name in packages if name}:
        return "other"
    return "stale" if faults_inside(packages) else "whole"


def main(words: list[str] | None = None) -> int:
    """Run the command line; return 0 when the environment is whole, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("environment", type=Path, nargs="?", default=Path(".venv"))
    parser.add_argument("--asked", action="store_true", help="the user named this Python")
    parser.add_argument("--fits", action="store_true", help="say whether this Python will do")
    parser.add_argument("--conda", action="store_true", help="say what a conda environment is")
    options = parser.parse_args(words)
    if options.fits:
        print(missing_part(), file=sys.stderr)
        return 1 if missing_part() else 0
    try:
        if options.conda:
            print(conda_state(options.environment))
        else:
            ensure(options.environment.absolute(), asked=options.asked)
    except (InstallError, OSError) as error:
        end_line()
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        end_line()
        print("interrupted: call again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
