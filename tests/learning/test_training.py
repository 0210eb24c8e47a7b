"""The training loop learns what is there, keeps its best weights and repeats itself."""

import copy

import pytest
import torch
from torch import Tensor, nn

from pm_utils.learning.training import History, evaluate_loss, fit, predict, rise_and_fall

MSE = nn.functional.mse_loss
TRUE = torch.tensor([[2.0, -1.0, 0.5]])


def rows(n: int = 200, seed: int = 0, noise: float = 0.0) -> tuple[tuple[Tensor], Tensor]:
    """Inputs and a target that is linear in them, with 3 as intercept."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 3, generator=generator)
    return (inputs,), inputs @ TRUE.T + 3 + noise * torch.randn(n, 1, generator=generator)


def linear(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(3, 1)


def dropping() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 1))


class Scripted(nn.Module):
    """Answers 1, 2, 3, ... times what it was trained for: its validation losses are a script.

    Each call in training mode counts one epoch (there is one batch); what it says while it is
    evaluated is the script's entry for that epoch.
    """

    def __init__(self, script: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("epoch", torch.tensor(-1))
        self.register_buffer("script", torch.tensor(script))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.epoch += 1
            return self.weight * x
        return self.script[self.epoch] + 0 * x


def run_script(script: list[float], **options) -> tuple[Scripted, History]:
    """Train a scripted model on four rows; its validation loss is the script's entry."""
    model, x = Scripted(script), torch.zeros(4, 1)
    options = {"epochs": len(script), "validation": ((x,), x)} | options
    return model, fit(model, (x,), x, loss=lambda out, y: (out - y).mean(), **options)


def test_a_linear_model_is_recovered():
    model = linear()
    history = fit(model, *rows(), loss=MSE, epochs=60, batch_size=20, learning_rate=0.1)
    torch.testing.assert_close(model.weight.data, TRUE, atol=0.01, rtol=0)
    torch.testing.assert_close(model.bias.data, torch.tensor([3.0]), atol=0.01, rtol=0)
    assert len(history.train) == 60
    assert history.train[-1] < 1e-3 < history.train[0]
    assert (history.validation, history.best_epoch) == ([], -1)


def test_shuffled_labels_teach_nothing():
    """The null: with targets of other rows no network beats the mean on new rows."""
    inputs, target = rows(400, noise=0.5)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(1))
    new_inputs, new_target = rows(400, seed=2, noise=0.5)
    losses = {}
    for name, labels in {"true": target, "shuffled": target[order]}.items():
        model = linear()
        fit(model, inputs, labels, loss=MSE, epochs=40, batch_size=20, learning_rate=0.1)
        losses[name] = evaluate_loss(model, new_inputs, new_target, loss=MSE)
    spread = new_target.var(correction=0).item()
    assert losses["true"] == pytest.approx(0.25, abs=0.06)
    assert losses["shuffled"] > 0.9 * spread


def test_several_inputs_stay_together():
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.zeros(1))

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.factor * a * b

    a, b = torch.randn(2, 120, generator=torch.Generator().manual_seed(0))
    model = Product()
    fit(model, (a, b), 3 * a * b, loss=MSE, epochs=40, batch_size=10, learning_rate=0.1)
    assert model.factor.item() == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("build", [linear, dropping])
def test_one_seed_is_one_run_and_another_is_another(build):
    runs = []
    for seed in (4, 4, 5):
        torch.rand(seed)  # whatever was drawn before
        model = build()
        history = fit(model, *rows(), loss=MSE, epochs=3, batch_size=32, seed=seed)
        runs.append((history.train, torch.cat([p.data.ravel() for p in model.parameters()])))
    (losses, weights), (again, same), (others, moved) = runs
    assert losses == again
    assert torch.equal(weights, same)
    assert losses != others
    assert not torch.equal(weights, moved)


def test_rows_held_out_do_not_change_what_is_learned():
    plain, watched = dropping(), dropping()
    history = fit(plain, *rows(), loss=MSE, epochs=4, batch_size=32)
    seen = fit(watched, *rows(), loss=MSE, epochs=4, batch_size=32, validation=rows(50, seed=9))
    assert seen.train == history.train
    assert seen.best_epoch == 3  # so that the last weights were kept
    for one, other in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_best_weights_are_restored():
    inputs, target = rows(30, noise=2.0)
    held_out = rows(200, seed=1, noise=2.0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 1))
    history = fit(
        model,
        inputs,
        target,
        loss=MSE,
        epochs=80,
        batch_size=10,
        learning_rate=0.02,
        validation=held_out,
    )
    least = min(history.validation)
    assert history.validation[-1] > 1.05 * least  # it did overfit
    assert history.validation[history.best_epoch] == least
    assert evaluate_loss(model, *held_out, loss=MSE) == pytest.approx(least, rel=1e-6)


