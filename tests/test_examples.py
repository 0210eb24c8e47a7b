"""Scores, models and decisions show in their docstrings how they are called.

That the examples run is checked by `pytest --doctest-modules pm_utils`, a part of `make test`.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pm_utils"

# Where every public function and class shows an example, and those that need none or cannot.
SHOWN = {
    "evaluation/*.py": set(),
    "learning/*.py": {"inverses", "History"},  # a speed-up of `numpy.linalg.inv`, and a record
    "creatives/adversarial.py": set(),
    "creatives/*/networks.py": {"GPTConfig"},  # shown by its network
    "creatives/text/ngram.py": set(),
    "customers/networks.py": set(),
    "customers/segments.py": set(),
    "decisions/bandits.py": set(),
    "decisions/networks.py": set(),
    "lifetime/baselines.py": set(),
    "lifetime/btyd.py": set(),
    "lifetime/discounting.py": set(),
    "lifetime/networks.py": set(),
    "lifetime/retention.py": set(),
    "lifetime/rfm.py": set(),
    "lifetime/scores.py": set(),
    "loop/response_models.py": set(),
    "loop/strategies.py": {"ShopKnowledge"},  # what a strategy is given
    "measurement/ab_tests.py": {"Comparison"},  # what a test returns
    "measurement/several_arms.py": {"SeveralArms"},  # what a test returns
    "measurement/off_policy.py": {"Estimate"},  # what an estimator returns
    "measurement/post_click_networks.py": set(),
    "targeting/interest/networks.py": set(),
    "targeting/lists.py": set(),
    "targeting/redemption/networks.py": set(),
    "targeting/uplift.py": set(),
}


def without_example(source: str) -> set[str]:
    """The public functions and classes whose docstrings, methods included, show no example."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    found = set()
    for node in ast.parse(source).body:
        if isinstance(node, kinds) and not node.name.startswith("_"):
            texts = [ast.get_docstring(n) or "" for n in ast.walk(node) if isinstance(n, kinds)]
            if not any(">>> " in text for text in texts):
                found.add(node.name)
    return found


@pytest.mark.parametrize("pattern", SHOWN)
def test_what_one_would_call_shows_how(pattern):
    files = sorted(PACKAGE.glob(pattern))
    assert files
    bare = set().union(*(without_example(path.read_text(encoding="utf-8")) for path in files))
    assert bare == SHOWN[pattern]


def test_ones_own_strategy_and_bandit_policy_are_shown():
    for module, name in (
        ("loop/campaign.py", "Strategy"),
        ("decisions/bandits.py", "BanditPolicy"),
    ):
        source = (PACKAGE / module).read_text(encoding="utf-8")
        (node,) = (n for n in ast.parse(source).body if getattr(n, "name", "") == name)
        assert "class" in (ast.get_docstring(node) or "").partition(">>> ")[2]


def test_a_docstring_without_an_example_is_seen():
    source = 'def f():\n    """Say.\n\n    >>> f()\n    """\ndef g():\n    """Say."""\n'
    assert without_example(source) == {"g"}
