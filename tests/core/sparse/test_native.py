"""The native kernels against loops over the definition, on every instruction set that this processor has."""

import gc
import re
import shutil
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kidneyseg.sparse import SparseUNet, _library, functional, kernel_map, native
from kidneyseg.sparse.kernel_map import Level, Packing
from kidneyseg.sparse.native import Plan

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason())


@pytest.fixture(autouse=True)
def threads():
    """One thread, as torch's helpers would only wait on each other at these sizes; gives the means to ask for more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch.set_num_threads
    torch.set_num_threads(before)


def sites(count: int, edge: int, batches: int = 2, seed: int = 0) -> tuple[Tensor, Packing]:
    """Sorted keys of up to `count` random sites in cubes of that edge."""
    generator = torch.Generator().manual_seed(seed)
    coords = torch.randint(0, edge, (count, 4), generator=generator)
    coords[:, 3] %= batches
    packing = Packing.around((edge, edge, edge))
    return torch.unique(packing.pack(coords)), packing


def tables(keys: Tensor, packing: Packing) -> dict[str, Tensor]:
    """Tables of every kind: submanifold filters, children, and one without any order."""
    random = torch.randint(-1, max(len(keys), 1), (len(keys), 27), dtype=torch.int32)
    return {
        **{f"{s}³": kernel_map.neighbour_table(keys, packing.y_size, packing.z_size, s) for s in (1, 3, 5)},
        "children": kernel_map.coarsen(keys, packing, packing.coarser())[3],
        "random": random if len(keys) else random.fill_(-1),
    }


def naive_conv(x: Tensor, table: Tensor, weight: Tensor) -> Tensor:
    out = torch.zeros(len(table), weight.shape[2], dtype=torch.float64)
    for k in range(table.shape[1]):
        hit = table[:, k] >= 0
        out[hit] += x[table[hit, k].long()].double() @ weight[k].double()
    return out


def naive_weight_grad(x: Tensor, table: Tensor, grad: Tensor) -> Tensor:
    out = torch.zeros(table.shape[1], x.shape[1], grad.shape[1], dtype=torch.float64)
    for k in range(table.shape[1]):
        hit = table[:, k] >= 0
        out[k] = x[table[hit, k].long()].double().T @ grad[hit].double()
    return out


def assert_close(actual: Tensor, expected: Tensor) -> None:
    assert actual.shape == expected.shape
    if expected.numel():
        assert float((actual - expected).abs().max()) <= 1e-5 * max(1.0, float(expected.abs().max()))


CHANNELS = [(1, 16), (3, 2), (7, 13), (16, 16), (33, 40), (16, 50)]


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("count", [0, 1, 7, 700])
@pytest.mark.parametrize(("in_channels", "out_channels"), CHANNELS)
def test_convolution_and_its_weight_gradient_match_their_definition(count, in_channels, out_channels):
    keys, packing = sites(count, edge=9)
    for name, table in tables(keys, packing).items():
        x, grad = torch.randn(len(keys), in_channels), torch.randn(len(table), out_channels)
        weight = torch.randn(table.shape[1], in_channels, out_channels)
        plan = Plan.of_table(table)
        assert_close(native.conv(x, plan, weight), naive_conv(x, table, weight)), name
        assert_close(native.weight_grad(x, plan, grad), naive_weight_grad(x, table, grad)), name


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("count", [0, 1, 2000])
def test_a_plan_of_neighbours_is_that_of_their_table(count, size):
    keys, packing = sites(count, edge=11)
    where = (keys, packing.y_size, packing.z_size, size)
    x, weight = torch.randn(len(keys), 5), torch.randn(size**3, 5, 7)
    from_table = native.conv(x, Plan.of_table(kernel_map.neighbour_table(*where)), weight)
    assert torch.equal(native.conv(x, Plan.of_neighbours(*where), weight), from_table)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize(("in_channels", "out_channels"), CHANNELS)
def test_convolution_from_parents_and_its_weight_gradient_match_their_definition(in_channels, out_channels):
    for count in (0, 1, 1500):
        keys, packing = sites(count, edge=12)
        coarse, parent, slot, _ = kernel_map.coarsen(keys, packing, packing.coarser())
        x, weight = torch.randn(len(coarse), in_channels), torch.randn(8, in_channels, out_channels)
        table = Level(keys, packing).down().parents.table
        plan, grad = Plan.of_parents(parent, slot), torch.randn(len(keys), out_channels)
        assert_close(native.conv(x, plan, weight), naive_conv(x, table, weight))
        assert_close(native.weight_grad(x, plan, grad), naive_weight_grad(x, table, grad))


def test_weights_may_be_transposed_views():
    keys, packing = sites(800, edge=9)
    plan = Level(keys, packing).neighbours().plan
    x, weight = torch.randn(len(keys), 12), torch.randn(27, 20, 12)
    assert torch.equal(
        native.conv(x, plan, weight.transpose(1, 2)), native.conv(x, plan, weight.transpose(1, 2).contiguous())
    )


@pytest.mark.usefixtures("instructions")
def test_fused_outputs_go_through_norm_and_relu_into_columns():
    keys, packing = sites(900, edge=9)
    table = tables(keys, packing)["3³"]
    wide = torch.randn(len(keys), 19)
    x, weight = wide[:, 2:9], torch.randn(27, 7, 13)
    scale, shift = torch.randn(13), torch.randn(13)
    raw, joined = torch.randn(len(keys), 13), torch.full((len(keys), 20), 5.0)
    expected = naive_conv(x, table, weight) + raw
    targets = [native.Target(raw), native.Target(joined[:, 4:17], scale, shift, 0.25)]
    native.conv_into(x, Plan.of_table(table), weight, targets, start=raw)
    assert_close(raw, expected)
    assert_close(joined[:, 4:17], torch.nn.functional.leaky_relu(raw * scale + shift, 0.25))
    assert (joined[:, :4] == 5).all()
    assert (joined[:, 17:] == 5).all()


@pytest.mark.usefixtures("instructions")
def test_a_large_result_is_the_same_written_past_the_caches_or_not():
    keys, packing = sites(70_000, edge=64)
    count = len(keys)
    plan, x, weight = Level(keys, packing).neighbours().plan, torch.randn(count, 3), torch.randn(27, 3, 32)
    scale, shift = torch.randn(32), torch.randn(32)
    aligned, shifted = torch.empty(count, 64), torch.empty(count * 64 + 1)[1:].view(count, 64)
    before = torch.get_num_threads()
    try:
        for rows, threads in ((aligned, 8), (shifted, 1)):
            torch.set_num_threads(threads)
            targets = [native.Target(rows[:, :32]), native.Target(rows[:, 32:], scale, shift, 0.1)]
            native.conv_into(x, plan, weight, targets)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(aligned, shifted)
    assert torch.equal(aligned[:, :32], native.conv(x, plan, weight))


@pytest.mark.parametrize(("count", "edge"), [(0, 4), (1, 1), (2, 40), (3000, 10), (9000, 64)])
def test_maps_match_the_torch_ones(count, edge, threads):
    keys, packing = sites(count, edge, batches=3)
    coarse = packing.coarser()
    for number in (1, 2, 3):
        threads(number)
        for size in (1, 3, 5):
            table = native.neighbour_table(keys, packing.y_size, packing.z_size, size)
            assert torch.equal(table, kernel_map.neighbour_table(keys, packing.y_size, packing.z_size, size))
        for built, expected in zip(
            native.coarsen(keys, packing, coarse), kernel_map.coarsen(keys, packing, coarse), strict=True
        ):
            assert torch.equal(built, expected)


@pytest.mark.parametrize("columns", [3, 4])
@pytest.mark.parametrize("count", [1, 2, 5000])
def test_keys_match_the_torch_ones(count, columns, threads, monkeypatch):
    packing, generator = Packing.around((50, 60, 70)), torch.Generator().manual_seed(count)
    coords = torch.randint(-9, 50, (count, columns), generator=generator)
    for each in (coords, packing.unpack(torch.unique(packing.pack(coords)))[:, :columns]):
        monkeypatch.setattr(native, "supports", lambda _: False)
        extent, (keys, in_order) = kernel_map.extent(each), packing.pack_in_order(each)
        monkeypatch.undo()
        for number in (1, 2, 3):
            threads(number)
            assert kernel_map.extent(each) == extent
            ours, ordered = packing.pack_in_order(each)
            assert torch.equal(ours, keys)
            assert ordered == in_order


def test_one_step_out_of_order_is_seen_wherever_it_is(threads):
    packing, coords = Packing.around((9, 9, 3000)), torch.zeros(3000, 3, dtype=torch.int64)
    for number in (1, 2, 3):
        threads(number)
        for row in (1, 999, 1000, 1001, 1499, 1500, 1501, 2000, 2999):
            coords[:, 2] = torch.arange(3000)
            assert packing.pack_in_order(coords)[1]
            coords[row, 2] = coords[row - 1, 2]
            assert not packing.pack_in_order(coords)[1]


def test_maps_go_as_soon_as_nobody_needs_them():
    level = Level(*sites(500, edge=9))
    down = level.down()
    made = [weakref.ref(map_.plan) for map_ in (level.neighbours(), down.children, down.parents)]
    gc.disable()
    try:
        del level, down
        assert [plan() for plan in made] == [None] * 3
    finally:
        gc.enable()


@torch.no_grad()
def test_results_repeat_and_do_not_depend_on_threads(threads):
    keys, packing = sites(3000, edge=20)
    threads(1)
    x, grad, weight = torch.randn(len(keys), 8), torch.randn(len(keys), 12), torch.randn(27, 8, 12)
    halved, halve, up = torch.randn(len(keys), 8), torch.randn(8, 8, 12), torch.randn(8, 8, 12)
    coords, network = packing.unpack(keys), SparseUNet(2, 3, [8, 16, 24], residual=True).eval()

    def everything() -> list[Tensor]:
        level = Level(keys, packing)
        down = level.down()
        return [
            native.neighbour_table(keys, packing.y_size, packing.z_size),
            *(down.coarse.keys, down.parents.parent, down.parents.slot, down.children.table),
            native.conv(x, level.neighbours().plan, weight),
            native.weight_grad(x, level.neighbours().plan, grad),
            native.conv(x, down.children.plan, halve),
            native.conv(halved, down.parents.plan, up),
            network(coords, coords[:, :2].float()),
        ]

    first = everything()
    for number in (2, 4, 8):
        threads(number)
        for _ in range(100):
            assert all(torch.equal(a, b) for a, b in zip(first, everything(), strict=True))


def test_callers_do_not_disturb_each_other(threads):
    keys, packing = sites(4000, edge=20)
    x, weight = torch.randn(len(keys), 8), torch.randn(27, 8, 12)
    threads(2)
    plan = Level(keys, packing).neighbours().plan
    expected = native.conv(x, plan, weight)
    with ThreadPoolExecutor(3) as callers:
        for result in callers.map(lambda _: native.conv(x, plan, weight), range(200)):
            assert torch.equal(result, expected)


def test_a_forked_process_has_helpers_of_its_own():
    script = """
