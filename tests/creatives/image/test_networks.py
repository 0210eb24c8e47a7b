"""Networks of chapter 05: strokes, requests, losses by formula, a penalty by hand, flows known."""

import numpy as np
import pytest
import torch
from torch import nn

from pm_utils.creatives import adversarial
from pm_utils.creatives.image import networks
from pm_utils.creatives.image.evaluation import classified
from pm_utils.creatives.image.networks import (
    IMAGE_LEVELS,
    REQUEST_DIM,
    AdImageCritic,
    AdImageFlow,
    AdImageGAN,
    AdImageGenerator,
    AttributeNet,
    Strokes,
    image_request,
)
from pm_utils.creatives.image.training import (
    new_gan,
    train_flow,
    train_image_classifier,
    train_image_gan,
)


def random_attributes(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(levels, size=n) for levels in IMAGE_LEVELS], axis=1)


def low_rank_images(n: int = 60, rank: int = 5, seed: int = 0) -> torch.Tensor:
    """Return pictures around grey that are sums of a few patterns."""
    draw = torch.Generator().manual_seed(seed)
    patterns = torch.randn(rank, 3072, generator=draw)
    flat = torch.randn(n, rank, generator=draw) @ patterns
    return (0.5 + 0.3 * flat / flat.abs().max()).unflatten(1, (32, 32, 3))


def gan(count: int = 5, width: int = 16) -> AdImageGAN:
    torch.manual_seed(0)
    return AdImageGAN(Strokes(low_rank_images(), count, seed=0), noise_dim=4, width=width)


def test_a_request_names_each_level_and_its_pair_with_the_layout():
    assert IMAGE_LEVELS == (12, 4, 5, 6, 4)
    assert REQUEST_DIM == 31 + 27 * 4
    request = image_request(np.array([[3, 0, 4, 5, 2], [11, 3, 0, 0, 0]]))
    assert request.shape == (2, REQUEST_DIM)
    first = [3, 12, 20, 26]  # category, tone, discount, palette
    assert request[0].nonzero().flatten().tolist() == [*first, 29, *(31 + 4 * i + 2 for i in first)]
    assert (request.sum(1) == 9).all()


def test_different_requests_are_written_differently():
    every = np.array(list(np.ndindex(IMAGE_LEVELS)))
    assert len(torch.unique(image_request(every), dim=0)) == len(every) == 5760


def test_strokes_paint_what_they_weighed():
    images = low_rank_images()
    strokes = Strokes(images, 5, seed=0)
    assert torch.allclose(strokes.paint(strokes.weigh(images)), images, atol=1e-5)
    fewer = Strokes(images, 3, seed=0)
    rest = (fewer.paint(fewer.weigh(images)) - images).square().sum() / 60
    eigenvalues = np.linalg.eigvalsh(np.cov(images.flatten(1).numpy().T, bias=True))[::-1]
    assert rest.item() == pytest.approx(eigenvalues[3:5].sum(), rel=1e-3)


def test_faint_strokes_count_for_more_than_in_pixels():
    images = low_rank_images(400)
    strokes = Strokes(images, 5, seed=0)
    deviation = strokes.weigh(images).std(0, correction=0)
    pixels = deviation * strokes.scale
    assert torch.allclose(deviation / deviation[0], (pixels / pixels[0]).sqrt(), rtol=1e-3)
    assert deviation.square().mean() == pytest.approx(1, rel=1e-3)


def test_painted_brightness_stays_within_bounds():
    strokes = Strokes(low_rank_images(), 5, seed=0)
    painted = strokes.paint(100 * torch.randn(4, 5))
    assert painted.min() == 0
    assert painted.max() == 1


def test_the_penalty_can_be_learned_from():
    critic = AdImageCritic(5, width=16)
    weights, request = torch.randn(32, 5), image_request(random_attributes(32))
    optimizer, sizes = torch.optim.Adam(critic.parameters(), 1e-2), []
    for _ in range(30):
        optimizer.zero_grad()
        penalty = adversarial.gradient_penalty(critic, weights, request)
        penalty.backward()
        optimizer.step()
        sizes.append(penalty.item())
    assert sizes[-1] < 0.2 * sizes[0]


