from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from kidneyseg.errors import InputError
from kidneyseg.evaluation import masks
from kidneyseg.evaluation.masks import find_labels, pair_up, score_pairs
from kidneyseg.evaluation.scores import AS_IS, LESIONS_UNLABELLED, CaseScore, Failure
from kidneyseg.imaging.nifti import save_mask, save_volume
from kidneyseg.imaging.volume import Volume


def ct(shape=(12, 10, 8), origin=(0.0, 0.0, 0.0), spacing=(1.0, 1.0, 2.0)):
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    return Volume(np.full(shape, -1000, np.int16, order="F"), spacing, affine)


def labels(volume=None, value=1):
    mask = np.zeros((volume or ct()).shape, np.uint8)
    mask[2:8, 2:8, 2:6] = value
    return mask


@pytest.fixture
def put(tmp_path):
    def write(path, mask=None, volume=None):
        volume = volume or ct()
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        save_mask(labels(volume) if mask is None else mask, volume, file)
        return file

    return write


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (["p1_kidney.nii.gz", "p1_label13.nii.gz", "p1_ct.nii.gz", "other.nii.gz"], "p1"),
        (["case_00001/segmentation.nii.gz", "case_00001/imaging.nii.gz"], "case_00001"),
        (["labelsTr/p_1.nii.gz", "imagesTr/p_1_0000.nii.gz"], "p_1"),
        (["p.1.nii.gz", "p.1_ct.nii.gz"], "p.1"),
        (["p1.nii"], "p1"),
        (["p_1.nii.gz", "p_1_0000.nii.gz", "p_1_0001.nii.gz"], "p_1"),
        (["amos_0001.nii.gz"], "amos_0001"),
        (["p_2023.nii.gz", "p_2023_ct.nii.gz"], "p_2023"),
    ],
)
def test_layouts_of_labels(put, tmp_path, files, name):
    for file in files:
        put(file)
    assert find_labels(tmp_path) == {name: tmp_path / files[0]}


def test_numbers_of_four_digits_are_names_but_in_a_folder_of_images(put, tmp_path):
    for name in ("amos_0001", "amos_0002", "amos_0410"):
        put(f"labels/{name}.nii.gz")
        put(f"imagesTr/{name}_0000.nii.gz")
    assert list(find_labels(tmp_path / "labels")) == ["amos_0001", "amos_0002", "amos_0410"]
    with pytest.raises(InputError, match="no label maps"):
        find_labels(tmp_path / "imagesTr")


@pytest.mark.parametrize(
    ("mask", "label"),
    [
        ("p1.nii.gz", "p1.nii.gz"),
        ("p1_mask.nii.gz", "p1_kidney.nii.gz"),
        ("p1_mask.nii", "p1_kidney.nii.gz"),
        ("p1-ours.nii.gz", "labelsTr/p1.nii.gz"),
        ("case_00160.nii.gz", "case_00160/segmentation.nii.gz"),
        ("prediction_00160.nii.gz", "case_00160/segmentation.nii.gz"),
        ("case_00160/imaging_mask.nii.gz", "case_00160/segmentation.nii.gz"),
        ("case_00160/anything.nii.gz", "case_00160/segmentation.nii.gz"),
    ],
)
def test_names_that_belong_together(put, tmp_path, mask, label):
    put("masks/" + mask)
    put("labels/" + label)
    pairs, failures, unmatched = pair_up(tmp_path / "masks", tmp_path / "labels")
    assert [(pair.mask, pair.labels) for pair in pairs] == [(tmp_path / "masks" / mask, tmp_path / "labels" / label)]
    assert failures == unmatched == []


def test_the_longer_name_is_meant(put, tmp_path):
    for name in ("p1", "p1_a", "p10"):
        put(f"labels/{name}.nii.gz")
        put(f"masks/{name}_mask.nii.gz")
    pairs, failures, unmatched = pair_up(tmp_path / "masks", tmp_path / "labels")
    assert {pair.name: pair.mask.name for pair in pairs} == {n: f"{n}_mask.nii.gz" for n in ("p1", "p1_a", "p10")}
    assert failures == unmatched == []


def test_a_mask_beside_its_ct_and_labels(put, tmp_path):
    for kind in ("ct", "kidney", "label13", "mask"):
        put(f"p1_{kind}.nii.gz")
    pairs, failures, unmatched = pair_up(tmp_path, tmp_path)
    assert [pair.mask.name for pair in pairs] == ["p1_mask.nii.gz"]
    assert failures == unmatched == []


def test_unmatched_files_are_reported(put, tmp_path):
    put("masks/a.nii.gz")
    put("masks/c_1.nii.gz")
    put("masks/c_2.nii.gz")
    put("masks/stray.nii.gz")
    for name in "abc":
        put(f"labels/{name}.nii.gz")
    pairs, failures, unmatched = pair_up(tmp_path / "masks", tmp_path / "labels")
    assert [pair.name for pair in pairs] == ["a"]
    assert [failure.name for failure in failures] == ["b", "c"]
    assert "b_mask.nii.gz" in failures[0].error
    assert "c_1.nii.gz, c_2.nii.gz" in failures[1].error
    assert unmatched == ["stray.nii.gz matches no label map and was left out; name it NAME_mask.nii.gz"]


def test_nothing_to_score_says_why(put, tmp_path):
    put("masks/a.nii.gz")
    put("labels/b.nii.gz")
    with pytest.raises(InputError, match=r"No mask.*b_mask\.nii\.gz"):
        pair_up(tmp_path / "masks", tmp_path / "labels")
    with pytest.raises(InputError, match="no label maps"):
        pair_up(tmp_path / "masks", tmp_path)
    with pytest.raises(InputError, match="no folder"):
        pair_up(tmp_path / "nowhere", tmp_path / "labels")


