"""Wrong arguments of the native kernels."""

import re

import numpy as np
import pytest

from kidneyseg.sparse import native
from kidneyseg.sparse.kernel_map import Packing
from kidneyseg.sparse.native import Plan

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason())


def floats(*shape):
    return np.zeros(shape, np.float32)


def test_wrong_arguments_are_refused():
    x, table, weight = floats(4, 3), np.full((4, 27), -1, np.int32), floats(27, 3, 5)
    plan = Plan.of_table(table)
    with pytest.raises(ValueError, match="x has 3 channels, but weight takes 2"):
        native.conv(x, plan, weight[:, :2])
    with pytest.raises(ValueError, match="the plan has 27 offsets, but weight has 8"):
        native.conv(x, plan, weight[:8])
    with pytest.raises(ValueError, match="table must be int32"):
        Plan.of_table(table.astype(np.int64))
    with pytest.raises(ValueError, match=re.escape("x must be a float32 matrix")):
        native.conv(x.astype(float), plan, weight)
    with pytest.raises(ValueError, match="the plan reads 5 rows, but x has only 4"):
        native.conv(x, Plan.of_table(np.full_like(table, 4)), weight)
    with pytest.raises(ValueError, match="the plan has 4 rows, but grad has 3"):
        native.weight_grad(x, plan, floats(3, 5))
    with pytest.raises(ValueError, match=re.escape("target must be (4, 5)")):
        native.conv_into(x, plan, weight, [native.Target(floats(4, 6))])
    with pytest.raises(ValueError, match=re.escape("start must be (4, 5)")):
        native.conv_into(x, plan, weight, [native.Target(floats(4, 5))], start=floats(3, 5))
    nought = np.zeros(4, np.int32)
    for parent, slot in ((nought, nought + 8), (nought, nought - 1), (nought - 1, nought)):
        with pytest.raises(ValueError, match="slots 0 to 7"):
            Plan.of_parents(parent, slot)
    with pytest.raises(ValueError, match="coords must be contiguous int64"):
        native.extent(floats(4, 3))
    with pytest.raises(ValueError, match=re.escape("(N, 3) or (N, 4) with N > 0, not (0, 3)")):
        native.pack(np.zeros((0, 3), np.int64), Packing.around((1, 1, 1)))
    with pytest.raises(ValueError, match="1, 3 or 5 wide, not 7"):
        native.neighbour_table(np.array([99]), 9, 9, 7)
    with pytest.raises(ValueError, match="more than the 2147483647"):
        native.neighbour_table(np.broadcast_to(np.array([99]), 2**31), 9, 9)
