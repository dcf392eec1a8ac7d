"""The optional native kernels; everything else about the package is in pyproject.toml.

`_kernels` is a plain shared library without Python's headers, loaded with ctypes. Where there is no C++ compiler the
install goes on without it and the torch kernels serve.
"""

import os
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FOLDER = "core/kidneyseg/sparse"
SOURCES = ("_kernels", "_sites", "_maps", "_plans", "_norms", "_thread_pool", "_instruction_sets")
UNIX_FLAGS = ["-std=c++17", "-O3", "-g0", "-ffp-contract=fast", "-fvisibility=hidden", "-pthread", "-Wno-psabi"]


class BuildKernels(build_ext):
    """Builds beside the target and renames, so that a running program keeps the library it has loaded."""

    def get_export_symbols(self, ext):
        """The library has no PyInit function to export."""
        return ext.export_symbols

    def build_extension(self, ext):
        """Compile and link under a temporary name."""
        target = self.get_ext_fullpath(ext.name)
        self.get_ext_fullpath = lambda _: f"{target}.new"
        try:
            super().build_extension(ext)
            os.replace(f"{target}.new", target)
        finally:
            del self.get_ext_fullpath

    def copy_extensions_to_source(self):
        """For an editable install, the same rename in the source tree."""
        for ext in self.extensions:
            built = os.path.join(self.build_lib, self.get_ext_filename(ext.name))
            if os.path.exists(built):
                target = os.path.join(FOLDER, os.path.basename(built))
                self.copy_file(built, f"{target}.new")
                os.replace(f"{target}.new", target)


setup(
    ext_modules=[
        Extension(
            "kidneyseg.sparse._kernels",
            sources=[f"{FOLDER}/{name}.cpp" for name in SOURCES],
            depends=[
                *(f"{FOLDER}/{name}.h" for name in ("_kernels", "_kernels_simd", "_norms_simd", "_plans", "_workers")),
                "setup.py",
            ],
            language="c++",
            extra_compile_args=["/std:c++17", "/O2"] if sys.platform == "win32" else UNIX_FLAGS,
            extra_link_args=[] if sys.platform == "win32" else ["-pthread"],
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildKernels},
)
