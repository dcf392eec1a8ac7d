import numpy as np
import pytest
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score

from kidneyseg.errors import Cancelled
from kidneyseg.imaging.labels import CYST, KIDNEY, TISSUE, TUMOUR
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.clusters import cluster_cloud
from kidneyseg.progress import CallbackProgress


def blobs(rng, count=1500, noise=150):
    centres = np.array([[0, 0, 0], [60, 10, 0], [30, 60, 30]])
    points = centres[rng.integers(0, 3, count)] + rng.normal(0, 5, (count, 3))
    return np.concatenate([points, rng.uniform(-40, 100, (noise, 3))]).astype(np.float32)


def cloud_of(index, step, labels=None):
    index = np.unique(np.asarray(index, np.int32), axis=0)
    labels = np.full(len(index), KIDNEY, np.uint8) if labels is None else np.asarray(labels, np.uint8)
    shape = tuple(int(n) for n in index.max(axis=0, initial=0) + 1)
    return PointCloud(Lattice(step, shape), index, np.zeros(len(index), np.int16), labels)


@pytest.mark.parametrize("step", [(1.0, 1.0, 1.0), (0.8, 0.8, 3.0), (1.5, 1.5, 1.5)])
@pytest.mark.parametrize(("eps", "min_samples"), [(3.0, 4), (4.5, 12), (5.0, 40)])
def test_exact_on_a_lattice_of_cells_not_much_smaller_than_eps(step, eps, min_samples):
    index = np.floor(blobs(np.random.default_rng(1)) / step).astype(np.int32)
    cloud = cloud_of(index - index.min(axis=0), step)
    kept, ids = cluster_cloud(cloud, eps, min_samples)
    model = DBSCAN(eps=eps * (1 + 1e-6), min_samples=min_samples).fit(cloud.index * np.array(step))
    truth = model.labels_
    assert np.array_equal(kept.index, cloud.index[truth >= 0])  # noise is exactly the same
    core = np.zeros(len(cloud), bool)
    core[model.core_sample_indices_] = True
    core = core[truth >= 0]
    # Core points agree exactly; a border point between two clusters may go to either.
    assert adjusted_rand_score(truth[truth >= 0][core], ids[core]) == 1.0
    assert adjusted_rand_score(truth[truth >= 0], ids) > 0.99


def test_large_eps_pools_cells_and_still_separates():
    box = np.argwhere(np.ones((30, 30, 12), bool))
    cloud = cloud_of(np.concatenate([box, box + np.array([90, 0, 0])]), (0.75, 0.75, 3.0))  # 45 mm apart
    kept, ids = cluster_cloud(cloud, 15.0, None)
    assert len(kept) == len(cloud)
    assert np.bincount(ids).tolist() == [len(box), len(box)]


def test_chains_of_parts_join_whatever_their_sizes():
    rng = np.random.default_rng(5)
    index = np.unique(rng.integers(0, 60, (4000, 3)), axis=0)
    cloud = cloud_of(index, (1.0,) * 3)
    kept, ids = cluster_cloud(cloud, 3.7, 5)
    exact = DBSCAN(eps=3.7 * (1 + 1e-6), min_samples=5).fit(cloud.index).labels_
    assert len(set(ids)) == exact.max() + 1 > 3
    assert len(kept) == (exact >= 0).sum()


def test_auto_is_never_more_than_a_ball_holds():
    box = np.argwhere(np.ones((60, 60, 20), bool))  # n / 20 = 7200, a ball of 9 mm holds about 1700 voxels
    kept, _ = cluster_cloud(cloud_of(np.concatenate([box, box + 100]), (0.75, 0.75, 3.0)), 9.0, None)
    assert len(kept) == 2 * len(box)


def test_outliers_go_and_clusters_are_numbered_by_their_first_point():
    cloud = cloud_of([[0, 9, 0], [0, 50, 0], [1, 50, 0], [2, 9, 0], [9, 9, 9]], (1.0,) * 3)
    kept, ids = cluster_cloud(cloud, 2.0, 2)
    assert kept.index.tolist() == cloud.index[:4].tolist()
    assert ids.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("clusters", [2, 6])  # few: components are counted; many: the nearest core point is searched
def test_a_border_point_within_eps_of_two_clusters_belongs_to_the_nearer(clusters):
    box = np.argwhere(np.ones((5, 5, 5), bool))
    index = [box + np.array([20 * number, 0, 0]) for number in range(clusters)]
    borders = [[11, 2, 2], [13, 2, 2]]  # 7 mm from one cluster and 9 mm from the other
    kept, ids = cluster_cloud(cloud_of(np.concatenate([*index, borders, [[500, 2, 2]]]), (1.0,) * 3), 9.0, 100)
    assert len(kept) == clusters * len(box) + 2
    of = {tuple(cell): number for cell, number in zip(kept.index.tolist(), ids.tolist(), strict=True)}
    assert [of[tuple(border)] for border in borders] == [0, 1]


def test_auto_is_a_twentieth_of_the_points():
    big = np.argwhere(np.ones((10, 10, 10), bool))
    small = np.argwhere(np.ones((3, 3, 3), bool)) + 30
    kept, ids = cluster_cloud(cloud_of(np.concatenate([big, small]), (1.0,) * 3), 6.0, None)
    assert len(kept) == 1000  # 27 points are fewer than 1027 / 20
    assert set(ids) == {0}


def test_lesions_and_kidney_are_one_object_unless_per_class():
    index = np.argwhere(np.ones((9, 3, 3), bool))
    labels = np.array([KIDNEY, TUMOUR, CYST])[index[:, 0] // 3]
    cloud = cloud_of(index, (1.0,) * 3, labels)
    _, together = cluster_cloud(cloud, 2.0, 3)
    kept, apart = cluster_cloud(cloud, 2.0, 3, per_class=True)
    assert set(together) == {0}
    assert np.array_equal(apart, kept.labels - 1)


def test_tissue_is_left_out_and_nothing_gives_nothing():
    cloud = cloud_of([[0, 0, 0], [1, 0, 0]], (1.0,) * 3, [TISSUE, TISSUE])
    kept, ids = cluster_cloud(cloud, 5.0, 33)
    assert len(kept) == len(ids) == 0


def test_single_point_and_cells_larger_than_eps():
    assert cluster_cloud(cloud_of([[7, 7, 7]], (1.0,) * 3), 5.0, 1)[1].tolist() == [0]
    cloud = cloud_of([[0, 0, 0], [1, 0, 0]], (4.0,) * 3)
    assert cluster_cloud(cloud, 1.0, 1)[1].tolist() == [0, 1]


def test_cancel():
    stop = CallbackProgress(is_cancelled=lambda: True)
    with pytest.raises(Cancelled):
        cluster_cloud(cloud_of([[0, 0, 0], [1, 0, 0]], (1.0,) * 3), 5.0, 2, progress=stop)


@pytest.mark.parametrize("apart", [45, 90])
def test_cells_far_from_every_other_object_are_not_searched(apart):
    """Beside the count of neighbours in each of the 149 columns of the ball, few more are searched."""
    box = np.argwhere(np.ones((20, 20, 20), bool))
    both = np.concatenate([box, box + np.array([apart, 0, 0])])
    columns = []
    counting = CallbackProgress(is_cancelled=lambda: bool(columns.append(1)))
    _, ids = cluster_cloud(cloud_of(both, (1.0,) * 3), 7.0, 9, progress=counting)
    assert set(ids) == {0, 1}
    assert len(columns) <= 149 + 5
