"""The interface of segmentation methods, with five stages, and the registry of methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from kidneyseg.errors import ModelError, SettingsError
from kidneyseg.imaging.volume import Volume
from kidneyseg.models import Model
from kidneyseg.points.cloud import Lattice, PointCloud
from kidneyseg.points.fill import fill_closing, fill_hull
from kidneyseg.progress import Progress
from kidneyseg.segmentation.networks import Networks, Note
from kidneyseg.settings import PRESETS, Group, Settings

Objects = tuple[PointCloud, NDArray[np.int32]]
"""Points of kidneys and lesions, and the int32 id (N,) of the object that each belongs to, 0 upward."""


@dataclass(frozen=True, eq=False)
class Context:
    """The inputs of every stage besides the output of the previous stage."""

    volume: Volume  #: the CT
    settings: Settings  #: of the method
    networks: Networks  #: the method's
    device: str  #: where they run: "cpu", "cuda" or "cuda:N"
    progress: Progress  #: 0...1 of this stage; may cancel
    note: Note = lambda _: None  #: takes a sentence for the user


class Method(ABC):
    """A segmentation method. Stages are pure functions of their arguments; `Pipeline` caches what they return."""

    name: ClassVar[str]  #: of the method, its settings and its networks' files
    #: the settings groups that each stage reads. A stage also depends on all that come before it.
    reads: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "sample": ("sampling",),
        "stage 1": (),
        "stage 2": ("stage2",),
        "clusters": ("clusters",),
        "fill": ("fill",),
    }
    per_class: ClassVar[bool] = False  #: whether DBSCAN clusters kidney and tumour points separately

    @abstractmethod
    def check(self, loaded: Networks) -> None:
        """Raise ModelError for networks that do not fit the method or each other."""

    @abstractmethod
    def sample(self, context: Context) -> list[PointCloud]:
        """Stage 1's points, as disjoint clouds on one lattice that run one after the other."""

    @abstractmethod
    def stage1(self, context: Context, samples: list[PointCloud]) -> list[PointCloud]:
        """The samples with labels TISSUE or KIDNEY and probabilities (N, 2): the detections."""

    @abstractmethod
    def stage2(self, context: Context, detections: list[PointCloud]) -> PointCloud:
        """A cloud with labels TISSUE, KIDNEY, TUMOUR or CYST and probabilities (N, classes)."""

    @abstractmethod
    def stage2_points(self, detections: PointCloud, volume: Volume, settings: Settings, lattice: Lattice) -> PointCloud:
        """The unlabelled points that `stage2` labels first for these detections; `lattice` is that of its output."""

    @abstractmethod
    def cluster(self, context: Context, cloud: PointCloud) -> Objects:
        """The points of kidneys and lesions of stage 2's cloud without outliers, and the objects they form."""

    def fill(self, context: Context, objects: Objects, cloud: PointCloud) -> NDArray[np.uint8]:
        """The mask (X, Y, Z) of the objects on the volume's voxels; `cloud` is stage 2's."""
        settings, volume, progress = context.settings.fill, context.volume, context.progress
        if settings.algorithm == "hull":
            return fill_hull(*objects, volume, progress=progress)
        return fill_closing(objects[0], volume, settings, context=cloud, progress=progress)


METHODS: dict[str, Method] = {}


def register(method: Method, **start: Group) -> None:
    """Register a method under its name.

    Args:
        method: the method.
        start: its settings groups with their initial values, where `kidneyseg.settings.PRESETS` lacks them.
    """
    METHODS[method.name] = method
    PRESETS.setdefault(method.name, start)


def method(name: str) -> Method:
    """The registered method of this name. Raises SettingsError for an unknown one."""
    if name not in METHODS:
        raise SettingsError(f"there is no method {name}; choose {' or '.join(METHODS)}")
    return METHODS[name]


def check_network(
    model: Model, method_name: str, in_channels: int, classes: tuple[int, ...], grid_mm: tuple[float, float]
) -> None:
    """Raise ModelError where a network has other channels, classes or cells than a method's stage needs.

    Args:
        model: the network.
        method_name: the method, for the message.
        in_channels: features per point.
        classes: numbers of output classes that fit.
        grid_mm: smallest and largest edge of its cells; (0, 0) for a network that has none.
    """
    config, (low, high), grid = model.network.config, grid_mm, model.grid_mm
    wrong = ""
    if config["in_channels"] != in_channels:
        wrong = f"it takes {config['in_channels']} input channels, not {in_channels}"
    elif config["classes"] not in classes:
        wrong = f"it tells {config['classes']} classes apart, not {' or '.join(map(str, classes))}"
    elif grid is None and high:
        wrong = "its file does not say on what grid it was trained (grid_mm)"
    elif grid is not None and not low <= grid <= high:
        wrong = f"it was trained on cells of {grid:g} mm" + (f", not {low:g} to {high:g} mm" if high else "")
    if wrong:
        raise ModelError(f"{model.id} does not fit the method {method_name}: {wrong}; choose networks of that method")


def unite(clouds: list[PointCloud]) -> PointCloud:
    """Disjoint labelled clouds on one lattice as one, rows in lexicographic order."""
    first = clouds[0]
    if len(clouds) == 1:
        return first
    index = np.concatenate([cloud.index for cloud in clouds])
    cells = np.ravel_multi_index(tuple(index.T), first.lattice.shape)
    order = np.argsort(cells, kind="stable")  # merges the clouds' runs, which are in order
    labels = [cloud.labels for cloud in clouds if cloud.labels is not None]
    probability = [cloud.probability for cloud in clouds if cloud.probability is not None]
    return PointCloud(
        first.lattice,
        index[order],
        np.concatenate([cloud.hu for cloud in clouds])[order],
        np.concatenate(labels)[order] if labels else None,
        np.concatenate(probability)[order] if probability else None,
    )
