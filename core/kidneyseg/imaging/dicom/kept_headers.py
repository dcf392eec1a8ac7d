"""The headers of a series, kept to write objects that refer to it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, overload

from kidneyseg.imaging.dicom.elements import Elements

if TYPE_CHECKING:
    from pydicom import Dataset

_SPECIFIC_CHARACTER_SET = 0x00080005


class Headers(Sequence["Dataset"]):
    """Headers as pydicom data sets, made when the first is asked for: importing pydicom takes half a second."""

    def __init__(self, elements: Sequence[Elements]) -> None:
        self._elements = tuple(elements)

    @overload
    def __getitem__(self, index: int) -> Dataset: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Dataset, ...]: ...
    def __getitem__(self, index: int | slice) -> Dataset | tuple[Dataset, ...]:
        """One header, or several; each access gives the same objects."""
        return self._made[index]

    def __len__(self) -> int:
        """How many there are."""
        return len(self._elements)

    @cached_property
    def _made(self) -> tuple[Dataset, ...]:
        return tuple(_dataset(one) for one in self._elements)


def _dataset(elements: Elements) -> Dataset:
    """A header whose values are converted when they are asked for."""
    from pydicom import Dataset  # noqa: PLC0415 - takes half a second, and segmenting does not need it
    from pydicom.dataelem import DataElement, RawDataElement  # noqa: PLC0415 - as above
    from pydicom.tag import BaseTag  # noqa: PLC0415 - as above

    implicit, little = elements.coding
    raw: dict[BaseTag, DataElement | RawDataElement] = {
        BaseTag(tag): RawDataElement(
            BaseTag(tag), None if vr is None else vr.decode(), len(value), value, 0, implicit, little
        )
        for tag, (vr, value) in elements.values.items()
    }
    made = Dataset(raw)
    made.set_original_encoding(implicit, little, elements.text(_SPECIFIC_CHARACTER_SET) or "iso8859")
    return made
