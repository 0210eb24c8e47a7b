"""The formulas of the book in plain NumPy, each followed by its gradient.

Arguments carry the names of the formula's symbols: ``W`` weights, ``b`` bias, ``h`` hidden state,
``x`` input. A function ``f_gradient(upstream, ...)`` takes the slope of some loss with respect to
the value of ``f`` (an array shaped like that value) and returns a dictionary from the name of each
argument to the slope of the loss with respect to it. Gradients chain: what one returns for its
input is the next one's `upstream`. A gradient raises ValueError where its formula does, and for an
`upstream` of another shape than the formula's value. All numbers are float64.

"Source" below is the document that the book implements, by section number and title.
"""

from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from pm_utils.inputs import like

Layers = Sequence[tuple[ArrayLike, ArrayLike]]
Gradient = dict[str, np.ndarray]


def _array(name: str, value: ArrayLike, *shape: int | str | EllipsisType) -> np.ndarray:
    """Return `value` as float64 of the given shape; a string stands for any size, ... leads."""
    array = np.asarray(value, dtype=float)
    leading = bool(shape) and shape[0] is ...
    sizes = shape[1:] if leading else shape
    actual = array.shape[len(array.shape) - len(sizes) :] if leading else array.shape
    fits = len(actual) == len(sizes) and all(
        isinstance(size, str) or size == found for size, found in zip(sizes, actual, strict=True)
    )
    if not fits:
        wanted = ", ".join("..." if size is ... else str(size) for size in shape)
        raise ValueError(f"{name} has shape {array.shape}; expected ({wanted})")
    return array


# ------------------------------------------------------------------ stable pieces


def log_sum_exp(x: ArrayLike) -> np.ndarray:
    """Return log Σ exp(x) over the last axis without overflow.

    Parameters
    ----------
    x : array of shape (..., K), K > 0

    Returns
    -------
    array of shape (...,)

    Raises
    ------
    ValueError
        When x is a single number or K is 0.

    Examples
    --------
    >>> from pm_utils.formulas import log_sum_exp
    >>> float(log_sum_exp([1000.0, 1000.0]).round(4))  # 1000 + log 2, where exp(1000) overflows
    1000.6931
    """
    x = _array("x", x, ..., "K")
    largest = x.max(axis=-1, keepdims=True)
    return np.log(np.exp(x - largest).sum(axis=-1)) + largest[..., 0]


def log_sigmoid(x: ArrayLike) -> np.ndarray:
    """Return log σ(x) = −log(1 + e^(−x)), finite for every finite x.

    Parameters
    ----------
    x : array of any shape, a log-odds in nats

    Returns
    -------
    array shaped like x, at most 0; pandas' index and columns are kept

    Examples
    --------
    >>> from pm_utils.formulas import log_sigmoid
    >>> log_sigmoid([0.0, -1000.0]).round(4).tolist()
    [-0.6931, -1000.0]
    """
    return like(-np.logaddexp(0.0, -np.asarray(x, dtype=float)), x)


def sigmoid(x: ArrayLike) -> np.ndarray:
    """Return σ(x) = 1 / (1 + e^(−x)), the probability whose log-odds are x.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    x : array of any shape, a log-odds in nats

    Returns
    -------
    array shaped like x, between 0 and 1; pandas' index and columns are kept

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.formulas import sigmoid
    >>> sigmoid([0.0, np.log(3)]).round(4).tolist()  # odds of 1 : 1 and of 3 : 1
    [0.5, 0.75]
    """
    return np.exp(log_sigmoid(x))


