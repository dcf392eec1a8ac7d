"""The codes and colours of kidneys, tumours and cysts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kidneyseg.findings.records import Side
from kidneyseg.imaging.labels import CYST, KIDNEY, TUMOUR

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.sr.coding import Code


@dataclass(frozen=True)
class Property:
    """What an object of one label is, in SNOMED CT (coding scheme SCT): values and meanings as in DICOM PS3.16."""

    category: tuple[str, str]  #: from CID 7150, segmentation property categories
    kind: tuple[str, str]  #: from CID 7151, segmentation property types
    in_kidney: bool  #: whether its anatomic region is the kidney; else it is the kidney itself
    colour: tuple[int, int, int]  #: red, green, blue, as in the window


_ALTERED = ("49755003", "Morphologically Abnormal Structure")
PROPERTIES = {
    KIDNEY: Property(("91723000", "Anatomical Structure"), ("64033007", "Kidney"), False, (226, 104, 76)),
    TUMOUR: Property(_ALTERED, ("108369006", "Neoplasm"), True, (255, 214, 64)),
    CYST: Property(_ALTERED, ("367643001", "Cyst"), True, (86, 180, 233)),
}
_SIDES = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}


def code(value: tuple[str, str]) -> Code:
    """A SNOMED CT code of its value and meaning."""
    from pydicom.sr.coding import Code

    return Code(value[0], "SCT", value[1])


def side_code(side: Side | None) -> Code | None:
    """The laterality, None where it is unknown."""
    return None if side is None else code(_SIDES[side])


def code_item(value: Code) -> Dataset:
    """A code as an item of a code sequence."""
    from pydicom import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value.value, value.scheme_designator, value.meaning
    return item
