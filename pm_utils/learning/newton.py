"""Newton's method for logistic regression, block by block."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.special import expit

from pm_utils.inputs import numbers, whole_numbers


def newton_logistic(
    read_rows: Callable[[slice], tuple[np.ndarray, ...]],
    n_rows: int,
    mean: np.ndarray,
    precision: np.ndarray,
    *,
    strides: Sequence[int],
    block: int = 8_192,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a binomial logistic regression with a normal prior by Newton's method, block by block.

    Parameters
    ----------
    read_rows : callable
        Gives inputs (b, Q), successes, trials and offsets (b,) of a slice of the rows; an offset
        is added to the logit.
    n_rows : int
    mean, precision : arrays of shape (Q,) and (Q, Q)
        Of the prior; Newton starts at its mean.
    strides : sequence of int
        A step for each: on every s-th row, which then counts for s.
    block : int
        Rows per call of `read_rows`, which bounds the memory.

    Returns
    -------
    coef : array of shape (Q,)
    precision : array of shape (Q, Q)
        Of the normal distribution that stands for the posterior: the hessian before the last step.
        Without rows or steps both are those of the prior.

    Raises
    ------
    ValueError
        When a mean or a precision is not finite or of another shape, or a number is not whole.
    FloatingPointError
        When the coefficients are not finite at the end, as after inputs that are not.

    Examples
    --------
    >>> import numpy as np
    >>> from pm_utils.learning.newton import newton_logistic
    >>> x, clicked = np.ones((4, 1)), np.array([1, 1, 1, 0])  # a constant; three of four click
    >>> none, flat = np.zeros(1), np.array([[1e-9]])
    >>> coef, precision = newton_logistic(
    ...     lambda rows: (x[rows], clicked[rows], 1, 0), 4, none, flat, strides=6 * [1]
    ... )
    >>> coef.round(3).tolist(), precision.round(3).tolist()  # log 3, and 4 p (1 − p) with p = ¾
    ([1.099], [[0.75]])
    """
    whole_numbers(n_rows, "n_rows"), whole_numbers(block, "block", low=1)
    whole_numbers(list(strides), "strides", low=1)
    mean, precision = numbers(mean, "mean", ndim=1), numbers(precision, "precision", ndim=2)
    if precision.shape != (len(mean), len(mean)):
        raise ValueError(f"precision has shape {precision.shape}: give ({len(mean)}, {len(mean)})")
    coef, hessian = mean, precision
    for stride in strides if n_rows else ():
        gradient, hessian = -precision @ (coef - mean), precision.copy()
        for first in range(0, n_rows, block * stride):
            x, successes, trials, offset = read_rows(slice(first, first + block * stride, stride))
            probability = expit(x @ coef.astype(np.float32) + offset)
            gradient += stride * (x.T @ (successes - trials * probability))
            root = np.sqrt(stride * trials * probability * (1 - probability))[:, None] * x
            hessian += root.T @ root
        coef = coef + np.linalg.solve(hessian, gradient)
    if not np.isfinite(coef).all():
        raise FloatingPointError(
            f"{(~np.isfinite(coef)).sum()} of {len(coef)} coefficients are not finite: look for "
            "inputs, successes or offsets that are not"
        )
    return coef, hessian


def inverses(matrices: np.ndarray) -> np.ndarray:
    """Return the inverse of each matrix (N, K, K), by PyTorch, which takes half of NumPy's time.

    Raises
    ------
    ValueError
        When a number is not finite.
    """
    numbers(matrices, "matrices")
    return torch.linalg.inv(torch.as_tensor(matrices)).numpy()
