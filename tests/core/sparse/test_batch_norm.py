"""The native BatchNorm with its leaky ReLU against torch's in float64."""

import pytest
import torch
from torch import Tensor

from kidneyseg.sparse import functional, native

pytestmark = [
    pytest.mark.skipif(not native.available(), reason=native.reason()),
    pytest.mark.usefixtures("instructions"),
]


def results(x: Tensor, grad: Tensor, dtype: torch.dtype, *, training: bool, leak: float) -> list[Tensor]:
    """Output, gradients to x, weight and bias, running mean and variance; in float64 torch computes them."""
    torch.manual_seed(3)
    channels = x.shape[1]
    weight, bias = torch.rand(channels) + 0.5, torch.randn(channels)
    mean, variance = torch.randn(channels), torch.rand(channels) + 0.5
    x, weight, bias, mean, variance = (v.to(dtype) for v in (x, weight, bias, mean, variance))
    inputs = [v.requires_grad_() for v in (x.clone(), weight, bias)]
    options = {"training": training, "momentum": 0.1, "eps": 1e-4, "leak": leak}
    y = functional.batch_norm_relu(*inputs, mean, variance, **options)
    y.backward(grad.to(dtype))
    return [y.detach(), *(v.grad for v in inputs), mean, variance]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("rows", "channels"), [(2, 1), (511, 16), (512, 3), (3000, 37), (70_000, 16)])
def test_equals_torch_s_batch_norm(rows, channels, training):
    x, grad = torch.randn(rows, channels) * 3 + 20, torch.randn(rows, channels)
    ours = results(x, grad, torch.float32, training=training, leak=0.2)
    theirs = results(x, grad, torch.float64, training=training, leak=0.2)
    for mine, expected in zip(ours, theirs, strict=True):
        assert float((mine - expected).abs().max()) <= 2e-5 * max(1.0, float(expected.abs().max()))


def test_columns_of_a_wider_matrix_are_accepted():
    x, grad = torch.randn(700, 40)[:, 3:19], torch.randn(700, 40)[:, 5:21]
    for ours, expected in zip(
        results(x, grad, torch.float32, training=True, leak=0.0),
        results(x, grad, torch.float64, training=True, leak=0.0),
        strict=True,
    ):
        assert float((ours - expected).abs().max()) <= 2e-5 * max(1.0, float(expected.abs().max()))


def test_results_repeat_at_any_number_of_threads(threads):
    x, grad = torch.randn(9000, 16), torch.randn(9000, 16)
    first = results(x, grad, torch.float32, training=True, leak=0.1)
    for number in (2, 4, 8):
        threads(number)
        for _ in range(20):
            again = results(x, grad, torch.float32, training=True, leak=0.1)
            assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
