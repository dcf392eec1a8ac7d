"""Icons, style sheet and desktop entry, installed as `kidneyseg_gui.assets`."""
