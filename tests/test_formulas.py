"""Each formula against hand-worked values, torch (value and gradient) and its invariants."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.nn import functional as F

from pm_utils import formulas

TOLERANCE = 1e-8
numbers = st.floats(-30, 30, allow_nan=False, width=64)
vectors = hnp.arrays(float, st.integers(1, 8), elements=numbers)


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def layer(outputs, inputs, seed=0):
    return draw(outputs, inputs, seed=seed), draw(outputs, seed=seed)


# ------------------------------------------------------------------ torch counterparts


def torch_dnn(x, layers):
    *hidden, (W, b) = layers
    for W_l, b_l in hidden:
        x = torch.relu(F.linear(x, W_l, b_l))
    return F.linear(x, W, b).squeeze(-1)


def torch_recurrent(x, h_0, W_hh, W_xh, b_h):
    """Torch's own recurrent layer, which adds two biases."""
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    weights = dict(zip(names, (W_xh, W_hh, b_h, torch.zeros_like(b_h)), strict=True))
    rnn = torch.nn.RNN(x.shape[1], len(h_0), dtype=torch.float64)
    return torch.func.functional_call(rnn, weights, (x, h_0.unsqueeze(0)))[0]


def torch_next_token(c, E, W_ch, W_hh, W_xh, b_h, W_o, b_o):
    states = torch_recurrent(F.embedding(torch.tensor(WORDS), E), W_ch @ c, W_hh, W_xh, b_h)
    return torch.softmax(F.linear(states[-1], W_o, b_o), dim=-1)


def torch_gan_value(real_logit, fake_logit):
    """The discriminator's cross-entropy, real labelled 1 and fake 0, with its sign turned."""
    bce = F.binary_cross_entropy_with_logits
    ones, zeros = torch.ones_like(real_logit), torch.zeros_like(fake_logit)
    return -bce(real_logit, ones) - bce(fake_logit, zeros)


def torch_interest(ad, history, layers):
    ads = ad.expand_as(history)
    weight = torch_dnn(torch.cat([ads, history, ads - history, ads * history], dim=1), layers)
    return (weight.unsqueeze(1) * history).sum(0)


def torch_rate(**counts):
    return torch.div(*counts.values())


def torch_lifetime_value(revenue, cost, discount_factor):
    powers = discount_factor ** torch.arange(revenue.shape[-1], dtype=torch.float64)
    return (powers * (revenue - cost)).sum(-1)


WORDS = [2, 0, 2, 3]  # a word occurs twice: its embedding collects two slopes
RECURRENT = {"W_hh": draw(3, 3), "W_xh": draw(3, 2), "b_h": draw(3)}
LANGUAGE = RECURRENT | {"E": draw(5, 2), "W_ch": draw(3, 4), "W_o": draw(5, 3), "b_o": draw(5)}
DNN = [layer(6, 4), layer(5, 6, seed=1), layer(1, 5)]
LOGITS = {"real_logit": 3 * draw(7), "fake_logit": 3 * draw(4)}
COUNTS = np.array([[30.0, 4.0, 1.0], [1000.0, 50.0, 7.0]])
CASH = {"revenue": 40 + draw(2, 6), "cost": 12 + draw(2, 6, seed=1), "discount_factor": 0.9}


def next_token(c, **weights):
    return formulas.next_token(WORDS, c, **weights)


def next_token_gradient(upstream, c, **weights):
    return formulas.next_token_gradient(upstream, WORDS, c, **weights)


def feed_forward(activation):
    def value(h, W, b):
        return formulas.feed_forward(h, W, b, activation=activation)

    def gradient(upstream, h, W, b):
        return formulas.feed_forward_gradient(upstream, h, W, b, activation=activation)

    torch_activation = {"identity": lambda x: x}.get(activation) or getattr(torch, activation)
    return value, gradient, lambda h, W, b: torch_activation(F.linear(h, W, b))


def case(name, counterpart, **arguments):
    value, gradient = getattr(formulas, name), getattr(formulas, f"{name}_gradient")
    return pytest.param(value, gradient, counterpart, arguments, id=name)


