"""The headers of a series, kept to write objects that refer to it, and its texts in their character sets."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, overload

from kidneyseg.imaging.dicom.elements import Elements

if TYPE_CHECKING:
    from pydicom import Dataset

_SPECIFIC_CHARACTER_SET = 0x00080005
_ESCAPE = b"\x1b"  # begins letters of another set
# Of the usual character sets, so that pydicom need not be imported for them.
_CODECS = {(): "latin-1", ("ISO_IR 100",): "latin-1", ("ISO_IR 192",): "utf-8"}


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


def text_of(elements: Elements, tag: int) -> str:
    """A text in the character set that its header states, on one line, "" where it is missing."""
    value = elements.values.get(tag, (None, b""))[1]
    stated = elements.texts(_SPECIFIC_CHARACTER_SET)
    text = elements.text(tag)
    if not value.isascii() or _ESCAPE in value:
        with suppress(Exception), warnings.catch_warnings():  # of a damaged value the letters stay as they are
            warnings.simplefilter("ignore")
            codec = _CODECS.get(tuple(stated))
            text = _decoded(value, stated) if codec is None else value.decode(codec)
    return "".join(letter if letter.isprintable() else " " for letter in text.strip(" \0")).strip()


def _decoded(value: bytes, stated: list[str]) -> str:
    from pydicom.charset import convert_encodings, decode_bytes  # noqa: PLC0415 - takes half a second
    from pydicom.valuerep import TEXT_VR_DELIMS  # noqa: PLC0415 - as above

    return decode_bytes(value, convert_encodings(stated), TEXT_VR_DELIMS)


def _dataset(elements: Elements) -> Dataset:
    """A header with its values converted; those that pydicom cannot convert are left out.

    pydicom would print those that it doubts when they are asked for, also the patient's.
    """
    from pydicom import Dataset, config  # noqa: PLC0415 - takes half a second, and segmenting does not need it
    from pydicom.charset import convert_encodings  # noqa: PLC0415 - as above
    from pydicom.dataelem import RawDataElement, convert_raw_data_element  # noqa: PLC0415 - as above
    from pydicom.tag import BaseTag  # noqa: PLC0415 - as above

    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its messages hold values
    implicit, little = elements.coding
    made = Dataset()
    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encodings = convert_encodings(elements.texts(_SPECIFIC_CHARACTER_SET))
        for tag, (vr, value) in elements.values.items():
            known = None if vr is None else vr.decode()
            raw = RawDataElement(BaseTag(tag), known, len(value), value, 0, implicit, little)
            with suppress(Exception):  # whatever a damaged value makes of it
                made.add(convert_raw_data_element(raw, encoding=encodings, ds=made))
        made.set_original_encoding(implicit, little, encodings)
    return made
