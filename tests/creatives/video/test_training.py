"""Networks of clips learn on a few ads."""

import numpy as np
import pytest
import torch

from pm_utils.creatives.video import archive, evaluation, training
from pm_utils.creatives.video.archive import CLIP_CATALOGUE
from pm_utils.creatives.video.networks import AdVideoGAN, gaussian_nats
from pm_utils.market.renderer import SIZE


@pytest.fixture(scope="module")
def lesson() -> tuple[torch.Tensor, torch.Tensor]:
    """Clips of one product, still or not, and their requests."""
    draw = np.random.default_rng(3)
    codes = CLIP_CATALOGUE[draw.integers(len(CLIP_CATALOGUE), size=256)]
    codes[:, 0], codes[:, 2] = 5, 0
    return archive.shoot(codes, draw), archive.clip_request(codes)


def test_the_vae_learns_from_its_requests_and_the_null_cannot(lesson):
    clips, request = lesson
    settings = {"epochs": 9, "seed": 0, "width": 24}
    vae, _ = training.train_vae(clips[:200], request[:200], **settings)
    turned = request[:200].roll(1, 0)
    null, _ = training.train_vae(clips[:200], turned, **settings)
    nats = [evaluation.held_out_nats(net, clips[200:], request[200:]) for net in (vae, null)]
    assert nats[0]["negative ELBO"] < nats[1]["negative ELBO"] - 1000
    assert nats[0].iloc[:2].sum() == pytest.approx(nats[0]["negative ELBO"])
    state = torch.get_rng_state()
    evaluation.held_out_nats(vae, clips[200:], request[200:])
    assert torch.equal(state, torch.get_rng_state())  # to measure changes nothing that comes later


def test_training_repeats_itself(lesson):
    clips, request = lesson
    one, other = (
        training.train_vae(clips[:64], request[:64], epochs=1, seed=5, width=8)[0] for _ in range(2)
    )
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_mean_error_is_a_gaussian_with_an_absurd_deviation():
    sigma = training.mean_error_sigma()
    assert sigma == pytest.approx(135.76, abs=0.01)
    error, log_sigma = torch.tensor([0.0, 368.64]).double(), torch.tensor(sigma).double().log()
    nats = gaussian_nats(error, log_sigma)
    assert (nats[1] - nats[0]).item() == pytest.approx(368.64 / 36_864)  # the mean, not the sum


def test_with_mean_error_the_code_falls_silent(lesson):
    clips, request = lesson
    kl = {}
    for name, sigma in {"tutorial": training.mean_error_sigma(), "learned": None}.items():
        settings = {"epochs": 6, "seed": 0, "width": 8, "sigma": sigma}
        model, _ = training.train_vae(clips, request, **settings)
        kl[name] = evaluation.held_out_nats(model, clips[:50], request[:50])["KL"]
    assert kl["tutorial"] < 0.01
    assert kl["learned"] > 3


def test_the_classifier_learns_palettes_first(lesson):
    clips, request = lesson
    labels = np.zeros((len(clips), 4), dtype=int)
    labels[:, 1] = request[:, 12:18].argmax(1).numpy()
    labels[:, 3] = request[:, 22:].argmax(1).numpy()
    model = training.train_clip_classifier(clips, labels, epochs=6, seed=0)
    accuracy = evaluation.classifier_accuracy(model, clips, labels)
    assert accuracy["palette"] > 0.9
    assert accuracy["motion"] > 0.5
    assert evaluation.clip_features(model, clips).shape == (256, 24)


def test_the_gan_trains_both_sides_and_reports_in_time(lesson):
    clips, request = lesson
    seen, results = [], []
    for _ in range(2):
        torch.manual_seed(0)
        gan = AdVideoGAN(width=8)
        before = {name: weight.clone() for name, weight in gan.named_parameters()}
        training.train_clip_gan(
            gan, clips, request, steps=5, seed=0, watch=lambda _, s: seen.append(s), watch_every=2
        )
        results.append(gan)
    assert seen == [0, 2, 4, 5] * 2
    for name, weight in results[1].named_parameters():
        assert not torch.equal(weight, before[name]), name
        assert torch.equal(weight, dict(results[0].named_parameters())[name]), name
    assert all(weight.requires_grad for weight in gan.critic_parameters())


def test_the_penalty_is_the_squared_slope():
    weight = torch.rand(5, 3, SIZE, SIZE)

    class Linear(torch.nn.Module):
        def forward(self, frames, request):
            return (frames * weight).sum((1, 2, 3, 4)) + request.sum(1)

    frames, request = torch.rand(4, 5, 3, SIZE, SIZE), torch.rand(4, 9)
    penalty = training.frame_penalty(Linear(), frames, request)
    assert penalty.item() == pytest.approx(weight.square().sum().item(), rel=1e-5)
