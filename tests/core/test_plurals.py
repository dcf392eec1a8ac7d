from kidneyseg.plurals import counted


def test_one_thing_is_singular():
    assert [counted(n, "slice") for n in (0, 1, 2, 1200)] == ["0 slices", "1 slice", "2 slices", "1,200 slices"]
