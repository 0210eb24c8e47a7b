"""The examples in docstrings run and print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

import pm_utils

ROOT = Path(pm_utils.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))
MODULES = [".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in FILES]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_print_what_they_say(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0
    assert failed == 0


def test_ones_own_strategy_and_bandit_policy_are_shown():
    assert {"pm_utils.loop.campaign", "pm_utils.decisions.bandits"} <= set(MODULES)
