"""One seed gives one run; the environment names what a figure depends on."""

import platform
import random

import numpy as np
import pytest
import torch

from pm_utils.page.reproducibility import PACKAGES, environment, processor, set_seed


@pytest.fixture(autouse=True)
def global_state():
    """Give every global generator back as it was found."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    strict, state = torch.are_deterministic_algorithms_enabled(), torch.get_rng_state()
    yield
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002
    torch.set_rng_state(state)
    torch.use_deterministic_algorithms(strict)


def draws(seed: int) -> list[float]:
    """One draw from each generator that a chapter, or a library under it, may use."""
    rng = set_seed(seed)
    return [rng.random(), random.random(), np.random.rand(), torch.rand(()).item()]  # noqa: NPY002


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**40 + 7])
def test_the_same_seed_draws_the_same(seed):
    assert draws(seed) == draws(seed)


def test_another_seed_draws_otherwise_from_every_generator():
    assert all(one != other for one, other in zip(draws(3), draws(4), strict=True))


def test_the_returned_generator_is_numpys_own_for_the_seed():
    assert set_seed(7).integers(1000) == np.random.default_rng(7).integers(1000)


def test_drawing_from_the_global_generators_leaves_the_returned_one_alone():
    rng = set_seed(5)
    np.random.rand(100)  # noqa: NPY002
    torch.rand(100)
    assert rng.random() == np.random.default_rng(5).random()


def test_torch_refuses_algorithms_that_vary():
    torch.use_deterministic_algorithms(False)
    set_seed(0)
    assert torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("seed", [-1, -(2**33)])
def test_a_negative_seed_is_refused_before_anything_is_seeded(seed):
    torch.manual_seed(11)
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match=f"seed is {seed}.*at least 0"):
        set_seed(seed)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_environment_names_versions_and_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    facts = environment()
    assert facts["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert facts["numpy"] == np.__version__
    assert set(PACKAGES) < set(facts)
    assert facts["python"] == platform.python_version()
    assert facts["threads"] == 3
    assert facts["cores"] >= 1
    assert facts["processor"] == processor() != ""


def test_without_a_limit_every_core_is_a_thread(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    facts = environment()
    assert facts["threads"] == facts["cores"]