LANGUAGE_CASE = {"c": draw(4)} | LANGUAGE
INPUTS = [draw(3), draw(5, 3), draw(2, 4, 3)]
WEIGHTS = {"W": draw(2, 3), "b": draw(2)}
ATTENTION = [layer(3, 8), layer(1, 3)]
CASES = [
    *(
        pytest.param(*feed_forward(name), {"h": h} | WEIGHTS, id=f"{name}-{rank}")
        for name in formulas.ACTIVATIONS
        for rank, h in enumerate(INPUTS)
    ),
    case("softmax", lambda x: torch.softmax(x, -1), x=draw(4, 5)),
    case(
        "convolution",
        lambda a, w, b: F.conv1d(a.unsqueeze(0), w, b).squeeze(0),
        **{"a": draw(3, 9), "w": draw(2, 3, 4), "b": draw(2)},
    ),
    case(
        "convolution",
        lambda a, w, b: F.conv2d(a.unsqueeze(0), w, b).squeeze(0),
        **{"a": draw(3, 6, 7), "w": draw(2, 3, 2, 3), "b": draw(2)},
    ),
    case(
        "recurrent_step",
        lambda x, h, W_hh, W_xh, b_h: torch_recurrent(x.unsqueeze(0), h, W_hh, W_xh, b_h)[0],
        **{"x": draw(2), "h": draw(3)},
        **RECURRENT,
    ),
    case("recurrent", torch_recurrent, x=draw(6, 2), h_0=draw(3), **RECURRENT),
    pytest.param(
        next_token,
        next_token_gradient,
        torch_next_token,
        {"c": draw(4)} | LANGUAGE,
        id="next_token",
    ),
    case("gan_value", torch_gan_value, **LOGITS),
    case(
        "generator_loss_saturating",
        lambda fake_logit: torch.log(1 - torch.sigmoid(fake_logit)).mean(),
        fake_logit=LOGITS["fake_logit"],
    ),
    case(
        "generator_loss_non_saturating",
        lambda fake_logit: -torch.log(torch.sigmoid(fake_logit)).mean(),
        fake_logit=LOGITS["fake_logit"],
    ),
    case("logistic", lambda x, w, b: torch.sigmoid(x @ w + b), x=draw(5, 3), w=draw(3), b=0.3),
    case("dnn", torch_dnn, x=draw(8, 4), layers=DNN),
    case(
        "conversion_probability",
        lambda x, layers: torch.sigmoid(torch_dnn(x, layers)),
        **{"x": draw(2, 3, 4), "layers": DNN},
    ),
    case(
        "log_loss",
        lambda p, y: -y * torch.log(p) - (1 - y) * torch.log(1 - p),
        **{"p": np.array([0.2, 0.7, 0.999]), "y": np.array([0.0, 1.0, 0.4])},
    ),
    case(
        "interest",
        torch_interest,
        ad=draw(2),
        history=draw(5, 2),
        layers=[layer(3, 8), layer(1, 3)],
    ),
    case("click_through_rate", torch_rate, clicks=COUNTS[0], impressions=COUNTS[1]),
    case("conversion_rate", torch_rate, conversions=COUNTS[0], clicks=COUNTS[1]),
    case("lifetime_value", torch_lifetime_value, **CASH),
]


def leaves(value):
    """Return the arrays of a nest of lists and tuples, in order."""
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def as_tensors(value):
    if isinstance(value, list | tuple):
        return [as_tensors(item) for item in value]
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(("value", "gradient", "counterpart", "arguments"), CASES)
def test_value_and_gradient_agree_with_torch(value, gradient, counterpart, arguments):
    tensors = {name: as_tensors(argument) for name, argument in arguments.items()}
    expected = counterpart(**tensors)
    ours = value(**arguments)
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, expected.detach().numpy(), rtol=0, atol=TOLERANCE)

    upstream = draw(*ours.shape, seed=9)
    expected.backward(torch.tensor(upstream, dtype=torch.float64))
    slopes = gradient(upstream, **arguments)
    assert set(slopes) == set(arguments)
    for name, tensor in tensors.items():
        for slope, leaf in zip(leaves(slopes[name]), leaves(tensor), strict=True):
            np.testing.assert_allclose(slope, leaf.grad, rtol=0, atol=TOLERANCE, err_msg=name)


def test_every_formula_with_a_gradient_is_held_against_torch():
    named = {name for name in vars(formulas) if name.endswith("_gradient") and name[0] != "_"}
    tested = {parameter.id + "_gradient" for parameter in CASES}
    assert named - tested == {"feed_forward_gradient"}  # tested once per activation


@pytest.mark.parametrize("temperature", [0.3, 2.0])
def test_softmax_gradient_divides_by_the_temperature(temperature):
    x = torch.tensor(draw(4), requires_grad=True)
    u = draw(4, seed=1)
    torch.softmax(x / temperature, -1).backward(torch.tensor(u))
    ours = formulas.softmax_gradient(u, x.detach().numpy(), temperature)["x"]
    np.testing.assert_allclose(ours, x.grad, rtol=0, atol=TOLERANCE)


def test_gradients_chain_into_the_gradient_of_the_log_loss():
    """From −log P(next word) to every weight, against torch's own cross-entropy."""
    tensors = {name: as_tensors(value) for name, value in LANGUAGE_CASE.items()}
    F.nll_loss(torch.log(torch_next_token(**tensors)), torch.tensor(1)).backward()
    p = formulas.next_token(WORDS, draw(4), **LANGUAGE)
    upstream = np.zeros(5)
    upstream[1] = -1 / p[1]
    slopes = formulas.next_token_gradient(upstream, WORDS, draw(4), **LANGUAGE)
    for name, tensor in tensors.items():
        np.testing.assert_allclose(slopes[name], tensor.grad, rtol=0, atol=TOLERANCE)


# ------------------------------------------------------------------ stable pieces


def test_sigmoid_by_hand():
    assert formulas.sigmoid(0.0) == pytest.approx(0.5, abs=1e-15)
    assert formulas.sigmoid(math.log(3)) == pytest.approx(0.75, abs=1e-15)
    assert formulas.sigmoid([-math.log(4)]) == pytest.approx([0.2], abs=1e-15)


