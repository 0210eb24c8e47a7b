"""Ask pip whether every pin has a wheel for each Python of the range: about a minute for each.

``python -m tests.support.wheels`` does so for the system that it runs on. It is no part of the
tests, because it asks a package index. Run it after a change of a pin.
"""

import re
import subprocess
import sys
import tempfile

from pm_utils.builder.install import NEWEST_PYTHON, OLDEST_PYTHON
from tests.support.fake_checkout import ROOT


def versions() -> list[str]:
    """The Pythons of the range, as pip wants them.

    A pin may ask for a later release (``>=3.11.5``), and pip reads 3.11 as 3.11.0.
    """
    minors = range(OLDEST_PYTHON[1], NEWEST_PYTHON[1] + 1)
    return [f"{OLDEST_PYTHON[0]}.{minor}" for minor in minors]


def command(version: str, folder: str) -> list[str]:
    """The call of pip that resolves the lock for a Python and installs nothing."""
    return [
        *(sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps"),
        *("--only-binary", ":all:", "--python-version", version, "--target", folder),
        *("-r", str(ROOT / "requirements.lock"), "--disable-pip-version-check"),
    ]


def problems(told: str) -> list[str]:
    """What is wrong in what pip prints: a pin without a wheel, or one that was withdrawn."""
    withdrawn = re.findall(r"yanked version: '([^']+)'", told)
    lines = [line for line in told.splitlines() if line.startswith("ERROR")]
    return [*lines, *(f"{name}: its publisher withdrew this version" for name in withdrawn)]


def main() -> int:
    """Check each Python and print what is wrong."""
    worst = 0
    for version in versions():
        with tempfile.TemporaryDirectory() as folder:
            told = subprocess.run(command(version, folder), capture_output=True, text=True)
        found = problems(told.stdout + told.stderr)
        worst |= bool(told.returncode or found)
        print(f"Python {version}: {'; '.join(found) or 'every pin has a wheel'}", flush=True)
    return worst


if __name__ == "__main__":
    sys.exit(main())
