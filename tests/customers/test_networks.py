"""The profile networks: shapes, pads that do nothing, a wide part that is a linear model."""

import pytest
import torch
from torch import nn

from pm_utils.customers.networks import (
    PROFILE_DIM,
    BasketRNN,
    ProfileTagger,
    PurchaseCNN,
    UserProfileNet,
    WideHead,
)
from pm_utils.learning.training import fit, predict

B, T, C, W, F, K, R = 6, 5, 4, 12, 7, 3, 5  # rows, baskets, categories, weeks, features, tags, ...


def tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.rand(*shape, generator=generator)  # noqa: E731
    lengths = torch.tensor([5, 1, 3, 2, 5, 4])
    real = torch.arange(T) < lengths[:, None]
    return {
        "features": draw(B, F) - 0.5,
        "grid": draw(B, C, W),
        "baskets": ((draw(B, T, C) < 0.5) & real.unsqueeze(2)).to(torch.uint8),
        "ages": 3 * draw(B, T) * real,
        "lengths": lengths,
        "history": draw(B, K, R),
        "target": (draw(B, K) < 0.5).float(),
    }


DATA = tensors()
READS = {
    "features": (DATA["features"],),
    "grid": (DATA["grid"],),
    "baskets": (DATA["baskets"], DATA["ages"], DATA["lengths"]),
}


def encoder(kind: str, **options) -> nn.Module:
    torch.manual_seed(0)
    if kind == "features":
        return UserProfileNet(F, 16, K, **options)
    return (PurchaseCNN if kind == "grid" else BasketRNN)(C, K, **options)


KINDS = pytest.mark.parametrize("kind", list(READS))


@KINDS
def test_a_profile_has_32_numbers_and_the_head_one_logit_per_target(kind):
    model, inputs = encoder(kind), READS[kind]
    profile = model.profile(*inputs)
    assert profile.shape == (B, PROFILE_DIM) == (B, 32)
    assert model(*inputs).shape == (B, K)
    assert torch.equal(model(*inputs), model.head(profile))


@KINDS
def test_a_profile_lies_between_minus_one_and_one(kind):
    inputs = [100 * x if x.is_floating_point() else x for x in READS[kind]]
    profile = encoder(kind).profile(*inputs)
    assert profile.abs().max() <= 1
    assert profile.min() < 0 < profile.max()


@KINDS
def test_a_customers_profile_does_not_depend_on_the_others(kind):
    model = encoder(kind).eval()
    whole = model.profile(*READS[kind])
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    shuffled = model.profile(*(x[order] for x in READS[kind]))
    torch.testing.assert_close(shuffled, whole[order], rtol=0, atol=1e-6)
    alone = torch.cat([model.profile(*(x[at : at + 1] for x in READS[kind])) for at in range(B)])
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-6)


@KINDS
def test_dropout_acts_while_training_only(kind):
    model, inputs = encoder(kind, dropout=0.5), READS[kind]
    assert not torch.equal(model.train().profile(*inputs), model.profile(*inputs))
    assert torch.equal(model.eval().profile(*inputs), model.profile(*inputs))
    plain = encoder(kind).eval()
    assert torch.equal(model.profile(*inputs), plain.profile(*inputs))


@KINDS
def test_every_parameter_of_an_encoder_learns(kind):
    model = encoder(kind)
    model(*READS[kind]).square().sum().backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@pytest.mark.parametrize("pads", [1, 9])
@pytest.mark.parametrize("garbage", [0, 7])
def test_appended_pads_change_neither_profile_nor_logits(pads, garbage):
    model = encoder("baskets").eval()
    baskets, ages, lengths = READS["baskets"]
    more = torch.full((B, pads, C), garbage, dtype=torch.uint8)
    longer = (torch.cat([baskets, more], 1), torch.cat([ages, garbage * torch.ones(B, pads)], 1))
    for read in (model.profile, model):
        found, expected = read(*longer, lengths), read(baskets, ages, lengths)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)


def test_a_profile_is_made_where_its_inputs_lie():
    model, inputs = encoder("baskets"), READS["baskets"]
    usual = model.profile(*inputs)
    # Whatever the network makes without naming a device would lie on "meta", and no sum mixes them.
    with torch.device("meta"):
        assert torch.equal(model.profile(*inputs), usual)


def test_only_real_baskets_count_and_each_of_them_does():
    model = encoder("baskets").eval()
    baskets, ages, lengths = READS["baskets"]
    before = model.profile(baskets, ages, lengths)
    for at in range(T):
        changed = baskets.clone()
        changed[:, at] = 1 - changed[:, at]
        moved = (model.profile(changed, ages, lengths) != before).any(dim=1)
        assert torch.equal(moved, at < lengths)


def test_the_age_and_the_order_of_baskets_count():
    model = encoder("baskets").eval()
    baskets, ages, lengths = (x[:1] for x in READS["baskets"])
    before = model.profile(baskets, ages, lengths)
    assert not torch.allclose(model.profile(baskets, ages + 1, lengths), before)
    assert not torch.allclose(model.profile(baskets.flip(1), ages, lengths), before)


def test_the_last_state_of_the_recurrent_net_equals_torchs_cell_step_by_step():
    model = encoder("baskets").eval()
    baskets, ages, lengths = READS["baskets"]
    cell = nn.GRUCell(32, PROFILE_DIM)
    cell.load_state_dict({n.removesuffix("_l0"): p for n, p in model.gru.state_dict().items()})
    for row in range(B):
        state = torch.zeros(1, PROFILE_DIM)
        for at in range(lengths[row]):
            step = torch.cat([baskets[row, at].float(), ages[row, at, None]])
            state = cell(model.embed(step).unsqueeze(0), state)
        found = model.profile(*(x[row : row + 1] for x in READS["baskets"]))
        torch.testing.assert_close(found, state, rtol=0, atol=1e-6)