@pytest.mark.parametrize("far", [50.0, 800.0, 1e6])
def test_log_sigmoid_stays_finite_where_the_naive_formula_does_not(far):
    assert formulas.log_sigmoid(-far) == -far
    assert formulas.log_sigmoid(far) == pytest.approx(0.0, abs=1e-20)
    with np.errstate(all="raise", under="ignore"):
        assert formulas.sigmoid([-far, far]) == pytest.approx([0, 1], abs=1e-20)


@given(numbers)
def test_sigmoid_of_the_negative_is_the_complement(x):
    assert formulas.sigmoid(-x) + formulas.sigmoid(x) == pytest.approx(1, abs=1e-14)
    assert formulas.log_sigmoid(x) - formulas.log_sigmoid(-x) == pytest.approx(x, abs=1e-9)


def test_log_sum_exp_by_hand():
    assert formulas.log_sum_exp([0.0, math.log(2), math.log(3)]) == pytest.approx(math.log(6))
    assert formulas.log_sum_exp([1000.0, 1000.0]) == pytest.approx(1000 + math.log(2))
    assert formulas.log_sum_exp([[0.0, 0.0], [-2000.0, -2001.0]]) == pytest.approx(
        [math.log(2), -2000 + math.log1p(math.exp(-1))]
    )


@given(vectors, numbers)
def test_log_sum_exp_shifts_with_its_argument_and_lies_between_its_bounds(x, shift):
    total = formulas.log_sum_exp(x)
    assert formulas.log_sum_exp(x + shift) == pytest.approx(total + shift, abs=1e-9)
    assert x.max() - 1e-12 <= total <= x.max() + math.log(len(x)) + 1e-12


def test_softmax_by_hand():
    assert formulas.softmax([0.0, math.log(3)]) == pytest.approx([0.25, 0.75])
    assert formulas.softmax([0.0, math.log(3)], temperature=0.5) == pytest.approx([0.1, 0.9])


@given(vectors, numbers, st.floats(0.1, 10))
def test_softmax_is_a_distribution_that_a_shift_leaves_alone(x, shift, temperature):
    p = formulas.softmax(x, temperature)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert (p >= 0).all()
    np.testing.assert_allclose(formulas.softmax(x + shift, temperature), p, atol=1e-9)


@given(vectors)
def test_a_higher_temperature_never_lowers_the_entropy(x):
    def entropy(p):
        return -(p * np.log(np.maximum(p, 1e-300))).sum()

    cold, warm, hot = (entropy(formulas.softmax(x, tau)) for tau in (0.5, 1.0, 4.0))
    assert cold <= warm + 1e-9
    assert warm <= hot + 1e-9


@pytest.mark.parametrize("temperature", [0, -1.0, math.nan])
def test_softmax_refuses_a_temperature_that_is_not_positive(temperature):
    with pytest.raises(ValueError, match=r"temperature is .*give a number above 0"):
        formulas.softmax([1.0, 2.0], temperature)


# ------------------------------------------------------------------ feed-forward


def test_feed_forward_by_hand():
    W, b = [[1.0, -2.0], [0.5, 0.5]], [1.0, -4.0]
    assert formulas.feed_forward([3.0, 1.0], W, b, activation="identity") == pytest.approx([2, -2])
    assert formulas.feed_forward([3.0, 1.0], W, b, activation="relu") == pytest.approx([2, 0])
    assert formulas.feed_forward([3.0, 1.0], W, b) == pytest.approx(
        [1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))]
    )


def test_feed_forward_treats_each_row_alone():
    h, (W, b) = draw(6, 3), layer(2, 3)
    rows = [formulas.feed_forward(row, W, b) for row in h]
    np.testing.assert_allclose(formulas.feed_forward(h, W, b), rows, atol=1e-14)


def test_two_layers_without_activation_are_one_layer():
    h, (W1, b1), (W2, b2) = draw(7, 4), layer(5, 4), layer(2, 5)
    inner = formulas.feed_forward(h, W1, b1, activation="identity")
    twice = formulas.feed_forward(inner, W2, b2, activation="identity")
    once = formulas.feed_forward(h, W2 @ W1, W2 @ b1 + b2, activation="identity")
    np.testing.assert_allclose(twice, once, atol=1e-12)


def test_feed_forward_names_an_unknown_activation():
    with pytest.raises(ValueError, match="activation is 'swish'; give one of sigmoid, tanh, relu"):
        formulas.feed_forward(draw(3), *layer(2, 3), activation="swish")


# ------------------------------------------------------------------ convolution


def test_convolution_by_hand():
    """Two maps, one kernel each: 1·1 + 2·(−1) + (4 + 5)/2 = 3.5 at the first position, plus 10."""
    a = [[1.0, 2.0, 4.0], [4.0, 5.0, 6.0]]
    w = [[[1.0, -1.0], [0.5, 0.5]]]
    assert formulas.convolution(a, w, [10.0]) == pytest.approx(np.array([[13.5, 13.5]]))


def test_convolution_in_two_dimensions_by_hand():
    a = [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]
    w = [[[[1.0, 0.0], [0.0, -1.0]]]]
    assert formulas.convolution(a, w, [0.5]) == pytest.approx(np.array([[[-3.5, -3.5]]]))


def test_convolution_does_not_flip_the_kernel():
    a, w = draw(1, 12), draw(1, 1, 4)
    ours = formulas.convolution(a, w, [0.0])[0]
    np.testing.assert_allclose(ours, np.correlate(a[0], w[0, 0], "valid"), atol=1e-12)
    assert np.abs(ours - np.convolve(a[0], w[0, 0], "valid")).max() > 0.1