import os, torch
from kidneyseg.sparse import native
torch.set_num_threads(2)
table = torch.randint(-1, 900, (900, 27), dtype=torch.int32)
x, weight = torch.ones(900, 4), torch.ones(27, 4, 4)
total = native.conv(x, native.Plan.of_table(table), weight).sum()
child = os.fork()
same = bool(native.conv(x, native.Plan.of_table(table), weight).sum() == total)
if child == 0:
    os._exit(0 if same else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or not same)
"""
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", script], timeout=120, check=False).returncode == 0


def test_gradients_match_autograd_of_the_torch_kernels(monkeypatch):
    keys, packing = sites(700, edge=8)
    level = Level(keys, packing)
    parameters = [torch.randn(len(keys), 5), torch.randn(27, 5, 6), torch.randn(8, 6, 9), torch.randn(8, 9, 4)]

    def gradients() -> list[Tensor]:
        x, weight, down, up = (p.clone().requires_grad_() for p in parameters)
        y = functional.submanifold_conv(x, weight, level.neighbours(3))
        y = functional.transposed_conv(functional.strided_conv(y, down, level.down()), up, level.down())
        y.square().sum().backward()
        return [y.detach(), *(p.grad for p in (x, weight, down, up))]

    natively = gradients()
    monkeypatch.setattr(native, "supports", lambda _: False)
    for ours, theirs in zip(natively, gradients(), strict=True):
        assert float((ours - theirs).norm()) <= 1e-5 * float(theirs.norm())


def test_a_map_is_planned_once_for_an_instruction_set():
    keys, packing = sites(300, edge=7)
    neighbours, best = Level(keys, packing).neighbours(), native.instruction_set()
    plan = neighbours.plan
    assert neighbours.plan is plan
    if native.limit_instruction_set("baseline") != best:
        assert neighbours.plan is not plan
    native.limit_instruction_set(best)


def test_wrong_arguments_are_refused():
    x, table, weight = torch.randn(4, 3), torch.full((4, 27), -1, dtype=torch.int32), torch.randn(27, 3, 5)
    plan = Plan.of_table(table)
    with pytest.raises(ValueError, match="x has 3 channels, but weight takes 2"):
        native.conv(x, plan, weight[:, :2])
    with pytest.raises(ValueError, match="the plan has 27 offsets, but weight has 8"):
        native.conv(x, plan, weight[:8])
    with pytest.raises(ValueError, match="table must be int32"):
        Plan.of_table(table.long())
    with pytest.raises(ValueError, match=re.escape("x must be a float32 matrix")):
        native.conv(x.double(), plan, weight)
    with pytest.raises(ValueError, match="the plan reads 5 rows, but x has only 4"):
        native.conv(x, Plan.of_table(torch.full_like(table, 4)), weight)
    with pytest.raises(ValueError, match="the plan has 4 rows, but grad has 3"):
        native.weight_grad(x, plan, torch.randn(3, 5))
    with pytest.raises(ValueError, match=re.escape("target must be (4, 5)")):
        native.conv_into(x, plan, weight, [native.Target(torch.empty(4, 6))])
    with pytest.raises(ValueError, match=re.escape("start must be (4, 5)")):
        native.conv_into(x, plan, weight, [native.Target(torch.empty(4, 5))], start=torch.empty(3, 5))
    nought = torch.zeros(4, dtype=torch.int32)
    for parent, slot in ((nought, nought + 8), (nought, nought - 1), (nought - 1, nought)):
        with pytest.raises(ValueError, match="slots 0 to 7"):
            Plan.of_parents(parent, slot)
    with pytest.raises(ValueError, match="coords must be contiguous int64"):
        native.extent(torch.zeros(4, 3))
    with pytest.raises(ValueError, match=re.escape("(N, 3) or (N, 4) with N > 0, not (0, 3)")):
        native.pack(torch.zeros(0, 3, dtype=torch.int64), Packing.around((1, 1, 1)))
    with pytest.raises(ValueError, match="1, 3 or 5 wide, not 7"):
        native.neighbour_table(torch.tensor([99]), 9, 9, 7)
    with pytest.raises(ValueError, match="more than the 2147483647"):
        native.neighbour_table(torch.tensor([99]).expand(2**31), 9, 9)


def test_a_library_that_is_missing_or_broken_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(_library, "__file__", str(tmp_path / "_library.py"))
    assert _library._find()[0] is None
    assert "not built" in _library._find()[1]
    (tmp_path / "_kernels.so").write_bytes(b"not a library")
    assert _library._find()[0] is None
    assert "do not load" in _library._find()[1]


def test_the_torch_kernels_serve_without_a_library_and_that_is_said_once(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(_library, "__file__", str(tmp_path / "_library.py"))
    monkeypatch.setattr(_library, "_load", cache(_library._load.__wrapped__))
    network = SparseUNet(2, 3, [4, 6]).eval()
    for _ in range(2):
        with torch.no_grad():
            assert network(torch.randint(0, 9, (50, 3)), torch.randn(50, 2)).shape == (50, 3)
    assert [record.getMessage() for record in caplog.records] == [
        "the native kernels were not built; reinstall kidneyseg where there is a C++ compiler. "
        "Until then the slower torch kernels serve."
    ]


@pytest.mark.parametrize(
    ("compiler", "flags", "emulator", "expected"),
    [
        ("g++", ["-DKIDNEYSEG_EMULATE_AVX512"], [], "baseline avx2 avx512 agree"),
        ("aarch64-linux-gnu-g++", ["-static"], ["qemu-aarch64-static"], "baseline baseline baseline agree"),
    ],
)
def test_other_processors(compiler, flags, emulator, expected, tmp_path):
    """AVX-512 with its vectors made of halves, and aarch64 in an emulator, against the definition in C++."""
    for tool in (compiler, *emulator):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} here")
    if compiler == "g++" and native.instruction_set() == "baseline":
        pytest.skip("this processor has no AVX2, of which the emulated vectors are made")
    folder, program = Path(native.__file__).parent, tmp_path / "check"
    sources = [Path(__file__).with_name("check_kernels.cpp"), *sorted(folder.glob("_*.cpp"))]
    command = [compiler, "-std=c++17", "-O1", "-Wno-psabi", *flags, *map(str, sources), "-pthread", "-o", str(program)]
    subprocess.run(command, check=True)
    done = subprocess.run([*emulator, str(program)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == expected
