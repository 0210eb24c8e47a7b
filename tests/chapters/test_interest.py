"""Both networks stay below the oracle on a log with a truth."""

import pytest

from pm_utils.chapters import interest
from pm_utils.evaluation import recommendation
from pm_utils.evaluation.ranking import roc_auc

pytestmark = pytest.mark.usefixtures("one_thread")


def test_networks_stand_between_the_click_rate_and_the_oracle():
    click, said = interest.known_truth(8000, 4000, items=40, epochs=2, seed=0)
    auc = {name: roc_auc(click, probability) for name, probability in said.items()}
    assert auc["null"] < 0.55
    assert auc["click rate"] + 0.02 < auc["DIN"] < auc["oracle"]
    assert auc["pooled"] < auc["oracle"]
    loss = {name: recommendation.log_losses(click[None], c[None])[0] for name, c in said.items()}
    assert min(loss, key=loss.get) == "oracle"