@given(st.integers(1, 4), st.floats(-5, 5))
def test_the_bias_counts_once_however_many_input_maps(maps, bias):
    a, w = draw(maps, 8), draw(2, maps, 3)
    shift = formulas.convolution(a, w, [bias, 0.0]) - formulas.convolution(a, w, [0.0, 0.0])
    np.testing.assert_allclose(shift, [[bias] * 6, [0.0] * 6], atol=1e-12)


@settings(max_examples=30)
@given(hnp.arrays(float, (2, 10), elements=numbers), st.integers(1, 5))
def test_convolution_moves_with_its_input(a, shift):
    w, b = draw(3, 2, 3), draw(3)
    moved = formulas.convolution(np.roll(a, shift, axis=1), w, b)
    np.testing.assert_allclose(
        moved[:, shift:], formulas.convolution(a, w, b)[:, :-shift], atol=1e-9
    )


@settings(max_examples=30)
@given(hnp.arrays(float, (2, 9), elements=numbers), hnp.arrays(float, (2, 9), elements=numbers))
def test_convolution_without_bias_is_linear(first, second):
    w, zero = draw(3, 2, 4), np.zeros(3)
    apart = formulas.convolution(first, w, zero) + 2 * formulas.convolution(second, w, zero)
    np.testing.assert_allclose(formulas.convolution(first + 2 * second, w, zero), apart, atol=1e-8)


# ------------------------------------------------------------------ recurrence


def test_recurrent_by_hand():
    """One unit that halves its memory: h_1 = tanh(1), h_2 = tanh(h_1 / 2)."""
    weights = {"W_hh": [[0.5]], "W_xh": [[1.0]], "b_h": [0.0]}
    states = formulas.recurrent([[1.0], [0.0]], [0.0], **weights)
    assert states[:, 0] == pytest.approx([math.tanh(1), math.tanh(math.tanh(1) / 2)])


@given(st.integers(1, 6))
def test_recurrent_can_be_read_in_two_parts(cut):
    x, h_0 = draw(7, 2), draw(3)
    whole = formulas.recurrent(x, h_0, **RECURRENT)
    head = formulas.recurrent(x[:cut], h_0, **RECURRENT)
    tail = formulas.recurrent(x[cut:], head[-1], **RECURRENT)
    np.testing.assert_allclose(np.vstack([head, tail]), whole, atol=1e-14)


def test_recurrent_never_looks_ahead():
    x, h_0, u = draw(7, 2), draw(3), np.zeros((7, 3))
    u[3] = 1.0
    slopes = formulas.recurrent_gradient(u, x, h_0, **RECURRENT)["x"]
    assert (slopes[4:] == 0).all()
    assert (slopes[:4] != 0).all()


@given(hnp.arrays(float, (5, 2), elements=numbers))
def test_hidden_states_stay_between_minus_one_and_one(x):
    assert np.abs(formulas.recurrent(x, draw(3), **RECURRENT)).max() <= 1


@given(st.floats(0.1, 0.9))
def test_memory_of_a_small_first_input_decays_at_least_by_the_recurrent_weight(weight):
    u = np.zeros((9, 1))
    u[-1] = 1.0
    slopes = formulas.recurrent_gradient(
        u, np.full((9, 1), 0.2), [0.0], W_hh=[[weight]], W_xh=[[1.0]], b_h=[0.0]
    )["x"][:, 0]
    assert (slopes[:-1] <= weight * slopes[1:]).all()


# ------------------------------------------------------------------ language model


def test_next_token_by_hand():
    """All weights zero but the output bias: the distribution is the softmax of that bias."""
    weights = {name: np.zeros_like(value) for name, value in LANGUAGE.items()}
    weights["b_o"] = np.log([1.0, 2.0, 3.0, 4.0, 10.0])
    p = formulas.next_token([0, 1], draw(4), **weights)
    assert p == pytest.approx([0.05, 0.1, 0.15, 0.2, 0.5])


def test_next_token_reads_the_words_before_the_last_and_the_customer():
    c = draw(4)
    p = formulas.next_token([1, 4, 2], c, **LANGUAGE)
    assert np.abs(p - formulas.next_token([3, 0, 2], c, **LANGUAGE)).max() > 0.01
    assert np.abs(p - formulas.next_token([1, 4, 2], c + 1, **LANGUAGE)).max() > 0.01


@settings(max_examples=40)
@given(hnp.arrays(np.int64, st.integers(1, 6), elements=st.integers(0, 4)))
def test_next_token_is_a_distribution_over_the_vocabulary(tokens):
    p = formulas.next_token(tokens, draw(4), **LANGUAGE)
    assert p.shape == (5,)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert (p > 0).all()


@pytest.mark.parametrize("tokens", [[], [0, 5], [-1], [0.5], [[0, 1]]])
def test_next_token_refuses_words_outside_the_vocabulary(tokens):
    with pytest.raises(ValueError, match=r"tokens is .*whole numbers from 0 to 4"):
        formulas.next_token(tokens, draw(4), **LANGUAGE)
    with pytest.raises(ValueError, match=r"tokens is .*whole numbers from 0 to 4"):
        formulas.next_token_gradient(draw(5), tokens, draw(4), **LANGUAGE)


