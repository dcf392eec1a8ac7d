"""What a time depends on besides the program: the processor, its load, the kernels, threads and versions."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kidneyseg.libraries import installed_version
from kidneyseg.plurals import counted
from kidneyseg.sparse import native, threads
from kidneyseg.version import __version__

LIBRARIES = ("numpy", "scipy", "torch")  # whose versions are told


@dataclass(frozen=True)
class Machine:
    """This machine and what runs on it."""

    processor: str  #: its model
    cores: int  #: physical ones that this process may use
    instruction_set: str  #: of the native kernels; "none" where the torch kernels are used
    threads: int  #: of the kernels
    load: tuple[float, float]  #: mean number of running processes in the last 1 and 5 minutes
    versions: dict[str, str]  #: of KidneySeg, Python and the libraries that are installed; none is imported for it

    @staticmethod
    def here() -> Machine:
        """As it is now."""
        last_minute, last_five, _ = os.getloadavg()
        own = {"kidneyseg": __version__, "python": platform.python_version()}
        return Machine(
            processor(),
            threads.cores(),
            native.instruction_set() if native.available() else "none",
            threads.count(),
            (round(last_minute, 2), round(last_five, 2)),
            own | {name: version for name in LIBRARIES if (version := installed_version(name)) is not None},
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """Two lines."""
        return self.described(counted(self.threads, "thread"))

    def described(self, on_threads: str) -> str:
        """The same where kernels run on several numbers of threads in turn, which `on_threads` tells."""
        kernels = "torch kernels" if self.instruction_set == "none" else f"native kernels ({self.instruction_set})"
        load = f"load {self.load[0]:.2f} (1 min) and {self.load[1]:.2f} (5 min)"
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.processor}, {counted(self.cores, 'core')}, {kernels} on {on_threads}, {load}\n{versions}"


def processor() -> str:
    """The processor's model, with the family and model numbers of x86: names such as "AMD EPYC" are not enough."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    first = dict(line.split(":", 1) for line in text.split("\n\n", 1)[0].splitlines() if ":" in line)
    known = {name.strip(): value.strip() for name, value in first.items()}
    name = known.get("model name", platform.machine())
    return f"{name} (family {known['cpu family']}, model {known['model']})" if "cpu family" in known else name
