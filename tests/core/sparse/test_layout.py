"""The steps of small networks, written out, and the shapes of their parameters."""

from __future__ import annotations

from typing import Any

import pytest

from kidneyseg.sparse import SparseUNet
from kidneyseg.sparse.layout import Conv, Join, Layout, Norm, Step


def written(step: Step) -> str:
    """A step as one line."""
    match step:
        case Norm():
            return f"{step.out} = norm {step.name} of {step.x}"
        case Join():
            return f"{step.out} = join {step.left} {step.right}"
    plus = "" if step.plus is None else f" + {step.plus}"
    widths = f"{step.in_channels}-{step.out_channels}"
    return f"{step.out} = {step.kind} {step.name} of {step.x}{plus}, {widths} on level {step.level}"


def test_a_plain_network() -> None:
    assert [written(step) for step in Layout(1, 2, [4, 6]).steps] == [
        "1 = submanifold stem of 0, 1-4 on level 0",
        "2 = norm unet.before.0.norm of 1",
        "3 = submanifold unet.before.0.conv of 2, 4-4 on level 0",
        "4 = norm unet.down_norm of 3",
        "5 = down unet.down of 4, 4-6 on level 1",
        "6 = norm unet.deeper.before.0.norm of 5",
        "7 = submanifold unet.deeper.before.0.conv of 6, 6-6 on level 1",
        "8 = norm unet.up_norm of 7",
        "9 = up unet.up of 8, 6-4 on level 0",
        "10 = join 3 9",
        "11 = norm unet.after.0.norm of 10",
        "12 = submanifold unet.after.0.conv of 11, 8-4 on level 0",
        "13 = norm final_norm of 12",
        "14 = classifier linear of 13, 4-2 on level 0",
    ]


def test_residual_blocks_add_their_input_or_a_linear_map_of_it() -> None:
    steps = Layout(1, 2, [4, 6], residual=True, final_norm=False).steps
    blocks = [step for step in steps if isinstance(step, Conv) and (step.plus is not None or "shortcut" in step.name)]
    assert [written(step) for step in blocks] == [
        "5 = submanifold unet.before.0.second.conv of 4 + 1, 4-4 on level 0",
        "11 = submanifold unet.deeper.before.0.second.conv of 10 + 7, 6-6 on level 1",
        "15 = pointwise unet.after.0.shortcut of 14, 8-4 on level 0",
        "19 = submanifold unet.after.0.second.conv of 18 + 15, 4-4 on level 0",
    ]
    assert written(steps[-1]) == "20 = classifier linear of 19, 4-2 on level 0"


@pytest.mark.parametrize(
    "how",
    [
        {"planes": [4]},
        {"planes": [4, 6, 8], "block_reps": 2},
        {"planes": [4, 6, 8], "residual": True, "final_norm": False},
    ],
)
def test_names_and_shapes_are_those_of_the_state_dict_in_its_order(how: dict[str, Any]) -> None:
    layout, module = Layout(3, 2, **how), SparseUNet(3, 2, **how)
    assert list(layout.shapes.items()) == [(name, tuple(value.shape)) for name, value in module.state_dict().items()]
    assert layout.config == module.config


def test_weights_of_another_layout_are_refused() -> None:
    layout = Layout(1, 2, [4])
    layout.check(layout.shapes)
    without = {name: shape for name, shape in layout.shapes.items() if name != "linear.bias"}
    with pytest.raises(ValueError, match=r"linear\.bias has shape none"):
        layout.check(without)
    with pytest.raises(ValueError, match=r"extra has shape \(1,\), not none"):
        layout.check({**layout.shapes, "extra": (1,)})
    with pytest.raises(ValueError, match=r"linear\.weight has shape \(2, 5\), not \(2, 4\)"):
        layout.check({**layout.shapes, "linear.weight": (2, 5)})


@pytest.mark.parametrize("wrong", [{"planes": []}, {"planes": [0]}, {"planes": [4], "input_mode": 5}])
def test_numbers_that_make_no_network_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"network|input mode"):
        Layout(1, 2, **wrong)