@pytest.mark.parametrize("network", [AdImageGenerator(5, 4, 16), AdImageCritic(5, 16)])
def test_networks_heed_the_request_and_treat_rows_alone(network):
    torch.manual_seed(1)
    inputs = torch.randn(6, 4 if isinstance(network, AdImageGenerator) else 5)
    request = image_request(random_attributes(6))
    whole = network(inputs, request)
    assert torch.allclose(whole[2:4], network(inputs[2:4], request[2:4]), atol=1e-6)
    assert (whole - network(inputs, request.flip(0))).abs().max() > 1e-3


def test_the_generator_starts_from_the_mean_of_each_request():
    model, attributes = gan(), random_attributes(4000)
    request = image_request(attributes)
    truth = torch.randn(REQUEST_DIM, 5, generator=torch.Generator().manual_seed(3))
    model.start_from_means(request @ truth, request)
    found = model.generator.mean(request)
    assert (found - request @ truth).square().mean() < 0.01 * (request @ truth).var()
    for name, value in model.average.state_dict().items():
        assert torch.equal(value, model.generator.state_dict()[name]), name


def test_the_average_follows_slowly_and_is_not_trained():
    model = gan()
    before = model.average.vary.bias.clone()
    with torch.no_grad():
        model.generator.vary.bias += 1
    model.update_average(0.9)
    assert torch.allclose(model.average.vary.bias - before, torch.full((5,), 0.1), atol=1e-6)
    assert not any(weight.requires_grad for weight in model.average.parameters())


def test_the_average_draws_the_ads_and_a_seed_repeats_them():
    model, attributes = gan(), random_attributes(7)
    first = model.sample(attributes, seed=3)
    assert first.shape == (7, 32, 32, 3)
    assert np.array_equal(first, model.sample(attributes, seed=3))
    assert not np.array_equal(first, model.sample(attributes, seed=4))
    with torch.no_grad():
        model.generator.vary.bias += 10
    assert np.array_equal(first, model.sample(attributes, seed=3))


def test_the_flow_loss_by_hand():
    noise, weights = torch.tensor([[0.0, 2.0]]), torch.tensor([[4.0, 0.0]])
    seen = {}

    def model(place, time, request):
        seen["place"] = place
        return torch.zeros(1, 2)

    loss = networks.flow_loss(model, noise, weights, torch.tensor([0.25]), torch.zeros(1, 1))
    assert seen["place"].tolist() == [[1.0, 1.5]]
    assert loss.item() == pytest.approx((16 + 4) / 2)


class KnownFlow(AdImageFlow):
    """The velocity of places that turn around the origin by one radian, two numbers at a time."""

    def forward(self, place, time, request):
        turned = place.unflatten(1, (2, 2)).flip(2) * torch.tensor([-1.0, 1.0])
        return turned.flatten(1)


def test_following_a_known_velocity_arrives():
    strokes = Strokes(low_rank_images(), 4, seed=0)
    flow, attributes = KnownFlow(strokes, width=16), random_attributes(3)
    start = torch.randn(3, 4, generator=torch.Generator().manual_seed(5)).unflatten(1, (2, 2))
    cosine, sine = np.cos(1), np.sin(1)
    end = torch.stack(
        [
            cosine * start[..., 0] - sine * start[..., 1],
            sine * start[..., 0] + cosine * start[..., 1],
        ],
        dim=2,
    )
    expected = strokes.paint(end.flatten(1)).numpy()
    gaps = [np.abs(flow.sample(attributes, seed=5, steps=n) - expected).max() for n in (2, 4, 8)]
    assert gaps[2] < 1e-3
    assert gaps[0] / gaps[2] > 10  # the midpoint rule errs by the square of the step


def test_the_classifier_gives_features_and_one_head_per_attribute():
    torch.manual_seed(0)
    model = AttributeNet(features=12).eval()
    images = low_rank_images(4)
    assert model.features(images).shape == (4, 12)
    logits = model(images)
    assert logits.shape == (4, sum(IMAGE_LEVELS))
    assert torch.allclose(logits, model.heads(model.features(images)))


