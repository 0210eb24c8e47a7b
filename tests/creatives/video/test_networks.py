"""The networks of chapter 06: layers that travel, an ELBO by hand, critics that see their part."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import cross_entropy

from pm_utils.creatives.video import networks
from pm_utils.creatives.video.networks import (
    CONTENT,
    FASTEST,
    JUDGED,
    MOTION,
    N_CATEGORIES,
    PIXELS,
    REQUEST,
    AdVideoGAN,
    AdVideoVAE,
    ClipClassifier,
    ClipCritic,
    ClipGenerator,
    ClipPainter,
    carry,
    classifier_loss,
    gaussian_nats,
    kl_to_standard,
    negative_elbo,
    travel,
)
from pm_utils.market.renderer import FRAMES, SIZE


@pytest.fixture(autouse=True)
def same_weights_every_time():
    torch.manual_seed(0)


def requests(*cells: tuple[int, int, int, int]) -> torch.Tensor:
    """One row per ad: category, palette, layout and motion as numbers 0 and 1."""
    rows = torch.zeros(len(cells), REQUEST)
    for row, (category, palette, layout, motion) in zip(rows, cells, strict=True):
        row[[category, N_CATEGORIES + palette, N_CATEGORIES + 6 + layout, CONTENT + motion]] = 1
    return rows


def moving(model: AdVideoVAE | ClipGenerator) -> None:
    """Give an untrained network a motion of its own for every request."""
    with torch.no_grad():
        model.velocity.weight.normal_(std=0.3)
        model.velocity.bias.normal_(std=0.3)


# --- Layers that travel --------------------------------------------------------------------------


def test_a_layer_on_its_place_stays_as_it_is():
    layer = torch.rand(2, 4, SIZE, SIZE)
    carried = carry(layer, torch.zeros(2, 3, 2), torch.ones(2))
    assert carried.shape == (2, 3, 4, SIZE, SIZE)
    assert torch.allclose(carried, layer[:, None].expand_as(carried), atol=1e-6)


def test_a_path_is_right_then_down_and_leaves_nothing_behind():
    layer = torch.rand(1, 1, SIZE, SIZE)
    carried = carry(layer, torch.tensor([[[3.0, 0.0], [0.0, -2.0]]]), torch.ones(1))[0, :, 0]
    assert torch.allclose(carried[0, :, 3:], layer[0, 0, :, :-3], atol=1e-5)
    assert (carried[0, :, :3] == 0).all()
    assert torch.allclose(carried[1, :-2], layer[0, 0, 2:], atol=1e-5)
    assert (carried[1, -2:] == 0).all()


def test_half_a_pixel_is_the_mean_of_two():
    layer = torch.rand(1, 1, SIZE, SIZE)
    carried = carry(layer, torch.tensor([[[0.5, 0.0]]]), torch.ones(1))[0, 0, 0]
    between = (layer[0, 0, :, :-1] + layer[0, 0, :, 1:]) / 2
    assert torch.allclose(carried[:, 1:], between, atol=1e-5)


def test_size_enlarges_around_the_middle():
    layer = torch.zeros(1, 1, SIZE, SIZE)
    layer[..., 14:18, 14:18] = 1
    areas = carry(layer.expand(3, -1, -1, -1), torch.zeros(3, 1, 2), torch.tensor([0.5, 1.0, 2.0]))
    sums = areas.sum((1, 2, 3, 4))
    assert sums[1] == 16
    assert sums[2] == pytest.approx(64, rel=0.05)
    assert sums[0] == pytest.approx(4, rel=0.05)
    assert torch.allclose(areas, areas.flip(3).flip(4), atol=1e-6)


def test_place_and_size_have_the_slopes_of_finite_differences():
    layer = torch.rand(1, 2, SIZE, SIZE, dtype=torch.double)
    weight = torch.rand(2, SIZE, SIZE, dtype=torch.double)
    place = torch.tensor([[[0.3, -1.2]]], dtype=torch.double, requires_grad=True)
    size = torch.tensor([1.1], dtype=torch.double, requires_grad=True)

    def score(path, scale):
        return (carry(layer, path, scale)[0, 0] * weight).sum()

    assert torch.autograd.gradcheck(score, (place, size), eps=1e-7, atol=1e-4)


def test_a_place_can_be_learned():
    layer = torch.zeros(1, 1, SIZE, SIZE)
    layer[0, 0, 12:20, 12:20] = 1
    goal = carry(layer, torch.tensor([[[2.0, -1.0]]]), torch.ones(1))
    path = torch.zeros(1, 1, 2, requires_grad=True)
    for _ in range(200):
        loss = (carry(layer, path, torch.ones(1)) - goal).square().sum()
        (slope,) = torch.autograd.grad(loss, path)
        path = (path - 0.01 * slope).detach().requires_grad_(True)
    assert path.flatten().tolist() == pytest.approx([2, -1], abs=0.1)


def test_a_journey_ends_at_zero_and_its_steps_are_the_velocities():
    velocity = torch.tensor([[[1.0, 0.0], [2.0, -1.0], [0.0, 3.0]]])
    path = travel(velocity)
    assert path.tolist() == [[[-3.0, -2.0], [-2.0, -2.0], [0.0, -3.0], [0.0, 0.0]]]
    assert torch.equal(path.diff(dim=1), velocity)


# --- The bound -----------------------------------------------------------------------------------


def test_the_gaussian_term_is_that_of_torch_summed_over_a_clip():
    clip, mean = torch.rand(3, PIXELS).double(), torch.rand(3, PIXELS).double()
    log_sigma = torch.tensor(-1.3).double()
    wanted = -Normal(mean, log_sigma.exp()).log_prob(clip).sum(1)
    found = gaussian_nats((clip - mean).square().sum(1), log_sigma)
    assert torch.allclose(found, wanted)


def test_the_gaussian_term_by_hand():
    # sigma = 1: half the squared error, and log sqrt(2 pi) for each of 36,864 numbers
    assert PIXELS == 36_864
    found = gaussian_nats(torch.tensor([0.0, 10.0]).double(), torch.tensor(0.0).double())
    constant = 36_864 * 0.9189385332046727
    assert found.tolist() == pytest.approx([constant, constant + 5])


def test_kl_is_that_of_torch_and_zero_for_the_prior():
    mean, log_variance = torch.randn(5, 10), torch.randn(5, 10)
    q = Normal(mean, (log_variance / 2).exp())
    wanted = kl_divergence(q, Normal(torch.zeros(10), torch.ones(10))).sum(1)
    assert torch.allclose(kl_to_standard(mean, log_variance), wanted, atol=1e-5)
    assert kl_to_standard(torch.zeros(1, 4), torch.zeros(1, 4)).item() == 0
    # by hand: mean 2, variance 1 in one of two numbers
    assert kl_to_standard(torch.tensor([[2.0, 0.0]]), torch.zeros(1, 2)).item() == 2


def test_terms_are_summed_and_clips_averaged():
    assert negative_elbo(torch.tensor([[3.0, 1.0], [5.0, 7.0]]), None).item() == 8


def test_forward_puts_both_terms_together():
    model, clip = AdVideoVAE().eval(), torch.rand(2, FRAMES, 3, SIZE, SIZE)
    request = requests((0, 1, 2, 3), (4, 5, 0, 0))
    torch.manual_seed(1)
    terms = model(clip, request)
    torch.manual_seed(1)
    mean, log_variance = model.encode(clip, request)
    code = mean + (log_variance / 2).exp() * torch.randn_like(mean)
    error = (model.decode(code, request) - clip).square().sum((1, 2, 3, 4))
    assert torch.allclose(terms[:, 0], gaussian_nats(error, model.log_sigma))
    assert torch.allclose(terms[:, 1], kl_to_standard(mean, log_variance))


def test_few_frames_are_right_on_average():
    model = AdVideoVAE(frames=1)
    moving(model)
    with torch.no_grad():
        model.encoder[-1].weight.zero_()
        model.encoder[-1].bias[:] = torch.tensor([0.0] * 10 + [-60.0] * 10)  # no chance in the code
        clip, request = torch.rand(1, FRAMES, 3, SIZE, SIZE), requests((0, 0, 0, 4))
        clip *= torch.linspace(0, 1, FRAMES)[None, :, None, None, None]  # frames differ in error
        whole = model.eval()(clip, request)[0, 0].item()
        draws = torch.tensor([model.train()(clip, request)[0, 0].item() for _ in range(400)])
    assert draws.std() > 20
    assert draws.mean().item() == pytest.approx(whole, abs=4 * draws.std().item() / 20)


def test_sigma_is_learned_unless_it_is_stated():
    assert AdVideoVAE().log_sigma.requires_grad
    stated = AdVideoVAE(sigma=0.5)
    assert not stated.log_sigma.requires_grad
    assert stated.log_sigma.item() == pytest.approx(math.log(0.5))


# --- What stays and what moves -------------------------------------------------------------------


def test_motion_changes_the_way_but_not_the_picture_at_its_end():
    model = AdVideoVAE()
    moving(model)
    code = torch.randn(1, 10).expand(2, -1)
    with torch.no_grad():
        one, other = model.decode(code, requests((3, 1, 1, 2), (3, 1, 1, 7)))
    assert torch.allclose(one[-1], other[-1], atol=1e-6)
    assert (one[0] - other[0]).abs().max() > 0.01


def test_the_code_of_the_motion_leaves_the_last_frame_alone():
    model = AdVideoVAE(content_dim=8, motion_dim=2)
    moving(model)
    code = torch.randn(1, 10).repeat(3, 1)
    code[1, 8:] += 5
    code[2, :8] += 5
    with torch.no_grad():
        clips = model.decode(code, requests(*[(0, 0, 0, 1)] * 3))
    assert torch.allclose(clips[0, -1], clips[1, -1], atol=1e-6)
    assert (clips[0, 0] - clips[1, 0]).abs().max() > 0.01
    assert (clips[0, -1] - clips[2, -1]).abs().max() > 0.01


def test_some_frames_are_those_of_the_whole_clip():
    model = AdVideoVAE()
    moving(model)
    code, request, some = torch.randn(2, 10), requests((0, 0, 0, 1), (1, 1, 1, 8)), [7, 2]
    with torch.no_grad():
        whole, part = model.decode(code, request), model.decode(code, request, torch.tensor(some))
    assert torch.allclose(part, whole[:, some], atol=1e-6)


def test_the_icon_knows_what_and_not_where():
    painter = ClipPainter(8, 16)
    content = requests((2, 0, 0, 0), (2, 5, 3, 0), (7, 0, 0, 0))[:, :CONTENT]
    code = torch.randn(1, 8).expand(3, -1)
    with torch.no_grad():
        painter.icon[2].bias[-(SIZE**2) :] = 20  # opaque: nothing but the icon shows
        clips = painter(code, content, torch.zeros(3, 1, 2))
    assert torch.allclose(clips[0], clips[1], atol=1e-5)
    assert (clips[0] - clips[2]).abs().max() > 0.01


def test_the_background_stands_still_while_the_icon_travels():
    painter, content = ClipPainter(8, 16), requests((0, 0, 0, 0))[:, :CONTENT]
    path = travel(torch.tensor([1.0, 0.0]).expand(1, FRAMES - 1, 2))
    with torch.no_grad():
        moved = painter(torch.rand(1, 8), content, path)
        painter.icon[2].bias[-(SIZE**2) :] = -60  # the icon is transparent
        empty = painter(torch.rand(1, 8), content, path)
    assert (moved[:, 0] - moved[:, -1]).abs().max() > 0.05
    assert torch.allclose(empty, empty[:, :1].expand_as(empty), atol=1e-6)


def test_samples_depend_on_the_generator_alone():
    for model in (AdVideoVAE(), ClipGenerator()):
        request = requests((0, 0, 0, 1), (0, 0, 0, 1))
        draw = [torch.Generator().manual_seed(seed) for seed in (3, 3, 4)]
        with torch.no_grad():
            one, again, other = (model.sample(request, part) for part in draw)
        assert one.shape == (2, FRAMES, 3, SIZE, SIZE)
        assert torch.equal(one, again)
        assert not torch.equal(one, other)
        assert (one[0] - one[1]).abs().max() > 1e-3  # one request, two codes


# --- Generator and critics -----------------------------------------------------------------------


def test_every_second_frame_is_that_of_the_whole_clip():
    generator, request = ClipGenerator(), requests((0, 1, 2, 3))
    with torch.no_grad():
        whole = generator.sample(request, torch.Generator().manual_seed(0))
        half = generator.sample(request, torch.Generator().manual_seed(0), every=2)
    assert half.shape[1] == FRAMES // 2
    assert torch.allclose(half, whole[:, 1::2], atol=1e-6)


def test_the_motion_code_changes_over_time_and_is_bounded(monkeypatch):
    generator, seen = ClipGenerator(), []
    monkeypatch.setattr(networks, "travel", lambda v: seen.append(v) or travel(v))
    request, draw = requests(*[(0, 0, 0, 3)] * 20), torch.Generator().manual_seed(0)
    with torch.no_grad():
        generator.sample(request, draw)
        generator.velocity.weight.mul_(100)
        generator.sample(request, draw)
    calm, wild = seen
    assert calm.shape == (20, FRAMES - 1, 2)
    assert calm.std(1).min() > 0.01
    assert 0.9 * FASTEST < wild.abs().max() <= FASTEST


def frames_of(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, FRAMES // 2, 3, SIZE, SIZE)


def test_the_image_critic_sees_one_frame_and_the_content():
    gan, frames = AdVideoGAN(), frames_of(2)
    request = requests((0, 1, 2, 3), (0, 1, 2, 3))
    before = gan.critic_logits(frames, request, 4)[0]
    changed, moved = frames.clone(), requests((0, 1, 2, 8), (0, 1, 2, 0))
    changed[:, :4] = 0
    assert torch.allclose(gan.critic_logits(changed, moved, 4)[0], before)
    assert not torch.allclose(gan.critic_logits(frames, request, 3)[0], before)
    assert not torch.allclose(
        gan.critic_logits(frames, requests(*[(5, 1, 2, 3)] * 2), 4)[0], before
    )


def test_the_motion_critic_sees_changes_and_the_motion():
    gan, frames = AdVideoGAN(), frames_of(2)
    request = requests((0, 1, 2, 3), (0, 1, 2, 3))
    before = gan.critic_logits(frames, request, 0)[1]
    picture = torch.rand(2, 1, 3, SIZE, SIZE)  # the same in all frames, so no motion
    other = requests((7, 0, 0, 3), (8, 3, 3, 3))
    assert torch.allclose(gan.critic_logits(frames + picture, other, 0)[1], before, atol=1e-4)
    assert not torch.allclose(gan.critic_logits(frames.flip(1), request, 0)[1], before)
    assert not torch.allclose(
        gan.critic_logits(frames, requests(*[(0, 1, 2, 4)] * 2), 0)[1], before
    )


def test_a_critic_with_one_frame_is_an_image_critic():
    assert ClipCritic(1, CONTENT)(
        torch.rand(4, 1, 3, SIZE, SIZE), torch.zeros(4, CONTENT)
    ).shape == (4,)


def test_the_average_follows_and_begins_with_the_painter():
    gan, other = AdVideoGAN(), ClipPainter(8, 96)
    gan.start_from(other)
    for part in (gan.generator, gan.average):
        for mine, theirs in zip(part.painter.parameters(), other.parameters(), strict=True):
            assert torch.equal(mine, theirs)
    with torch.no_grad():
        gan.generator.velocity.bias.fill_(1.0)
        gan.average.velocity.bias.fill_(0.0)
    gan.update_average(0.9)
    assert gan.average.velocity.bias.tolist() == pytest.approx([0.1, 0.1])
    assert not any(weight.requires_grad for weight in gan.average.parameters())
    assert len(gan.critic_parameters()) == 2 * len(list(gan.image_critic.parameters()))


# --- The classifier ------------------------------------------------------------------------------


def test_the_classifier_reads_its_last_frame_and_changes():
    model, clip = ClipClassifier(features=24), torch.rand(3, FRAMES, 3, SIZE, SIZE)
    assert model(clip).shape == (3, sum(JUDGED)) == (3, 12 + 6 + MOTION)
    assert model.features(clip).shape == (3, 24)
    still = clip[:, -1:].expand_as(clip)
    assert not torch.allclose(model.features(still), model.features(clip))
    assert torch.allclose(
        model.features(still), model.features(still.flip(1)), atol=1e-5
    )  # no changes, same picture


def test_the_loss_of_the_classifier_is_three_cross_entropies():
    logits, labels = torch.randn(5, sum(JUDGED)), torch.tensor([[0, 5, 8]] * 5)
    parts = logits[:, :12], logits[:, 12:18], logits[:, 18:]
    wanted = sum(cross_entropy(part, labels[:, i]) for i, part in enumerate(parts))
    assert torch.allclose(classifier_loss(logits, labels), wanted)
    flat = classifier_loss(torch.zeros(2, sum(JUDGED)), labels[:2]).item()
    assert flat == pytest.approx(math.log(12) + math.log(6) + math.log(9))


def test_patches_are_a_convolution_without_overlap():
    torch.manual_seed(0)
    net, x = networks.Patches(6, 5), torch.randn(3, 6, 32, 32)
    expected = nn.functional.conv2d(x, net.weight.view(5, 6, 4, 4), net.bias, stride=4)
    assert torch.allclose(net(x), expected, atol=1e-5)
