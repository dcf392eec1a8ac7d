from __future__ import annotations

import pytest
from pydicom.datadict import keyword_for_tag

from kidneyseg.imaging.dicom import tags

NAMED = {name: value for name, value in vars(tags).items() if name.isupper() and isinstance(value, int)}
# Constants whose names are not the keyword's first words.
SHORTER = {"PIXEL_PADDING_LIMIT": "PixelPaddingRangeLimit"}


@pytest.mark.parametrize("name", NAMED)
def test_tags_have_the_keywords_that_their_names_say(name: str) -> None:
    keyword = keyword_for_tag(NAMED[name])
    assert keyword.lower().startswith(SHORTER.get(name, name.replace("_", "")).lower())
