"""Classical models of the lifetime table predict means above 0."""

from pm_utils.lifetime import baselines


def test_baselines_are_one_regression_per_strength_and_trees_per_size():
    names = list(baselines.lifetime_baselines(0))
    assert len(names) == len(baselines.STRENGTHS) + len(baselines.LEAVES)
    assert names[0] == "Poisson regression, 0.001"
    assert names[-1] == "boosting, 8 leaves"