def test_the_best_epoch_counts_from_zero_and_its_buffers_come_back():
    model, history = run_script([0.5, 0.3, 0.1, 0.4, 0.6])
    assert history.validation == pytest.approx([0.5, 0.3, 0.1, 0.4, 0.6])
    assert history.best_epoch == 2
    assert model.epoch.item() == 2


@pytest.mark.parametrize(
    ("script", "patience", "epochs", "best"),
    [
        ([5, 4, 6, 7, 3, 2], 2, 4, 1),
        ([5, 4, 6, 7, 3, 2], 3, 6, 5),
        ([1, 2, 2, 2, 2, 2], 1, 2, 0),
        ([3, 3, 3, 3, 3, 3], 2, 3, 0),  # a loss that stays is no lower loss
        ([float("nan"), 5, 4, 6, 6, 6], 2, 5, 2),
        ([6, 5, 4, 3, 2, 1], 1, 6, 5),
    ],
)
def test_training_stops_after_as_many_epochs_without_a_lower_loss(script, patience, epochs, best):
    model, history = run_script([float(s) for s in script], patience=patience)
    assert len(history.train) == len(history.validation) == epochs
    assert (history.best_epoch, model.epoch.item()) == (best, best)


def test_without_patience_every_epoch_is_run():
    assert len(run_script([1.0, 2.0, 3.0, 4.0])[1].train) == 4


def test_each_epoch_sees_every_row_once_in_another_order():
    seen: list[Tensor] = []

    class Watcher(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.detach().ravel().clone())
            return super().forward(x)

    numbers = torch.arange(10.0).unsqueeze(1)
    fit(Watcher(1, 1), (numbers,), numbers, loss=MSE, epochs=2, batch_size=4)
    assert [len(batch) for batch in seen] == [4, 4, 2] * 2
    first, second = torch.cat(seen[:3]), torch.cat(seen[3:])
    for epoch in (first, second):
        assert epoch.sort().values.tolist() == numbers.ravel().tolist()
        assert epoch.tolist() != numbers.ravel().tolist()
    assert first.tolist() != second.tolist()


def test_the_recorded_loss_is_the_mean_over_rows_not_batches():
    numbers = torch.arange(5.0).unsqueeze(1)
    model = nn.Linear(1, 1)
    nn.init.zeros_(model.weight), nn.init.zeros_(model.bias)
    history = fit(model, (numbers,), numbers, loss=MSE, epochs=1, batch_size=4, learning_rate=1e-12)
    assert history.train[0] == pytest.approx((numbers**2).mean().item())
    assert evaluate_loss(model, (numbers,), numbers, loss=MSE, batch_size=2) == pytest.approx(6.0)


def test_weight_decay_draws_the_weights_towards_zero():
    norms = []
    for decay in (0.0, 1.0):
        model = linear()
        fit(model, *rows(), loss=MSE, epochs=10, learning_rate=0.05, weight_decay=decay)
        norms.append(model.weight.norm().item())
    assert norms[1] < norms[0]


def test_dropout_is_on_while_training_and_off_afterwards():
    model = dropping()
    fit(model, *rows(), loss=MSE, epochs=1)
    assert not any(module.training for module in model.modules())
    (inputs,), _ = rows(5)
    assert torch.equal(model(inputs), model(inputs))


@pytest.mark.parametrize("call", [lambda *a, **k: fit(*a, epochs=1, **k), evaluate_loss])
def test_inputs_and_target_of_different_length_are_refused(call):
    x = torch.ones(4, 3)
    before = copy.deepcopy(linear())
    model = copy.deepcopy(before)
    with pytest.raises(ValueError, match=r"inputs\[1\] has 3 rows and the target 4"):
        call(model, (x, x[:3]), x[:, :1], loss=MSE)
    assert torch.equal(model.weight, before.weight)