def test_the_attribute_loss_of_no_knowledge_is_the_log_of_the_levels():
    attributes = torch.as_tensor(random_attributes(6))
    loss = networks.attribute_loss(torch.zeros(6, sum(IMAGE_LEVELS)), attributes)
    assert loss.item() == pytest.approx(np.log(IMAGE_LEVELS).sum(), rel=1e-6)
    sure = image_request(attributes.numpy())[:, : sum(IMAGE_LEVELS)] * 50
    assert networks.attribute_loss(sure, attributes).item() < 1e-6


def test_gates_turn_layers_off_and_up():
    torch.manual_seed(0)
    body = networks.GatedLayers(3, width=8, layers=2)
    x, request = torch.randn(4, 3), image_request(random_attributes(4))
    with torch.no_grad():
        body.asked.weight[8:] = 0  # the gates; the first eight numbers join the input
        body.asked.bias[8:] = -1.0
        told = request @ body.asked.weight[:8].T + body.asked.bias[:8]
        first = body.first(x) + told
        assert torch.allclose(body(x, request), torch.relu(first), atol=1e-6)
        body.asked.bias[8:16] = 2.0
        louder = torch.relu(first + 3 * body.layers[0](torch.relu(first)))
        assert torch.allclose(body(x, request), louder, atol=1e-6)


def test_the_critic_adds_realism_and_fit():
    torch.manual_seed(0)
    critic = AdImageCritic(5, width=16)
    weights, request = torch.randn(6, 5), image_request(random_attributes(6))
    with torch.no_grad():
        whole = critic(weights, request)
        critic.projection.weight.zero_()
        critic.projection.bias.zero_()
        realism = critic(weights, request)
        critic.unconditional.weight.zero_()
        critic.unconditional.bias.fill_(7.0)
        assert torch.allclose(critic(weights, request), torch.full((6,), 7.0))
    assert (whole - realism).abs().min() > 1e-6


def test_an_untaught_flow_heads_for_the_mean_of_the_request():
    torch.manual_seed(0)
    flow = AdImageFlow(Strokes(low_rank_images(), 5, seed=0), width=16)
    place, request = torch.randn(4, 5), image_request(random_attributes(4))
    with torch.no_grad():
        early, late = (flow(place, torch.full((4,), t), request) for t in (0.1, 0.9))
        assert (early - late).abs().max() > 1e-4  # the clock is read
        flow.out.weight.zero_()
        flow.out.bias.zero_()
        found = flow(place, torch.rand(4), request)
        assert torch.allclose(found, flow.mean(request) - place)


def test_strokes_are_perpendicular_sorted_and_repeat_with_their_seed():
    images = torch.rand(80, 32, 32, 3, generator=torch.Generator().manual_seed(1))
    strokes = Strokes(images, 12, seed=0)
    assert strokes.strokes.shape == (3072, 12)
    assert torch.allclose(strokes.strokes.T @ strokes.strokes, torch.eye(12), atol=1e-4)
    assert (strokes.scale.diff() <= 0).all()
    assert torch.equal(strokes.strokes, Strokes(images, 12, seed=0).strokes)
    assert set(strokes.state_dict()) == {"mean", "strokes", "scale"}
    assert not list(strokes.parameters())


def test_the_critic_sees_several_answers_to_one_request_at_once():
    torch.manual_seed(0)
    critic = AdImageCritic(5, width=16)
    weights, request = torch.randn(2, 6, 5), image_request(random_attributes(6))
    both = critic(weights, request)
    assert both.shape == (2, 6)
    for one, each in zip(both, weights, strict=True):
        assert torch.allclose(one, critic(each, request), atol=1e-6)


# --- Pictures and attributes of one's own ---------------------------------------------------------


