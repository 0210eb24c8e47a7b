"""Networks of clips: layers that travel, an ELBO in nats, two critics that see what they should."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from pm_utils.market.render import FRAMES
from pm_utils.models.advideo import (
    CONTENT,
    MOTION,
    PIXELS,
    REQUEST,
    AdVideoGAN,
    AdVideoVAE,
    ClipClassifier,
    ClipCritic,
    ClipPainter,
    carry,
    classifier_loss,
    gaussian_nats,
    kl_to_standard,
    negative_elbo,
    travel,
)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def requests(n: int) -> torch.Tensor:
    """One ad per row, of as many kinds as there are rows."""
    row = torch.zeros(n, REQUEST)
    for i in range(n):
        row[i, [i % 12, 12 + i % 6, 18 + i % 4, CONTENT + i % MOTION]] = 1
    return row


def test_a_layer_at_its_own_place_and_size_is_itself():
    layer = draw(2, 3, 32, 32)
    seen = carry(layer, torch.zeros(2, 1, 2), torch.ones(2))
    torch.testing.assert_close(seen[:, 0], layer)


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, -5), (-2, 4)])
def test_a_layer_carried_by_whole_pixels_is_shifted(right, down):
    layer = torch.zeros(1, 1, 32, 32)
    layer[0, 0, 10:20, 12:22] = draw(10, 10)
    path = torch.tensor([[[float(right), float(down)]]])
    seen = carry(layer, path, torch.ones(1))[0, 0]
    torch.testing.assert_close(seen, layer[0].roll((down, right), (1, 2)))


def test_half_a_pixel_is_the_mean_of_neighbours_and_outside_is_nothing():
    layer = draw(1, 1, 32, 32)
    seen = carry(layer, torch.tensor([[[0.5, 0.0]]]), torch.ones(1))[0, 0, 0]
    left = layer[0, 0]
    torch.testing.assert_close(seen[:, 1:], (left[:, 1:] + left[:, :-1]) / 2)
    torch.testing.assert_close(seen[:, 0], left[:, 0] / 2)


def test_a_larger_size_spreads_the_layer():
    layer = torch.zeros(1, 1, 32, 32)
    layer[0, 0, 12:20, 12:20] = 1
    small, large = (carry(layer, torch.zeros(1, 1, 2), torch.tensor([s])).sum() for s in (1.0, 2.0))
    assert large / small == pytest.approx(4, rel=0.05)


def test_a_place_can_be_learned():
    layer = torch.zeros(1, 1, 32, 32)
    layer[0, 0, 12:20, 12:20] = 1
    goal = carry(layer, torch.tensor([[[2.0, -1.0]]]), torch.ones(1))
    path = torch.zeros(1, 1, 2, requires_grad=True)
    for _ in range(200):
        loss = (carry(layer, path, torch.ones(1)) - goal).square().sum()
        (slope,) = torch.autograd.grad(loss, path)
        path = (path - 0.01 * slope).detach().requires_grad_(True)
    torch.testing.assert_close(path.detach(), torch.tensor([[[2.0, -1.0]]]), atol=0.1, rtol=0)


def test_a_path_ends_at_zero_and_steps_by_the_velocity():
    velocity = draw(3, FRAMES - 1, 2)
    path = travel(velocity)
    assert path.shape == (3, FRAMES, 2)
    assert (path[:, -1] == 0).all()
    torch.testing.assert_close(path.diff(dim=1), velocity)


def test_nats_of_a_gaussian_are_those_of_torch():
    clip, mean, log_sigma = draw(2, PIXELS), draw(2, PIXELS, seed=1), torch.tensor(-1.3)
    error = (clip - mean).square().sum(1)
    known = Independent(Normal(mean.double(), log_sigma.exp().double()), 1).log_prob(clip.double())
    torch.testing.assert_close(gaussian_nats(error, log_sigma).double(), -known, rtol=1e-5, atol=0)


def test_nats_by_hand():
    # one pixel off by 1 under deviation 1: half a nat above the constant
    nats = gaussian_nats(torch.tensor([1.0]), torch.tensor(0.0)).item()
    assert nats == pytest.approx(0.5 + PIXELS * math.log(2 * math.pi) / 2, rel=1e-6)


def test_kl_is_that_of_torch_summed_over_the_code():
    mean, log_variance = draw(4, 10), draw(4, 10, seed=1) - 0.5
    known = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(kl_to_standard(mean, log_variance), known)
    assert kl_to_standard(torch.zeros(1, 10), torch.zeros(1, 10)).item() == 0


def test_the_elbo_adds_terms_of_a_clip_and_averages_over_clips():
    terms = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    assert negative_elbo(terms, torch.empty(0)).item() == 6


def test_two_random_frames_estimate_the_error_of_twelve():
    torch.manual_seed(0)
    vae, clip, asked = AdVideoVAE(width=8), draw(4, FRAMES, 3, 32, 32), requests(4)
    with torch.no_grad():
        vae.encoder[-1].bias[10:] = -40.0  # no doubt about the code: only frames are random
        vae.encoder[-1].weight[10:] = 0.0
        known = vae.eval()(clip, asked)[:, 0]
        vae.train()
        some = torch.stack([vae(clip, asked)[:, 0] for _ in range(400)])
    error = some.std(0) / 400**0.5
    assert ((some.mean(0) - known).abs() < 5 * error).all()
    assert (error > 0).all()


def test_a_fixed_deviation_stays_and_a_learned_one_moves():
    clip, asked = draw(4, FRAMES, 3, 32, 32), requests(4)
    for sigma, moves in ((None, True), (0.5, False)):
        vae = AdVideoVAE(width=8, sigma=sigma)
        negative_elbo(vae(clip, asked), asked).backward()
        assert (vae.log_sigma.grad is not None) == moves
    assert vae.log_sigma.exp().item() == pytest.approx(0.5)


def test_a_vae_draws_from_the_prior_and_reconstructs_without_luck():
    vae, asked = AdVideoVAE(width=8).eval(), requests(5)
    clip = draw(5, FRAMES, 3, 32, 32)
    with torch.no_grad():
        again = [vae.reconstruct(clip, asked) for _ in range(2)]
        one, two, same = (vae.sample(asked, torch.Generator().manual_seed(s)) for s in (0, 1, 0))
    assert torch.equal(*again)
    assert again[0].shape == clip.shape
    assert torch.equal(one, same)
    assert not torch.equal(one, two)


def test_the_background_stands_still_while_the_icon_travels():
    torch.manual_seed(0)
    painter = ClipPainter(8, 16)
    code, content = draw(1, 8), requests(1)[:, :CONTENT]
    path = travel(torch.tensor([1.0, 0.0]).expand(1, FRAMES - 1, 2))
    moving = painter(code, content, path)
    still = painter(code, content, torch.zeros_like(path))
    assert moving.shape == (1, FRAMES, 3, 32, 32)
    torch.testing.assert_close(still, still[:, :1].expand_as(still))
    torch.testing.assert_close(moving[:, -1], still[:, -1])  # both end at the same place
    assert (moving[:, 0] - moving[:, -1]).abs().max() > 0.05


def test_a_decoded_frame_is_the_frame_of_the_decoded_clip():
    vae = AdVideoVAE(width=8).eval()
    code, asked, some = draw(3, 10), requests(3), torch.tensor([7, 2])
    torch.testing.assert_close(vae.decode(code, asked, some), vae.decode(code, asked)[:, some])


def test_the_image_critic_sees_one_frame_and_the_motion_critic_only_changes():
    gan, asked = AdVideoGAN(width=8), requests(4)
    frames = draw(4, FRAMES // 2, 3, 32, 32)
    image, motion = gan.judge(frames, asked, 2)
    assert image.shape == motion.shape == (4,)
    lighter = gan.judge(frames + 0.1, asked, 2)  # all frames alike: changes stay
    torch.testing.assert_close(lighter[1], motion, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(lighter[0], image)
    later = frames.clone()
    later[:, 3] = 0  # not the frame that the image critic looks at
    torch.testing.assert_close(gan.judge(later, asked, 2)[0], image)
    assert not torch.allclose(gan.judge(later, asked, 2)[1], motion)


def test_critics_are_told_only_their_part_of_the_request():
    gan, frames, asked = AdVideoGAN(width=8), draw(2, FRAMES // 2, 3, 32, 32), requests(2)
    elsewhere = asked.clone()
    elsewhere[:, CONTENT:] = asked[:, CONTENT:].roll(1, 1)
    before, after = gan.judge(frames, asked, 0), gan.judge(frames, elsewhere, 0)
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(before[1], after[1])


def test_a_critic_without_interest_in_the_request_is_a_plain_one():
    critic = ClipCritic(1, CONTENT)
    with torch.no_grad():
        critic.fits.weight.zero_()
        critic.fits.bias.zero_()
    frames = draw(2, 1, 3, 32, 32)
    told = [critic(frames, asked) for asked in (requests(2)[:, :CONTENT], torch.zeros(2, CONTENT))]
    assert torch.equal(*told)


def test_every_second_frame_of_a_generated_clip():
    generator, asked = AdVideoGAN(width=8).generator, requests(3)
    with torch.no_grad():
        whole = generator.sample(asked, torch.Generator().manual_seed(0))
        half = generator.sample(asked, torch.Generator().manual_seed(0), every=2)
    torch.testing.assert_close(half, whole[:, 1::2])


def test_the_average_starts_equal_and_follows_by_its_rule():
    gan = AdVideoGAN(width=8)
    gan.start_from(ClipPainter(8, 8))
    now, average = next(gan.generator.parameters()), next(gan.average.parameters())
    assert torch.equal(now, average)
    with torch.no_grad():
        now += 1
        gan.follow(0.75)
    torch.testing.assert_close(average, now - 0.75)
    assert not average.requires_grad


def test_classifier_loss_adds_the_log_loss_of_its_heads():
    torch.manual_seed(0)
    model, clips = ClipClassifier().eval(), draw(4, FRAMES, 3, 32, 32)
    scores, labels = model(clips), torch.tensor([[0, 1, 2], [3, 4, 5], [11, 5, 8], [6, 0, 0]])
    heads = scores.split((12, 6, MOTION), 1)
    known = sum(
        -head.log_softmax(1)[torch.arange(4), labels[:, i]].mean() for i, head in enumerate(heads)
    )
    torch.testing.assert_close(classifier_loss(scores, labels), known)
