"""The hierarchy of errors: what a handler of user errors catches, and what it must not."""

from __future__ import annotations

import inspect

import pytest

from kidneyseg import errors
from kidneyseg.errors import Cancelled, KidneySegError, SettingsError


def test_every_error_but_cancelled_is_a_user_error() -> None:
    defined = {kind for _, kind in inspect.getmembers(errors, inspect.isclass)}
    assert {kind for kind in defined if not issubclass(kind, KidneySegError)} == {Cancelled}
    assert len(defined) >= 7


def test_the_message_is_the_sentence_alone() -> None:
    for kind in KidneySegError.__subclasses__():
        assert str(kind("a.nii is damaged; copy it again")) == "a.nii is damaged; copy it again"


def test_a_wrong_setting_is_a_value_error_too() -> None:
    with pytest.raises(ValueError, match="range"):
        raise SettingsError("out of range")
