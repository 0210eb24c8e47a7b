"""The files that start the book elsewhere parse, and call what exists."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.fake_checkout import FakeCheckout
from tests.test_environment import PROJECT, Requirement

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
DEVCONTAINER = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
JOB = WORKFLOW["jobs"]["book"]
ALLOWED = Requirement(f"python{PROJECT['requires-python']}").specifier


def targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


def called(text: str) -> list[str]:
    """The targets of make that a text calls, in order."""
    return re.findall(r"\bmake ([a-z]+)\b", text)


def test_the_container_runs_the_two_commands():
    lines = [line for line in DOCKERFILE.splitlines() if line.startswith("RUN make")]
    assert called("\n".join(lines)) == ["book", "test"]


def test_the_container_has_a_python_of_the_range_and_the_tools_of_the_commands():
    version = re.search(r"^FROM python:(\d\.\d+)-slim AS tools$", DOCKERFILE, re.M)[1]
    assert f"{version}.0" in ALLOWED
    assert {"git", "make"} <= set(re.search(r"install (.*) \\", DOCKERFILE)[1].split())


def test_the_container_gets_nothing_that_was_built_here():
    ignored = set((ROOT / ".dockerignore").read_text().split())
    assert {".venv", "_build", "book/chapters", "book/_generated"} <= ignored


def test_the_dev_container_builds_a_stage_that_exists_and_calls_a_target_that_exists():
    build = DEVCONTAINER["build"]
    assert (ROOT / ".devcontainer" / build["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert (ROOT / ".devcontainer" / build["context"]).resolve() == ROOT
    assert f" AS {build['target']}\n" in DOCKERFILE
    assert called(DEVCONTAINER["postCreateCommand"]) == ["book"]


def test_the_dev_container_keeps_the_environment_of_the_host_apart():
    """An environment knows its folder, so the container's must not lie in the host's .venv."""
    assert any("/.venv,type=volume" in mount for mount in DEVCONTAINER["mounts"])


def test_the_workflow_runs_the_gate_on_every_python_of_the_range():
    versions = JOB["strategy"]["matrix"]["python"]
    assert versions == [f"3.{minor}" for minor in range(8, 30) if f"3.{minor}.0" in ALLOWED]
    (gate,) = [step for step in JOB["steps"] if "run" in step]
    assert gate["run"] == ".ci/run" and os.access(ROOT / gate["run"], os.X_OK)
    assert gate["env"] == {"PYTHON": "python${{ matrix.python }}"}


FILES = ("README.md", "CONTRIBUTING.md", "Dockerfile", ".ci/run", ".devcontainer/devcontainer.json")


@pytest.mark.parametrize("name", FILES)
def test_every_target_that_a_file_calls_exists(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    if name.endswith(".md"):  # there, commands stand in backticks or at the start of a line
        text = "\n".join(re.findall(r"(?:^|`)(make [a-z]+)", text, re.M))
    assert called(text) and set(called(text)) <= targets()


@pytest.mark.parametrize("python", [None, "/some/my python3.12"])
def test_the_gate_takes_the_interpreter_that_it_is_given(tmp_path, python):
    checkout = FakeCheckout(tmp_path / "book")
    (checkout.root / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", checkout.root / ".ci" / "run")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "make").write_text('#!/bin/sh\nfor word; do printf "<%s>" "$word"; done; echo\n')
    (tools / "make").chmod(0o755)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *words], cwd=checkout.root, check=True)
    more = {"PYTHON": python} if python else {}
    told = checkout.run([".ci/run"], PATH=f"{tools}:/usr/bin:/bin", **more)
    asked = f"<PYTHON={python}>" if python else ""
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines() == [f"<book>{asked}", f"<test>{asked}"]