def softmax(x: ArrayLike, temperature: float = 1.0) -> np.ndarray:
    """Turn K scores into K probabilities, e^(x_k/τ) / Σ_j e^(x_j/τ).

    Explained in chapter ``formulas``.

    Parameters
    ----------
    x : array of shape (..., K)
        Scores in nats.
    temperature : float
        τ > 0: below 1 sharpens, above 1 flattens.

    Returns
    -------
    array of shape (..., K)
        Sums to 1 over the last axis.

    Raises
    ------
    ValueError
        When the temperature is not above 0, or x is a single number.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.formulas import softmax
    >>> softmax([0.0, np.log(3)]).round(4).tolist()
    [0.25, 0.75]
    >>> softmax([0.0, np.log(3)], temperature=0.5).round(4).tolist()  # sharper
    [0.1, 0.9]
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; give a number above 0")
    scores = _array("x", x, ..., "K") / temperature
    return np.exp(scores - log_sum_exp(scores)[..., None])


def softmax_gradient(upstream: ArrayLike, x: ArrayLike, temperature: float = 1.0) -> Gradient:
    """Return the slope with respect to x: p ⊙ (u − p·u) / τ.

    Examples
    --------
    >>> from pm_utils.formulas import softmax_gradient
    >>> softmax_gradient([1.0, 0.0], x=[0.0, 0.0])["x"].tolist()  # of the first probability
    [0.25, -0.25]
    """
    p = softmax(x, temperature)
    u = _array("upstream", upstream, *p.shape)
    return {"x": p * (u - (p * u).sum(axis=-1, keepdims=True)) / temperature}


# Each activation with its derivative, the latter written in terms of the activation's value.
ACTIVATIONS = {
    "sigmoid": (sigmoid, lambda value: value * (1 - value)),
    "tanh": (np.tanh, lambda value: 1 - value**2),
    "relu": (lambda x: np.maximum(x, 0.0), lambda value: (value > 0).astype(float)),
    "identity": (lambda x: x, np.ones_like),
}


def _activation(name: str) -> tuple:
    if name not in ACTIVATIONS:
        raise ValueError(f"activation is {name!r}; give one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


# ------------------------------------------------------------------ 3.1.1 深度神经网络


def feed_forward(h: ArrayLike, W: ArrayLike, b: ArrayLike, *, activation="sigmoid") -> np.ndarray:
    """One layer, φ(W h + b), where φ is the activation.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    h : array of shape (..., I)
        Outputs of the layer below, or the features.
    W, b : arrays of shapes (O, I) and (O,)
        Weights and bias.
    activation : {"sigmoid", "tanh", "relu", "identity"}
        φ, applied to each unit.

    Returns
    -------
    array of shape (..., O)

    Raises
    ------
    ValueError
        When the shapes do not fit, or the activation is unknown.

    References
    ----------
    Source §3.1.1 深度神经网络.

    Examples
    --------
    >>> from pm_utils.formulas import feed_forward
    >>> W, b = [[3.0, 4.0]], [-10.0]  # two inputs, one unit
    >>> feed_forward([1.0, 2.0], W, b, activation="identity").tolist()  # 3 + 8 - 10
    [1.0]
    >>> feed_forward([1.0, 2.0], W, b).round(4).tolist()  # σ(1)
    [0.7311]
    """
    W = _array("W", W, "O", "I")
    h, b = _array("h", h, ..., W.shape[1]), _array("b", b, W.shape[0])
    return _activation(activation)[0](h @ W.T + b)


def feed_forward_gradient(
    upstream: ArrayLike, h: ArrayLike, W: ArrayLike, b: ArrayLike, *, activation="sigmoid"
) -> Gradient:
    """Return the slopes with respect to h, W and b.

    Explained in chapter ``formulas``.

    Examples
    --------
    >>> from pm_utils.formulas import feed_forward_gradient
    >>> W, b = [[3.0, 4.0]], [-10.0]
    >>> gradient = feed_forward_gradient([1.0], [1.0, 2.0], W, b, activation="identity")
    >>> gradient["h"].tolist(), gradient["W"].tolist(), gradient["b"].tolist()
    ([3.0, 4.0], [[1.0, 2.0]], [1.0])
    """
    value = feed_forward(h, W, b, activation=activation)
    h, W = np.asarray(h, dtype=float), np.asarray(W, dtype=float)
    delta = _array("upstream", upstream, *value.shape) * _activation(activation)[1](value)
    rows = delta.reshape(-1, W.shape[0])  # (N, O): leading axes are examples, summed over
    return {"h": delta @ W, "W": rows.T @ h.reshape(-1, W.shape[1]), "b": rows.sum(axis=0)}


# ------------------------------------------------------------------ 3.1.2 卷积神经网络


def _convolution_arrays(a: ArrayLike, w: ArrayLike, b: ArrayLike) -> tuple[np.ndarray, ...]:
    w, a = np.asarray(w, dtype=float), np.asarray(a, dtype=float)
    if w.ndim not in (3, 4):
        raise ValueError(f"w has shape {w.shape}; expected (J, I, K) or (J, I, K1, K2)")
    sizes = ["T"] if w.ndim == 3 else ["T1", "T2"]
    a, b = _array("a", a, w.shape[1], *sizes), _array("b", b, w.shape[0])
    if any(length < width for length, width in zip(a.shape[1:], w.shape[2:], strict=True)):
        raise ValueError(f"a has shape {a.shape}; expected at least {w.shape[2:]} after axis 0")
    return a, w, b


def convolution(a: ArrayLike, w: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Slide J kernels over I input maps, s_j = b_j + Σ_i w_ij ⋆ a_i, without padding.

    The star is cross-correlation, as in every deep-learning library: the kernel is not flipped.
    The bias is added once per output map, outside the sum.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    a : array of shape (I, T) or (I, T1, T2)
        Input maps.
    w : array of shape (J, I, K) or (J, I, K1, K2)
        Kernels, one per pair of output and input map.
    b : array of shape (J,)
        Bias, one per output map.

    Returns
    -------
    array of shape (J, T − K + 1) or (J, T1 − K1 + 1, T2 − K2 + 1)
        Before the activation.

    Raises
    ------
    ValueError
        When the shapes do not fit, or a kernel is longer than the maps.

    References
    ----------
    Source §3.1.2 卷积神经网络 (bias and layer index mended).

    Examples
    --------
    >>> from pm_utils.formulas import convolution
    >>> week = [[1.0, 2.0, 4.0]]  # one input map of three days
    >>> convolution(week, [[[-1.0, 1.0]]], [0.0]).tolist()  # a kernel that takes differences
    [[1.0, 2.0]]
    """
    a, w, b = _convolution_arrays(a, w, b)
    space = range(1, a.ndim)
    windows = sliding_window_view(a, w.shape[2:], axis=tuple(space))  # (I, positions, kernel)
    s = np.tensordot(w, windows, axes=(range(1, w.ndim), [0, *range(a.ndim, windows.ndim)]))
    return s + b.reshape(-1, *[1 for _ in space])


def convolution_gradient(upstream: ArrayLike, a: ArrayLike, w: ArrayLike, b: ArrayLike) -> Gradient:
    """Return the slopes with respect to a, w and b.

    Examples
    --------
    >>> from pm_utils.formulas import convolution_gradient
    >>> gradient = convolution_gradient([[1.0, 1.0]], [[1.0, 2.0, 4.0]], [[[-1.0, 1.0]]], [0.0])
    >>> gradient["a"].tolist(), gradient["w"].tolist(), gradient["b"].tolist()
    ([[-1.0, 0.0, 1.0]], [[[3.0, 6.0]]], [2.0])
    """
    a, w, b = _convolution_arrays(a, w, b)
    space, kernel = tuple(range(1, a.ndim)), w.shape[2:]
    u = _array("upstream", upstream, *convolution(a, w, b).shape)
    windows = sliding_window_view(a, kernel, axis=space)
    padded = np.pad(u, [(0, 0), *((k - 1, k - 1) for k in kernel)])
    flipped = np.flip(w, axis=tuple(range(2, w.ndim))).swapaxes(0, 1)
    return {
        "a": convolution(padded, flipped, np.zeros(len(a))),
        "w": np.tensordot(u, windows, axes=(space, space)),
        "b": u.sum(axis=space),
    }


# ------------------------------------------------------------------ 3.1.3 循环神经网络


