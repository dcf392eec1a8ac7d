"""Puts the engine's sentences, which Python users and the command line get too, into the words of the window."""

from __future__ import annotations

import re

# What the engine names by its own words, and where the window has it. A word inside a file's name stays.
_WHOLE = r"(?<![\w./-])%s(?![\w/-]|\.\w)"
_WORDS = (
    ("; choose the device auto or cpu", "; choose Automatic or Processor as the device"),
    ("; reinstall, or train one: kidneyseg train", "; install KidneySeg again"),
    ("use the method `default`", "choose the preset Default"),
    *((f"the method `{name}`", f"the preset {name.capitalize()}") for name in ("default", "paper")),
)
_DEVICES = (("CUDA GPU", "CUDA graphics card"), ("GPU", "graphics card"), ("CPU", "processor"))
_FIRST_WORDS = r"^(no|the|there|this|these) "


def in_the_windows_words(text: str) -> str:
    """The sentence with the window's names for presets, devices and remedies; it begins and ends as one."""
    for engine, window in _WORDS:
        text = text.replace(engine, window)
    for engine, window in _DEVICES:
        text = re.sub(_WHOLE % engine, window, text)
    text = re.sub(_FIRST_WORDS, lambda word: word[0].capitalize(), text)
    return text if text.endswith((".", "!", "?")) else f"{text}."
