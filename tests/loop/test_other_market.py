"""The closed loop on a market with other levels: no width is typed in anywhere."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_a_market_with_13_categories_and_5_tones_plays_a_whole_loop():
    """In a process of its own, because levels are read while the package is imported."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    outer = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [*command, str(HERE / "thirteen_categories.py")],
        cwd=HERE.parents[1],
        env=outer | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