def recurrent_step(
    x: ArrayLike, h: ArrayLike, W_hh: ArrayLike, W_xh: ArrayLike, b_h: ArrayLike
) -> np.ndarray:
    """One step of memory, tanh(W_hh h + W_xh x + b_h).

    Explained in chapter ``formulas``.

    Parameters
    ----------
    x : array of shape (F,)
        Input of this step.
    h : array of shape (H,)
        Hidden state after the step before.
    W_hh, W_xh, b_h : arrays of shapes (H, H), (H, F) and (H,)
        Weights of memory and input, bias.

    Returns
    -------
    array of shape (H,)

    Raises
    ------
    ValueError
        When the shapes do not fit.

    References
    ----------
    Source §3.1.3 循环神经网络. Elman (1990), Finding structure in time.

    Examples
    --------
    >>> from pm_utils.formulas import recurrent_step
    >>> memory = {"W_hh": [[2.0]], "W_xh": [[1.0]], "b_h": [0.0]}
    >>> recurrent_step([0.0], [0.5], **memory).round(4).tolist()  # tanh(2 · 0.5)
    [0.7616]
    """
    W_xh = _array("W_xh", W_xh, "H", "F")
    H, F = W_xh.shape
    x, h, b_h = _array("x", x, F), _array("h", h, H), _array("b_h", b_h, H)
    return np.tanh(_array("W_hh", W_hh, H, H) @ h + W_xh @ x + b_h)


def recurrent_step_gradient(
    upstream: ArrayLike,
    x: ArrayLike,
    h: ArrayLike,
    W_hh: ArrayLike,
    W_xh: ArrayLike,
    b_h: ArrayLike,
) -> Gradient:
    """Return the slopes with respect to x, h and the three weights."""
    value = recurrent_step(x, h, W_hh, W_xh, b_h)
    delta = _array("upstream", upstream, *value.shape) * (1 - value**2)
    return {
        "x": delta @ np.asarray(W_xh),
        "h": delta @ np.asarray(W_hh),
        "W_hh": np.outer(delta, h),
        "W_xh": np.outer(delta, x),
        "b_h": delta,
    }


def recurrent(
    x: ArrayLike, h_0: ArrayLike, W_hh: ArrayLike, W_xh: ArrayLike, b_h: ArrayLike
) -> np.ndarray:
    """Read a sequence and return the hidden state after every step.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    x : array of shape (T, F), T > 0
        The inputs, one row per step.
    h_0 : array of shape (H,)
        State before the first step.
    W_hh, W_xh, b_h : arrays of shapes (H, H), (H, F) and (H,)
        Weights of memory and input, bias.

    Returns
    -------
    array of shape (T, H)

    Raises
    ------
    ValueError
        When the shapes do not fit, or there is no step.

    References
    ----------
    Source §3.1.3 循环神经网络.

    Examples
    --------
    >>> from pm_utils.formulas import recurrent
    >>> memory = {"W_hh": [[0.5]], "W_xh": [[1.0]], "b_h": [0.0]}
    >>> states = recurrent([[1.0], [0.0], [0.0]], [0.0], **memory)
    >>> states.ravel().round(4).tolist()  # one purchase, then none: the memory fades
    [0.7616, 0.3634, 0.1797]
    """
    states = []
    h = np.asarray(h_0, dtype=float)
    for x_t in _array("x", x, "T", "F"):
        h = recurrent_step(x_t, h, W_hh, W_xh, b_h)
        states.append(h)
    if not states:
        raise ValueError(f"x has shape {np.shape(x)}; expected at least one step")
    return np.stack(states)


def recurrent_gradient(
    upstream: ArrayLike,
    x: ArrayLike,
    h_0: ArrayLike,
    W_hh: ArrayLike,
    W_xh: ArrayLike,
    b_h: ArrayLike,
) -> Gradient:
    """Return the slopes by going back through time, from the last step to the first.

    Explained in chapter ``formulas``.

    Examples
    --------
    >>> from pm_utils.formulas import recurrent_gradient
    >>> memory = {"W_hh": [[0.5]], "W_xh": [[1.0]], "b_h": [0.0]}
    >>> last_state = [[0.0], [0.0], [1.0]]
    >>> gradient = recurrent_gradient(last_state, [[0.0], [0.0], [0.0]], [0.0], **memory)
    >>> gradient["x"].ravel().tolist()  # halved by each step back
    [0.25, 0.5, 1.0]
    """
    x, h_0 = np.asarray(x, dtype=float), np.asarray(h_0, dtype=float)
    states = recurrent(x, h_0, W_hh, W_xh, b_h)
    u = _array("upstream", upstream, *states.shape)
    before = np.vstack([h_0, states[:-1]])
    sums = {"W_hh": np.zeros_like(W_hh, float), "W_xh": np.zeros_like(W_xh, float), "b_h": 0.0}
    carried, to_x = np.zeros_like(h_0), np.zeros_like(x)
    for t in reversed(range(len(x))):
        step = recurrent_step_gradient(u[t] + carried, x[t], before[t], W_hh, W_xh, b_h)
        carried, to_x[t] = step["h"], step["x"]
        sums = {name: total + step[name] for name, total in sums.items()}
    return {"x": to_x, "h_0": carried, **sums}


# ------------------------------------------------------------------ 3.2.1 文本生成


def next_token(
    tokens: ArrayLike,
    c: ArrayLike,
    *,
    E: ArrayLike,
    W_ch: ArrayLike,
    W_hh: ArrayLike,
    W_xh: ArrayLike,
    b_h: ArrayLike,
    W_o: ArrayLike,
    b_o: ArrayLike,
) -> np.ndarray:
    """P(next word | words so far, customer) = softmax(W_o h_t + b_o), with h_0 = W_ch c.

    h_t is the last hidden state of `recurrent` over the embeddings of the words so far.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    tokens : array of shape (t,), t > 0
        Whole numbers from 0 to V − 1.
    c : array of shape (C,)
        The customer's features.
    E : array of shape (V, D)
        One embedding per word.
    W_ch, W_hh, W_xh, b_h : arrays of shapes (H, C), (H, H), (H, D) and (H,)
        Start and weights of the memory, as in `recurrent`.
    W_o, b_o : arrays of shapes (V, H) and (V,)
        Output layer, one row per word.

    Returns
    -------
    array of shape (V,)
        Sums to 1.

    Raises
    ------
    ValueError
        When the shapes do not fit, or tokens holds anything but words of the vocabulary.

    References
    ----------
    Source §3.2.1 文本生成 (last hidden state and customer put in).

    Examples
    --------
    >>> from pm_utils.formulas import next_token
    >>> weights = {"E": [[0.0], [0.0]], "W_ch": [[1.0]], "W_hh": [[1.0]], "W_xh": [[1.0]]}
    >>> weights |= {"b_h": [0.0], "W_o": [[1.0], [-1.0]], "b_o": [0.0, 0.0]}
    >>> next_token([0], [1.0], **weights).round(3).tolist()  # two words to choose from
    [0.821, 0.179]
    >>> next_token([0], [-1.0], **weights).round(3).tolist()  # another customer
    [0.179, 0.821]
    """
    tokens, c, E, W_ch, b_o = _next_token_arrays(tokens, c, E, W_ch, b_o)
    h = recurrent(E[tokens], W_ch @ c, W_hh, W_xh, b_h)[-1]
    return softmax(feed_forward(h, W_o, b_o, activation="identity"))


