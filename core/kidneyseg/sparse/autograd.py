"""Calling our own gradients: torch leaves `Function.apply` untyped, so its result is given its type here, once."""

from __future__ import annotations

from torch import Tensor
from torch.autograd import Function


def applied(function: type[Function], *arguments: object) -> Tensor:
    """`function.apply` of these arguments, for functions that return one tensor."""
    result: Tensor = function.apply(*arguments)
    return result