def test_patience_without_rows_to_watch_is_refused():
    with pytest.raises(ValueError, match="patience needs validation rows"):
        fit(linear(), *rows(), loss=MSE, epochs=1, patience=1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_at_once_and_says_what_to_do(bad):
    with pytest.raises(FloatingPointError, match="lower the learning rate or scale the inputs"):
        fit(linear(), *rows(20), loss=lambda out, y: out.mean() * bad, epochs=1, batch_size=5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_named_not_blamed_on_the_learning_rate(bad):
    (inputs,), target = rows(20)
    gaps, late = inputs.clone(), target.clone()
    gaps[7, 2] = late[3] = bad
    said = r"inputs\[0\] is not finite in 1 of 20 rows, first row 7, column 2"
    for call in (lambda *a: fit(*a, loss=MSE, epochs=1), lambda *a: evaluate_loss(*a, loss=MSE)):
        with pytest.raises(ValueError, match=said):
            call(linear(), (gaps,), target)
        with pytest.raises(ValueError, match="the target is not finite in 1 of 20 rows"):
            call(linear(), (inputs,), late)
    with pytest.raises(ValueError, match=said):
        predict(linear(), (gaps,))
    with pytest.raises(ValueError, match="the validation is not finite in 1 of 20 rows"):
        fit(linear(), (inputs,), target, loss=MSE, epochs=1, validation=((inputs,), late))


def test_no_rows_are_refused():
    none = torch.empty(0, 3)
    with pytest.raises(ValueError, match="the target has no rows"):
        fit(linear(), (none,), none, loss=MSE, epochs=1)
    with pytest.raises(ValueError, match=r"inputs\[0\] has no rows"):
        predict(linear(), (none,))


@pytest.mark.parametrize("n", [1, 5, 9])
def test_a_last_batch_of_one_never_poisons_a_normalised_network(n):
    """Nine rows in fours: four, and five, since the statistics of one row are none."""
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
    if n == 1:
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            fit(model, *rows(n), loss=MSE, epochs=1, batch_size=4)
        return
    fit(model, *rows(n), loss=MSE, epochs=3, batch_size=4)
    assert all(part.isfinite().all() for part in model.state_dict().values())
    assert predict(model, rows(n)[0]).isfinite().all()


def test_a_last_batch_of_one_is_a_step_like_any_other_elsewhere():
    seen = []

    class Watching(nn.Linear):
        def forward(self, x):
            seen.append(len(x))
            return super().forward(x)

    fit(Watching(3, 1), *rows(9), loss=MSE, epochs=1, batch_size=4)
    assert seen == [4, 4, 1]


@pytest.mark.parametrize("batch_size", [1, 7, 4096])
def test_predictions_equal_a_direct_call_in_the_same_order(batch_size):
    model = dropping().train()
    (inputs,), _ = rows(50)
    found = predict(model, (inputs,), batch_size=batch_size)
    assert not found.requires_grad
    torch.testing.assert_close(found, model.eval()(inputs).detach(), rtol=0, atol=1e-6)


def test_a_method_is_predicted_with_its_modules_dropout_off():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def profile(self, x: Tensor, y: Tensor) -> Tensor:
            return self.drop(x) + y

    net, x = Net().train(), torch.ones(30, 4)
    assert torch.equal(predict(net.profile, (x, 2 * x), batch_size=8), 3 * x)


def test_a_plain_function_can_be_predicted():
    x = torch.arange(6.0).reshape(3, 2)
    assert torch.equal(predict(torch.square, (x,), batch_size=2), x * x)


def test_step_sizes_rise_stay_and_fall_to_nothing():
    share = rise_and_fall(200, warm_up=50)
    assert share(0) == pytest.approx(1 / 50)
    assert share(49) == share(100) == 1
    assert share(150) == pytest.approx(0.5)
    assert share(200) == 0


def test_a_validation_loss_that_is_no_number_raises():
    x, model = torch.ones(4, 1), nn.Linear(1, 1)
    late = [torch.zeros(1, 1)], torch.zeros(1, 1)

    def loss(output, target):
        return (output - target).square().mean() / (1 if len(target) == 4 else 0 * target.sum())

    with pytest.raises(FloatingPointError, match="the validation loss is inf in every epoch"):
        fit(model, [x], x, loss=loss, epochs=2, validation=late)


def test_no_epoch_is_told():
    x = torch.ones(4, 1)
    for name in ("epochs", "batch_size"):
        settings = {"epochs": 1, "batch_size": 2} | {name: 0}
        with pytest.raises(ValueError, match=f"{name} is 0: give at least 1"):
            fit(nn.Linear(1, 1), [x], x, loss=nn.functional.mse_loss, **settings)


def test_large_numbers_are_finite():
    assert predict(nn.Identity(), [torch.full((4,), 3e38)]).isfinite().all()
    for hole in (torch.tensor([torch.inf, -torch.inf]), torch.tensor([0.0, torch.nan])):
        with pytest.raises(ValueError, match="is not finite in"):
            predict(nn.Identity(), [hole])


def test_validation_rows_are_looked_at_several_times_in_an_epoch():
    x = torch.linspace(-1, 1, 60)[:, None]
    rows = {"validation": ([x], 3 * x), "loss": nn.functional.mse_loss, "batch_size": 10}
    model = nn.Linear(1, 1)
    history = fit(model, [x], 3 * x, epochs=3, checks=2, learning_rate=0.1, **rows)
    assert (len(history.train), len(history.validation)) == (3, 6)
    kept = nn.functional.mse_loss(model(x), 3 * x).item()
    assert kept == pytest.approx(min(history.validation), rel=1e-4)
    with pytest.raises(ValueError, match="checks is 0"):
        fit(model, [x], 3 * x, epochs=1, checks=0, **rows)