def _next_token_arrays(
    tokens: ArrayLike, c: ArrayLike, E: ArrayLike, W_ch: ArrayLike, b_o: ArrayLike
) -> tuple[np.ndarray, ...]:
    E, W_ch = _array("E", E, "V", "D"), _array("W_ch", W_ch, "H", "C")
    c, b_o = _array("c", c, W_ch.shape[1]), _array("b_o", b_o, len(E))
    tokens = np.asarray(tokens)
    whole = tokens.ndim == 1 and len(tokens) and np.issubdtype(tokens.dtype, np.integer)
    if not whole or tokens.min() < 0 or tokens.max() >= len(E):
        raise ValueError(
            f"tokens is {tokens.tolist()}; expected whole numbers from 0 to {len(E) - 1}"
        )
    return tokens, c, E, W_ch, b_o


def next_token_gradient(
    upstream: ArrayLike,
    tokens: ArrayLike,
    c: ArrayLike,
    *,
    E: ArrayLike,
    W_ch: ArrayLike,
    W_hh: ArrayLike,
    W_xh: ArrayLike,
    b_h: ArrayLike,
    W_o: ArrayLike,
    b_o: ArrayLike,
) -> Gradient:
    """Return the slopes with respect to c and every weight: softmax, output layer, then time."""
    tokens, c, E, W_ch, b_o = _next_token_arrays(tokens, c, E, W_ch, b_o)
    x, h_0 = E[tokens], W_ch @ c
    states = recurrent(x, h_0, W_hh, W_xh, b_h)
    scores = feed_forward(states[-1], W_o, b_o, activation="identity")
    to_scores = softmax_gradient(upstream, scores)["x"]
    top = feed_forward_gradient(to_scores, states[-1], W_o, b_o, activation="identity")
    to_states = np.zeros_like(states)
    to_states[-1] = top["h"]
    below = recurrent_gradient(to_states, x, h_0, W_hh, W_xh, b_h)
    to_E = np.zeros_like(E)
    np.add.at(to_E, tokens, below.pop("x"))  # a word that occurs twice collects twice
    to_h_0 = below.pop("h_0")
    first = {"c": to_h_0 @ W_ch, "E": to_E, "W_ch": np.outer(to_h_0, c)}
    return first | below | {"W_o": top["W"], "b_o": top["b"]}


# ------------------------------------------------------------------ 3.2.2 图像生成


def gan_value(real_logit: ArrayLike, fake_logit: ArrayLike) -> np.ndarray:
    """V(D, G) = mean log D(x) + mean log(1 − D(G(z))), which D raises and G lowers.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    real_logit, fake_logit : arrays of shape (N,) and (M,)
        Log-odds in nats that D gives to real and to generated examples; D(x) = σ(logit).

    Returns
    -------
    array of shape ()
        In nats, at most 0.

    Raises
    ------
    ValueError
        When either is not a vector.

    References
    ----------
    Source §3.2.2 图像生成. Goodfellow et al. (2014), Generative adversarial nets, eq. 1.

    Examples
    --------
    >>> from pm_utils.formulas import gan_value
    >>> float(gan_value([0.0, 0.0], [0.0]).round(4))  # D cannot tell real from generated: −2 log 2
    -1.3863
    >>> float(gan_value([3.0, 3.0], [-3.0]).round(4))  # D tells them apart
    -0.0972
    """
    real, fake = _array("real_logit", real_logit, "N"), _array("fake_logit", fake_logit, "M")
    return log_sigmoid(real).mean() + log_sigmoid(-fake).mean()


def gan_value_gradient(
    upstream: ArrayLike, real_logit: ArrayLike, fake_logit: ArrayLike
) -> Gradient:
    """Return the slopes with respect to both vectors of logits."""
    real, fake = _array("real_logit", real_logit, "N"), _array("fake_logit", fake_logit, "M")
    u = _array("upstream", upstream)
    return {
        "real_logit": u * sigmoid(-real) / len(real),
        "fake_logit": -u * sigmoid(fake) / len(fake),
    }


def generator_loss_saturating(fake_logit: ArrayLike) -> np.ndarray:
    """The part of `gan_value` that the generator can move, mean log(1 − D(G(z))).

    Parameters
    ----------
    fake_logit : array of shape (M,)
        Log-odds in nats that D gives to generated examples.

    Returns
    -------
    array of shape (), in nats

    Raises
    ------
    ValueError
        When fake_logit is not a vector.

    References
    ----------
    Source §3.2.2 图像生成, as printed. Flat where D rejects the fakes.

    Examples
    --------
    >>> from pm_utils.formulas import generator_loss_saturating
    >>> [float(generator_loss_saturating([logit]).round(4)) for logit in (-7, 0, 7)]
    [-0.0009, -0.6931, -7.0009]
    """
    return log_sigmoid(-_array("fake_logit", fake_logit, "M")).mean()


def generator_loss_saturating_gradient(upstream: ArrayLike, fake_logit: ArrayLike) -> Gradient:
    """Return the slope −D(G(z)) / M: next to nothing while D sees through the fakes.

    Explained in chapter ``formulas``.

    Examples
    --------
    >>> from pm_utils.formulas import generator_loss_saturating_gradient
    >>> generator_loss_saturating_gradient(1.0, [-7.0])["fake_logit"].round(4).tolist()
    [-0.0009]
    """
    fake = _array("fake_logit", fake_logit, "M")
    return {"fake_logit": -_array("upstream", upstream) * sigmoid(fake) / len(fake)}


