"""What the lock pins, and whether the packages that are installed are those."""

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pm_utils.builder.code import digest
from pm_utils.builder.project import Project

PINS_FILE = "requirements.lock"
NAMED_AT_MOST = 5


def requirements(lock: Path) -> list[str]:
    """Return the requirements of a lock in its order, without comments, hashes and options."""
    text = lock.read_text(encoding="utf-8", errors="replace")
    lines = re.sub(r"\\\r?\n", " ", text).splitlines()
    texts = [re.split(r"\s--|(?:^|\s)#", line)[0].strip() for line in lines]
    return [_normalised(text) for text in texts if text and not text.startswith("-")]


def _normalised(text: str) -> str:
    try:
        pin = Requirement(text)
    except InvalidRequirement:
        return text
    pin.name = canonicalize_name(pin.name)
    return str(pin)


def lock_digest(project: Project) -> str | None:
    """Return the fingerprint of what the lock pins, in any order; None where there is none."""
    lock = project.root / PINS_FILE
    return digest(sorted(set(requirements(lock)))) if lock.is_file() else None


def check_pins(project: Project, problems: list[str]) -> None:
    """Append a sentence where ``requirements.lock`` and the installed packages differ.

    Parameters
    ----------
    project : Project
        The checkout. Without a lock nothing is checked.
    problems : list of str
        The sentence names the packages, and the command that installs them.
    """
    lock = project.root / PINS_FILE
    if not lock.is_file():
        return
    unmet = [said for line in requirements(lock) if (said := unmet_pin(line))]
    if unmet:
        named = "; ".join(unmet[:NAMED_AT_MOST])
        more = f" and {len(unmet) - NAMED_AT_MOST} more" if len(unmet) > NAMED_AT_MOST else ""
        problems.append(
            f"requirements.lock is not what is installed ({named}{more}): "
            f"call `{sys.executable} -m pip install -r {lock}`"
        )


def unmet_pin(text: str) -> str:
    """Return in words how a requirement is not met, an empty text when it is.

    Parameters
    ----------
    text : str
        As in ``"numpy==2.4.6"``. Those of other systems are met.
    """
    try:
        pin = Requirement(text)
        if pin.marker and not pin.marker.evaluate():
            return ""
        installed = version(pin.name)
    except InvalidRequirement:
        return f"no requirement: {text}"
    except PackageNotFoundError:
        return f"{text} is missing"
    met = pin.specifier.contains(installed, prereleases=True)  # 2.13.0+cpu is a 2.13.0
    return "" if met else f"{pin.name} {installed} instead of {text}"
