"""The CT series among DICOM objects: told apart, described, and the one to segment proposed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from kidneyseg.errors import InputError
from kidneyseg.imaging.dicom import tags
from kidneyseg.imaging.dicom.discovery import Found, find_instances
from kidneyseg.imaging.dicom.instances import Instance
from kidneyseg.imaging.dicom.kept_headers import text_of
from kidneyseg.imaging.dicom.slices import Slice, slices_of
from kidneyseg.imaging.geometry import MIN_SLICES
from kidneyseg.imaging.volume import ContrastPhase
from kidneyseg.plurals import counted
from kidneyseg.progress import Progress

Orientation = tuple[float, ...] | None

# Words of descriptions, protocols and body parts.
_ABDOMEN = re.compile(r"abd|kidney|niere|renal|urogra|\buro|bauch|liver|leber|becken", re.IGNORECASE)
_ELSEWHERE = re.compile(
    r"head|brain|skull|neck|kopf|hals|thorax|chest|lung|spine|knee|foot|hand|ankle|shoulder|wrist|heart|cardiac|coron",
    re.IGNORECASE,
)
_SHARP = re.compile(r"\blung|\bbone|knochen|lunge|\bb[rl]?[67]\d|sharp|\bedge", re.IGNORECASE)
_NO_SLICES = re.compile(r"\bmip|\bvrt?\b|\b3d\b|\bmpr|\bcor(onal)?\b|\bsag(ittal)?\b|screen|\bdose", re.IGNORECASE)
_PHASES: tuple[tuple[ContrastPhase, re.Pattern[str]], ...] = (
    (
        "noncontrast",
        re.compile(r"non.?con|\bnativ|\bplain|without|unenhanced|\bw/?o\b|\bncct\b|\bpre\b", re.IGNORECASE),
    ),
    ("excretory", re.compile(r"excret|delay|urogra|\blate\b|\d+ ?min\b", re.IGNORECASE)),
    ("nephrographic", re.compile(r"nephro", re.IGNORECASE)),
    ("arterial", re.compile(r"arter|\bart\b|cortico", re.IGNORECASE)),
    ("portal", re.compile(r"portal|\bpv\b|venous|venös|venoes|\bven\b", re.IGNORECASE)),
)
# The networks were trained on portal and nephrographic CTs; the others follow by how well the kidneys stand out.
_PHASE_ORDER = ("portal", "nephrographic", None, "arterial", "excretory", "noncontrast")
# After the bar comes what is the same for one and for several.
_TOO_FEW = f"CT image| of series of fewer than {MIN_SLICES}"
_THIN_MM = 3.05
_LEAST_EXTENT_MM = 120.0
_AXIAL = 0.7  # of the normal's length along z
_SAME = 1e-3  # of two orientations
_MOST_COMPARED = 64  # orientations of a series
_IN_WHOLE_PARTS = 0.9  # of the slices of a series that is taken apart
# What tells apart slices of one series that lie in one place, the most telling first.
_DISTINCTIONS = (
    *(tags.ACQUISITION_NUMBER, tags.IMAGE_TYPE, tags.KVP, tags.CONVOLUTION_KERNEL, tags.ACQUISITION_DATE_TIME),
    *(tags.ACQUISITION_TIME, tags.SERIES_NUMBER),
)


@dataclass(frozen=True, eq=False)
class Series:
    """Frames that make one volume: of one series, size and orientation. A series with several gives several of these.

    Nothing here identifies the patient, except what somebody wrote into `description`.
    """

    id: str  #: what chooses it: the series number, with a letter where several share it
    uid: str  #: SeriesInstanceUID
    description: str
    slices: tuple[Slice, ...] = field(repr=False)  #: one or more, in no order
    rows: int
    columns: int
    spacing_mm: tuple[float, float, float] | None  #: between columns, rows and slices; None where that is unknown
    extent_mm: float  #: from the first to the last slice
    axial: bool
    phase: ContrastPhase | None  #: guessed from the description
    scout: bool  #: a projection, not slices
    derived: bool  #: reformatted or computed from slices

    @property
    def orientation_known(self) -> bool:
        """Whether its slices say where they lie."""
        return self.slices[0].orientation is not None and self.slices[0].position is not None


@dataclass(frozen=True, eq=False)
class Study:
    """What was found in one place."""

    name: str  #: of the folder, file or zip
    series: tuple[Series, ...]  #: those with enough slices, by series number
    proposed: Series | None  #: the one to segment
    left: tuple[str, ...]  #: what was left, and why: "2 scouts", "1 MR series"


def find_study(path: Path, progress: Progress | None = None) -> Study:
    """Find the CT series in a folder, disc, zip, or beside a file, and propose one.

    A named file proposes its own series. Of several series the one is proposed that is first by this rule: no
    derived images, axial slices, no lung or bone kernel, not of another part of the body, at least 120 mm long, slices
    at most 3 mm apart, a description that names the abdomen, the phase (portal, nephrographic, unknown, arterial,
    excretory, none), the most slices.

    Raises:
        InputError: the path cannot be read (see `find_instances`), or holds no CT series; the sentence says what else.
        Cancelled: by `progress`.
    """
    found = find_instances(path, progress or Progress())
    series, left = _series_of(found)
    proposed = max(series, key=_suitability, default=None)
    if found.chosen is not None:
        proposed = next((one for one in series if any(s.instance is found.chosen for s in one.slices)), None)
        series = [one for one in series if proposed is not None and one.uid == proposed.uid]
    name = path.resolve().name
    if proposed is None:
        raise InputError(_nothing(name, found, left))
    return Study(name, tuple(series), proposed, tuple(left))


def choose(study: Study, wanted: str | None) -> Series:
    """A series of a study by its id or SeriesInstanceUID; the proposed one for None. Raises InputError for another."""
    if wanted is None:
        assert study.proposed is not None
        return study.proposed
    fitting = [one for one in study.series if wanted in {one.id, one.uid}]
    if len(fitting) != 1:
        known = ", ".join(one.id for one in study.series)
        raise InputError(f"{study.name} has no one CT series {wanted}. Choose one of: {known}.")
    return fitting[0]


def _series_of(found: Found) -> tuple[list[Series], list[str]]:
    """The series with enough slices, by number, and what was left."""
    groups: dict[tuple[object, ...], list[Slice]] = defaultdict(list)
    orientations: dict[tuple[object, ...], dict[Orientation, int]] = defaultdict(dict)
    seen: set[tuple[str, int]] = set()
    left: Counter[str] = Counter()
    for instance in found.instances:
        reason = reason_to_leave(instance)
        for one in [] if reason else slices_of(instance):
            copy = (instance.elements.text(tags.SOP_INSTANCE_UID), one.number)
            if copy[0] and copy in seen:
                reason = "duplicate"
                continue
            seen.add(copy)
            key = _key(one)
            groups[*key, _orientation_number(one, orientations[key])].append(one)
        if reason:
            left[reason] += 1
    made = []
    for slices in groups.values():
        for part in _parts(slices):
            series = _describe(part)
            if series.scout or len(part) < MIN_SLICES:
                left["scout" if series.scout else _TOO_FEW] += len(part)
            else:
                made.append(series)
    if found.unreadable:
        left["unreadable file"] += found.unreadable
    return _with_ids(made), [_counted(reason, count) for reason, count in sorted(left.items())]


def _counted(reason: str, count: int) -> str:
    one, _, same = reason.partition("|")
    return counted(count, one) + same


def _key(one: Slice) -> tuple[object, ...]:
    elements = one.instance.elements
    uid = elements.text(tags.SERIES_INSTANCE_UID) or one.instance.source.folder
    whose = elements.text(tags.STUDY_INSTANCE_UID), elements.text(tags.PATIENT_ID)  # anonymisers reuse series' UIDs
    return uid, whose, elements.integer(tags.ROWS), elements.integer(tags.COLUMNS), one.stack


def _orientation_number(one: Slice, known: dict[Orientation, int]) -> int:
    """Which of the orientations of a series a slice has; a new one is added. Headers round them.

    Only the first ones are compared by their numbers: of a rotating view, each of thousands of frames has its own.
    """
    if one.orientation is not None and one.orientation not in known:
        for other, number in islice(known.items(), _MOST_COMPARED):
            if other is not None and all(abs(a - b) <= _SAME for a, b in zip(one.orientation, other, strict=True)):
                return number
    return known.setdefault(one.orientation, len(known))


def _parts(slices: list[Slice]) -> list[list[Slice]]:
    """Slices of one series apart by what distinguishes those that lie in one place: phases, energies, kernels."""
    if not _overlap(slices):
        return [slices]
    for tag in _DISTINCTIONS:
        parts: dict[str, list[Slice]] = defaultdict(list)
        for one in slices:
            parts[one.instance.elements.text(tag)].append(one)
        whole = sum(len(part) for part in parts.values() if len(part) >= MIN_SLICES)
        # Times may differ from slice to slice, and tell nothing then.
        if whole >= _IN_WHOLE_PARTS * len(slices) and not any(_overlap(part) for part in parts.values()):
            return list(parts.values())
    return [slices]


def _overlap(slices: list[Slice]) -> bool:
    places = Counter(tuple(round(x, 2) for x in one.position) for one in slices if one.position is not None)
    return max(places.values(), default=0) > 1


def _describe(slices: list[Slice]) -> Series:
    first = slices[0]
    elements = first.instance.elements
    description = text_of(elements, tags.SERIES_DESCRIPTION)
    types = [part.upper() for part in elements.texts(tags.IMAGE_TYPE)]
    normal = np.cross(first.orientation[:3], first.orientation[3:]) if first.orientation else np.zeros(3)
    length = float(np.linalg.norm(normal))
    along = sorted(float(np.dot(normal, s.position)) for s in slices if s.position is not None)
    steps = np.diff(along)
    step = float(np.median(steps)) if len(steps) else None
    return Series(
        id=f"{elements.number(tags.SERIES_NUMBER) or 0:.0f}",
        uid=elements.text(tags.SERIES_INSTANCE_UID),
        description=description,
        slices=tuple(slices),
        rows=elements.integer(tags.ROWS) or 0,
        columns=elements.integer(tags.COLUMNS) or 0,
        spacing_mm=None if first.spacing is None or not step else (first.spacing[1], first.spacing[0], step),
        extent_mm=along[-1] - along[0] if along else 0.0,
        axial=bool(length and abs(normal[2]) / length > _AXIAL),
        phase=_phase(f"{description} {text_of(elements, tags.PROTOCOL_NAME)}"),
        scout=any("LOCALIZER" in part or "TOPO" in part or "SCOUT" in part for part in types),
        derived=types[:1] == ["DERIVED"] or bool(_NO_SLICES.search(description)),
    )


def _phase(text: str) -> ContrastPhase | None:
    return next((phase for phase, words in _PHASES if words.search(text)), None)


def _with_ids(series: list[Series]) -> list[Series]:
    """In order of their numbers, and a letter added to a number that several have."""
    ordered = sorted(series, key=lambda one: (int(one.id), one.uid))
    count, used = Counter(one.id for one in ordered), Counter[str]()
    named = []
    for one in ordered:
        letter = ""
        if count[one.id] > 1:
            letter = chr(ord("a") + used[one.id]) if used[one.id] < 26 else f"-{used[one.id] + 1}"
            used[one.id] += 1
        named.append(replace(one, id=one.id + letter))
    return named


def reason_to_leave(instance: Instance) -> str:
    """What an object that is no CT image is, in words; "" for a CT image."""
    elements = instance.elements
    modality, sop_class = elements.text(tags.MODALITY).upper(), elements.text(tags.SOP_CLASS_UID)
    if sop_class in tags.CT_CLASSES or modality == "CT":
        if instance.pixels is None:
            return "dose or other report" if sop_class not in tags.CT_CLASSES else "CT image| without pixels"
        # Old programs stored slices as secondary captures; other ones are pictures of a screen.
        of_screen = sop_class not in (*tags.CT_CLASSES, "") and tags.IMAGE_POSITION not in elements
        return "secondary capture" if of_screen else ""
    if modality == "SR":
        return "dose or other report"
    if sop_class == tags.MEDIA_DIRECTORY:
        return "directory file"
    return f"{modality} object" if modality.isalpha() else "other object"


def _suitability(one: Series) -> tuple[object, ...]:
    """The greatest is proposed; the rule is that of `find_study`."""
    first = one.slices[0].instance.elements
    words = " ".join((one.description, first.text(tags.PROTOCOL_NAME), first.text(tags.BODY_PART_EXAMINED)))
    kernel = f"{one.description} {first.text(tags.CONVOLUTION_KERNEL)}"
    usable = one.spacing_mm is not None and one.orientation_known
    named = bool(_ABDOMEN.search(words))
    return (
        usable,
        not one.derived,
        one.axial,
        not _SHARP.search(kernel),
        named or not _ELSEWHERE.search(words),
        one.extent_mm >= _LEAST_EXTENT_MM,
        one.spacing_mm is not None and one.spacing_mm[2] <= _THIN_MM,
        named,
        -_PHASE_ORDER.index(one.phase),
        len(one.slices),
    )


def _nothing(name: str, found: Found, left: list[str]) -> str:
    if not found.instances:
        if found.unreadable:
            files = counted(found.unreadable, "damaged file")
            return f"{name} holds no DICOM image that can be read, but {files}. Copy or download it again."
        return f"{name} holds no DICOM files. Choose the folder of the study, or a NIfTI file."
    few = any(one.endswith(_TOO_FEW.partition("|")[2]) for one in left)
    mend = f"It takes {MIN_SLICES} slices: open all of it." if few else "Choose the folder of the CT."
    return f"{name} holds no CT series, but {', '.join(left)}. {mend}"