# ------------------------------------------------------------------ GAN


def test_gan_value_by_hand():
    """D(x) = 0.8 twice and D(G(z)) = 0.25: log 0.8 + log 0.75."""
    value = formulas.gan_value([math.log(4)] * 2, [-math.log(3)])
    assert value == pytest.approx(math.log(0.8) + math.log(0.75))


def test_gan_value_of_a_guessing_discriminator_is_minus_log_four():
    assert formulas.gan_value(np.zeros(5), np.zeros(3)) == pytest.approx(-math.log(4))


def test_the_optimal_discriminator_measures_the_jensen_shannon_divergence():
    """Goodfellow et al. (2014), theorem 1: max V = −log 4 + 2 JSD, here on two outcomes."""
    real, fake = np.array([0.75, 0.25]), np.array([0.25, 0.75])
    best = np.log(real / fake)  # log-odds of D*(x) = p(x) / (p(x) + q(x))
    value = formulas.gan_value(np.repeat(best, [3, 1]), np.repeat(best, [1, 3]))
    middle = (real + fake) / 2
    divergence = sum((p * np.log(p / middle)).sum() / 2 for p in (real, fake))
    assert value == pytest.approx(-math.log(4) + 2 * divergence)


@given(vectors, vectors)
def test_gan_value_is_never_positive_and_rises_with_the_real_logits(real, fake):
    value = formulas.gan_value(real, fake)
    assert value <= 0
    assert formulas.gan_value(real + 1, fake) > value
    assert formulas.gan_value(real, fake + 1) < value


@given(vectors)
def test_the_two_generator_slopes_share_their_sign_and_sum_to_one(fake):
    saturating = formulas.generator_loss_saturating_gradient(1.0, fake)["fake_logit"]
    other = formulas.generator_loss_non_saturating_gradient(1.0, fake)["fake_logit"]
    assert (saturating < 0).all()
    assert (other < 0).all()
    np.testing.assert_allclose(saturating + other, -1 / len(fake), atol=1e-12)


@given(st.floats(1, 600))
def test_a_sure_discriminator_leaves_slope_only_to_the_non_saturating_loss(logit):
    saturating = formulas.generator_loss_saturating_gradient(1.0, [-logit])["fake_logit"][0]
    other = formulas.generator_loss_non_saturating_gradient(1.0, [-logit])["fake_logit"][0]
    assert other / saturating == pytest.approx(math.exp(logit), rel=1e-9)


def test_generator_losses_stay_finite_for_a_sure_discriminator():
    assert formulas.generator_loss_non_saturating([-900.0]) == pytest.approx(900)
    assert formulas.generator_loss_saturating([900.0]) == pytest.approx(-900)


# ------------------------------------------------------------------ interest and conversion


def test_logistic_by_hand():
    """Two features worth log 2 and log 3 and a bias of −log 2 make odds of 3 to 1."""
    w, b = [math.log(2), math.log(3)], -math.log(2)
    assert formulas.logistic([1.0, 1.0], w, b) == pytest.approx(0.75)
    assert formulas.logistic([[0.0, 0.0], [1.0, 0.0]], w, b) == pytest.approx([1 / 3, 1 / 2])


def test_logistic_is_the_dnn_without_hidden_layer():
    x, w, b = draw(6, 3), draw(3), 0.4
    deep = formulas.conversion_probability(x, [(w[None, :], [b])])
    np.testing.assert_allclose(formulas.logistic(x, w, b), deep, atol=1e-14)


def test_conversion_probability_by_hand():
    """|x| from two relu units, which no logistic regression can do: σ(2|x| − 2)."""
    layers = [([[1.0], [-1.0]], [0.0, 0.0]), ([[2.0, 2.0]], [-2.0])]
    p = formulas.conversion_probability([[-1.0], [0.0], [1.0]], layers)
    assert p == pytest.approx([0.5, formulas.sigmoid(-2.0), 0.5])


def test_logistic_adds_ad_and_customer_so_that_all_customers_rank_ads_alike():
    """Source §3.3.1 prints a sum: the difference between two ads is the same for everyone."""
    ads, customers, w = np.eye(2), draw(5, 3), draw(5, seed=3)
    rows = [[np.concatenate([customer, ad]) for ad in ads] for customer in customers]
    p = formulas.logistic(np.array(rows), w, -1.0)
    assert len(set(p.argmax(axis=1))) == 1


def test_interest_by_hand():
    """The weight is the product term alone: purchases count by their likeness to the ad."""
    W = np.zeros((1, 8))
    W[0, 6:] = 1.0  # e·v
    history = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    layers = [(W, [0.0])]
    assert formulas.interest([1.0, 0.0], history, layers) == pytest.approx([2.0, 0.0])
    assert formulas.interest([0.0, 1.0], history, layers) == pytest.approx([0.0, 1.0])


@settings(max_examples=30)
@given(st.permutations(range(5)))
def test_interest_does_not_depend_on_the_order_of_purchases(order):
    ad, history, layers = draw(2), draw(5, 2), ATTENTION
    np.testing.assert_allclose(
        formulas.interest(ad, history[order], layers),
        formulas.interest(ad, history, layers),
        atol=1e-12,
    )


