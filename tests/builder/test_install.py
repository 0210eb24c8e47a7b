"""The installer: it makes, mends or keeps the environment, and survives any interruption."""

import contextlib
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest

from pm_utils.builder import install
from tests.support.fake_checkout import ROOT, FakeCheckout

INSTALLER = ROOT / "pm_utils" / "builder" / "install.py"
HERE = list(sys.version_info[:2])


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout in a folder with a blank, which the functions of the installer see too."""
    fake = FakeCheckout(tmp_path / "my book")
    monkeypatch.setattr(install, "CHECKOUT", fake.root)
    return fake


@pytest.fixture
def whole(checkout, monkeypatch):
    """An environment that seems whole, made without the minute that a true one takes."""
    install.python_of(checkout.environment).parent.mkdir(parents=True)
    packages = {"one": "1.0", "two-two": "1.0+cpu", "Three": "1.0", "pm_utils": "0.1.0"}
    state = {"python": HERE, "packages": packages}
    monkeypatch.setattr(install, "probe", lambda environment: state)
    stamp = {"python": HERE, "hashes": install.source_hashes()}
    stamp["location"] = str(checkout.environment.resolve())
    (checkout.environment / install.STAMP).write_text(json.dumps(stamp))
    return checkout, state


def test_an_environment_is_made_kept_and_mended(checkout):
    made = checkout.make("setup", PYTHON=sys.executable)
    assert made.returncode == 0, made.stderr
    assert f"made with Python {sys.version.split()[0]}" in made.stdout
    assert re.findall(r"(\d) of 3 ([\w-]+)", made.stdout) == [
        ("1", "one"),
        ("2", "two-two"),
        ("3", "three"),
    ]
    assert "unpacking 3 packages" in made.stdout
    assert re.search(r"installed in \d+ s", made.stdout)

    kept = checkout.make("setup", PYTHON=sys.executable)
    assert (kept.returncode, kept.stdout, kept.stderr) == (0, "", "")

    # Only the lock differs: what is there stays there.
    left = checkout.environment / "left-by-the-user"
    left.touch()
    checkout.lock({"one": "2.0", "Two.two": "1.0", "four": "1.0"})
    mended = checkout.call()
    assert mended.returncode == 0, mended.stderr
    assert "requirements.lock changed" in mended.stdout and left.exists()
    packages = install.probe(checkout.environment)["packages"]
    assert packages["one"] == "2.0" and packages["four"] == "1.0"

    # A package that somebody removed comes back.
    shutil.rmtree(next(checkout.environment.rglob("four-1.0.dist-info")))
    assert "four missing (pinned: 1.0)" in checkout.call().stdout
    assert checkout.call().stdout == ""


def moments() -> list[float]:
    """Ten moments of an installation, as shares of its time."""
    return [(number + 0.5) / 10 for number in range(10)]


def test_after_ten_interruptions_the_next_call_ends_well(tmp_path):
    checkout = FakeCheckout(tmp_path, packages=tuple(f"p{n}" for n in range(12)), files=60)
    call = [sys.executable, "-I", "pm_utils/builder/install.py"]
    began = time.monotonic()
    assert checkout.call().returncode == 0
    whole = time.monotonic() - began
    for moment in moments():
        (checkout.environment / install.STAMP).unlink(missing_ok=True)
        process = subprocess.Popen(
            call, cwd=tmp_path, env=checkout.settings(), stdout=subprocess.DEVNULL
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment * whole)
        process.kill()
        process.wait()
        if (checkout.environment / install.STAMP).exists():  # then it had ended
            assert checkout.call().stdout == ""
    last = checkout.call()
    assert last.returncode == 0, last.stderr
    packages = install.probe(checkout.environment)["packages"]
    assert {
        name: packages[name] for name in packages if name.startswith("p") and name != "pip"
    } == {
        **{f"p{n}": "1.0" for n in range(12)},
        "pm-utils": "0.1.0",
    }


def test_what_an_installation_started_ends_with_it(tmp_path):
    """A killed installer leaves no pip that would write into the next environment."""
    sign = tmp_path / "alive"
    (tmp_path / "slow.py").write_text(
        f"import pathlib, time\npathlib.Path({str(sign)!r}).touch()\ntime.sleep(2)\n"
        f"pathlib.Path({str(sign)!r}).unlink()\n"
    )
    found = f"import sys; sys.path.append({str(tmp_path)!r})\n"
    script = found + install.ENDS_WITH_PARENT
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import runpy, sys\n"
            "main = runpy.run_path(sys.argv[1])\n"
            "main['start'].__globals__['ENDS_WITH_PARENT'] = sys.argv[2]\n"
            "main['start'](sys.executable, 'slow').wait()",
            INSTALLER,
            script,
        ]
    )
    end = time.monotonic() + 60
    while not sign.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    process.kill()
    process.wait()
    time.sleep(3)
    assert sign.exists()  # the child did not live to remove it


def test_a_whole_environment_is_kept(whole):
    checkout, _ = whole
    assert install.why_anew(checkout.environment, asked=True) == ""
    assert install.why_update(checkout.environment) == ""


def test_an_environment_without_its_stamp_is_made_anew(whole):
    checkout, _ = whole
    stamp = checkout.environment / install.STAMP
    for text in ("", "{", "[]"):
        stamp.write_text(text)
        assert "not finished" in install.why_anew(checkout.environment, asked=False)
    stamp.unlink()
    assert "not finished" in install.why_anew(checkout.environment, asked=False)


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_a_moved_or_copied_environment_is_made_anew(whole, how):
    checkout, _ = whole
    other = checkout.root / "other"
    how(str(checkout.environment), str(other))
    why = install.why_anew(other, asked=False)
    assert str(checkout.environment) in why and "cannot be moved" in why


def test_an_environment_whose_python_is_gone_is_made_anew(whole, monkeypatch):
    checkout, _ = whole
    monkeypatch.setattr(install, "probe", lambda environment: None)
    assert "does not run" in install.why_anew(checkout.environment, asked=False)


@pytest.mark.parametrize("version", [[3, 10], [3, 15]])
def test_an_environment_of_a_python_out_of_range_is_made_anew(whole, version):
    checkout, state = whole
    state["python"] = version
    stamp = install.read_stamp(checkout.environment) | {"python": version}
    (checkout.environment / install.STAMP).write_text(json.dumps(stamp))
    assert f"3.{version[1]}" in install.why_anew(checkout.environment, asked=False)


def test_an_environment_keeps_its_python_until_another_is_asked_for(whole):
    checkout, state = whole
    other = [3, 12 if HERE != [3, 12] else 13]
    state["python"] = other
    stamp = install.read_stamp(checkout.environment) | {"python": other}
    (checkout.environment / install.STAMP).write_text(json.dumps(stamp))
    assert install.why_anew(checkout.environment, asked=False) == ""
    why = install.why_anew(checkout.environment, asked=True)
    assert f"3.{other[1]}" in why and f"3.{HERE[1]}" in why


def test_a_changed_project_file_is_installed_over(whole):
    checkout, _ = whole
    with open(checkout.root / "pyproject.toml", "a") as file:
        file.write("\n")
    assert install.why_update(checkout.environment) == "pyproject.toml changed since"


def test_the_lacking_packages_are_named(whole):
    checkout, state = whole
    state["packages"] = {"one": "1.1"}
    why = install.why_update(checkout.environment)
    assert why.startswith("one 1.1 (pinned: 1.0); two-two missing (pinned: 1.0); three missing")
    assert why.endswith("and 1 more")


def test_a_failing_installation_leaves_no_stamp_and_says_what_to_do(checkout, monkeypatch):
    def no_pip(environment, *words, follow):
        raise install.InstallError("pip could not")

    checkout.environment.mkdir()
    (checkout.environment / install.STAMP).write_text("{}")
    monkeypatch.setattr(install, "pip", no_pip)
    with pytest.raises(install.InstallError):
        install.fill(checkout.environment)
    assert not (checkout.environment / install.STAMP).exists()


def test_a_pin_that_pip_did_not_install_is_named(whole, monkeypatch):
    checkout, state = whole
    monkeypatch.setattr(install, "pip", lambda environment, *words, follow: None)
    del state["packages"]["one"]
    with pytest.raises(install.InstallError, match="one missing"):
        install.fill(checkout.environment)
    assert install.read_stamp(checkout.environment) is None


def test_a_folder_of_conda_is_never_emptied(checkout):
    (checkout.environment / "conda-meta").mkdir(parents=True)
    told = checkout.call()
    assert told.returncode == 1 and "belongs to conda" in told.stderr
    assert (checkout.environment / "conda-meta").exists()


def test_a_file_in_the_place_of_the_environment_is_left_alone(checkout):
    checkout.environment.write_text("mine")
    told = checkout.call()
    assert told.returncode == 1 and "is not a folder" in told.stderr
    assert checkout.environment.read_text() == "mine"


def test_emptying_does_not_follow_links(tmp_path):
    outside, environment = tmp_path / "outside", tmp_path / "venv"
    for folder in (outside, environment, environment / "lib"):
        folder.mkdir()
    (outside / "kept").touch()
    (environment / "lib64").symlink_to(outside)
    install.empty(environment)
    assert (outside / "kept").exists() and not list(environment.iterdir())


def test_a_second_installation_waits_for_the_first(tmp_path, capsys):
    order = []

    def second():
        with install.alone(tmp_path):
            order.append("second")

    with install.alone(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(1)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]
    assert "another installation works" in capsys.readouterr().out


def test_a_disk_without_locks_stops_nobody():
    class Disk:
        def execute(self, words):
            error = sqlite3.OperationalError("locking protocol")
            error.sqlite_errorname = "SQLITE_PROTOCOL"
            raise error

    assert install._held(Disk())


def test_a_line_that_is_no_pin_is_named(tmp_path):
    lock = tmp_path / "some.lock"
    lock.write_text("one==1.0  # why\n\n# two\nthree>=2\n")
    with pytest.raises(install.InstallError, match=r"some\.lock: 'three>=2' is no pin"):
        install.read_pins(lock)
    lock.write_text("one==1.0  # why\n\n# two\n")
    assert install.read_pins(lock) == {"one": "1.0"}


def test_packages_are_counted_once_and_strangers_named(capsys):
    counter = install.Counter({"numpy": "1", "torch": "2"})
    for line in (
        "Looking in links: somewhere\n",
        "Collecting numpy==1 (from -r requirements.lock (line 1))\n",
        "  Downloading numpy-1-cp311-manylinux.whl (16.4 MB)\n",
        "Collecting numpy>=1 (from torch==2)\n",
        "Processing /some/where/torch-2+cpu-cp311-cp311-linux_x86_64.whl\n",
        "Requirement already satisfied: nvidia_nccl<3 in lib (from torch)\n",
        "Installing collected packages: numpy, nvidia-nccl, torch\n",
    ):
        counter.follow(line)
    assert capsys.readouterr().out.splitlines() == [
        "  1 of 2 numpy",
        "  downloading 16.4 MB",
        "  2 of 2 torch",
        "  2 of 2 nvidia-nccl, which is not in the lock",
        "  unpacking 3 packages: this takes a while",
    ]


def test_the_range_is_that_of_the_project_and_the_makefile():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (low, high) = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups()
    assert (3, int(low)) == install.OLDEST_PYTHON
    assert (3, int(high) - 1) == install.NEWEST_PYTHON
    names = re.search(r"^PYTHONS := (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    versions = range(int(high) - 1, int(low) - 1, -1)
    assert names == [*(f"python3.{minor}" for minor in versions), "python3", "python"]


def test_this_python_fits():
    assert install.missing_part() == ""


@pytest.mark.parametrize("version", [(3, 10, 9), (3, 15, 0), (2, 7, 18)])
def test_a_python_out_of_range_does_not_fit(monkeypatch, version):
    monkeypatch.setattr(install.sys, "version_info", version)
    assert install.missing_part() == f"is Python {version[0]}.{version[1]}"


def test_a_python_without_venv_does_not_fit(monkeypatch):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    assert "python3-venv" in install.missing_part()


def fake_python(folder: Path, name: str, code: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{code}\n")
    (folder / name).chmod(0o755)


TAKEN = 'case "$*" in *--fits*) exit 0;; *) echo took "$0" "$@";; esac'


def test_make_takes_the_newest_python_that_runs(checkout):
    folder = checkout.root / "bin"
    fake_python(folder, "python3.14", "echo not here >&2; exit 127")  # a shim without a Python
    fake_python(folder, "python3.12", TAKEN)
    fake_python(folder, "python3.11", TAKEN)
    fake_python(folder, "python3.13", "exit 1")
    told = checkout.make("setup", PATH=f"{folder}:/usr/bin:/bin")
    assert told.stdout.startswith(f"took {folder}/python3.12 ") and told.stderr == ""
    assert "--asked" not in told.stdout


def test_make_takes_the_python_that_is_asked_for(checkout):
    folder = checkout.root / "bin"
    fake_python(folder, "python3.14", TAKEN)
    fake_python(folder, "my python", TAKEN)
    told = checkout.make("setup", f"PYTHON={folder}/my python", PATH=f"{folder}:/usr/bin:/bin")
    assert told.stdout.startswith(f"took {folder}/my python ") and "--asked" in told.stdout


@pytest.mark.parametrize("asked", [(), ("PYTHON=python3.99",)])
def test_make_says_what_to_do_without_a_python(checkout, asked):
    folder = checkout.root / "bin"
    for name in ("python3.14", "python3.13", "python3.12", "python3.11", "python3", "python"):
        fake_python(folder, name, "exit 1")
    told = checkout.make("book", *asked, PATH=f"{folder}:/usr/bin:/bin")
    assert told.returncode != 0 and not checkout.environment.exists()
    assert "no Python from 3.11 to 3.14" in told.stderr and "make PYTHON=" in told.stderr
    assert (asked or ("python3.14 python3.13",))[0] in told.stderr


@pytest.mark.parametrize(
    ("packages", "state"),
    [
        ({"one": "1.0", "two-two": "1.0", "three": "1.0", "pm-utils": "0.1.0"}, "whole"),
        ({"one": "1.0", "pm-utils": "0.1.0"}, "stale"),
        ({"one": "1.0", "two-two": "1.0", "three": "1.0"}, "other"),
        (None, "other"),
    ],
)
def test_a_conda_environment_is_recognised(checkout, monkeypatch, packages, state):
    found = packages and {"python": HERE, "packages": packages}
    monkeypatch.setattr(install, "probe", lambda environment: found)
    assert install.conda_state(checkout.root) == state


@pytest.mark.parametrize(
    ("state", "code", "said"),
    [
        ("whole", 0, "uses the active conda environment"),
        ("stale", 2, "conda env update -f environment.yml"),
        ("other", 0, "took"),
    ],
)
def test_make_inside_conda_makes_no_second_environment(checkout, state, code, said):
    prefix = checkout.root.parent / "conda"
    fake_python(prefix, "ignored", "")
    fake_python(prefix / "bin", "python", f"echo {state}")
    fake_python(checkout.root / "bin", "python3.14", TAKEN)
    told = checkout.make(
        "setup", CONDA_PREFIX=str(prefix), PATH=f"{checkout.root / 'bin'}:/usr/bin:/bin"
    )
    assert told.returncode == code and said in told.stdout + told.stderr


def test_the_installer_needs_nothing_but_the_standard_library():
    """It runs where nothing is installed: without site-packages, apart from the package."""
    told = subprocess.run(
        [sys.executable, "-I", "-S", INSTALLER, "--fits"], capture_output=True, text=True
    )
    assert (told.returncode, told.stderr.strip()) == (0, "")


def test_ctrl_c_says_how_to_go_on(checkout):
    process = subprocess.Popen(
        [sys.executable, "-I", "pm_utils/builder/install.py"],
        cwd=checkout.root,
        env=checkout.settings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "made with" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted: call again" in err
