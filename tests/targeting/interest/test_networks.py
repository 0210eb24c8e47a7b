"""Interest networks: pads, Dice and its derivative, the split first layer, who is weighed how."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from pm_utils.learning.training import fit, predict
from pm_utils.targeting.interest.networks import (
    DeepInterestNet,
    Dice,
    ItemRows,
    PooledInterestNet,
    segment_softmax,
)

ITEMS, B, T, G, F = 30, 12, 7, 3, 2
KINDS = {
    "pooled": (PooledInterestNet, {}),
    "sum": (DeepInterestNet, {}),
    "softmax": (DeepInterestNet, {"softmax": True}),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


pytestmark = pytest.mark.usefixtures("one_thread")


def net(kind: str = "sum", **sizes) -> PooledInterestNet:
    """Return a small network whose moments and α have left their starting values."""
    torch.manual_seed(0)
    make, options = KINDS[kind]
    sizes = {"events": G, "facts": F, "hidden": (16, 8)} | sizes
    model = make(ITEMS, **options, **sizes)
    for layer in model.modules():
        if isinstance(layer, Dice):
            nn.init.uniform_(layer.alpha, 0.1, 0.9)
            nn.init.uniform_(layer.moments.running_mean, -0.3, 0.3)
            nn.init.uniform_(layer.moments.running_var, 0.2, 2.0)
    return model.eval()


def batch() -> tuple[torch.Tensor, ...]:
    """Return candidates, histories of 0 to T items, facts and events."""
    draw = torch.Generator().manual_seed(1)
    history = torch.randint(1, ITEMS + 1, (B, T), generator=draw)
    length = torch.arange(B) % (T + 1)
    history[torch.arange(T) >= length[:, None]] = 0
    candidate = torch.randint(1, ITEMS + 1, (B,), generator=draw)
    return (
        candidate,
        history,
        torch.randn(B, F, generator=draw),
        torch.randn(B, T, G, generator=draw),
    )


# --- Pads ------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("training", [False, True])
def test_appended_pads_change_no_score(kind, training):
    model, (candidate, history, facts, events) = net(kind).train(training), batch()
    before = model(candidate, history, facts, events)
    longer = nn.functional.pad(history, (0, 17))
    noise = torch.cat([events, torch.randn(B, 17, G)], 1)  # what is known of a pad is no matter
    after = model(candidate, longer, facts, noise)
    assert torch.allclose(after, before, atol=1e-6)


@each_kind
def test_pads_may_stand_anywhere_and_the_order_of_items_is_no_matter(kind):
    model, (candidate, history, facts, events) = net(kind), batch()
    turn = torch.arange(T - 1, -1, -1)
    after = model(candidate, history[:, turn], facts, events[:, turn])
    assert torch.allclose(after, model(candidate, history, facts, events), atol=1e-6)


@each_kind
def test_every_real_item_changes_its_rows_score_and_no_other(kind):
    model, (candidate, history, facts, events) = net(kind), batch()
    before = model(candidate, history, facts, events)
    for row, slot in history.nonzero().tolist():
        changed = history.clone()
        changed[row, slot] = history[row, slot] % ITEMS + 1
        moved = (model(candidate, changed, facts, events) - before).abs() > 1e-8
        assert moved.nonzero().flatten().tolist() == [row]


@each_kind
def test_an_empty_history_has_no_interest(kind):
    model, (candidate, _, facts, events) = net(kind), batch()
    nothing = torch.zeros(B, T, dtype=torch.long)
    query = model.items(candidate)
    rows = model.gather(nothing, events)
    assert torch.equal(model.interest(query, *rows), torch.zeros_like(query))
    assert model(candidate, nothing, facts, events).isfinite().all()


# --- Pooling ---------------------------------------------------------------------------------


def test_pooling_is_the_mean_of_embeddings_and_event_terms():
    model, (candidate, history, _, events) = net("pooled"), batch()
    got = model.interest(model.items(candidate), *model.gather(history, events))
    for b in range(B):
        real = history[b] > 0
        keys = model.items(history[b, real]) + model.event(events[b, real])
        wanted = keys.mean(0) if real.any() else torch.zeros(16)
        assert torch.allclose(got[b], wanted, atol=1e-6)


def test_the_split_first_layer_is_the_naive_concatenation():
    model, (candidate, history, facts, _) = net(events=0), batch()
    q = model.items(candidate).unsqueeze(1).expand(-1, T, -1)
    k = model.items(history)
    naive = model.rest(model.first(torch.cat([q, k, q - k, q * k], 2)).view(B * T, -1)).view(B, T)
    naive = naive.masked_fill(history == 0, 0)
    assert torch.allclose(model.attend(candidate, history), naive, atol=1e-5)
    query = model.items(candidate)
    interest = (naive.unsqueeze(2) * k).sum(1)
    by_hand = model.head(torch.cat([interest, query, interest * query, facts], 1))
    by_hand = (by_hand + model.wide(facts)).squeeze(1)
    assert torch.allclose(model(candidate, history, facts), by_hand, atol=1e-5)


def test_events_enter_the_activation_unit_as_one_more_input():
    model, (candidate, history, _, events) = net(), batch()
    q = model.items(candidate).unsqueeze(1).expand(-1, T, -1)
    k = model.items(history)
    first = model.first(torch.cat([q, k, q - k, q * k], 2)) + events @ model.event.weight.T
    naive = model.rest(first.view(B * T, -1)).view(B, T).masked_fill(history == 0, 0)
    assert torch.allclose(model.attend(candidate, history, events), naive, atol=1e-5)


def test_weights_are_not_normalised_unless_asked_for():
    candidate, history, _, events = batch()
    some = history.any(1)
    sums = net("softmax").attend(candidate, history, events).sum(1)
    assert torch.allclose(sums[some], torch.ones(int(some.sum())), atol=1e-6)
    assert (sums[~some] == 0).all()
    raw = net().attend(candidate, history, events)
    assert (raw.sum(1)[some] - 1).abs().min() > 1e-3
    assert ((raw != 0) == (history != 0)).all()


def test_rows_spread_and_total_by_hand_and_their_derivatives():
    rows = ItemRows.count(torch.tensor([2, 0, 3, 0]), 5)
    assert rows.row.tolist() == [0, 0, 2, 2, 2]
    assert rows.start.tolist() == [0, 2, 2, 5]
    items = torch.arange(1.0, 6).unsqueeze(1)
    assert rows.total(items).flatten().tolist() == [3, 0, 12, 0]
    assert rows.spread(torch.tensor([[7.0], [8], [9], [6]])).flatten().tolist() == [7, 7, 9, 9, 9]
    torch.manual_seed(0)
    for of, count in ((rows.spread, 4), (rows.total, 5)):
        values = torch.randn(count, 3, dtype=torch.double, requires_grad=True)
        assert torch.autograd.gradcheck(of, values)


def test_segment_softmax_is_torchs_row_by_row_and_survives_large_scores():
    score = torch.tensor([[1.0], [3.0], [500.0], [-900.0], [-901.0]])
    got = segment_softmax(score, ItemRows.count(torch.tensor([2, 1, 0, 2]), 5)).flatten()
    wanted = torch.cat([score[a:b, 0].softmax(0) for a, b in ((0, 2), (2, 3), (3, 5))])
    assert torch.allclose(got, wanted)


def test_segment_softmax_has_the_gradient_of_torchs():
    torch.manual_seed(0)
    score = torch.randn(5, 1, dtype=torch.double, requires_grad=True)
    rows, up = ItemRows.count(torch.tensor([3, 0, 2]), 5), torch.randn(5, dtype=torch.double)
    ours = torch.autograd.grad((segment_softmax(score, rows).flatten() * up).sum(), score)[0]
    plain = torch.cat([score[:3, 0].softmax(0), score[3:, 0].softmax(0)])
    wanted = torch.autograd.grad((plain * up).sum(), score)[0]
    assert torch.allclose(ours, wanted, atol=1e-12)


@each_kind
def test_networks_do_without_facts_and_events(kind):
    model, (candidate, history, _, _) = net(kind, events=0, facts=0), batch()
    logit = model(candidate, history)
    assert logit.shape == (B,)
    assert model.event is None
    assert model.head[0].in_features == 3 * 16


def test_a_row_depends_on_no_other_at_test_time():
    candidate, history, facts, events = batch()
    for kind in KINDS:
        model = net(kind)
        whole = model(candidate, history, facts, events)
        for row in range(B):
            part = slice(row, row + 1)
            alone = model(candidate[part], history[part], facts[part], events[part])
            assert torch.allclose(alone, whole[part], atol=1e-6)


def test_attention_depends_on_the_candidate_and_pooling_does_not():
    candidate, history, _, events = batch()
    other = candidate % ITEMS + 1
    for kind, moves in (("pooled", False), ("sum", True), ("softmax", True)):
        model = net(kind)
        rows = model.gather(history, events)
        first, second = (model.interest(model.items(c), *rows) for c in (candidate, other))
        assert torch.equal(first, second) != moves, kind


# --- Dice ------------------------------------------------------------------------------------


def formula(s, alpha, mean, variance):
    p = 1 / (1 + torch.exp(-(s - mean) / torch.sqrt(variance + 1e-8)))
    return p * s + (1 - p) * alpha * s


def test_dice_is_the_papers_formula_with_the_batchs_moments_then_with_running_ones():
    torch.manual_seed(0)
    s, dice = 2 * torch.randn(40, 3) + torch.tensor([0.0, 5.0, -1.0]), Dice(3)
    nn.init.uniform_(dice.alpha, 0.1, 0.9)
    mean, variance = s.mean(0), s.var(0, correction=0)
    assert torch.allclose(dice(s), formula(s, dice.alpha, mean, variance), atol=1e-5)
    running = 0.1 * mean, 0.9 + 0.1 * s.var(0)  # from 0 and 1, a tenth of the way
    assert torch.allclose(dice.moments.running_mean, running[0], atol=1e-6)
    assert torch.allclose(dice.moments.running_var, running[1], atol=1e-5)
    dice.eval()
    assert torch.allclose(dice(s), formula(s, dice.alpha, *running), atol=1e-5)
    assert torch.allclose(dice(s[:1]), dice(s)[:1])  # a row's value no longer depends on others


def test_dice_takes_each_unit_by_itself():
    torch.manual_seed(0)
    s, dice = torch.randn(40, 3), Dice(3)
    before = dice(s)
    after = dice(s * torch.tensor([1.0, 1.0, 50.0]))
    assert torch.allclose(after[:, :2], before[:, :2], atol=1e-6)
    assert torch.allclose(after[:, 2], 50 * before[:, 2], rtol=1e-4)  # α 0: f scales with s


@pytest.mark.parametrize("training", [True, False])
def test_dices_derivative_is_that_of_the_formula(training):
    torch.manual_seed(0)
    s = torch.randn(9, 4, dtype=torch.double, requires_grad=True)
    dice = Dice(4).double().train(training)
    nn.init.uniform_(dice.alpha, -0.5, 1.5)
    up = torch.randn(9, 4, dtype=torch.double)
    got = torch.autograd.grad((dice(s) * up).sum(), (s, dice.alpha))
    moments = (s.mean(0), s.var(0, correction=0))
    if not training:
        moments = dice.moments.running_mean, dice.moments.running_var
    plain = formula(s, dice.alpha, *moments)
    wanted = torch.autograd.grad((plain * up).sum(), (s, dice.alpha))
    for ours, theirs in zip(got, wanted, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-9)


# --- Learning --------------------------------------------------------------------------------


@each_kind
def test_gradients_reach_every_parameter_but_not_the_pad(kind):
    model = net(kind).train()
    target = torch.arange(B).remainder(2).float()
    binary_cross_entropy_with_logits(model(*batch()), target).backward()
    still = [name for name, weight in model.named_parameters() if not weight.grad.any()]
    shift = ["rest.3.bias"] if kind == "softmax" else []  # moves all scores alike
    assert set(still) <= set(shift)
    assert not model.items.weight.grad[0].any()


def plain_din(model: DeepInterestNet, candidate, history, facts, events=None) -> torch.Tensor:
    """The same network while it trains, as the paper writes it: item by item, nothing split."""

    def dice(s, alpha):
        return formula(s, alpha, s.mean(0), s.var(0, correction=0))

    row, slot = history.nonzero(as_tuple=True)
    query = model.items(candidate)
    q, k = query[row], model.items(history[row, slot])
    hidden = model.first(torch.cat([q, k, q - k, q * k], 1))
    if events is not None:
        hidden = hidden + model.event(events[row, slot])
    hidden = model.rest[1](dice(hidden, model.rest[0].alpha))
    score = model.rest[3](dice(hidden, model.rest[2].alpha)).squeeze(1)
    pooled = []
    for b in range(len(history)):
        weight = score[row == b].softmax(0) if model.softmax else score[row == b]
        pooled.append((weight[:, None] * k[row == b]).sum(0))
    interest = torch.stack(pooled)
    deep = model.head(torch.cat([interest, query, interest * query, facts], 1))
    return (deep + model.wide(facts)).squeeze(1)


@pytest.mark.parametrize("kind", ["sum", "softmax"])
@pytest.mark.parametrize("events", [G, 0])
def test_every_gradient_is_that_of_the_plain_network(kind, events):
    model = net(kind, events=events).double().train()
    candidate, history, facts, known = batch()
    inputs = [candidate, history, facts.double(), known.double()][: 4 if events else 3]
    target = torch.arange(B).remainder(2).double()
    ours, plain = model(*inputs), plain_din(model, *inputs)
    assert torch.allclose(ours, plain, atol=1e-9)
    names, weights = zip(*model.named_parameters(), strict=True)
    got, wanted = (
        torch.autograd.grad(binary_cross_entropy_with_logits(logit, target), weights)
        for logit in (ours, plain)
    )
    for name, first, second in zip(names, got, wanted, strict=True):
        assert torch.allclose(first, second, atol=1e-9), name


def test_training_moves_the_moments_as_dice_by_itself_does():
    model, (candidate, history, facts, events) = net().train(), batch()
    alone = copy.deepcopy(model)
    model(candidate, history, facts, events)
    row, slot = history.nonzero(as_tuple=True)
    q, k = model.items(candidate)[row], model.items(history[row, slot])
    first = alone.first(torch.cat([q, k, q - k, q * k], 1)) + alone.event(events[row, slot])
    alone.rest(first)
    for ours, plain in zip(
        (model.rest[0], model.rest[2]), (alone.rest[0], alone.rest[2]), strict=True
    ):
        for name in ("running_mean", "running_var"):
            got, wanted = getattr(ours.moments, name), getattr(plain.moments, name)
            assert torch.allclose(got, wanted, atol=1e-6), name


def test_a_second_derivative_pass_is_refused_and_not_wrong():
    loss = net().train()(*batch()).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace"):
        loss.backward()


def planted(rows: int = 3000) -> tuple[torch.Tensor, ...]:
    """Return a world in which a candidate is bought just when it was bought before."""
    draw = torch.Generator().manual_seed(0)
    history = torch.rand(rows, 20, generator=draw).argsort(1)[:, :6] + 1
    inside = torch.rand(rows, generator=draw) < 0.5
    other = torch.randint(1, 21, (rows,), generator=draw)
    own = history.gather(1, torch.randint(6, (rows, 1), generator=draw)).squeeze(1)
    candidate = torch.where(inside, own, other)
    return candidate, history, (history == candidate[:, None]).any(1).float()


def test_attention_finds_the_candidate_in_the_history_and_a_null_does_not():
    candidate, history, target = planted()
    shuffled = target[torch.randperm(3000, generator=torch.Generator().manual_seed(0))]
    right = {}
    for name, goal in {"real": target, "null": shuffled}.items():
        torch.manual_seed(0)
        model = DeepInterestNet(20, attention=(16, 8), hidden=(16, 8))
        rows = slice(0, 2500)
        fit(
            model,
            [candidate[rows], history[rows]],
            goal[rows],
            loss=binary_cross_entropy_with_logits,
            epochs=8,
            batch_size=100,
            learning_rate=2e-2,
        )
        said = predict(model, [candidate[2500:], history[2500:]]) > 0
        right[name] = (said == (target[2500:] > 0)).float().mean().item()
        if name == "real":
            weight = model.attend(candidate[2500:], history[2500:]).abs()
            same = history[2500:] == candidate[2500:, None]
            assert weight[same].mean() > 2 * weight[~same].mean()
    assert right["real"] > 0.95
    assert right["null"] < 0.75


# --- Batches with hardly anything in them ---------------------------------------------------------


def purchases(n: int, *, items: int = 20) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return candidates, histories with one item each, and answers that depend on both."""
    draw = torch.Generator().manual_seed(0)
    candidate = torch.randint(1, items + 1, (n,), generator=draw)
    history = torch.zeros(n, 5, dtype=torch.long)
    history[:, 0] = torch.randint(1, items + 1, (n,), generator=draw)
    return candidate, history, (candidate % 2 == history[:, 0] % 2).float()


