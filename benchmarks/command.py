"""The command line: makes the sites, runs the cases, prints Markdown tables and writes JSON."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import sites, worker
from benchmarks.compare import Row, compare
from benchmarks.contention import Contention, contention_table, measure_contention
from benchmarks.libraries import Case
from benchmarks.passes import Passes, measure_passes, passes_table
from kidneyseg.cli.machine import Machine
from kidneyseg.imaging.nifti import load_volume
from kidneyseg.phantom.abdomen import make_phantom

PLANES = tuple(16 * (level + 1) for level in range(7))
LAYER_CHANNELS = (16, 32, 64, 112)
CASES = ("inference", "passes", "layers", "maps", "training", "growth", "busy")
# Sites of the growth table as multiples of --sites: 50k, 100k, 200k, 500k, 1M, 2M, 5M by default.
GROWTH = (0.1, 0.2, 0.4, 1, 2, 4, 10)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen cases. Returns 1 if a library failed or disagreed."""
    args = _parser().parse_args(arguments)
    if args.ct is None:
        volume, source = make_phantom(1, (384, 384, 160), (1.0, 1.0, 2.0))[0], "phantom"
    else:
        volume, source = load_volume(args.ct), args.ct.name
    index, hu = sites.body_voxels(volume)
    machine = Machine.here()
    if args.avx2 and machine.instruction_set == "avx512":
        machine = replace(machine, instruction_set="avx2")
    print(machine.described(" and ".join(map(_threads, args.threads))))
    print(f"Sites: the brightest voxels inside the body of {source}, of {len(index)} there.")
    print(f"Medians of {args.repeats} alternating repeats, in seconds; CPU: of all threads.")
    tables = []
    with tempfile.TemporaryDirectory(prefix="kidneyseg-bench-") as folder:
        suite = Suite(index, hu, Path(folder), args)
        for kind in args.cases:
            for title, rows in getattr(suite, kind)():
                table = _TABLES.get(kind, comparison_table)(rows)
                print(f"\n## {title}\n\n{table}", flush=True)
                tables.append({"title": title, "rows": [asdict(row) for row in rows]})
    if args.output:
        report = {"sites_from": source, "machine": machine.to_dict(), "threads": args.threads, "tables": tables}
        args.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    rows = [row for table in tables for row in table["rows"]]
    print("\nVersions: " + "; ".join(dict.fromkeys(row["version"] for row in rows if row.get("version"))))
    return int(any(row.get("failure") or not row.get("agrees", True) for row in rows))


@dataclass
class Suite:
    """The benchmark's cases. Each yields titles and rows of tables."""

    index: sites.Coords  #: int64 (N, 3), the voxels in the body, of which the brightest become sites
    hu: np.ndarray[tuple[int, ...], np.dtype[np.int16]]  #: int16 (N,), their HU
    folder: Path  #: holds the coordinates for the libraries' processes
    args: argparse.Namespace  #: the command's arguments

    def inference(self) -> Iterator[tuple[str, list[Row]]]:
        """The U-Net in eval mode with its kernel maps."""
        path, coords = self._sites(self.args.sites)
        gflop = sites.unet_gflop(coords, 3, PLANES)
        for threads in self.args.threads:
            case = Case("inference", path, len(coords), PLANES, threads=threads, avx2=self.args.avx2)
            yield f"{_unet()}, {_count(coords)} sites, {gflop:.0f} GFLOP, {_threads(threads)}", self._run(case, gflop)

    def passes(self) -> Iterator[tuple[str, list[Passes]]]:
        """The first and a later pass of a process, with sorted and with shuffled points."""
        path, coords = self._sites(self.args.sites)
        for threads in self.args.threads:
            case = Case("inference", path, len(coords), PLANES, threads=threads, avx2=self.args.avx2)
            rows = measure_passes(case, self._libraries(threads), self.args.repeats)
            yield f"First and later passes of it, {_count(coords)} sites, {_threads(threads)}", rows

    def training(self) -> Iterator[tuple[str, list[Row]]]:
        """Forward and backward pass with the kernel maps."""
        path, coords = self._sites(self.args.sites)
        gflop = 3 * sites.unet_gflop(coords, 3, PLANES)
        for threads in self.args.threads:
            case = Case("training", path, len(coords), PLANES, threads=threads, avx2=self.args.avx2)
            yield f"Training step of it, {_count(coords)} sites, {_threads(threads)}", self._run(case, gflop)

    def layers(self) -> Iterator[tuple[str, list[Row]]]:
        """Single submanifold convolutions."""
        path, coords = self._sites(self.args.sites)
        pairs = sites.neighbour_pairs(coords[:, :3])
        around = f"{pairs / len(coords):.1f} of 27 neighbours active"
        for threads in self.args.threads:
            for channels in LAYER_CHANNELS:
                case = Case("layer", path, len(coords), (channels,), channels, threads, self.args.avx2)
                title = f"3x3x3 layer, {channels} channels, {_count(coords)} sites, {around}, {_threads(threads)}"
                yield title, self._run(case, 2e-9 * pairs * channels**2)

    def maps(self) -> Iterator[tuple[str, list[Row]]]:
        """All kernel maps of seven levels."""
        path, coords = self._sites(2 * self.args.sites)
        for threads in self.args.threads:
            case = Case("maps", path, len(coords), (1,) * len(PLANES), 1, threads, self.args.avx2)
            libraries = [name for name in self._libraries(threads) if name not in worker.MAPS_INSIDE]
            rows = compare(case, libraries, self.args.repeats)
            yield f"Maps of {len(PLANES)} levels, {_count(coords)} sites, {_threads(threads)}", rows

    def growth(self) -> Iterator[tuple[str, list[Row]]]:
        """The first library on increasing numbers of sites."""
        threads, library = self.args.threads[0], self.args.libraries[0]
        rows = []
        for factor in GROWTH:
            path, coords = self._sites(round(factor * self.args.sites))
            case = Case("inference", path, len(coords), PLANES, threads=threads, avx2=self.args.avx2)
            (row,) = compare(case, [library], self.args.repeats)
            rows.append(row)
            if len(coords) == len(self.index):
                break
        yield f"{_unet()} by sites, {library}, {_threads(threads)}", rows

    def busy(self) -> Iterator[tuple[str, list[Contention]]]:
        """The U-Net on one and two threads beside none, one and two processes that never sleep."""
        path, coords = self._sites(self.args.sites)
        case = Case("inference", path, len(coords), PLANES, avx2=self.args.avx2)
        beside = [(0, False), (1, False), (2, False), (1, True), (2, True)]
        rows = measure_contention(case, self.args.repeats, beside)
        yield f"{_unet()} on a busy machine, {_count(coords)} sites", rows

    def _sites(self, count: int) -> tuple[Path, sites.Coords]:
        path = self.folder / f"{count}.npy"
        if not path.exists():
            np.save(path, sites.brightest(self.index, self.hu, count))
        return path, np.load(path)

    def _run(self, case: Case, gflop: float | None = None) -> list[Row]:
        return compare(case, self._libraries(case.threads), self.args.repeats, gflop)

    def _libraries(self, threads: int) -> list[str]:
        return [name for name in self.args.libraries if threads == 1 or name not in worker.ONE_THREAD_ONLY]