def bars(n: int, shape: tuple[int, int, int], seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Pictures whose upper or lower half is bright, by the first of two attributes."""
    rng = np.random.default_rng(seed)
    attributes = np.stack([rng.integers(2, size=n), rng.integers(3, size=n)], 1)
    images = 0.2 * rng.random((n, *shape))
    half = shape[0] // 2
    for image, (upper, _) in zip(images, attributes, strict=True):
        image[:half] += 0.7 * upper
        image[half:] += 0.7 * (1 - upper)
    return torch.tensor(images, dtype=torch.float32), attributes


@pytest.mark.parametrize("shape", [(28, 28, 1), (8, 8, 1), (3, 5, 4), (33, 20, 3), (64, 48, 2)])
def test_pictures_of_any_size_are_learned_drawn_and_classified(shape):
    levels, (images, attributes) = (2, 3), bars(65, shape)
    model = train_image_classifier(images, attributes, epochs=8, seed=0, levels=levels)
    found = classified(model, images)
    assert found.shape == (65, 2)
    assert (found[:, 0] == attributes[:, 0]).mean() > 0.9
    strokes = Strokes(images, count=4, seed=0)
    weights, request = strokes.weigh(images), image_request(attributes, levels)
    assert strokes.paint(weights).shape == images.shape
    gan = new_gan(strokes, weights, request, width=8, seed=0, levels=levels)
    train_image_gan(gan, weights, request, steps=3, seed=0)
    flow = AdImageFlow(strokes, width=8, levels=levels)
    train_flow(flow, weights, request, steps=3, seed=0)
    for drawn in (gan.sample(attributes[:5]), flow.sample(attributes[:5], steps=2)):
        assert drawn.shape == (5, *shape)
        assert np.isfinite(drawn).all()
    upper = gan.sample(np.array([[1, 0], [0, 0]]))[:, : shape[0] // 2].mean((1, 2, 3))
    assert upper[0] > upper[1] + 0.3  # it starts from the mean of each request


def test_the_book_s_networks_draw_the_weights_they_always_drew():
    """Recorded before pictures of other sizes were possible: nothing is drawn in another order."""
    torch.manual_seed(0)
    model = AttributeNet()
    torch.manual_seed(0)
    by_hand = nn.Sequential(
        *(nn.Conv2d(3, 16, 4, 2, 1), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 48, 3, 2, 1), nn.BatchNorm2d(48), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(48 * 16, 32)),
    )
    heads = nn.Linear(32, 31)
    expected = by_hand.state_dict() | {f"heads.{k}": v for k, v in heads.state_dict().items()}
    found = {name.removeprefix("backbone."): value for name, value in model.state_dict().items()}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    images = torch.rand(5, 32, 32, 3)
    trained = heads(by_hand.train()(2 * images.permute(0, 3, 1, 2) - 1))
    assert torch.equal(model.train()(images), trained)


def test_a_batch_of_one_tiny_picture_poisons_nothing():
    model = AttributeNet(levels=(2,), shape=(4, 4, 1)).train()
    model(torch.rand(1, 4, 4, 1)).sum().backward()
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_one_attribute_alone_has_no_pairs():
    assert image_request(np.array([[2]]), (3,)).tolist() == [[0.0, 0.0, 1.0]]


def test_unknown_levels_and_pictures_are_refused():
    images, attributes = bars(20, (8, 8, 1))
    for wrong, told in (
        (attributes + 2, r"attributes, column 0 is out of range .* 0 to 1"),
        (attributes - 1, "attributes is out of range"),
        (attributes[:, :1], r"give \(N, 2\)"),
        (attributes[1:], "attributes 19 rows"),
        (attributes + 0.5, "attributes is not whole"),
    ):
        with pytest.raises(ValueError, match=told):
            train_image_classifier(images, wrong, epochs=1, seed=0, levels=(2, 3))
    with pytest.raises(ValueError, match="attributes, column 3 is out of range"):
        image_request(np.array([[3, 0, 4, 6, 2]]))
    hole = images.clone()
    hole[3, 1, 1, 0] = torch.nan
    with pytest.raises(ValueError, match="images is not finite in 1 of 20 rows, first row 3"):
        Strokes(hole, count=2, seed=0)
    with pytest.raises(ValueError, match="count is out of range .* 1 to 20"):
        Strokes(images, count=21, seed=0)
    with pytest.raises(ValueError, match="vary in 0 patterns"):
        Strokes(torch.zeros(20, 8, 8, 1), count=2, seed=0)
    with pytest.raises(ValueError, match=r"pictures of shape \(20, 8, 8, 1\): give"):
        AttributeNet()(images)
    strokes = Strokes(images, count=2, seed=0)
    weights, request = strokes.weigh(images), image_request(attributes, (2, 3))
    with pytest.raises(ValueError, match="make 139 columns"):
        new_gan(strokes, weights, request, width=8, seed=0)
    with pytest.raises(ValueError, match="weights 19"):
        new_gan(strokes, weights[1:], request, width=8, seed=0, levels=(2, 3))
