"""Draws docs/reference/architecture.svg: the packages in the layers of pyproject.toml, and their imports.

.venv/bin/python docs/draw_architecture.py
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs/reference/architecture.svg"
WIDTH, ROW, BOX_HEIGHT, MARGIN = 1000, 74, 30, 30
HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"
font-size="13">
<defs>
<marker id="down" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z" fill="#345"/></marker>
<marker id="up" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" orient="auto">
<path d="M0 0L8 4L0 8z" fill="#d00"/></marker>
</defs>
<rect width="{width}" height="{height}" fill="#fff"/>
<style>.implied{{stroke:#ccd4dc;stroke-width:.8}} .down{{stroke:#345;stroke-width:1.3}}
.up{{stroke:#d00;stroke-width:3}} rect.box{{fill:#eef3f8;stroke:#345}} text{{text-anchor:middle;fill:#123}}</style>
"""


def read_layers() -> list[list[str]]:
    """The layers of import-linter's contract, top first; a layer is a list of packages."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = next(one for one in config["tool"]["importlinter"]["contracts"] if one["type"] == "layers")
    return [[name.strip(" ()") for name in layer.replace(":", "|").split("|")] for layer in contract["layers"]]


def read_imports(layers: list[list[str]]) -> set[tuple[str, str]]:
    """Pairs (importing, imported) of packages. Imports of the version in `kidneyseg/__init__.py` are left out."""
    packages = {name for layer in layers for name in layer}
    graph = grimp.build_graph("kidneyseg", "kidneyseg_gui")

    def package(module: str) -> str | None:
        name = module if module.startswith("kidneyseg_gui") else ".".join(module.split(".")[:2])
        name = name.split(".")[0] if name.startswith("kidneyseg_gui") else name
        if name in packages or name in ("kidneyseg", "kidneyseg.__main__"):
            return name if name in packages else None
        raise SystemExit(f"{name} is in no layer of pyproject.toml; add it there")

    pairs = {
        (package(module), package(other))
        for module in graph.modules
        for other in graph.find_modules_directly_imported_by(module)
    }
    return {(one, other) for one, other in pairs if one and other and one != other}


def implied(imports: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The imports that a chain of other imports contains as well."""
    direct: dict[str, set[str]] = {}
    for one, other in imports:
        direct.setdefault(one, set()).add(other)

    def reached(name: str, seen: set[str]) -> set[str]:
        for other in direct.get(name, set()) - seen:
            seen.add(other)
            reached(other, seen)
        return seen

    return {
        (one, other) for one, other in imports if any(other in reached(via, set()) for via in direct[one] - {other})
    }


def across(i: int, layer: list[str], layers: list[list[str]]) -> float:
    """Where the i-th package of a layer is drawn.

    Layers of one package lie on a parabola: a straight line between two of them passes no third one.
    """
    if len(layer) > 1:
        return (i + 0.5) * WIDTH / len(layer)
    middle = (sum(len(one) == 1 for one in layers) - 1) / 2
    return 90 + (WIDTH - 180) * ((layers.index(layer) - middle) / middle) ** 2


def draw() -> str:
    """The picture as SVG text."""
    layers = read_layers()
    imports = read_imports(layers)
    row = {name: i for i, layer in enumerate(layers) for name in layer}
    place = {
        name: (across(i, layer, layers), MARGIN + row[name] * ROW + BOX_HEIGHT / 2)
        for layer in layers
        for i, name in enumerate(layer)
    }
    parts = [HEAD.format(width=WIDTH, height=2 * MARGIN + (len(layers) - 1) * ROW + BOX_HEIGHT)]
    light = implied(imports)
    for one, other in sorted(imports, key=lambda pair: (pair not in light, pair)):
        downward = row[one] < row[other]
        kind = "up" if not downward else "implied" if (one, other) in light else "down"
        (x1, y1), (x2, y2) = place[one], place[other]
        half = BOX_HEIGHT / 2 if downward else -BOX_HEIGHT / 2
        marker = "" if kind == "implied" else f' marker-end="url(#{kind})"'
        line = f'<line class="{kind}" x1="{x1:.0f}" y1="{y1 + half:.0f}" x2="{x2:.0f}" y2="{y2 - half:.0f}"{marker}>'
        parts.append(f"{line}<title>{one} imports {other}</title></line>\n")
    for name, (x, y) in sorted(place.items()):
        label = name.removeprefix("kidneyseg.")
        width = 9 * len(label) + 24
        parts.append(
            f'<rect class="box" x="{x - width / 2:.0f}" y="{y - BOX_HEIGHT / 2:.0f}" width="{width}" '
            f'height="{BOX_HEIGHT}" rx="5"/><text x="{x:.0f}" y="{y + 4:.0f}">{label}</text>\n'
        )
    return "".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
    print(PICTURE)
