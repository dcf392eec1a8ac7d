"""Submanifold sparse convolution (Graham et al., CVPR 2018) in plain torch, with native CPU kernels where built.

Knows sites, features and filters; no medicine. Semantics and weights are SparseConvNet's.
"""

from kidneyseg.sparse.sparseconvnet import from_sparseconvnet, load_sparseconvnet_file, to_sparseconvnet
from kidneyseg.sparse.unet import SparseUNet

__all__ = ["SparseUNet", "from_sparseconvnet", "load_sparseconvnet_file", "to_sparseconvnet"]