@pytest.mark.parametrize("weeks", [7, 52])
def test_the_convolution_reads_grids_of_any_width_from_seven_weeks(weeks):
    model = encoder("grid", channels=8)
    grid = torch.rand(B, C, weeks)
    assert model.convolve(grid).shape == (B, 8, weeks - 6)
    assert model(grid).shape == (B, K)
    with pytest.raises(ValueError):
        model(torch.rand(B, C, 6))


def test_the_largest_response_of_the_convolution_counts_wherever_it_is():
    model = encoder("grid", channels=8).eval()
    grid, shifted, nothing = torch.zeros(3, 1, C, 40)
    grid[0, 1, 12], shifted[0, 1, 23] = 2, 2
    found = {}
    for name, silent in {"maximum": slice(8, None), "mean": slice(8)}.items():
        whole = model.project[1].weight.data.clone()
        model.project[1].weight.data[:, silent] = 0  # hear one of the two poolings only
        found[name] = [model.profile(x) for x in (grid, shifted, nothing)]
        model.project[1].weight.data = whole
    for one, moved, none in found.values():
        torch.testing.assert_close(one, moved, rtol=0, atol=1e-6)
        assert not torch.allclose(one, none)


def quiet_head() -> WideHead:
    """A head of which only the wide part speaks."""
    head = WideHead(2, 3)
    for part in (head.mix[3], head.linear):
        nn.init.zeros_(part.weight), nn.init.zeros_(part.bias)
    return head


def test_the_wide_part_alone_is_one_linear_model_per_tag():
    head = quiet_head()
    history = torch.tensor([[[1.0, 2, 3], [4, 5, 6]], [[0, 1, 0], [1, 0, -1]]])
    profile = torch.randn(2, PROFILE_DIM)
    assert torch.equal(head(profile, history), torch.zeros(2, 2))  # it starts from nothing
    head.wide.data = torch.tensor([[1.0, 0, -1], [0.5, 2, 0]])
    # 1 - 3, 2 + 10 and 0, 0.5
    assert head(profile, history).tolist() == [[-2.0, 12.0], [0.0, 0.5]]


def test_the_head_reads_a_tag_from_its_own_history_and_from_the_profile():
    torch.manual_seed(1)
    head = WideHead(K, R)
    nn.init.normal_(head.wide)
    profile, history = torch.randn(B, PROFILE_DIM), DATA["history"]
    before = head(profile, history)
    assert before.shape == (B, K)
    changed = history.clone()
    changed[:, 1] += 1
    moved = (head(profile, changed) - before).abs().amax(0) > 1e-5
    assert moved.tolist() == [False, True, False]
    assert ((head(profile + 1, history) - before).abs() > 1e-5).all()


def test_an_embedding_tells_the_head_which_tag_it_scores():
    torch.manual_seed(2)
    head = WideHead(K, R)
    nn.init.zeros_(head.linear.weight), nn.init.zeros_(head.linear.bias)
    same = torch.ones(1, K, R)
    apart = head(torch.ones(1, PROFILE_DIM), same).sort().values.diff()
    assert (apart > 1e-4).all()
    nn.init.zeros_(head.tags)
    told = head(torch.ones(1, PROFILE_DIM), same)
    assert told.max() - told.min() < 1e-6


@KINDS
def test_a_tagger_trains_its_encoder_and_has_no_dead_parameter(kind):
    model = ProfileTagger(encoder(kind), K, R)
    logits = model(DATA["history"], *READS[kind])
    assert logits.shape == (B, K)
    nn.functional.binary_cross_entropy_with_logits(logits, DATA["target"]).backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []
    assert any(name.startswith("encoder.") for name, _ in model.named_parameters())
    assert not any(name.startswith("encoder.head") for name, _ in model.named_parameters())


@KINDS
def test_a_taggers_profile_is_its_encoders(kind):
    model = ProfileTagger(encoder(kind), K, R)
    expected = encoder(kind).profile(*READS[kind])
    assert torch.equal(model.profile(*READS[kind]), expected)
    assert torch.equal(predict(model.profile, READS[kind]), expected)


@KINDS
def test_a_tagger_learns_its_rows_by_heart_and_its_encoder_moves(kind):
    model = ProfileTagger(encoder(kind), K, R)
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    history = fit(
        model,
        (DATA["history"], *READS[kind]),
        DATA["target"],
        loss=nn.functional.binary_cross_entropy_with_logits,
        epochs=60,
        learning_rate=0.03,
    )
    assert history.train[-1] < 0.1 < 0.5 < history.train[0]
    assert all((model.encoder.state_dict()[n] != value).any() for n, value in before.items())


def test_newcomers_without_a_basket_have_a_profile_of_their_own():
    """None among others, one alone, and a batch of nothing but newcomers."""
    net = BasketRNN(4, 3).eval()
    baskets, ages = torch.ones(3, 5, 4), torch.ones(3, 5)
    mixed = net.profile(baskets, ages, torch.tensor([5, 0, 2]))
    assert (mixed[1] == 0).all()
    assert torch.equal(mixed[[0, 2]], net.profile(baskets[:2], ages[:2], torch.tensor([5, 2])))
    for size in (1, 3):
        none = torch.zeros(size, dtype=torch.long)
        alone = net.profile(baskets[:size], ages[:size], none)
        assert (alone == 0).all()
        net.zero_grad()
        net(baskets[:size], ages[:size], none).sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
