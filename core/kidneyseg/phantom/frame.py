"""The phantom's table, skin, fat, muscles, bones and chest.

Coordinates are mm from the middle of the second lumbar vertebra: x to the patient's right, y to the front, z up.
Every shape is an approximate signed distance in mm, negative inside. Later shapes are painted over earlier ones.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from kidneyseg.arrays import Box
from kidneyseg.phantom.anatomy import FAT, Anatomy
from kidneyseg.phantom.canvas import Array, Canvas, hypotenuse


def paint_wall(canvas: Canvas, anatomy: Anatomy) -> Array:
    """Paint table, skin, fat and abdominal wall. Returns the signed distance to the cavity, negative inside it."""
    _paint_table(canvas, anatomy)
    x, z = np.abs(canvas.x), canvas.z
    hips = 1 + 0.10 * np.clip((-60 - z) / 80, 0, 1) ** 2
    chest = 1 - 0.06 * np.clip((z - 40) / 120, 0, 1)
    width, depth = anatomy.half_width * hips * chest, anatomy.half_depth * chest
    skin = _superellipse(canvas, anatomy.middle_y, width, depth) + 2.5 * canvas.field(80)
    canvas.paint(skin, 15.0)
    canvas.paint(skin + 2.2, FAT + 5 * canvas.field(15))
    canvas.paint(np.maximum(canvas.tubes(30, 0.6), skin + 4), -30.0)
    front = np.clip((canvas.y - anatomy.middle_y) / anatomy.half_depth, -1, 1)
    subcutaneous = np.float32(anatomy.fat) * (1 - 0.25 * front) + 2.5 * canvas.field(45)
    muscle = _superellipse(canvas, anatomy.middle_y, width - subcutaneous, depth - subcutaneous)
    canvas.paint(muscle, anatomy.hu["muscle"] + 9 * canvas.field(6))
    flank = np.clip(1 - 1.5 * np.abs(front + 0.05), 0, 1)
    seam = np.exp(-(((x - 66 * anatomy.lean) / 9) ** 2)) * np.clip(front * 4 - 1, 0, 1)
    wall = np.float32(anatomy.lean) * (10 + 9 * flank - 5 * seam) - 4 * np.clip((z - 40) / 40, 0, 1)
    _part_muscles(canvas, muscle, wall, flank * np.clip((20 - z) / 20, 0, 1), front)
    inside: Array = muscle + wall
    canvas.paint(inside, FAT + 5 * canvas.field(12))
    return inside


def _superellipse(canvas: Canvas, middle_y: float, width: Array, depth: Array) -> Array:
    """Signed distance to an upright cylinder between ellipse and rectangle, whose half axes may vary with z."""
    y = canvas.y - np.float32(middle_y)
    across, along = (canvas.x / width) ** 2, (y / depth) ** 2
    # A blend of the norms with exponents 2 and 4: square roots are cheap, other powers are not.
    s = 0.6 * np.sqrt(across + along) + 0.4 * np.sqrt(hypotenuse(across, along))
    return hypotenuse(canvas.x, y) * (1 - 1 / np.maximum(s, 1e-2))


def _part_muscles(canvas: Canvas, muscle: Array, wall: Array, flank: Array, front: Array) -> None:
    """Separate three flat muscles in the flank by thin fat, and the pair in front at the midline."""
    for part in (0.36, 0.68):
        fat = np.abs(muscle + wall * part) - 1.1 * np.minimum(flank * 2, 1) + 0.4 + 0.3 * canvas.field(25)
        canvas.paint(fat, -60.0)
    midline = np.maximum(np.maximum(np.abs(canvas.x) - 1.2, muscle), (0.3 - front) * 100)
    canvas.paint(midline, -20.0)


def _paint_table(canvas: Canvas, anatomy: Anatomy) -> None:
    x, y = canvas.flat(0), canvas.flat(1)
    top = anatomy.middle_y - anatomy.half_depth - 5 + x**2 / 1500
    bottom = top - 24 + x**2 / 3500
    ends = np.abs(x) - 205
    foam = np.maximum(np.maximum(y - top, bottom - y), ends)
    canvas.hu[:] = np.where(foam < 0, -940, -1000)
    shell = np.maximum(np.minimum(np.abs(y - top), np.abs(y - bottom)) - 1.4, ends)
    canvas.paint(np.broadcast_to(shell, canvas.hu.shape), 130.0)


def paint_back_muscles(canvas: Canvas, anatomy: Anatomy) -> None:
    """Erector spinae, quadratus lumborum and psoas on both sides."""
    lean, muscle = anatomy.lean, anatomy.hu["muscle"]
    box = canvas.box((-100, -80, -1e4), (100, 45, 1e4))
    _, y, z = canvas.local(box, (0, 0, 0))
    fibre = muscle + 14 * canvas.field(5, box) - 9
    for side in (-1, 1):
        x = canvas.x[box] * side
        erector = (hypotenuse((x - 34 * lean) / (32 * lean), (y + 46 * lean) / (21 * lean)) - 1) * 21
        canvas.paint(erector, fibre, box)
        canvas.paint(np.maximum(np.abs(erector + 9) - 0.6, canvas.field(9, box) * 3), -40.0, box)
        quadratus = (hypotenuse((x - 62 * lean) / (20 * lean), (y + 36 * lean - 0.1 * x) / (9 * lean)) - 1) * 12
        canvas.paint(np.maximum(quadratus, z - 30), fibre, box)
        lower = np.clip((50 - z) / 130, 0, 1.2)
        radius = np.float32(9 * lean) + 15 * lean * lower
        psoas = hypotenuse((x - 27 * lean - 14 * lower) / radius, (y - 2 + 4 * lower) / (radius * 1.15)) - 1
        canvas.paint(np.maximum(psoas * radius, z - 45), muscle + 6 * canvas.field(6, box), box)


def paint_spine(canvas: Canvas, anatomy: Anatomy) -> None:
    """Vertebrae with a dense shell, disks, canal, arches and processes."""
    box = canvas.box((-45, -75, -1e4), (45, 28, 1e4))
    x, y, z = canvas.local(box, (0, 0, 0))
    period = anatomy.vertebra
    phase = (z / period + 0.5) % 1 - 0.5  # 0 in the middle of a vertebra, ±.5 in a disk
    from_disk = (0.5 - np.abs(phase)) * period - 4.5
    size = anatomy.lean * (1 - 0.10 * np.cos(2 * np.pi * phase))
    body = (hypotenuse(x / (24.5 * size), y / (17.5 * size)) - 1) * 19 + 0.8 * canvas.field(14, box)
    canvas.paint(body, 95.0, box)
    bone = np.maximum(body, -from_disk)
    canvas.paint(bone, 470.0, box)
    spongy = 175 + 45 * canvas.field(4, box)
    canvas.paint(bone + 2.2, spongy, box)
    middle = np.abs(z - 3 - period * np.round((z - 3) / period)) - 0.36 * period
    arch = np.maximum(np.maximum((hypotenuse(x / 17, (y + 26) / 14) - 1) * 14, middle), y + 12)
    canvas.paint(arch, 300 + spongy, box)
    spine = np.maximum(np.maximum(np.abs(x) - 3.5, np.abs(y + 50) - 17), middle + 3)
    canvas.paint(spine, 180 + spongy, box)
    transverse = np.maximum(np.abs(y + 20 + 0.12 * np.abs(x)) - 4, np.maximum(np.abs(x) - 38, middle + 7.5))
    canvas.paint(np.maximum(transverse, 14 - np.abs(x)), 200 + spongy, box)
    for side in (-1, 1):
        joint = hypotenuse(x * side - 17, y + 34) - 7.5
        canvas.paint(np.maximum(joint, -middle - 9), 350 + spongy, box)
    canal = (hypotenuse(x / 11, (y + 25.5) / 8) - 1) * 8
    canvas.paint(canal, 18.0, box)
    canvas.paint(canal + 3.5, 38.0, box)


def paint_ribs(canvas: Canvas, anatomy: Anatomy, inside: Array) -> None:
    """The lower ribs, sloping down from the spine, with cartilage in front, and the breastbone."""
    for number in range(10):
        attach = 2 * anatomy.vertebra - 6 + 27 * number
        reach = (0.8, 1.35, 1.9, 2.1, 2.2, 2.3)[min(number, 5)]
        box = canvas.box((-1e4, -1e4, attach - 72), (1e4, 1e4, attach + 8))
        if not canvas.hu[box].size:
            continue
        angle = np.arctan2(np.abs(canvas.x[box]), anatomy.middle_y - 20 - canvas.y[box])  # 0 behind, pi in front
        drop = 62 * np.sin(np.clip(angle, 0, 2.0) * np.float32(0.785)) ** 1.3
        start = canvas.z[box] + drop - attach
        rib = np.maximum(np.abs(inside[box] - 4.5) - 3.6, np.abs(start) - 7.5)
        rib = np.maximum(rib, np.maximum(angle - reach, 0.22 - angle) * 90)
        cartilage = angle > 1.95
        canvas.paint(rib, np.where(cartilage, 110, 520), box)
        canvas.paint(rib + 2.2, np.where(cartilage, 95, 190), box)
    box = canvas.box((-20, anatomy.middle_y, anatomy.dome - 5), (20, 1e4, 1e4))
    sternum = np.maximum(np.maximum(np.abs(inside[box] - 3.5) - 5, np.abs(canvas.x[box]) - 17), 0)
    sternum = np.maximum(sternum, anatomy.dome - canvas.z[box])
    canvas.paint(sternum - 0.5, 420.0, box)
    canvas.paint(sternum + 1.7, 140.0, box)


def paint_hips(canvas: Canvas, anatomy: Anatomy, inside: Array) -> None:
    """The wings of the hip bone and their muscles, from about the fourth lumbar vertebra down."""
    box = canvas.box((-1e4, -110, -1e4), (1e4, 90, -80))
    if not canvas.hu[box].size:
        return
    lean, z = anatomy.lean, canvas.z[box]
    inward = 14 * np.clip((-100 - z) / 80, 0, 1)
    x, y = np.abs(canvas.x[box]) + inward, canvas.y[box]
    corners = ((44 * lean, -66 * lean), (92 * lean, -44 * lean), (128 * lean, 20 * lean))
    plate = np.full_like(x, 1e3)
    along = np.zeros_like(x)
    for number, (a, b) in enumerate(pairwise(corners)):
        dx, dy = b[0] - a[0], b[1] - a[1]
        t = np.clip(((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy), 0, 1)
        off = hypotenuse(x - a[0] - t * dx, y - a[1] - t * dy)
        along = np.where(off < plate, number + t, along)
        plate = np.minimum(plate, off)
    below = z + 92 + 34 * (along - 1.1) ** 2
    flesh = np.maximum(plate - 15, below * 0.6 - 8)
    canvas.paint(np.maximum(flesh, inside[box] - 14), anatomy.hu["muscle"] + 9 * canvas.field(6, box), box)
    wing = np.maximum(plate - 5, below)
    canvas.paint(wing, 520.0, box)
    canvas.paint(wing + 2.2, 210 + 60 * canvas.field(5, box), box)


def paint_chest(canvas: Canvas, anatomy: Anatomy, inside: Array) -> None:
    """Lungs above a domed diaphragm, the heart between them, and the crura beside the aorta."""
    box = canvas.box((-1e4, -1e4, 0), (1e4, 1e4, 1e4))
    if canvas.hu[box].size:
        _paint_lungs(canvas, anatomy, inside[box], box)
    for side in (-1, 1):
        crus = [(side * 16.0 - 4, 24.0, 0.0), (side * 17.0 - 4, 26.0, 40.0), (side * 22.0 - 4, 22.0, 95.0)]
        canvas.tube(crus, (3.0, 6.0, 6.0), anatomy.hu["muscle"])


def _paint_lungs(canvas: Canvas, anatomy: Anatomy, inside: Array, box: Box) -> None:
    x, y, z = canvas.local(box, (0, 0, 0))
    across = (np.abs(x) - 62) / 70
    forward = (y - anatomy.middle_y) / (anatomy.half_depth - anatomy.fat)
    floor = anatomy.dome - np.where(x < 0, 10, 0) - 34 * across**2 - 40 * (forward - 0.1) ** 2
    floor = floor - 50 * np.clip(0.5 - forward, 0, 1.4) * np.clip(1 + inside / 14, 0, 1) + 4 * canvas.field(50, box)
    ahead = np.clip(forward + 0.1, 0, 1)
    middle = 26 + 34 * ahead - np.abs(x + 10 * ahead)
    lung = np.maximum(np.maximum(inside + 2.5, (floor - z) * 0.8), middle)
    heart = canvas.ellipsoid(box, (-22, anatomy.middle_y + 30, anatomy.dome + 44), (66, 54, 46))
    lung = np.maximum(lung, -heart - 8 + 3 * canvas.field(30, box))
    canvas.paint(lung - 2.5, anatomy.hu["muscle"], box, edge_mm=2)
    canvas.paint(np.maximum(heart, inside + 3), FAT, box, edge_mm=2)
    canvas.paint(lung, -850 + 25 * canvas.field(9, box), box, edge_mm=2)
    canvas.paint(np.maximum(canvas.tubes(20, 1.7, box), lung + 5), 30.0, box, edge_mm=1.5)
    muscle = np.maximum(heart + 8, inside + 6)
    canvas.paint(muscle, 100.0, box)
    canvas.paint(muscle + 9 + 3 * canvas.field(20, box), anatomy.hu["heart"], box, edge_mm=3)
