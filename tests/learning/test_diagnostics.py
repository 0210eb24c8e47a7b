"""Whether hidden units switch: counted by hand, over batches, in layers and in pictures."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from pm_utils.learning.diagnostics import switching_share

X = torch.linspace(-1, 1, 201)[:, None]


def layer(*biases):
    made = nn.Linear(1, len(biases))
    made.weight.data.fill_(1.0)
    made.bias.data = torch.tensor(biases)
    return made


@pytest.mark.parametrize(
    ("biases", "expected"),
    [
        ((0.0,), 1.0),
        ((5.0,), 0.0),  # always on: a straight line
        ((-5.0,), 0.0),  # always off: nothing
        ((0.0, 5.0, -5.0, 0.5), 0.5),
        ((0.995,), 0.0),  # on in more than 99 of 100 rows
        ((0.97,), 1.0),
    ],
)
@pytest.mark.parametrize("batch_size", [7, 4096])
def test_units_that_switch_are_counted(biases, expected, batch_size):
    for bend in (nn.ReLU(), nn.GELU(), nn.LeakyReLU(), nn.PReLU(), nn.SiLU()):
        found = switching_share(nn.Sequential(layer(*biases), bend), [X], batch_size=batch_size)
        assert found == expected, bend


def test_functions_count_like_modules_and_layers_add_up():
    first, second = layer(0.0, 5.0), nn.Linear(2, 1)
    second.weight.data.fill_(1.0)
    second.bias.data.fill_(100.0)

    def model(x):
        return torch.relu(second(functional.relu(first(x))))

    assert switching_share(model, [X]) == pytest.approx(1 / 3)


def test_what_the_model_returns_may_have_any_shape():
    network = nn.Sequential(layer(0.0), nn.ReLU())
    assert switching_share(lambda x: network(x)[None], [X], batch_size=7) == 1.0


def test_a_channel_of_a_picture_is_one_unit():
    pictures = torch.randn(40, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    convolution = nn.Conv2d(1, 2, 1)
    convolution.weight.data.fill_(1.0)
    convolution.bias.data = torch.tensor([0.0, 50.0])
    assert switching_share(nn.Sequential(convolution, nn.ReLU()), [pictures]) == 0.5


def test_a_network_is_put_in_evaluation_mode_and_left_as_it_was():
    network = nn.Sequential(layer(0.0), nn.Dropout(0.5), nn.ReLU()).train()
    before = [parameter.clone() for parameter in network.parameters()]
    assert switching_share(network, [X]) == 1.0
    assert not network.training
    assert all(map(torch.equal, before, network.parameters()))


def test_a_model_without_bends_and_no_rows_are_refused():
    with pytest.raises(ValueError, match="no activation that bends"):
        switching_share(nn.Linear(1, 1), [X])
    with pytest.raises(ValueError, match="has no rows"):
        switching_share(nn.ReLU(), [X[:0]])
    with pytest.raises(ValueError, match="is not finite in 1 of 201 rows"):
        switching_share(nn.ReLU(), [torch.cat([X[:-1], torch.tensor([[float("nan")]])])])
