"""Whether the packages that are installed are those that the lock names."""

import re
import sys
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import InvalidRequirement, Requirement

from pm_utils.builder.project import Project

NAMED_AT_MOST = 5


def check_pins(project: Project, problems: list[str]) -> None:
    """Append a sentence where ``requirements.lock`` and the installed packages differ.

    Parameters
    ----------
    project : Project
        The checkout. Without a lock nothing is checked.
    problems : list of str
        The sentence names the packages, and the command that installs them.
    """
    lock = project.root / "requirements.lock"
    if not lock.is_file():
        return
    lines = re.sub(r"\\\r?\n", " ", lock.read_text(encoding="utf-8", errors="replace")).splitlines()
    unmet = [said for line in lines if (said := unmet_pin(line))]
    if unmet:
        named = "; ".join(unmet[:NAMED_AT_MOST])
        more = f" and {len(unmet) - NAMED_AT_MOST} more" if len(unmet) > NAMED_AT_MOST else ""
        problems.append(
            f"requirements.lock is not what is installed ({named}{more}): "
            f"call `{sys.executable} -m pip install -r {lock}`"
        )


def unmet_pin(line: str) -> str:
    """Return in words how a line of the lock is not met, an empty text when it is.

    Parameters
    ----------
    line : str
        As in ``"numpy==2.4.6"``. Comments, options and pins of other systems are met.
    """
    text = re.split(r"\s--|(?:^|\s)#", line)[0].strip()  # hashes and comments follow
    if not text or text.startswith("-"):
        return ""
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