@each_kind
@pytest.mark.parametrize("rows", [513, 1])
def test_a_batch_with_one_past_item_poisons_nothing(kind, rows):
    """513 rows in batches of 512 leave one with a single item: no variance can be taken of it."""
    candidate, history, answer = purchases(rows)
    model = net(kind, events=0, facts=0).train()
    settings = {"loss": binary_cross_entropy_with_logits, "epochs": 2, "batch_size": 512}
    told = fit(model, [candidate, history], answer, **settings)
    assert torch.tensor(told.train).isfinite().all()
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert predict(model, [candidate, history]).isfinite().all()


@each_kind
def test_a_batch_of_newcomers_trains_the_head_alone(kind):
    candidate, _, answer = purchases(40)
    nobody, model = torch.zeros(40, 5, dtype=torch.long), net(kind, events=0, facts=0)
    before = copy.deepcopy(model.state_dict())
    settings = {"loss": binary_cross_entropy_with_logits, "epochs": 1, "batch_size": 20}
    fit(model, [candidate, nobody], answer, **settings)
    after = model.state_dict()
    assert predict(model, [candidate, nobody]).isfinite().all()
    assert all(value.isfinite().all() for value in after.values())
    moments = [name for name in before if "running" in name or "alpha" in name]
    assert all(torch.equal(before[name], after[name]) for name in moments)
    assert not torch.equal(before["head.0.weight"], after["head.0.weight"])


