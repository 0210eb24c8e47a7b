"""The lock, the abstract dependencies, conda's file and what is installed say the same."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support import wheels

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(path: Path) -> dict[str, str]:
    lines = [line.strip() for line in path.read_text().splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!_]+", line) for line in lines), lines
    return {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines}


CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())


def conda_faults(environment: dict) -> list[str]:
    """What conda would install beside the lock, this package, Python, pip and make."""
    listed = environment["dependencies"]
    conda = [entry for entry in listed if isinstance(entry, str)]
    pip = [line for entry in listed if isinstance(entry, dict) for line in entry.get("pip", [])]
    found = []
    if sorted(re.split("[=<>! ]", entry)[0] for entry in conda) != ["make", "pip", "python"]:
        found.append(f"conda installs {conda}")
    if sorted(pip) != ["-e .", "-r requirements.lock"]:
        found.append(f"pip installs {pip}")
    allowed = Requirement(f"python{PROJECT['requires-python']}").specifier
    for entry in [entry for entry in conda if entry.startswith("python")]:
        if not re.fullmatch(r"python=\d+\.\d+", entry) or f"{entry[7:]}.0" not in allowed:
            found.append(f"{entry} is not the Python of pyproject.toml, {allowed}")
    return found


def test_conda_installs_exactly_the_lock():
    assert conda_faults(CONDA) == []


LOCK, HERE = "-r requirements.lock", "-e ."


@pytest.mark.parametrize(
    ("conda", "pip", "fault"),
    [
        (["python=3.10", "pip", "make"], [LOCK, HERE], "python=3.10 is not the Python"),
        (["python=3.15", "pip", "make"], [LOCK, HERE], "python=3.15 is not the Python"),
        (["python=3", "pip", "make"], [LOCK, HERE], "python=3 is not the Python"),
        (["python", "pip", "make"], [LOCK, HERE], "python is not the Python"),
        (["pip", "make"], [LOCK, HERE], "conda installs"),
        (["python=3.11", "pip", "make", "numpy"], [LOCK, HERE], "conda installs"),
        (["python=3.11", "pip", "make", "numpy=2.4"], [LOCK, HERE], "conda installs"),
        (["python=3.11", "pip", "make"], [HERE], "pip installs"),
        (["python=3.11", "pip", "make"], [LOCK], "pip installs"),
        (["python=3.11", "pip", "make"], [LOCK, LOCK, HERE], "pip installs"),
        (["python=3.11", "pip", "make"], ["-r other.lock", HERE], "pip installs"),
        (["python=3.11", "pip", "make"], [LOCK, HERE, "torch==2.0"], "pip installs"),
    ],
)
def test_another_environment_is_refused(conda, pip, fault):
    (found,) = conda_faults({"dependencies": [*conda, {"pip": pip}]})
    assert found.startswith(fault)


def test_no_pin_is_written_twice():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    names = [canonicalize_name(line.split("==")[0]) for line in lines if "==" in line]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "wanted", PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
)
def test_the_lock_meets_every_abstract_dependency(wanted):
    requirement = Requirement(wanted)
    locked = pins(ROOT / "requirements.lock")
    assert canonicalize_name(requirement.name) in locked
    assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)])


def test_what_is_installed_is_what_is_locked():
    installed = {canonicalize_name(d.metadata["Name"]): d.version for d in distributions()}
    different = {
        name: (version, installed.get(name))
        for name, version in pins(ROOT / "requirements.lock").items()
        if Version(installed.get(name, "0")).public != Version(version).public
    }
    assert not different


def test_no_file_names_a_package_index():
    words = re.compile(r"(index-url|find-links|https?://[^\s\"')]*(pypi|pythonhosted|conda\.io))")
    named = ("requirements.lock", "environment.yml", "pyproject.toml", "Makefile", ".ci/run")
    named += ("README.md", "Dockerfile", ".devcontainer/devcontainer.json")
    named += (".github/workflows/ci.yml", "pm_utils/builder/install.py")
    assert not [name for name in named if words.search((ROOT / name).read_text())]


def test_jupyterlab_loads_every_extension_it_is_given():
    """An extension for another JupyterLab is listed as enabled, yet nothing of it is loaded."""
    lab = Path(sys.executable).with_name("jupyter")
    told = subprocess.run(
        [lab, "labextension", "list"], capture_output=True, text=True, check=True, timeout=120
    )
    text = told.stdout + told.stderr
    assert re.search(r"jupyterlab-myst v[\d.]+ .*enabled.*OK", text), text
    assert "is not compatible" not in text


def test_the_check_of_wheels_names_what_is_wrong():
    told = (
        "Collecting numpy==2.4.6\n"
        "WARNING: The candidate selected for download or install is a yanked version: 'old' x\n"
        "ERROR: No matching distribution found for scipy==1.18\n"
    )
    assert wheels.problems(told) == [
        "ERROR: No matching distribution found for scipy==1.18",
        "old: its publisher withdrew this version",
    ]
    assert wheels.problems("Collecting numpy==2.4.6\nWould install numpy-2.4.6\n") == []


def test_the_check_of_wheels_asks_for_each_python_of_the_range():
    allowed = Requirement(f"python{PROJECT['requires-python']}").specifier
    minors = [f"3.{minor}" for minor in range(8, 30) if f"3.{minor}.0" in allowed]
    assert wheels.versions() == minors == ["3.11", "3.12", "3.13", "3.14"]
