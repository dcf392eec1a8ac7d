"""The phantom's viscera and vessels, kidneys apart.

Coordinates are mm from the middle of the second lumbar vertebra: x to the patient's right, y to the front, z up.
"""

from __future__ import annotations

import numpy as np

from kidneyseg.phantom.anatomy import Anatomy
from kidneyseg.phantom.canvas import Array, Canvas, Point, hypotenuse


def paint_gut(canvas: Canvas, anatomy: Anatomy, rng: np.random.Generator, inside: Array) -> None:
    """Mesentery, small bowel, duodenum and colon."""
    front, lean = anatomy.middle_y, anatomy.lean
    canvas.paint(np.maximum(canvas.tubes(16, 0.9), inside + 10), anatomy.hu["vein"] - 20)
    deep = front + 0.55 * (anatomy.half_depth - anatomy.fat)
    for _ in range(32):
        walk = [np.array([rng.uniform(-92, 92) * lean, rng.uniform(front - 8, deep), rng.uniform(-175, -15)])]
        for _ in range(4):
            step = rng.normal(0, 1, 3) * (1, 0.6, 0.8)
            walk.append(walk[-1] + 22 * step / np.linalg.norm(step))
        loop: list[Point] = [
            (float(np.clip(p[0], -95, 95)), float(np.clip(p[1], 42, deep)), float(min(p[2], -8))) for p in walk
        ]
        content = 230.0 if rng.random() < anatomy.oral_contrast else 18.0
        gas = 0.35 if rng.random() < 0.12 else 0.0
        _paint_hollow(canvas, anatomy, loop, [rng.uniform(8, 12.5)] * 5, content=content, gas=gas)
    duodenum: list[Point] = [(32, 62, 22), (50, 50, 8), (48, 42, -28), (8, 40, -46), (-26, 42, -40)]
    _paint_hollow(canvas, anatomy, duodenum, [13.0, 12.0, 12.0, 10.0, 10.0], content=20.0)
    _paint_colon(canvas, anatomy, rng, deep)


def _paint_colon(canvas: Canvas, anatomy: Anatomy, rng: np.random.Generator, deep: float) -> None:
    front, edge = anatomy.middle_y, anatomy.half_width - anatomy.fat - 44
    rising: list[Point] = [(edge - 6, front - 22, z) for z in (-190.0, -150.0, -110.0, -70.0, -35.0)]
    across: list[Point] = [(edge - 14, front + 4, -24), (60, deep, -30), (10, deep + 8, -42), (-50, deep, -22)]
    falling: list[Point] = [(-edge + 4, front + 6, 30), (-edge - 2, front - 26, 4), (-edge - 4, front - 30, -60)]
    falling += [(-edge - 2, front - 26, -120), (-edge, front - 20, -190)]
    parts = ((rising, 22, 0.3), (across, 20, 0.5), ([across[-1], *falling[:2]], 17, 0.4), (falling[1:], 14, 0.3))
    for points, size, gas in parts:
        radii = [size * rng.uniform(0.85, 1.12) for _ in points]
        _paint_hollow(canvas, anatomy, points, radii, content=rng.uniform(0, 50), gas=gas, solid=True)


def _paint_hollow(
    canvas: Canvas,
    anatomy: Anatomy,
    points: list[Point],
    radii: list[float],
    *,
    content: float,
    gas: float = 0.0,
    wall: float = 2.5,
    solid: bool = False,
) -> None:
    """A segment of gut: wall, content (with gas bubbles if `solid`), and free gas in the front share `gas` (0...1)."""
    parts = [(box, distance + 1.6 * canvas.field(11, box)) for box, distance in canvas.chain(points, radii)]
    for box, distance in parts:
        canvas.paint(distance, anatomy.hu["bowel"], box)
    for box, distance in parts:
        grain = canvas.field(5, box)
        filling = content + (22 if solid else 4 + 0.12 * abs(content)) * grain
        canvas.paint(distance + wall, np.where(grain > 1.3, -350, filling) if solid else filling, box)
    if gas > 0:
        top = max(p[1] + r for p, r in zip(points, radii, strict=True))
        level = top - gas * 2 * float(np.mean(radii))
        for box, distance in parts:
            canvas.paint(np.maximum(distance + wall, level - canvas.flat(1)[:, box[1]]), -900.0, box)