def test_interest_grows_with_the_history_instead_of_averaging_it():
    ad, history, layers = draw(2), draw(5, 2), ATTENTION
    once = formulas.interest(ad, history, layers)
    twice = formulas.interest(ad, np.vstack([history, history]), layers)
    np.testing.assert_allclose(twice, 2 * once, atol=1e-12)


# ------------------------------------------------------------------ training


def test_log_loss_by_hand():
    assert formulas.log_loss([0.25, 0.25], [0, 1]) == pytest.approx([math.log(4 / 3), math.log(4)])


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_nothing_costs_less_than_the_truth(guess, truth):
    assert formulas.log_loss(truth, truth) <= formulas.log_loss(guess, truth) + 1e-15


def test_the_slope_of_the_loss_at_the_log_odds_is_prediction_minus_click():
    s, y = 3 * draw(6), np.array([0, 1, 1, 0, 1, 0])
    p = formulas.sigmoid(s)
    slope = formulas.log_loss_gradient(np.ones(6), p, y)["p"] * p * (1 - p)
    np.testing.assert_allclose(slope, p - y, atol=1e-12)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, math.nan])
def test_log_loss_refuses_what_is_no_open_probability(p):
    with pytest.raises(ValueError, match=r"p holds .*give probabilities above 0 and below 1"):
        formulas.log_loss([0.5, p], [1, 0])
    with pytest.raises(ValueError, match=r"p holds .*give probabilities above 0 and below 1"):
        formulas.log_loss_gradient([1.0, 1.0], [0.5, p], [1, 0])


def test_random_layers_have_the_variance_that_keeps_relu_signals_alive():
    (W, b), (last, _) = formulas.random_layers(np.random.default_rng(0), 400, 300, 1)
    assert W.shape == (300, 400)
    assert last.shape == (1, 300)
    assert W.var() == pytest.approx(2 / 400, rel=0.02)
    assert not b.any()


def test_one_layer_trained_on_probabilities_finds_the_logistic_regression_that_made_them():
    x, w, b = draw(2000, 3), np.array([[1.0, -0.5, 0.25]]), np.array([-1.0])
    y = formulas.conversion_probability(x, [(w, b)])
    start = [(np.zeros((1, 3)), np.zeros(1))]
    rng = np.random.default_rng(0)
    ((W, bias),) = formulas.train(start, x, y, rng=rng, epochs=200, learning_rate=0.5)
    np.testing.assert_allclose(W, w, atol=1e-4)
    np.testing.assert_allclose(bias, b, atol=1e-4)
    assert not start[0][0].any()  # the start is left alone


