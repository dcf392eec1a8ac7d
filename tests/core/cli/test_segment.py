"""Arguments of `segment` that are refused when they are parsed."""

from __future__ import annotations

import pytest

from kidneyseg.cli import main


@pytest.mark.parametrize("offset", ["1.5", "many", "65536", "-" + "9" * 30])
def test_an_offset_that_no_file_has_is_refused(offset: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["segment", "ct.nii", f"--hu-offset={offset}"])
    assert caught.value.code == 2
    assert "whole number from -65535 to 65535" in capsys.readouterr().err
