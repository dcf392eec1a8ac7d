"""The optional native kernels; everything else about the package is in pyproject.toml.

`_kernels` is a plain shared library without Python's headers, loaded with ctypes. Where there is no C++ compiler the
install continues without it, and the torch kernels are used.
"""

import os
from glob import glob

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

FOLDER = "core/kidneyseg/sparse"
FLAGS = ["-std=c++17", "-O3", "-g0", "-ffp-contract=fast", "-fvisibility=hidden", "-pthread", "-Wno-psabi"]

# The C++ library goes into the kernels, so that they load beside older ones than the compiler's.
LINK_FLAGS = ["-pthread", "-static-libstdc++", "-Wl,--gc-sections", "-Wl,--exclude-libs,ALL"]


class BuildKernels(build_ext):
    """Builds under a temporary name and renames, so that a running program keeps the library it has loaded."""

    def build_extension(self, ext):
        """Build under a temporary name, then rename."""
        target = self.get_ext_fullpath(ext.name)
        self.get_ext_fullpath = lambda _: f"{target}.new"
        try:
            super().build_extension(ext)
            os.replace(f"{target}.new", target)
        finally:
            del self.get_ext_fullpath

    def copy_extensions_to_source(self):
        """Do the same in the source tree of an editable install."""
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
            sources=sorted(glob(f"{FOLDER}/*.cpp")),
            depends=[*sorted(glob(f"{FOLDER}/*.h")), "setup.py"],
            language="c++",
            extra_compile_args=FLAGS,
            extra_link_args=LINK_FLAGS,
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildKernels},
)