def paint_upper_organs(canvas: Canvas, anatomy: Anatomy, rng: np.random.Generator, inside: Array) -> None:
    """Stomach, liver, gallbladder, spleen, pancreas and adrenals."""
    lean, front = anatomy.lean, anatomy.middle_y
    stomach: list[Point] = [(-58, front - 4, 98), (-68, front + 22, 68), (-50, front + 46, 40), (0, front + 50, 20)]
    content = float(rng.choice([15.0, 45.0, 220 * anatomy.oral_contrast]))
    size = rng.uniform(0.7, 1.05)
    radii = [size * r for r in (30.0, 37.0, 30.0, 19.0)]
    _paint_hollow(canvas, anatomy, stomach, radii, content=content, gas=0.3, wall=5)
    _paint_liver(canvas, anatomy, rng, inside)
    place = (-108 * lean, front - 30, 64 + rng.uniform(-8, 8))
    box = canvas.around(place, 75)
    spleen = canvas.ellipsoid(box, place, (44, 52, 46 + 8 * lean)) + 2.5 * canvas.field(30, box)
    hollow = 36 - hypotenuse(canvas.x[box] + 58, (canvas.y[box] - front + 14) * 0.8)
    spleen = np.maximum(np.maximum(spleen, inside[box] + 4), hollow)
    canvas.paint(spleen, anatomy.hu["spleen"] + 3 * canvas.field(12, box), box)
    pancreas: list[Point] = [(34, 42, -8), (24, 50, 12), (0, 58, 18), (-40, 48, 30), (-78, 22, 42)]
    for box, distance in canvas.chain(pancreas, (14, 12, 9, 10, 8)):
        lobes = distance + 2.5 * canvas.field(7, box)
        canvas.paint(lobes, anatomy.hu["pancreas"], box)
    for side in (-1, 1):
        stem: Point = (side * 40.0, 8.0, 62.0)
        for foot in ((side * 46.0, -8.0, 50.0), (side * 30.0, -6.0, 50.0)):
            canvas.tube([stem, foot], (3, 2.2), anatomy.hu["pancreas"] - 10)


def _paint_liver(canvas: Canvas, anatomy: Anatomy, rng: np.random.Generator, inside: Array) -> None:
    lean, front = anatomy.lean, anatomy.middle_y
    box = canvas.box((-90, -1e4, -60), (1e4, 1e4, anatomy.dome + 20))
    if not canvas.hu[box].size:
        return
    right = canvas.ellipsoid(box, (82 * lean, front + 4, 62 + rng.uniform(-8, 8)), (78, 92, 80))
    left = canvas.ellipsoid(box, (10, front + 46, 78), (78, 44, 42))
    liver = np.maximum(np.minimum(right, left) + 5 * canvas.field(40, box), inside[box] + 4)
    around_spine = 46 - hypotenuse(canvas.x[box], canvas.y[box] - 4)
    liver = np.maximum(np.maximum(liver, around_spine), (canvas.z[box] - anatomy.dome - 4) * 0.8)
    canvas.paint(liver, anatomy.hu["liver"] + 3 * canvas.field(12, box), box)
    canvas.paint(np.maximum(canvas.tubes(28, 1.9, box), liver + 6), anatomy.hu["portal"], box, edge_mm=3)
    place = (62.0, front + 42, 8.0)
    box = canvas.around(place, 40)
    canvas.paint(canvas.ellipsoid(box, place, (14, 26, 22)) + 1, 12.0, box)


def paint_vessels(canvas: Canvas, anatomy: Anatomy) -> None:
    """Aorta, vena cava and their large branches, and the portal vein; `paint_kidney` paints the renal vessels."""
    artery, vein, portal = anatomy.hu["artery"], anatomy.hu["vein"], anatomy.hu["portal"]
    fork: Point = (-4, 30, -78)
    calibre = 9.5 * anatomy.lean
    canvas.tube([(-14, 18, 240), (-10, 26, 90), (-8, 32, 20), fork], (12, 11, calibre, calibre - 1), artery)
    canvas.tube([(16, 28, -85), (21, 26, -20), (22, 28, 30), (26, 36, 95), (24, 46, 125)], (11, 11, 12, 12, 13), vein)
    for side in (-1, 1):
        canvas.tube([fork, (side * 22 - 4, 26, -120), (side * 46, 10, -180)], (7, 6, 5.5), artery)
        canvas.tube([(16, 28, -85), (side * 26 + 6, 16, -120), (side * 50, 2, -180)], (9, 7, 6.5), vein)
    canvas.tube([(-8, 36, 24), (-6, 50, 8), (-2, 54, -60)], (4, 3.6, 2.6), artery)
    canvas.tube([(-8, 36, 34), (-6, 54, 36), (20, 60, 40)], (4, 3.2, 2.6), artery)
    canvas.tube([(10, 56, -70), (12, 52, 0), (22, 52, 24), (46, 56, 52), (62, 60, 66)], (4, 6, 7, 7, 5), portal)
    canvas.tube([(22, 52, 22), (-20, 42, 26), (-82, 8, 50)], (5, 4.5, 4), portal)