def test_dice_scores_one_row_by_its_running_moments_and_learns_from_it():
    dice = Dice(3)
    nn.init.uniform_(dice.moments.running_mean, -1, 1)
    row = torch.randn(1, 3, requires_grad=True)
    state = copy.deepcopy(dice.state_dict())
    trained = dice.train()(row)
    trained.sum().backward()
    assert row.grad.isfinite().all()
    assert dice.alpha.grad.isfinite().all()
    assert all(torch.equal(value, state[name]) for name, value in dice.state_dict().items())
    with torch.no_grad():
        assert torch.allclose(trained, dice.eval()(row))


@each_kind
@pytest.mark.parametrize("training", [False, True])
def test_pads_and_unseen_items_are_no_candidates(kind, training):
    model = net(kind, events=0, facts=0).train(training)
    history = torch.tensor([[3, 0, 0]])
    for item in (0, ITEMS + 1, 10**12):
        with pytest.raises(ValueError, match=rf"candidate is out of range .*\({item}\).* 1 to 30"):
            model(torch.tensor([item]), history)
    for item in (-1, ITEMS + 1):
        with pytest.raises(ValueError, match=r"history is out of range .*column 1 .* 0 to 30"):
            model(torch.tensor([1]), torch.tensor([[3, item, 0]]))


def test_what_is_attended_to_is_checked_too():
    model = net(events=0)
    assert model.attend(torch.tensor([1]), torch.zeros(1, 3, dtype=torch.long)).tolist() == [
        [0.0] * 3
    ]
    with pytest.raises(ValueError, match="candidate is out of range"):
        model.attend(torch.tensor([0]), torch.tensor([[1, 2, 0]]))