def generator_loss_non_saturating(fake_logit: ArrayLike) -> np.ndarray:
    """The generator's loss in practice, −mean log D(G(z)).

    Explained in chapter ``formulas``.

    Parameters
    ----------
    fake_logit : array of shape (M,)
        Log-odds in nats that D gives to generated examples.

    Returns
    -------
    array of shape (), in nats

    Raises
    ------
    ValueError
        When fake_logit is not a vector.

    References
    ----------
    Goodfellow et al. (2014), Generative adversarial nets, section 3.

    Examples
    --------
    >>> from pm_utils.formulas import generator_loss_non_saturating
    >>> [float(generator_loss_non_saturating([logit]).round(4)) for logit in (-7, 0, 7)]
    [7.0009, 0.6931, 0.0009]
    """
    return -log_sigmoid(_array("fake_logit", fake_logit, "M")).mean()


def generator_loss_non_saturating_gradient(upstream: ArrayLike, fake_logit: ArrayLike) -> Gradient:
    """Return the slope −(1 − D(G(z))) / M: largest while D sees through the fakes.

    Explained in chapter ``formulas``.

    Examples
    --------
    >>> from pm_utils.formulas import generator_loss_non_saturating_gradient
    >>> generator_loss_non_saturating_gradient(1.0, [-7.0])["fake_logit"].round(4).tolist()
    [-0.9991]
    """
    fake = _array("fake_logit", fake_logit, "M")
    return {"fake_logit": -_array("upstream", upstream) * sigmoid(-fake) / len(fake)}


# ------------------------------------------------------------------ 3.3.1 用户兴趣预测


