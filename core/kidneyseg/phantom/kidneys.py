"""The phantom's kidneys: bean-shaped, with cortex, pyramids, sinus and vessels; their tumours and cysts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kidneyseg.arrays import Box
from kidneyseg.imaging.labels import KIDNEY, TUMOUR
from kidneyseg.phantom.anatomy import FAT, Anatomy
from kidneyseg.phantom.canvas import Array, Canvas, Point, hypotenuse


@dataclass(frozen=True, eq=False)
class KidneyShape:
    """Position and size of a kidney; its local axes u, v, w are the rows of `axes`: up, to the hilum, across."""

    side: int  #: +1 right, -1 left
    centre: Point  #: patient coordinates in mm
    radii: Point  #: half lengths along u, v, w in mm
    axes: NDArray[np.float64]  #: (3, 3), unit rows
    gap_mm: float  #: thickness of the perirenal fat

    def at(self, u: float, v: float, w: float) -> Point:
        """Patient coordinates in mm of a local point."""
        x, y, z = np.asarray(self.centre) + np.array([u, v, w]) @ self.axes
        return float(x), float(y), float(z)

    def bend(self, u: ArrayLike) -> Array:
        """Offset of the kidney's curved axis towards the hilum at u, in mm; largest at the poles."""
        long, wide, _ = self.radii
        return 0.16 * np.square(u) / long - 0.12 * wide


def draw_kidney(rng: np.random.Generator, anatomy: Anatomy, side: int) -> KidneyShape:
    """A random kidney: the upper pole tilts to the spine and back, the hilum faces inward and to the front."""
    lean = anatomy.lean
    up = np.array([-side * rng.uniform(0.15, 0.34), -rng.uniform(0.15, 0.5), 1.0])
    up /= np.linalg.norm(up)
    turn = rng.uniform(0.35, 0.8)
    hilum = np.array([-side * np.cos(turn), np.sin(turn), 0.0])
    hilum -= (hilum @ up) * up
    hilum /= np.linalg.norm(hilum)
    length = rng.uniform(48, 58) * lean
    return KidneyShape(
        side=side,
        centre=(
            side * (66 + 12 * anatomy.visceral_fat + rng.uniform(-3, 3)) * lean,
            rng.uniform(0, 8) + 4 * anatomy.visceral_fat,
            rng.uniform(-6, 6) - side * 5,
        ),
        radii=(length, length * rng.uniform(0.56, 0.65), length * rng.uniform(0.40, 0.46)),
        axes=np.stack([up, hilum, np.cross(up, hilum)]),
        gap_mm=5 + 13 * anatomy.visceral_fat,
    )


def paint_kidney(
    canvas: Canvas, anatomy: Anatomy, kidney: KidneyShape, rng: np.random.Generator, inside: Array
) -> None:
    """Paint and label one kidney with its fat and vessels, and a cyst in some."""
    box = canvas.around(kidney.centre, kidney.radii[0] + kidney.gap_mm + 8)
    _paint_fat(canvas, kidney, box, inside[box])
    u, v, w = canvas.local(box, kidney.centre, kidney.axes)
    long, wide, thick = kidney.radii
    v = v - kidney.bend(u)
    surface = (_norm(u / long, v / wide, w / thick) - 1) * thick + 1.2 * canvas.field(16, box)
    notch = _norm(u / (0.34 * long), (v - 1.05 * wide) / (0.75 * wide), w / (0.42 * thick)) - 1
    sinus = _norm(u / (0.52 * long), (v - 0.40 * wide) / (0.48 * wide), w / (0.34 * thick)) - 1
    sinus = np.minimum(sinus, notch) * (0.4 * thick) + 1.8 * canvas.field(7, box)
    parenchyma = np.maximum(surface, -sinus)
    cortex, medulla = anatomy.hu["cortex"], anatomy.hu["medulla"]
    canvas.paint(parenchyma, cortex + 4 * canvas.field(8, box), box)
    around = np.arctan2(w, v - 0.3 * wide)
    pyramids = np.maximum(surface + 6.5, 1.5 - sinus) - 1.8 + 2.6 * np.cos(u * (7.5 / long)) * np.cos(2 * around)
    canvas.paint(np.maximum(pyramids, parenchyma + 3), medulla, box, edge_mm=4)
    _paint_sinus(canvas, anatomy, kidney, box, np.maximum(sinus, surface))
    canvas.labels[box][parenchyma < 0] = KIDNEY
    if rng.random() < 0.4:
        _paint_cyst(canvas, kidney, rng)


def _paint_fat(canvas: Canvas, kidney: KidneyShape, box: Box, inside: Array) -> None:
    """Paint perirenal fat with strands, and the renal fascia around it."""
    u, v, w = (r + kidney.gap_mm * share for r, share in zip(kidney.radii, (1.0, 0.7, 0.8), strict=True))
    bed = canvas.ellipsoid(box, kidney.at(0, -2, 0), (u, v, w), kidney.axes) + 3 * canvas.field(22, box)
    soft = canvas.hu[box] < 260  # bone stays
    spine = 40 - hypotenuse(canvas.x[box] / 1.15, canvas.y[box] - 2)
    muscles = _muscles_behind(canvas, box)
    bed = np.where(soft, np.maximum(np.maximum(bed, spine), np.maximum(muscles, inside + 1.5)), 9)
    canvas.paint(np.abs(bed) - 0.5, -30.0, box)
    canvas.paint(bed + 0.5, FAT + 4 * canvas.field(10, box), box)
    canvas.paint(np.maximum(canvas.tubes(18, 0.3, box), bed + 3), -50.0, box)