def test_a_bad_case_is_named_and_the_others_go_on(put, tmp_path):
    put("masks/good.nii.gz")
    put("masks/shape.nii.gz", volume=ct((12, 10, 9)))
    put("masks/place.nii.gz", volume=ct(origin=(0, 0, 1.5)))
    put("masks/size.nii.gz", volume=ct(spacing=(1.0, 1.0, 2.2)))
    put("masks/organs.nii.gz", mask=labels(value=7))
    put("masks/torn.nii.gz").write_bytes(b"no image")
    for name in ("good", "shape", "place", "size", "organs", "torn"):
        put(f"labels/{name}.nii.gz")
    pairs, _, _ = pair_up(tmp_path / "masks", tmp_path / "labels")
    outcomes = {outcome.name: outcome for outcome in score_pairs(pairs)}
    assert isinstance(outcomes.pop("good"), CaseScore)
    for name, words in {
        "shape": ("12 x 10 x 9", "12 x 10 x 8", "resample"),
        "place": ("1.5 mm", "header"),
        "size": ("1.4 mm",),
        "organs": ("label 7", "2 tumour"),
        "torn": ("torn.nii.gz",),
    }.items():
        failure = outcomes[name]
        assert isinstance(failure, Failure)
        assert all(word in failure.error for word in words), failure.error


def test_a_mask_without_memory_is_named_and_the_others_go_on(put, tmp_path, monkeypatch):
    for name in "ab":
        put(f"labels/{name}.nii.gz")
        put(f"masks/{name}.nii.gz")
    score = masks.score_case

    def first_fails(*arguments, name, **named):
        if name == "a":
            raise MemoryError
        return score(*arguments, name=name, **named)

    monkeypatch.setattr(masks, "score_case", first_fails)
    failed, good = score_pairs(pair_up(tmp_path / "masks", tmp_path / "labels")[0])
    assert (failed.name, "too little free memory" in failed.error) == ("a", True)
    assert isinstance(good, CaseScore)


def test_cases_with_unlabelled_lesions_make_a_group(put, tmp_path):
    for name in "ab":
        put(f"labels/{name}.nii.gz")
        put(f"masks/{name}.nii.gz")
    pairs, _, _ = pair_up(tmp_path / "masks", tmp_path / "labels")
    one, two = score_pairs(pairs, lesions_unlabelled={"b"})
    assert (one.group, two.group) == (AS_IS, LESIONS_UNLABELLED)


def test_voxel_order_and_rounded_headers_do_not_matter(put, tmp_path):
    volume = ct(origin=(10.0, 20.0, 30.0))
    truth = labels(volume)
    put("labels/a.nii.gz", mask=truth, volume=volume)
    rounded = volume.affine.copy()
    rounded[:3, 3] += 0.2
    image = nib.Nifti1Image(truth, rounded)
    flipped = nib.as_closest_canonical(image).as_reoriented([[2, -1], [0, -1], [1, 1]])
    (tmp_path / "masks").mkdir()
    nib.save(flipped, tmp_path / "masks/a.nii.gz")
    (score,) = score_pairs(pair_up(tmp_path / "masks", tmp_path / "labels")[0])
    assert score.dice["kidney_and_masses"] == 1.0


def test_with_the_cts_points_are_counted(put, tmp_path):
    volume = ct()
    bright = replace(volume, hu=np.where(labels(volume) == 1, 100, -1000).astype(np.int16, order="F"))
    put("masks/a.nii.gz")
    put("labels/a.nii.gz")
    put("labels/b.nii.gz")
    put("masks/b.nii.gz")
    (tmp_path / "cts").mkdir()
    save_volume(bright, tmp_path / "cts/a_ct.nii.gz")
    pairs, failures, _ = pair_up(tmp_path / "masks", tmp_path / "labels", tmp_path / "cts")
    (score,) = score_pairs(pairs)
    assert score.points == ((0, 0, 0), (0, 144, 0), (0, 0, 0))
    assert [failure.name for failure in failures] == ["b"]
    assert "b_ct.nii.gz" in failures[0].error


@pytest.mark.parametrize(
    ("label", "image"),
    [
        ("a_kidney.nii.gz", "a_ct.nii.gz"),
        ("a.nii.gz", "a_ct.nii.gz"),
        ("a/segmentation.nii.gz", "a/imaging.nii.gz"),
        ("labelsTr/a.nii.gz", "imagesTr/a_0000.nii.gz"),
        ("a.nii.gz", None),
    ],
)
def test_cts_beside_the_labels_are_taken(put, tmp_path, label, image):
    put("masks/a.nii.gz")
    put(f"labels/{label}")
    if image is not None:
        (tmp_path / "labels" / image).parent.mkdir(exist_ok=True)
        save_volume(ct(), tmp_path / "labels" / image)
    pairs, failures, _ = pair_up(tmp_path / "masks", tmp_path / "labels")
    (score,) = score_pairs(pairs)
    assert failures == []
    assert (score.points is not None) == (image is not None)


def test_a_ct_beside_the_labels_that_does_not_fit_costs_the_points_only(put, tmp_path):
    put("masks/a.nii.gz")
    put("labels/a.nii.gz")
    save_volume(ct((12, 10, 9)), tmp_path / "labels/a_ct.nii.gz")
    (score,) = score_pairs(pair_up(tmp_path / "masks", tmp_path / "labels")[0])
    assert (score.dice["kidney_and_masses"], score.points) == (1.0, None)
    (failed,) = score_pairs(pair_up(tmp_path / "masks", tmp_path / "labels", tmp_path / "labels")[0])
    assert "a_ct.nii.gz has 12 x 10 x 9 voxels" in failed.error
