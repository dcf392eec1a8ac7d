import numpy as np
from scipy import ndimage

from kidneyseg.points.body import _filled_by_slice, body_mask_on

AIR, FAT, LUNG, ORGAN = -125, -100, -125, 60


def torso(shape=(40, 30, 12)):
    """An ellipse of fat around organs, in air."""
    hu = np.full(shape, AIR, np.int16)
    x, y = np.ogrid[: shape[0], : shape[1]]
    hu[(x - 20) ** 2 / 17**2 + (y - 14) ** 2 / 11**2 <= 1] = FAT
    hu[(x - 20) ** 2 / 14**2 + (y - 14) ** 2 / 8**2 <= 1] = ORGAN
    return hu


def test_body_is_skin_to_skin_with_lungs_and_gas_filled_even_where_the_scan_ends():
    whole = torso() > AIR
    hu = torso()
    hu[10:15, 10:18, :] = LUNG  # open at both ends of the scan
    hu[25, 14, 5] = AIR  # gas
    assert np.array_equal(body_mask_on(hu), whole)


def test_the_table_and_what_it_is_joined_by_thinly_are_left_out():
    hu = torso()
    whole = hu > AIR
    hu[:, 28, :] = 100  # table top
    hu[20, 26:28, 3] = 100  # a thread to the patient
    body = body_mask_on(hu)
    assert not body[:, 28].any()
    assert (body & ~whole).sum() == 0
    assert body.sum() > 0.99 * whole.sum()


def test_a_small_field_of_view_keeps_the_body_to_its_edges():
    hu = torso()[10:30, 8:20]
    assert body_mask_on(hu).all()


def test_smaller_things_beside_the_patient_are_left_out():
    hu = torso()
    hu[0:3, 0:3, :] = ORGAN
    assert not body_mask_on(hu)[0:3, 0:3].any()


def test_air_only_is_no_body_and_a_thin_thing_is():
    assert not body_mask_on(np.full((6, 6, 6), AIR, np.int16)).any()
    hu = np.full((6, 6, 6), AIR, np.int16)
    hu[3, 3, :] = ORGAN
    assert body_mask_on(hu).sum() == 6


def test_holes_are_filled_slice_by_slice() -> None:
    mask = np.random.default_rng(0).random((40, 31, 6)) < 0.6
    filled = _filled_by_slice(mask)
    for k in range(mask.shape[2]):
        assert np.array_equal(filled[:, :, k], ndimage.binary_fill_holes(mask[:, :, k]))
    assert filled.sum() > mask.sum()