def _norm(u: Array, v: Array, w: Array) -> Array:
    return np.asarray(np.sqrt(u * u + v * v + w * w))


def _muscles_behind(canvas: Canvas, box: Box) -> Array:
    """Distance to the muscles behind the kidneys, which end at the lowest ribs."""
    return -27 - 18 * np.clip((canvas.z[box] - 20) / 30, 0, 1) - canvas.y[box]


def _paint_sinus(canvas: Canvas, anatomy: Anatomy, kidney: KidneyShape, box: Box, sinus: Array) -> None:
    long, wide, _ = kidney.radii
    canvas.paint(sinus + 0.5, FAT + 25 + 8 * canvas.field(6, box), box)
    canvas.paint(np.maximum(canvas.tubes(12, 1.3, box), sinus + 1), anatomy.hu["vein"], box)
    pelvis = anatomy.hu["pelvis"]
    mouth = kidney.at(-0.12 * long, 0.75 * wide, -2)
    for u in (-0.36, 0.0, 0.34):
        canvas.tube([mouth, kidney.at(u * long, 0.3 * wide, 0)], (4.0, 3.0), pelvis)
    _, y, z = mouth
    canvas.tube([mouth, (kidney.side * 42, y - 2, z - 35), (kidney.side * 40, 14, z - 130)], (4.0, 2.4, 2.0), pelvis)
    gate = kidney.at(0.05 * long, 0.85 * wide, 2)
    vein_x, artery_x = (22.0 if kidney.side > 0 else -2.0), -8.0 + 6 * kidney.side
    middle = ((gate[0] + vein_x) / 2, 38.0, gate[2] + 4)
    canvas.tube([kidney.at(0.05 * long, 0.4 * wide, 2), gate, middle], (3.5, 4.5, 5), anatomy.hu["vein"])
    canvas.tube([middle, (vein_x, 43.0 if kidney.side < 0 else 30.0, 6)], (5, 5), anatomy.hu["vein"])
    if kidney.side < 0:  # the left vein crosses in front of the aorta
        canvas.tube([(vein_x, 43, 6), (20, 32, 4)], (4.5, 4.5), anatomy.hu["vein"])
    behind = ((gate[0] + artery_x) / 2, 22.0, gate[2] + 6)
    inner = kidney.at(0.1 * long, 0.4 * wide, -2)
    canvas.tube(
        [(artery_x, 31, 8), behind, kidney.at(0.05 * long, 0.9 * wide, -3), inner],
        (3, 2.8, 2.6, 2),
        anatomy.hu["artery"],
    )


def _surface_point(kidney: KidneyShape, rng: np.random.Generator, depth: float) -> Point:
    """A random point away from the hilum; `depth` is 0 in the kidney's middle and 1 on its surface."""
    while True:
        d = rng.normal(size=3)
        d /= np.linalg.norm(d)
        if d[1] < 0.2 and abs(d[0]) < 0.85:
            break
    u, v, w = depth * d * np.asarray(kidney.radii)
    return kidney.at(float(u), float(v + kidney.bend(u)), float(w))


def _paint_cyst(canvas: Canvas, kidney: KidneyShape, rng: np.random.Generator) -> None:
    radius = rng.uniform(5, 13)
    centre = _surface_point(kidney, rng, 0.95)
    box = canvas.around(centre, radius + 4)
    cyst = canvas.ellipsoid(box, centre, (radius, radius * rng.uniform(0.85, 1.1), radius))
    canvas.paint(cyst, rng.uniform(0, 14), box)
    canvas.labels[box][cyst < 0] = KIDNEY


def paint_tumour(
    canvas: Canvas, anatomy: Anatomy, kidney: KidneyShape, rng: np.random.Generator, inside: Array
) -> None:
    """Paint and label a solid mass that partly bulges out of the kidney; larger ones have a necrotic core."""
    radius = float(rng.uniform(12, 26))
    centre = _surface_point(kidney, rng, rng.uniform(0.75, 0.98))
    box = canvas.around(centre, radius + 10)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    radii = (radius, radius * rng.uniform(0.85, 1.1), radius * rng.uniform(0.8, 1.05))
    mass = canvas.ellipsoid(box, centre, radii, turn) + 1.3 * canvas.field(9, box)
    mass = np.maximum(mass, np.maximum(_muscles_behind(canvas, box) - 8, inside[box] + 1))
    texture = anatomy.hu["tumour"] + 0.13 * anatomy.hu["tumour"] * canvas.field(7, box) + 6 * canvas.field(3.5, box)
    canvas.paint(mass - 0.5, texture + 15, box, edge_mm=2.5)
    canvas.paint(mass + 2, texture, box, edge_mm=3)
    if radius > 17:
        core = mass + radius * rng.uniform(0.5, 0.7) + 4 * canvas.field(10, box)
        canvas.paint(core, 26.0, box, edge_mm=5)
    canvas.labels[box][mass < 0] = TUMOUR
