"""A typed call of autograd functions: torch leaves `Function.apply` untyped."""

from __future__ import annotations

from torch import Tensor
from torch.autograd import Function


def applied(function: type[Function], *arguments: object) -> Tensor:
    """`function.apply(*arguments)` for a function that returns one tensor."""
    result: Tensor = function.apply(*arguments)
    return result