def test_a_trained_net_learns_what_a_line_cannot_and_its_null_does_not():
    """Click where |x| is large; the bar is the entropy, which shuffled clicks stay far from."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-2, 2, size=(4000, 1))
    p = formulas.sigmoid(4 * np.abs(x[:, 0]) - 4)
    clicks, limit = rng.binomial(1, p), formulas.log_loss(p, p).mean()

    def regret(targets):
        start = formulas.random_layers(rng, 1, 8, 1)
        net = formulas.train(start, x, targets, rng=rng, epochs=20)
        return formulas.log_loss(formulas.conversion_probability(x, net), p).mean() - limit

    assert regret(clicks) < 0.02
    assert regret(rng.permutation(clicks)) > 0.2


def test_training_shows_its_layers_after_each_epoch():
    x, y, seen = draw(300, 2), draw(300) > 0, []
    rng = np.random.default_rng(5)
    start = formulas.random_layers(rng, 2, 4, 1)
    last = formulas.train(start, x, y, rng=rng, epochs=3, after_epoch=seen.append)
    losses = [
        formulas.log_loss(formulas.conversion_probability(x, layers), y).mean() for layers in seen
    ]
    assert len(seen) == 3 and seen[-1] is last
    assert losses == sorted(losses, reverse=True) and losses[0] > losses[-1]


def test_training_repeats_itself_for_the_same_generator():
    x, y = draw(300, 2), draw(300) > 0

    def trained():
        rng = np.random.default_rng(5)
        return formulas.train(formulas.random_layers(rng, 2, 4, 1), x, y, rng=rng, epochs=2)

    for (W, b), (again_W, again_b) in zip(trained(), trained(), strict=True):
        np.testing.assert_array_equal(W, again_W)
        np.testing.assert_array_equal(b, again_b)


# ------------------------------------------------------------------ the comparison itself


def test_disagreement_is_rounding_for_a_right_counterpart():
    x, layers = draw(5, 4), DNN
    value, gradient = formulas.disagreement("dnn", torch_dnn, x=x, layers=layers)
    assert value < TOLERANCE
    assert gradient < TOLERANCE


def test_disagreement_shows_a_wrong_value():
    gaps = formulas.disagreement(
        "logistic", lambda x, w, b: x @ w + b, x=draw(4, 2), w=draw(2), b=0.0
    )
    assert min(gaps) > 0.01


def test_disagreement_shows_a_wrong_gradient(monkeypatch):
    right = formulas.logistic_gradient

    def wrong(upstream, x, w, b):
        return right(upstream, x, w, b) | {"b": 0.0}

    monkeypatch.setattr(formulas, "logistic_gradient", wrong)
    value, gradient = formulas.disagreement(
        "logistic", lambda x, w, b: torch.sigmoid(x @ w + b), x=draw(4, 2), w=draw(2), b=0.0
    )
    assert value < TOLERANCE
    assert gradient > 0.01


# ------------------------------------------------------------------ rates


def test_rates_by_hand():
    assert formulas.click_through_rate(30, 1200) == pytest.approx(0.025)
    assert formulas.conversion_rate([3, 0], [30, 4]) == pytest.approx([0.1, 0.0])


@pytest.mark.parametrize("rate", [formulas.click_through_rate, formulas.conversion_rate])
def test_a_rate_of_nothing_is_unknown_not_zero(rate):
    with np.errstate(all="raise"):
        value = rate([0, 1], [0, 4])
    assert np.isnan(value[0])
    assert value[1] == 0.25


def test_the_slope_of_an_unknown_rate_is_unknown():
    slopes = formulas.click_through_rate_gradient([1.0, 1.0], [0, 1], [0, 4])
    assert np.isnan([slopes["clicks"][0], slopes["impressions"][0]]).all()
    assert slopes["impressions"][1] == pytest.approx(-1 / 16)


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 1000))
def test_rates_multiply_to_conversions_per_impression(conversions, clicks, more):
    assume(conversions <= clicks)
    assume(clicks > 0)
    impressions = clicks + more
    ctr = formulas.click_through_rate(clicks, impressions)
    cvr = formulas.conversion_rate(conversions, clicks)
    assert 0 <= ctr <= 1
    assert ctr * cvr == pytest.approx(conversions / impressions)


def test_a_pooled_rate_is_the_rate_of_the_sums_not_the_mean_of_the_rates():
    clicks, impressions = np.array([1, 30]), np.array([2, 1000])
    pooled = formulas.click_through_rate(clicks.sum(), impressions.sum())
    assert pooled == pytest.approx(31 / 1002)
    assert formulas.click_through_rate(clicks, impressions).mean() > 8 * pooled


def test_rates_refuse_impossible_counts():
    with pytest.raises(ValueError, match="clicks holds 5 where impressions holds 4"):
        formulas.click_through_rate([1, 5], [4, 4])
    with pytest.raises(ValueError, match="conversions holds -1; a count is at least 0"):
        formulas.conversion_rate([-1, 2], [4, 4])
    with pytest.raises(ValueError, match="conversions holds 5 where clicks holds 4"):
        formulas.conversion_rate_gradient([1.0], [5], [4])


def test_the_slopes_of_a_rate_by_hand():
    """5 of 10 converted: one more conversion adds 1/10, one more click takes 5/100."""
    slopes = formulas.conversion_rate_gradient([2.0], [5], [10])
    assert slopes["conversions"] == pytest.approx([0.2])
    assert slopes["clicks"] == pytest.approx([-0.1])


# ------------------------------------------------------------------ lifetime value


def test_lifetime_value_by_hand():
    """Two periods at γ = 0.5: (10 − 4) + 0.5 (20 − 6) = 13; as printed 10 + 0.5·20 − 10 = 10."""
    cash = {"revenue": [10.0, 20.0], "cost": [4.0, 6.0], "discount_factor": 0.5}
    assert formulas.lifetime_value(**cash) == pytest.approx(13)
    assert formulas.lifetime_value_as_printed(**cash) == pytest.approx(10)


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0.5, 0.95))
def test_a_constant_margin_is_worth_the_geometric_series(revenue, cost, factor):
    periods = 800
    value = formulas.lifetime_value(np.full(periods, revenue), np.full(periods, cost), factor)
    assert value == pytest.approx((revenue - cost) / (1 - factor), abs=1e-8)


@given(st.floats(1, 100), st.floats(0.5, 0.95))
def test_as_printed_every_added_period_of_cost_lowers_the_value_without_end(cost, factor):
    def printed(periods):
        margin = np.full(periods, cost)
        return formulas.lifetime_value_as_printed(2 * margin, margin, factor)

    assert printed(400) - printed(200) == pytest.approx(-200 * cost, rel=1e-3)


@given(st.floats(0.1, 1))
def test_printed_and_corrected_agree_where_only_the_first_period_costs(factor):
    revenue, cost = np.array([5.0, 6.0, 7.0]), np.array([3.0, 0.0, 0.0])
    corrected = formulas.lifetime_value(revenue, cost, factor)
    assert formulas.lifetime_value_as_printed(revenue, cost, factor) == pytest.approx(corrected)


def test_the_slope_at_a_factor_of_one_and_a_single_period_is_zero():
    slopes = formulas.lifetime_value_gradient(1.0, [5.0], [2.0], 1.0)
    assert slopes["discount_factor"] == 0
    assert slopes["cost"] == pytest.approx([-1.0])


def test_discount_factor_by_hand():
    assert formulas.discount_factor_from_rate(0.25) == pytest.approx(0.8)
    assert formulas.discount_factor_from_rate(0) == 1
    with pytest.raises(ValueError, match=r"rate is -0.1; give a number of at least 0"):
        formulas.discount_factor_from_rate(-0.1)


@pytest.mark.parametrize("factor", [0.0, -0.5, 1.1, 10.0])
@pytest.mark.parametrize("formula", [formulas.lifetime_value, formulas.lifetime_value_as_printed])
def test_lifetime_value_tells_a_factor_from_a_rate(formula, factor):
    with pytest.raises(ValueError, match=r"discount_factor is .*for a rate i per period"):
        formula([1.0], [0.0], factor)


# ------------------------------------------------------------------ shapes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: formulas.feed_forward(draw(4), *layer(2, 3)), r"h has shape \(4,\); .*\(..., 3\)"),
        (
            lambda: formulas.feed_forward(draw(3), draw(2, 3), draw(3)),
            r"b has shape \(3,\); .*\(2\)",
        ),
        (
            lambda: formulas.feed_forward(draw(3), draw(3), draw(3)),
            r"W has shape \(3,\); .*\(O, I\)",
        ),
        (
            lambda: formulas.feed_forward_gradient(draw(3), draw(5, 3), *layer(2, 3)),
            r"upstream has shape \(3,\); expected \(5, 2\)",
        ),
        (
            lambda: formulas.convolution(draw(2, 9), draw(4, 3, 2), draw(4)),
            r"a has shape \(2, 9\); expected \(3, T\)",
        ),
        (
            lambda: formulas.convolution(draw(3, 2), draw(4, 3, 5), draw(4)),
            r"a has shape \(3, 2\); expected at least \(5,\) after axis 0",
        ),
        (
            lambda: formulas.convolution(draw(3, 9), draw(4, 3), draw(4)),
            r"w has shape \(4, 3\); expected \(J, I, K\)",
        ),
        (
            lambda: formulas.recurrent_step(draw(2), draw(4), **RECURRENT),
            r"h has shape \(4,\); expected \(3\)",
        ),
        (
            lambda: formulas.recurrent(draw(0, 2), draw(3), **RECURRENT),
            r"x has shape \(0, 2\); expected at least one step",
        ),
        (
            lambda: formulas.next_token(WORDS, draw(3), **LANGUAGE),
            r"c has shape \(3,\); expected \(4\)",
        ),
        (
            lambda: formulas.next_token_gradient(draw(5), WORDS, draw(3), **LANGUAGE),
            r"c has shape \(3,\); expected \(4\)",
        ),
        (
            lambda: formulas.log_loss([0.5, 0.5], [1.0]),
            r"y has shape \(1,\); expected \(2\)",
        ),
        (lambda: formulas.gan_value(draw(3, 2), draw(3)), r"real_logit has shape \(3, 2\)"),
        (lambda: formulas.generator_loss_saturating(0.5), r"fake_logit has shape \(\); .*\(M\)"),
        (lambda: formulas.logistic(draw(4), draw(3), 0.0), r"x has shape \(4,\); .*\(..., 3\)"),
        (lambda: formulas.dnn(draw(3), [layer(2, 3)]), r"layers ends with \(2, 3\); .*one unit"),
        (lambda: formulas.dnn(draw(3), []), "layers ends with nothing; expected a last layer"),
        (
            lambda: formulas.interest(draw(2), draw(5, 3), DNN),
            r"history has shape \(5, 3\); expected \(T, 2\)",
        ),
        (
            lambda: formulas.lifetime_value(draw(4), draw(3), 0.9),
            r"cost has shape \(3,\); expected \(4\)",
        ),
        (
            lambda: formulas.lifetime_value(draw(4), draw(4), [0.9, 0.8]),
            r"discount_factor has shape \(2,\); expected \(\)",
        ),
    ],
)
def test_a_wrong_shape_names_argument_value_and_what_would_be_right(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("label", [-1.0, 2.0, np.nan])
def test_a_label_that_is_no_probability_has_no_loss(label):
    with pytest.raises(ValueError, match="y holds"):
        formulas.log_loss([0.5, 0.5], [1.0, label])


def test_a_count_that_is_missing_has_no_rate():
    with pytest.raises(ValueError, match="clicks holds nan; a count is at least 0"):
        formulas.click_through_rate([1.0, np.nan], [10, 10])


@pytest.mark.parametrize(("value", "gradient", "counterpart", "arguments"), CASES)
def test_what_is_not_known_is_no_number(value, gradient, counterpart, arguments):
    """A gap in any argument is an error, or a value that is no number; never one without it."""
    sound = value(**arguments)
    assert np.isfinite(sound).all()
    for name, argument in arguments.items():
        if isinstance(argument, list):
            continue  # layers are weights, which `dnn` makes
        broken = np.array(argument, float)
        broken.flat[0] = np.nan
        try:
            found = value(**(arguments | {name: broken}))
        except ValueError:
            continue
        changed = found != sound
        assert np.isnan(found[changed]).all()
        assert changed.any() or name == "E"  # the first word of a vocabulary may not be read


def test_pandas_labels_are_kept_where_each_number_has_its_own():
    table = pd.DataFrame([[0.0, 1.0]], index=["anna"], columns=["tea", "rice"])
    for call in (formulas.sigmoid, formulas.log_sigmoid):
        found = call(table)
        assert found.index.equals(table.index)
        assert found.columns.equals(table.columns)
        assert found.to_numpy().tolist() == call(table.to_numpy()).tolist()
        assert call(table.loc["anna"]).to_dict() == found.loc["anna"].to_dict()