def logistic(x: ArrayLike, w: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Logistic regression, σ(Σ_i w_i x_i + b).

    Explained in chapter ``formulas``.

    Parameters
    ----------
    x : array of shape (..., F)
        Features.
    w, b : arrays of shapes (F,) and ()
        Weights and bias, in nats of log-odds.

    Returns
    -------
    array of shape (...,)
        Probabilities.

    Raises
    ------
    ValueError
        When the shapes do not fit.

    References
    ----------
    Source §3.3.1 用户兴趣预测.

    Examples
    --------
    >>> from pm_utils.formulas import logistic
    >>> logistic([[2.0, 1.0], [3.0, 1.0]], w=[1.0, -2.0], b=0.0).round(4).tolist()  # one per row
    [0.5, 0.7311]
    """
    w = _array("w", w, "F")
    return sigmoid(_array("x", x, ..., len(w)) @ w + _array("b", b))


def logistic_gradient(upstream: ArrayLike, x: ArrayLike, w: ArrayLike, b: ArrayLike) -> Gradient:
    """Return the slopes with respect to x, w and b.

    Explained in chapter ``formulas``.

    Examples
    --------
    >>> from pm_utils.formulas import logistic_gradient
    >>> gradient = logistic_gradient(1.0, x=[2.0, 1.0], w=[1.0, -2.0], b=0.0)  # p = ½
    >>> gradient["x"].tolist(), gradient["w"].tolist(), float(gradient["b"])
    ([0.25, -0.5], [0.5, 0.25], 0.25)
    """
    p = logistic(x, w, b)
    x, w = np.asarray(x, dtype=float), np.asarray(w, dtype=float)
    delta = _array("upstream", upstream, *p.shape) * p * (1 - p)
    to_w = delta.reshape(-1) @ x.reshape(-1, len(w))
    return {"x": delta[..., None] * w, "w": to_w, "b": delta.sum()}


# ------------------------------------------------------------------ 3.3.2 转化概率预测


def _checked_layers(layers: Layers) -> list[tuple[np.ndarray, np.ndarray]]:
    pairs = [(_array("W", W, "O", "I"), _array("b", b, len(W))) for W, b in layers]
    if not pairs or len(pairs[-1][0]) != 1:
        last = pairs[-1][0].shape if pairs else "nothing"
        raise ValueError(f"layers ends with {last}; expected a last layer of one unit, (1, I)")
    return pairs


def dnn(x: ArrayLike, layers: Layers) -> np.ndarray:
    """A stack of `feed_forward` layers that ends in one number: relu inside, nothing at the end.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    x : array of shape (..., F)
        Features.
    layers : sequence of (W, b)
        Shapes (H1, F) and (H1,), (H2, H1) and (H2,), ..., (1, Hn) and (1,).

    Returns
    -------
    array of shape (...,)
        Log-odds in nats.

    Raises
    ------
    ValueError
        When the shapes do not fit, or the last layer has not one unit.

    Examples
    --------
    >>> from pm_utils.formulas import dnn
    >>> absolute = [([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])]  # relu(x) + relu(−x)
    >>> dnn([[2.0], [-3.0]], absolute).tolist()
    [2.0, 3.0]
    """
    *hidden, (W, b) = _checked_layers(layers)
    h = x
    for W_l, b_l in hidden:
        h = feed_forward(h, W_l, b_l, activation="relu")
    return feed_forward(h, W, b, activation="identity")[..., 0]


def dnn_gradient(upstream: ArrayLike, x: ArrayLike, layers: Layers) -> dict:
    """Return the slopes with respect to x and, as a list of pairs, to the layers.

    Explained in chapter ``formulas``.

    Examples
    --------
    >>> from pm_utils.formulas import dnn_gradient
    >>> absolute = [([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])]
    >>> dnn_gradient([1.0, 1.0], [[2.0], [-3.0]], absolute)["x"].tolist()
    [[1.0], [-1.0]]
    """
    layers = _checked_layers(layers)
    inputs, names = [np.asarray(x, dtype=float)], ["relu"] * (len(layers) - 1) + ["identity"]
    for W, b in layers[:-1]:
        inputs.append(feed_forward(inputs[-1], W, b, activation="relu"))
    u = _array("upstream", upstream, *inputs[0].shape[:-1])[..., None]
    gradients = []
    for (W, b), h, name in reversed(list(zip(layers, inputs, names, strict=True))):
        step = feed_forward_gradient(u, h, W, b, activation=name)
        u = step["h"]
        gradients.insert(0, (step["W"], step["b"]))
    return {"x": u, "layers": gradients}


def conversion_probability(x: ArrayLike, layers: Layers) -> np.ndarray:
    """σ(DNN(x)), the probability that a customer converts.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    x : array of shape (..., F)
        Features of the customer, the channel and the ad.
    layers : sequence of (W, b)
        As in `dnn`.

    Returns
    -------
    array of shape (...,)
        Probabilities.

    Raises
    ------
    ValueError
        As `dnn`.

    References
    ----------
    Source §3.3.2 转化概率预测.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.formulas import conversion_probability
    >>> layers = [([[1.0]], [np.log(3)])]  # no hidden layer: logistic regression
    >>> conversion_probability([[0.0], [-np.log(3)]], layers).round(4).tolist()
    [0.75, 0.5]
    """
    return sigmoid(dnn(x, layers))


def conversion_probability_gradient(upstream: ArrayLike, x: ArrayLike, layers: Layers) -> dict:
    """Return the slopes with respect to x and the layers."""
    p = conversion_probability(x, layers)
    return dnn_gradient(_array("upstream", upstream, *p.shape) * p * (1 - p), x, layers)


def random_layers(rng: np.random.Generator, *widths: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return untrained layers for `dnn`, with weights of variance 2 / inputs and no bias.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    rng : numpy.random.Generator
    *widths : int
        Number of features, of units in each hidden layer, and 1.

    Returns
    -------
    list of (W, b)
        As `dnn` takes them.

    References
    ----------
    He et al. (2015), Delving deep into rectifiers, eq. 10.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.formulas import random_layers
    >>> layers = random_layers(np.random.default_rng(0), 4, 8, 1)  # 4 features, 8 hidden units
    >>> [(W.shape, b.shape) for W, b in layers]
    [((8, 4), (8,)), ((1, 8), (1,))]
    """
    sizes = zip(widths[1:], widths[:-1], strict=True)
    return [(rng.normal(scale=(2 / i) ** 0.5, size=(o, i)), np.zeros(o)) for o, i in sizes]


def log_loss(p: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Return −y log p − (1 − y) log(1 − p), what it costs to say p.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    p : array of any shape
        Stated probabilities, between 0 and 1 but not equal to either.
    y : array shaped like p
        1 for a click and 0 for none; or the true probability of a click, which gives the expected
        loss. Nothing is expected to cost less than p = y.

    Returns
    -------
    array shaped like p, in nats

    Raises
    ------
    ValueError
        When p holds 0, 1 or what is no probability, or y another shape or what is no probability.

    Examples
    --------
    >>> from pm_utils.formulas import log_loss
    >>> log_loss([0.9, 0.5, 0.1], [1, 1, 1]).round(4).tolist()  # right, undecided, wrong
    [0.1054, 0.6931, 2.3026]
    """
    p, y = _log_loss_arrays(p, y)
    return -y * np.log(p) - (1 - y) * np.log1p(-p)


def _log_loss_arrays(p: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    p = np.asarray(p, dtype=float)
    if not ((p > 0) & (p < 1)).all():
        wrong = p[~((p > 0) & (p < 1))].flat[0]
        raise ValueError(f"p holds {wrong}; give probabilities above 0 and below 1")
    y = _array("y", y, *p.shape)
    if not ((y >= 0) & (y <= 1)).all():
        raise ValueError(f"y holds {y[~((y >= 0) & (y <= 1))].flat[0]:g}; give 0, 1 or between")
    return p, y


def log_loss_gradient(upstream: ArrayLike, p: ArrayLike, y: ArrayLike) -> Gradient:
    """Return the slopes with respect to p and y.

    Examples
    --------
    >>> from pm_utils.formulas import log_loss_gradient
    >>> gradient = log_loss_gradient([1.0, 1.0], p=[0.8, 0.8], y=[1, 0])
    >>> gradient["p"].round(4).tolist()  # −1 / p and 1 / (1 − p)
    [-1.25, 5.0]
    """
    p, y = _log_loss_arrays(p, y)
    u = _array("upstream", upstream, *p.shape)
    return {"p": u * (p - y) / (p * (1 - p)), "y": u * (np.log1p(-p) - np.log(p))}


def train(
    layers: Layers,
    x: ArrayLike,
    y: ArrayLike,
    *,
    rng: np.random.Generator,
    epochs: int,
    learning_rate: float = 0.1,
    batch_size: int = 500,
    after_epoch: Callable[[Layers], None] | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Lower the mean `log_loss` of `conversion_probability` step by step, with momentum 0.9.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    layers : sequence of (W, b)
        Where to start; left as they are.
    x, y : arrays of shapes (N, F) and (N,)
        Features, and clicks or probabilities of a click.
    rng : numpy.random.Generator
        Shuffles the rows of each epoch.
    epochs : int
        Passes over the rows.
    learning_rate : float
        Size of the first steps; falls to 0 in a straight line.
    batch_size : int
        Rows per step, roughly.
    after_epoch : callable, optional
        Called with the layers after each epoch, as to note a loss.

    Returns
    -------
    list of (W, b)
        The trained layers.

    Raises
    ------
    ValueError
        When the shapes do not fit, or the last layer has not one unit.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.formulas import conversion_probability, train
    >>> x, y = [[-1.0], [1.0]], [0.0, 1.0]
    >>> rng = np.random.default_rng(0)
    >>> trained = train([([[0.0]], [0.0])], x, y, rng=rng, epochs=50)
    >>> conversion_probability(x, trained).round(2).tolist()
    [0.01, 0.99]
    """
    x, y = _array("x", x, "N", "F"), _array("y", y, len(x))
    layers, velocity = _checked_layers(layers), [(0.0, 0.0) for _ in layers]
    for epoch in range(epochs):
        step = learning_rate * (1 - epoch / epochs)
        for rows in np.array_split(rng.permutation(len(x)), max(1, len(x) // batch_size)):
            error = conversion_probability(x[rows], layers) - y[rows]  # gradient at the log-odds
            gradients = dnn_gradient(error / len(rows), x[rows], layers)["layers"]
            both = zip(velocity, gradients, strict=True)
            velocity = [(0.9 * vW - step * W, 0.9 * vb - step * b) for (vW, vb), (W, b) in both]
            layers = [(W + vW, b + vb) for (W, b), (vW, vb) in zip(layers, velocity, strict=True)]
        if after_epoch is not None:
            after_epoch(layers)
    return layers


# ------------------------------------------------------------------ 3.3.1, what its name promises


def _attention_inputs(ad: np.ndarray, history: np.ndarray) -> np.ndarray:
    """Return (T, 4 D): the ad, each purchase, their difference and their product."""
    ads = np.broadcast_to(ad, history.shape)
    return np.concatenate([ads, history, ads - history, ads * history], axis=1)


def interest(ad: ArrayLike, history: ArrayLike, layers: Layers) -> np.ndarray:
    """A customer's interest as this ad calls it up, Σ_j α_j e_j.

    The weight α_j of purchase j is a `dnn` of [v; e_j; v − e_j; v ⊙ e_j]. The weights are not
    normalised, so that a longer history of matching purchases gives a stronger interest.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    ad : array of shape (D,)
        Embedding v of the ad.
    history : array of shape (T, D)
        Embeddings e_j of the customer's purchases.
    layers : sequence of (W, b)
        As in `dnn`, with 4 D inputs.

    Returns
    -------
    array of shape (D,)
        In the space of the embeddings.

    Raises
    ------
    ValueError
        When the shapes do not fit, or the last layer has not one unit.

    References
    ----------
    Zhou et al. (2018), Deep interest network, eq. 3. Named in source §3.3.1, not printed there.

    Examples
    --------
    >>> from pm_utils.formulas import interest
    >>> product = [([[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]], [0.0])]  # α_j = v · e_j
    >>> history = [[1.0, 0.0], [0.0, 1.0]]  # a purchase like the ad, and another
    >>> interest([1.0, 0.0], history, product).tolist()
    [1.0, 0.0]
    >>> interest([1.0, 0.0], 2 * history, product).tolist()  # not normalised
    [2.0, 0.0]
    """
    ad = _array("ad", ad, "D")
    history = _array("history", history, "T", len(ad))
    return dnn(_attention_inputs(ad, history), layers) @ history


def interest_gradient(
    upstream: ArrayLike, ad: ArrayLike, history: ArrayLike, layers: Layers
) -> dict:
    """Return the slopes with respect to ad, history and the layers."""
    ad, history = np.asarray(ad, dtype=float), np.asarray(history, dtype=float)
    u = _array("upstream", upstream, *interest(ad, history, layers).shape)
    weight = dnn(_attention_inputs(ad, history), layers)
    below = dnn_gradient(history @ u, _attention_inputs(ad, history), layers)
    as_ad, as_history, difference, product = np.split(below["x"], 4, axis=1)
    return {
        "ad": (as_ad + difference + product * history).sum(axis=0),
        "history": np.outer(weight, u) + as_history - difference + product * ad,
        "layers": below["layers"],
    }


# ------------------------------------------------------------------ 3.4.1 营销漏斗分析


def _rate(part_name: str, part: ArrayLike, whole_name: str, whole: ArrayLike) -> np.ndarray:
    """Return part / whole, not a number where the whole is 0.

    Explained in chapter ``formulas``.
    """
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    part, whole = np.broadcast_arrays(part, whole)
    for name, count in ((part_name, part), (whole_name, whole)):
        if not (count >= 0).all():
            raise ValueError(f"{name} holds {count[~(count >= 0)][0]:g}; a count is at least 0")
    over = part > whole
    if over.any():
        raise ValueError(
            f"{part_name} holds {part[over][0]:g} where {whole_name} holds {whole[over][0]:g}; "
            f"count each of the {whole_name} at most once among the {part_name}"
        )
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _rate_gradient(
    upstream: ArrayLike, part_name: str, part: ArrayLike, whole_name: str, whole: ArrayLike
) -> Gradient:
    rate = _rate(part_name, part, whole_name, whole)
    whole = np.where(np.isnan(rate), np.nan, whole)
    per_part = _array("upstream", upstream, *rate.shape) / whole
    return {part_name: per_part, whole_name: -per_part * rate}


def click_through_rate(clicks: ArrayLike, impressions: ArrayLike) -> np.ndarray:
    """CTR = clicks / impressions; NaN where nothing was shown, since the rate is then unknown.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    clicks, impressions : arrays of one shape
        Counts; each impression is clicked at most once.

    Returns
    -------
    array of that shape, clicks per impression

    Raises
    ------
    ValueError
        When a count is below 0, or there are more clicks than impressions.

    References
    ----------
    Source §3.4.1 营销漏斗分析.

    Examples
    --------
    >>> from pm_utils.formulas import click_through_rate
    >>> click_through_rate([30, 0], [1000, 0]).tolist()
    [0.03, nan]
    """
    return _rate("clicks", clicks, "impressions", impressions)


def click_through_rate_gradient(
    upstream: ArrayLike, clicks: ArrayLike, impressions: ArrayLike
) -> Gradient:
    """Return the slopes per click and per impression."""
    return _rate_gradient(upstream, "clicks", clicks, "impressions", impressions)


def conversion_rate(conversions: ArrayLike, clicks: ArrayLike) -> np.ndarray:
    """CVR = conversions / clicks; NaN where nobody clicked, since the rate is then unknown.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    conversions, clicks : arrays of one shape
        Counts; each click converts at most once.

    Returns
    -------
    array of that shape, conversions per click

    Raises
    ------
    ValueError
        When a count is below 0, or there are more conversions than clicks.

    References
    ----------
    Source §3.4.1 营销漏斗分析.

    Examples
    --------
    >>> from pm_utils.formulas import conversion_rate
    >>> conversion_rate([3, 0], [30, 0]).tolist()
    [0.1, nan]
    """
    return _rate("conversions", conversions, "clicks", clicks)


def conversion_rate_gradient(
    upstream: ArrayLike, conversions: ArrayLike, clicks: ArrayLike
) -> Gradient:
    """Return the slopes per conversion and per click."""
    return _rate_gradient(upstream, "conversions", conversions, "clicks", clicks)


# ------------------------------------------------------------------ 3.4.2 lifetime value预测


def discount_factor_from_rate(rate: float) -> float:
    """Turn a discount rate per period into the factor γ = 1 / (1 + rate).

    Explained in chapter ``formulas``.

    Parameters
    ----------
    rate : float
        At least 0; 0.02 is 2 % per period.

    Returns
    -------
    float, above 0 and at most 1

    Raises
    ------
    ValueError
        When the rate is below 0.

    Examples
    --------
    >>> from pm_utils.formulas import discount_factor_from_rate
    >>> discount_factor_from_rate(0.25)
    0.8
    """
    if not rate >= 0:
        raise ValueError(f"rate is {rate}; give a number of at least 0, as 0.02 for 2 % per period")
    return 1 / (1 + rate)


def _cash_flows(
    revenue: ArrayLike, cost: ArrayLike, discount_factor: ArrayLike
) -> tuple[np.ndarray, ...]:
    revenue = _array("revenue", revenue, ..., "T")
    cost = _array("cost", cost, *revenue.shape)
    factor = _array("discount_factor", discount_factor)
    if not 0 < factor <= 1:
        raise ValueError(
            f"discount_factor is {factor:g}; give a factor above 0 and at most 1, "
            "which for a rate i per period is 1 / (1 + i)"
        )
    return revenue, cost, factor


def lifetime_value(revenue: ArrayLike, cost: ArrayLike, discount_factor: ArrayLike) -> np.ndarray:
    """LTV = Σ_t γ^(t−1) (R_t − C_t): a cost is discounted like a revenue of the same period.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    revenue, cost : arrays of shape (..., T)
        R_t and C_t of periods t = 1 ... T, in dollars.
    discount_factor : float
        γ, what a dollar of the next period is worth now; above 0, at most 1.

    Returns
    -------
    array of shape (...,), in dollars of period 1

    Raises
    ------
    ValueError
        When the shapes differ, or the factor is not above 0 and at most 1.

    References
    ----------
    Source §3.4.2 lifetime value预测 (brackets put in). Gupta et al. (2006), Modeling customer
    lifetime value.

    Examples
    --------
    >>> from pm_utils.formulas import lifetime_value
    >>> float(lifetime_value([100, 100], [20, 20], discount_factor=0.5))  # 80 + 80 / 2
    120.0
    """
    revenue, cost, factor = _cash_flows(revenue, cost, discount_factor)
    return (revenue - cost) @ factor ** np.arange(revenue.shape[-1])


def lifetime_value_gradient(
    upstream: ArrayLike, revenue: ArrayLike, cost: ArrayLike, discount_factor: ArrayLike
) -> Gradient:
    """Return the slopes with respect to revenue, cost and the discount factor.

    Explained in chapter ``formulas``.

    Examples
    --------
    >>> from pm_utils.formulas import lifetime_value_gradient
    >>> gradient = lifetime_value_gradient(1.0, [100, 100], [20, 20], discount_factor=0.5)
    >>> gradient["revenue"].tolist(), gradient["cost"].tolist(), float(gradient["discount_factor"])
    ([1.0, 0.5], [-1.0, -0.5], 80.0)
    """
    revenue, cost, factor = _cash_flows(revenue, cost, discount_factor)
    u = _array("upstream", upstream, *revenue.shape[:-1])
    periods = np.arange(revenue.shape[-1])
    to_revenue = u[..., None] * factor**periods
    per_factor = (revenue - cost) @ (periods * factor ** np.maximum(periods - 1, 0))
    return {"revenue": to_revenue, "cost": -to_revenue, "discount_factor": (u * per_factor).sum()}


def lifetime_value_as_printed(
    revenue: ArrayLike, cost: ArrayLike, discount_factor: ArrayLike
) -> np.ndarray:
    """Σ_t (γ^(t−1) R_t − C_t), the source's formula to the letter: costs are never discounted.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    revenue, cost, discount_factor
        As in `lifetime_value`, which is the one to use.

    Returns
    -------
    array of shape (...,), in dollars, falling without end as T grows if costs go on

    Raises
    ------
    ValueError
        When the shapes differ, or the factor is not above 0 and at most 1.

    References
    ----------
    Source §3.4.2 lifetime value预测.

    Examples
    --------
    >>> from pm_utils.formulas import lifetime_value_as_printed
    >>> float(lifetime_value_as_printed([100, 100], [20, 20], discount_factor=0.5))  # 100 + 50 - 40
    110.0
    """
    revenue, cost, factor = _cash_flows(revenue, cost, discount_factor)
    return revenue @ factor ** np.arange(revenue.shape[-1]) - cost.sum(axis=-1)


# ------------------------------------------------------------------ the comparison with torch


def disagreement(name: str, counterpart: Callable, **arguments: Any) -> tuple[float, float]:
    """Compare a formula and its gradient with what torch makes of a counterpart.

    Explained in chapter ``formulas``.

    Parameters
    ----------
    name : str
        A function of this module that has a gradient beside it.
    counterpart : callable
        The same formula for float64 tensors. It gets the arguments by position.
    **arguments : array, float, or list of pairs of arrays
        The formula's arguments. Those that hold whole numbers get no gradient.

    Returns
    -------
    (float, float)
        Largest absolute difference in the value, and in any slope for a random `upstream`.

    Raises
    ------
    ValueError
        When the formula raises it.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from pm_utils.formulas import disagreement
    >>> value, gradient = disagreement(
    ...     "logistic",
    ...     lambda x, w, b: torch.sigmoid(x @ w + b),
    ...     x=np.array([2.0, 1.0]),
    ...     w=np.array([1.0, -2.0]),
    ...     b=0.5,
    ... )
    >>> value < 1e-12, gradient < 1e-12
    (True, True)
    """
    import torch

    def tensor(value: Any) -> Any:
        if isinstance(value, list):
            return [tuple(tensor(part) for part in pair) for pair in value]
        array = np.asarray(value)
        return torch.tensor(array, requires_grad=array.dtype.kind == "f")

    def leaves(value: Any) -> list:
        return [part for pair in value for part in pair] if isinstance(value, list) else [value]

    tensors = {key: tensor(value) for key, value in arguments.items()}
    value, expected = globals()[name](**arguments), counterpart(*tensors.values())
    upstream = np.asarray(np.random.default_rng(0).normal(size=value.shape))
    expected.backward(torch.tensor(upstream))
    gradients = globals()[f"{name}_gradient"](upstream, **arguments)
    gaps = [
        np.abs(mine - theirs.grad.numpy()).max()
        for key, gradient in gradients.items()
        for mine, theirs in zip(leaves(gradient), leaves(tensors[key]), strict=True)
    ]
    return float(np.abs(value - expected.detach().numpy()).max()), float(np.max(gaps))