def comparison_table(rows: Sequence[Row]) -> str:
    """Markdown table of libraries on the same sites; ratios are to the first row."""
    lines = [
        "| library | maps | network | total | CPU | ratio | peak MB | % of torch.mm | differs by |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    first = rows[0].median("total")
    for row in rows:
        total = row.median("total")
        if row.failure or not row.agrees or total is None:
            lines.append(f"| {row.name} | {row.reason} | | | | | | | |")
            continue
        percent = "" if row.gemm_percent is None else f"{row.gemm_percent:.0f}"
        differs = "" if row.difference is None else f"{row.difference:.0e}"
        seconds = [_seconds(row.median(part)) for part in ("maps", "network", "total", "cpu")]
        cells = [row.name, *seconds, f"{total / first:.2f}" if first else ""]
        lines.append("| " + " | ".join([*cells, f"{row.peak_mb:.0f}", percent, differs]) + " |")
    return "\n".join(lines)


def growth_table(rows: Sequence[Row]) -> str:
    """Markdown table of one library on increasing numbers of sites."""
    lines = [
        "| sites | maps | network | total | µs per site | peak MB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        total = row.median("total")
        if row.failure or total is None:
            lines.append(f"| {row.sites} | {row.failure} | | | | |")
            continue
        cells = [_seconds(row.median(part)) for part in ("maps", "network", "total")]
        lines.append(f"| {row.sites} | {' | '.join(cells)} | {1e6 * total / row.sites:.2f} | {row.peak_mb:.0f} |")
    return "\n".join(lines)


_TABLES: dict[str, Callable[[Any], str]] = {
    "growth": growth_table,
    "busy": contention_table,
    "passes": passes_table,
}


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _unet() -> str:
    return f"U-Net m={PLANES[0]}, {len(PLANES)} levels, plain"


def _count(coords: sites.Coords) -> str:
    return f"{len(coords) / 1000:g}k"


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def _parser() -> argparse.ArgumentParser:
    here = worker.installed()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Times our kernels and every other library that can be imported on the same sites and weights. "
        "The libraries alternate, each in its own process. No time is reported where outputs differ from those of the "
        "torch kernels by more than 1e-4.",
        epilog="cases: inference, a U-Net with its kernel maps; passes, the first pass of a process and a later one, "
        "with points in lexicographic and in random order; layers, single convolutions; maps, those of seven levels at "
        "twice the sites; training, forward and backward; growth, the first library at a tenth to ten times the sites; "
        "busy, our kernels on one and two threads beside processes that never sleep. Maps are timed by themselves, "
        "except in libraries that make them only inside their passes. To compare numbers of threads, pin the command "
        "to idle cores (taskset) and run nothing else; on a busy machine, compare CPU times on one thread.",
    )
    parser.add_argument("--ct", type=Path, help="a CT as .nii or .nii.gz; a phantom if not given")
    parser.add_argument("--sites", type=int, default=500_000, metavar="N", help="number of voxels (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="timed runs of each library (%(default)s)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], metavar="N", help="e.g. 1 2 (1)")
    parser.add_argument("--avx2", action="store_true", help="use no wider vectors than AVX2")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES, metavar="CASE", help="cases to run (all)")
    parser.add_argument(
        "--libraries", nargs="+", choices=here, default=here, metavar="NAME", help=f"of {', '.join(here)} (all)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="JSON", help="write the seconds of every repeat to this file"
    )
    return parser
