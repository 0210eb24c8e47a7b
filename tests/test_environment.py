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

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(path: Path) -> dict[str, str]:
    lines = [line.strip() for line in path.read_text().splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!_]+", line) for line in lines), lines
    return {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines}


def conda_pins() -> tuple[dict[str, str], list[str]]:
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = [entry["pip"] for entry in listed if isinstance(entry, dict)]
    found: dict[str, str] = {}
    for line in pip:
        if line.startswith("-r "):
            found |= pins(ROOT / line.removeprefix("-r "))
        elif line != "-e .":
            name, version = line.split("==")
            found[canonicalize_name(name)] = version
    return found, [entry for entry in listed if isinstance(entry, str)]


def test_conda_installs_exactly_the_lock():
    found, conda = conda_pins()
    assert found == pins(ROOT / "requirements.lock")
    python = next(entry for entry in conda if entry.startswith("python="))
    assert (
        Version(python.removeprefix("python=") + ".0")
        in Requirement(f"python{PROJECT['requires-python']}").specifier
    )


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
