"""Submanifold sparse convolution (Graham et al., CVPR 2018) with native CPU kernels, or in plain torch.

Semantics and weights are those of SparseConvNet.
"""

from kidneyseg.sparse.sparseconvnet import from_sparseconvnet, load_sparseconvnet_file, to_sparseconvnet
from kidneyseg.sparse.unet import SparseUNet

__all__ = ["SparseUNet", "from_sparseconvnet", "load_sparseconvnet_file", "to_sparseconvnet"]
