"""The phantom's patient without kidneys: body wall, bones, lungs and the organs around the kidneys.

Coordinates are mm from the middle of the second lumbar vertebra: x to the patient's right, y to the front, z up.
Sizes and places were compared with 14 real CTs; HU per phase are round figures from the same and from textbooks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kidneyseg.imaging._canvas import Array, Canvas, Point

# Median HU of each tissue in each phase.
PHASES = ("noncontrast", "arterial", "portal", "late")
TISSUE_HU: dict[str, tuple[float, float, float, float]] = {
    "cortex": (33, 200, 165, 125),
    "medulla": (31, 90, 145, 125),
    "pelvis": (6, 8, 25, 260),
    "tumour": (34, 125, 88, 72),
    "artery": (42, 290, 150, 110),
    "vein": (40, 120, 140, 108),
    "liver": (56, 68, 105, 92),
    "portal": (40, 110, 155, 110),
    "spleen": (46, 125, 115, 95),
    "pancreas": (38, 105, 85, 70),
    "bowel": (32, 75, 95, 75),
    "muscle": (52, 56, 62, 60),
    "heart": (42, 250, 150, 110),
}
FAT = -104.0


@dataclass(frozen=True)
class Patient:
    """What differs from patient to patient; all lengths in mm."""

    hu: dict[str, float]
    half_width: float
    half_depth: float
    fat: float
    visceral_fat: float
    lean: float
    oral_contrast: float
    vertebra: float
    dome: float

    @property
    def middle_y(self) -> float:
        """How far the body's axis lies before the spine's."""
        return self.half_depth - 60 - 22 * self.lean - 0.9 * self.fat


def draw_patient(rng: np.random.Generator, phase: str) -> Patient:
    """A random patient in a contrast phase."""
    column = PHASES.index(phase)
    shift = rng.normal(1.0, 0.08)
    hu = {name: values[column] * shift + rng.normal(0, 3) for name, values in TISSUE_HU.items()}
    fat, visceral, lean = rng.uniform(9, 30), rng.uniform(0.3, 1.0), rng.uniform(0.9, 1.1)
    return Patient(
        hu=hu,
        half_width=(132 + 14 * visceral) * lean + fat,
        half_depth=(96 + 22 * visceral) * lean + fat,
        fat=fat,
        visceral_fat=visceral,
        lean=lean,
        oral_contrast=float(rng.choice([0.0, 0.6])),
        vertebra=rng.uniform(33, 38) * lean,
        dome=rng.uniform(112, 135),
    )


def paint_abdomen(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    """Everything but the kidneys, from the outside in."""
    _paint_table(canvas, patient)
    inside = _paint_wall(canvas, patient)
    _paint_back_muscles(canvas, patient)
    _paint_gut(canvas, patient, rng, inside)
    _paint_upper_organs(canvas, patient, rng, inside)
    _paint_chest(canvas, patient, rng, inside)
    _paint_ribs(canvas, patient, inside)
    _paint_pelvis(canvas, patient)
    _paint_spine(canvas, patient)
    _paint_vessels(canvas, patient)


def _superellipse(canvas: Canvas, middle_y: float, width: Array, depth: Array, power: float = 2.3) -> Array:
    """Distance in mm (roughly) to an upright superelliptic cylinder whose half axes may change with z."""
    y = canvas.y - np.float32(middle_y)
    s = (np.abs(canvas.x) / width) ** power + (np.abs(y) / depth) ** power
    s = np.maximum(s, 1e-4) ** np.float32(1 / power)
    return np.asarray(np.hypot(canvas.x, y) * (1 - 1 / s), np.float32)


def _paint_table(canvas: Canvas, patient: Patient) -> None:
    x, y = canvas.flat(0), canvas.flat(1)
    top = patient.middle_y - patient.half_depth - 6 + x**2 / 1400
    shell = np.minimum(np.abs(y - top), np.abs(y - (top - 22 + x**2 / 4000))) - 1.0
    ends = np.abs(x) - 205
    hu_table = np.where(np.maximum(y - top, top - 22 - y) < 0, -930, -1000)
    canvas.hu[:] = np.where(ends < 0, hu_table, -1000)
    canvas.paint(np.broadcast_to(np.maximum(shell, ends), canvas.hu.shape).astype(np.float32), 60.0)


def _paint_wall(canvas: Canvas, patient: Patient) -> Array:
    """Skin, fat and the muscles around the abdomen. Returns the distance to the inside of the wall (negative in it)."""
    z = canvas.z
    hips = 1 + 0.10 * np.clip((-60 - z) / 80, 0, 1) ** 2
    chest = 1 - 0.06 * np.clip((z - 40) / 120, 0, 1)
    width, depth = patient.half_width * hips * chest, patient.half_depth * chest
    skin = _superellipse(canvas, patient.middle_y, width, depth)
    canvas.paint(skin, 10.0)
    canvas.paint(skin + 2.2, FAT + 5 * canvas.field(15))
    canvas.paint(np.maximum(canvas.tubes(34, 0.5), skin + 4), -40.0)
    front = np.clip((canvas.y - patient.middle_y) / patient.half_depth, -1, 1)
    thickness = patient.fat * (1 - 0.25 * front) + 2 * canvas.field(45)
    muscle = _superellipse(canvas, patient.middle_y, width - thickness, depth - thickness)
    canvas.paint(muscle, patient.hu["muscle"] + 8 * canvas.field(6))
    wall = np.float32(15 * patient.lean) - 4 * np.clip(front, 0, 1) - 4 * np.clip((z - 40) / 40, 0, 1)
    # Three flat muscles at the side, with a little fat between them; one pair in front, parted in the midline.
    side = np.clip(1.4 - 2.2 * np.abs(front - 0.15), 0, 1) * np.clip((30 - z) / 20, 0, 1)
    for part in (0.36, 0.68):
        canvas.paint(np.abs(muscle + wall * part) - 0.8 * side, -60.0)
    midline = np.maximum(np.abs(canvas.x) - 3, -(canvas.y - patient.middle_y))
    canvas.paint(np.maximum(midline, muscle), FAT)
    inside = muscle + wall
    canvas.paint(inside, FAT + 5 * canvas.field(12))
    return np.asarray(inside, np.float32)


def _paint_back_muscles(canvas: Canvas, patient: Patient) -> None:
    lean, muscle = patient.lean, patient.hu["muscle"]
    fibre = muscle + 14 * canvas.field(5) - 10
    for side in (-1, 1):
        x, y = canvas.x * side, canvas.y
        lower = np.clip((50 - canvas.z) / 130, 0, 1.2)
        erector = (np.hypot((x - 34 * lean) / (31 * lean), (y + 45 * lean) / (21 * lean)) - 1) * 21
        canvas.paint(erector.astype(np.float32), fibre)
        canvas.paint(np.maximum(np.abs(erector + 9) - 0.5, canvas.field(9) * 3), -30.0)
        quadratus = (np.hypot((x - 63 * lean) / (15 * lean), (y + 24 * lean) / (20 * lean)) - 1) * 14
        canvas.paint(np.maximum(quadratus, canvas.z - 30).astype(np.float32), fibre)
        radius = np.float32(9 * lean) + 15 * lean * lower
        psoas = np.hypot((x - 27 * lean - 14 * lower) / radius, (y - 2 + 4 * lower) / (radius * 1.15)) - 1
        canvas.paint(np.maximum(psoas * radius, canvas.z - 45).astype(np.float32), muscle + 6 * canvas.field(6))


def _paint_spine(canvas: Canvas, patient: Patient) -> None:
    box = canvas.box((-45, -75, -1e4), (45, 28, 1e4))
    x, y, z = canvas.local(box, (0, 0, 0))
    period = patient.vertebra
    phase = (z / period + 0.5) % 1 - 0.5  # 0 in the middle of a vertebra, ±.5 in a disk
    from_disk = (0.5 - np.abs(phase)) * period - 4.5
    waist = 1 - 0.10 * np.cos(2 * np.pi * phase)
    size = patient.lean * waist
    body = (np.hypot(x / (24.5 * size), y / (17.5 * size)) - 1) * 19
    canvas.paint(body, 95.0, box)
    bone = np.maximum(body, -from_disk)
    canvas.paint(bone, 480.0, box)
    canvas.paint(bone + 2.2, 175 + 45 * canvas.field(4, box), box)
    arch = (np.hypot(x / 17, (y + 26) / 14) - 1) * 14
    mid = np.abs(z - 3 - period * np.round((z - 3) / period)) - 0.36 * period
    ring = np.maximum(np.maximum(arch, mid), y + 12)
    canvas.paint(ring, 420 + 60 * canvas.field(4, box), box)
    spine = np.maximum(np.maximum(np.abs(x) - 3.5, np.abs(y + 52) - 18), mid + 3)
    canvas.paint(spine, 330 + 60 * canvas.field(4, box), box)
    transverse = np.maximum(np.abs(y + 20 + 0.12 * np.abs(x)) - 4, np.maximum(np.abs(x) - 40, mid + 7))
    canvas.paint(np.maximum(transverse, 14 - np.abs(x)), 380.0, box)
    for side in (-1, 1):
        joint = np.hypot(x * side - 17, y + 34) - 8
        canvas.paint(np.maximum(joint, -mid - 9), 520 + 80 * canvas.field(4, box), box)
    canal = (np.hypot(x / 11, (y + 25.5) / 8) - 1) * 8
    canvas.paint(canal, 18.0, box)
    canvas.paint(canal + 3.5, 38.0, box)


def _paint_ribs(canvas: Canvas, patient: Patient, inside: Array) -> None:
    angle = np.arctan2(np.abs(canvas.x), -(canvas.y - patient.middle_y + 20))  # 0 behind, pi in front
    drop = 62 * np.sin(np.clip(angle, 0, 2.0) * 0.785) ** 1.3
    start = canvas.z + drop
    shell = np.abs(inside - 4.5) - 3.6
    for number in range(7):
        attach = 2 * patient.vertebra - 6 + 27 * number
        reach = (0.8, 1.35, 1.9, 2.1, 2.2, 2.3, 2.4)[number]
        rib = np.maximum(np.maximum(shell, np.abs(start - attach) - 7.5), np.maximum(angle - reach, 0.22 - angle) * 90)
        cartilage = angle > 1.95
        canvas.paint(rib, np.where(cartilage, 110, 520))
        canvas.paint(rib + 2.2, np.where(cartilage, 95, 190))


def _paint_pelvis(canvas: Canvas, patient: Patient) -> None:
    """The two wings of the hip bone, rising to the crest at about the fourth lumbar vertebra, and the sacrum."""
    box = canvas.box((-1e4, -110, -1e4), (1e4, 90, -80))
    if not canvas.hu[box].size:
        return
    x, y, z = canvas.local(box, (0, 0, 0))
    depth = np.clip((-88 - z) / 90, 0, 1)
    lean = patient.lean
    along = np.arctan2(np.abs(x) - 30, y + 75)
    ring = np.abs(np.hypot(np.abs(x) / (124 * lean - 26 * depth), (y - 8) / (86 * lean)) - 1) * 90 - 4.5 - 2 * depth
    crest = z + 90 + 24 * np.abs(along - 1.0) ** 2
    wing = np.maximum(np.maximum(ring, crest), np.maximum(y - 42, 38 - np.abs(x)))
    flesh = np.maximum(np.hypot(np.abs(x) / (140 * lean), (y - 8) / (104 * lean)) - 1, 0.0) * 0 + wing - 14
    canvas.paint(np.maximum(flesh, 45 - np.abs(x)), patient.hu["muscle"] + 8 * canvas.field(6, box), box)
    canvas.paint(wing, 520.0, box)
    canvas.paint(wing + 2.2, 210 + 60 * canvas.field(5, box), box)


def _paint_chest(canvas: Canvas, patient: Patient, rng: np.random.Generator, inside: Array) -> None:
    """Lungs above a domed diaphragm, the heart between them, and the crura beside the aorta."""
    across = np.abs(np.abs(canvas.x) - 62) / 70
    forward = (canvas.y - patient.middle_y) / (patient.half_depth - patient.fat)
    peak = patient.dome - np.where(canvas.x < 0, 10, 0)
    floor = peak - 34 * across**2 - 44 * np.abs(forward - 0.1) ** 2 - np.where(forward < 0, 26 * forward**2, 0)
    floor = floor - 60 * np.clip(1 + inside / 22, 0, 1)
    middle = 26 + 34 * np.clip(forward + 0.1, 0, 1) - np.abs(canvas.x + 10 * np.clip(forward, 0, 1))
    lung = np.maximum(np.maximum(inside + 3, (floor - canvas.z) * 0.8), middle)
    heart = canvas.ellipsoid((slice(None),) * 3, (-22, patient.middle_y + 32, patient.dome + 42), (58, 46, 40))
    canvas.paint(np.maximum(lung - 3, -heart - 300), patient.hu["muscle"], edge_mm=2)
    texture = -850 + 25 * canvas.field(9)
    canvas.paint(lung, texture, edge_mm=2)
    canvas.paint(np.maximum(canvas.tubes(22, 1.4), lung + 5), 20.0, edge_mm=1.5)
    canvas.paint(heart - 4, FAT, edge_mm=2)
    canvas.paint(heart, 95.0)
    canvas.paint(heart + 9 + 3 * canvas.field(20), patient.hu["heart"], edge_mm=3)
    for side in (-1, 1):
        crus = [(side * 16.0 - 4, 24.0, 0.0), (side * 17.0 - 4, 26.0, 40.0), (side * 22.0 - 4, 22.0, 95.0)]
        canvas.tube(crus, (3.0, 6.0, 6.0), patient.hu["muscle"])


def _paint_upper_organs(canvas: Canvas, patient: Patient, rng: np.random.Generator, inside: Array) -> None:
    everywhere = (slice(None),) * 3
    lean, front = patient.lean, patient.middle_y
    bumps = 5 * canvas.field(40)
    roof = canvas.z - (patient.dome + 4)
    right = canvas.ellipsoid(everywhere, (82 * lean, front + 4, 62 + rng.uniform(-8, 8)), (78, 92, 80))
    left = canvas.ellipsoid(everywhere, (10, front + 46, 78), (78, 44, 42))
    liver = np.maximum(np.minimum(right, left) + bumps, inside + 4)
    spine_gap = 46 - np.hypot(canvas.x, canvas.y - 4)
    liver = np.maximum(np.maximum(liver, spine_gap), roof * 0.8)
    canvas.paint(liver, patient.hu["liver"] + 3 * canvas.field(12))
    canvas.paint(np.maximum(canvas.tubes(30, 1.6), liver + 6), patient.hu["portal"], edge_mm=3)
    gallbladder = canvas.around((62, front + 45, 8), 40)
    canvas.paint(canvas.ellipsoid(gallbladder, (62, front + 42, 8), (14, 26, 22)) + 1, 12.0, gallbladder)
    spleen = canvas.ellipsoid(everywhere, (-112 * lean, front - 34, 66 + rng.uniform(-8, 8)), (44, 52, 50 + 8 * lean))
    hollow = 38 - np.hypot(canvas.x + 62, (canvas.y - front + 22) * 0.8)
    spleen = np.maximum(np.maximum(spleen + 0.5 * bumps, inside + 4), hollow)
    canvas.paint(spleen, patient.hu["spleen"] + 3 * canvas.field(12))
    _paint_stomach(canvas, patient, rng)
    pancreas: list[Point] = [(34, 42, -8), (24, 50, 12), (0, 58, 18), (-40, 48, 30), (-78, 22, 42)]
    for box, distance in canvas.chain(pancreas, (15, 12, 9, 10, 8)):
        lobes = distance + 2.5 * canvas.field(7, box)
        canvas.paint(lobes, patient.hu["pancreas"], box)
    for side in (-1, 1):
        stem: Point = (side * 40.0, 8.0, 62.0)
        for foot in ((side * 46.0, -8.0, 50.0), (side * 30.0, -6.0, 50.0)):
            canvas.tube([stem, foot], (3, 2.2), patient.hu["pancreas"] - 10)


def _hollow(
    canvas: Canvas,
    patient: Patient,
    points: list[Point],
    radii: list[float],
    *,
    content: float,
    gas: float = 0.0,
    wall: float = 2.5,
) -> None:
    """A piece of gut: wall, then content with gas above a level that is `gas` (0...1) of the way from top to bottom."""
    parts = canvas.chain(points, radii)
    for box, distance in parts:
        canvas.paint(distance, patient.hu["bowel"], box)
    for box, distance in parts:
        mottled = content + (25 + 0.15 * abs(content)) * canvas.field(5, box)
        canvas.paint(distance + wall, mottled, box)
    if gas > 0:
        heights = [p[1] + r for p, r in zip(points, radii, strict=True)]
        level = max(heights) - gas * 2 * float(np.mean(radii))
        for box, distance in parts:
            canvas.paint(np.maximum(distance + wall, level - canvas.flat(1)[:, box[1]]), -900.0, box)


def _paint_stomach(canvas: Canvas, patient: Patient, rng: np.random.Generator) -> None:
    front = patient.middle_y
    points: list[Point] = [(-62, front - 8, 96), (-72, front + 20, 66), (-52, front + 46, 38), (0, front + 50, 20)]
    radii = [34.0, 40.0, 32.0, 19.0]
    content = float(rng.choice([15.0, 45.0, 220 * patient.oral_contrast]))
    _hollow(canvas, patient, points, radii, content=content, gas=0.35, wall=5)


def _paint_gut(canvas: Canvas, patient: Patient, rng: np.random.Generator, inside: Array) -> None:
    front, lean = patient.middle_y, patient.lean
    canvas.paint(np.maximum(canvas.tubes(20, 1.1), inside + 12), patient.hu["vein"] - 20)
    deep = front + 0.55 * (patient.half_depth - patient.fat)
    for _ in range(26):
        walk = [np.array([rng.uniform(-85, 85) * lean, rng.uniform(front - 5, deep), rng.uniform(-175, -15)])]
        for _ in range(4):
            step = rng.normal(0, 1, 3) * (1, 0.6, 0.8)
            walk.append(walk[-1] + 24 * step / np.linalg.norm(step))
        radius = rng.uniform(8.5, 13)
        keep: list[Point] = [
            (float(np.clip(p[0], -95, 95)), float(np.clip(p[1], 40, deep)), float(min(p[2], -8))) for p in walk
        ]
        content = 230.0 if rng.random() < patient.oral_contrast else 18.0
        gas = 0.3 if rng.random() < 0.15 else 0.0
        _hollow(canvas, patient, keep, [radius] * 5, content=content, gas=gas)
    duodenum: list[Point] = [(32, 62, 22), (50, 50, 8), (48, 42, -28), (8, 40, -46), (-26, 42, -40)]
    _hollow(canvas, patient, duodenum, [13.0, 12.0, 12.0, 10.0, 10.0], content=20.0)
    edge = patient.half_width - patient.fat - 44
    rising: list[Point] = [(edge - 6, front - 22, z) for z in (-190.0, -150.0, -110.0, -70.0, -35.0)]
    across: list[Point] = [(edge - 14, front + 4, -24), (60, deep, -30), (10, deep + 8, -42), (-50, deep, -22)]
    falling: list[Point] = [(-edge + 4, front + 6, 30), (-edge - 2, front - 26, 4), (-edge - 4, front - 30, -60)]
    falling += [(-edge - 2, front - 26, -120), (-edge, front - 20, -190)]
    for points, size, gas in ((rising, 23, 0.25), (across, 21, 0.5), ([across[-1], *falling[:2]], 18, 0.4)):
        radii = [size * rng.uniform(0.85, 1.12) for _ in points]
        _hollow(canvas, patient, points, radii, content=rng.uniform(-20, 60), gas=gas)
    _hollow(canvas, patient, falling[1:], [15 * rng.uniform(0.85, 1.1) for _ in falling[1:]], content=10.0, gas=0.3)


def _paint_vessels(canvas: Canvas, patient: Patient) -> None:
    artery, vein, portal = patient.hu["artery"], patient.hu["vein"], patient.hu["portal"]
    fork: Point = (-4, 30, -78)
    calibre = 9.5 * patient.lean
    canvas.tube([(-14, 18, 240), (-10, 26, 90), (-8, 32, 20), fork], (12, 11, calibre, calibre - 1), artery)
    canvas.tube([(16, 28, -85), (21, 26, -20), (22, 28, 30), (26, 36, 95), (24, 46, 125)], (11, 11, 12, 12, 13), vein)
    for side in (-1, 1):
        canvas.tube([fork, (side * 22 - 4, 26, -120), (side * 46, 10, -180)], (7, 6, 5.5), artery)
        canvas.tube([(16, 28, -85), (side * 26 + 6, 16, -120), (side * 50, 2, -180)], (9, 7, 6.5), vein)
    canvas.tube([(-8, 36, 24), (-6, 50, 8), (-2, 54, -60)], (4, 3.6, 2.6), artery)
    canvas.tube([(-8, 36, 34), (-6, 54, 36), (20, 60, 40)], (4, 3.2, 2.6), artery)
    canvas.tube([(10, 56, -70), (12, 52, 0), (22, 52, 24), (46, 56, 52), (62, 60, 66)], (4, 6, 7, 7, 5), portal)
    canvas.tube([(22, 52, 22), (-20, 42, 26), (-82, 8, 50)], (5, 4.5, 4), portal)
