"""A stand-in for a bare computer: a copy of the checkout, and a PATH where Python, pip and apt only keep a diary."""

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
# fmt: off
BORROWED = [
    "awk", "basename", "bash", "cat", "chmod", "cp", "date", "df", "env", "flock", "grep", "head", "ln", "mkdir",
    "mktemp", "readlink", "rm", "sed", "sha256sum", "sleep", "sort", "tail", "tee", "touch", "wc",
]
LIBRARIES = [
    "libGL.so.1", "libEGL.so.1", "libglib-2.0.so.0", "libxkbcommon.so.0", "libfontconfig.so.1", "libdbus-1.so.3",
    "libxcb-cursor.so.0", "libxcb-icccm.so.4", "libxcb-image.so.0", "libxcb-keysyms.so.1", "libxcb-render-util.so.0",
    "libxcb-shape.so.0", "libxcb-xkb.so.1", "libxkbcommon-x11.so.0", "libxcb-randr.so.0", "libxcb-xinerama.so.0",
    "libX11-xcb.so.1",
]
# fmt: on

# Stands in for python3 and, copied by "-m venv", for .venv/bin/python.
PYTHON = r"""#!/bin/bash
echo "python $*" >>"$DIARY"
case "$*" in
"-c import sys"*) echo "${FAKE_VERSION-3.11}" ;;
"-c import venv"*) exit "${FAKE_NO_VENV-0}" ;;
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"- "*) cat >/dev/null; [[ $3 != build ]] || { echo "setuptools>=77"; exit; }
    echo "numpy>=2"; [[ $3 == run ]] || echo "torch>=2"; [[ $3 != check ]] || echo "pytest>=8" ;;
"-m pip install"*)
    case "$*" in
    *--editable*) output=${FAKE_PROJECT_OUTPUT-} seconds=${FAKE_PROJECT_SECONDS-} ;;
    */requirements.txt) output=${FAKE_PACKAGES_OUTPUT-} seconds=${FAKE_PACKAGES_SECONDS-} ;;
    esac
    sleep "${seconds:-${FAKE_PIP_SECONDS-0}}"
    [[ -z ${output:=${FAKE_PIP_OUTPUT-}} ]] || { echo "$output"; exit 1; }
    echo "finished $*" >>"$DIARY"
    for tool in ruff mypy lint-imports; do
        printf '#!/bin/bash\n[[ $FAKE_FAILS != %s ]] || { echo %s is unhappy; exit 1; }\n' $tool $tool >"${0%/*}/$tool"
    done
    printf '#!/bin/bash\nprintf "<%%s>" "$@"\n' >"${0%/*}/kidneyseg-gui"
    chmod +x "${0%/*}"/* ;;
"-m pytest"*) printf '%s\n' "... [100%]" "${FAKE_PYTEST-3 passed in 0.10s}"; [[ ${FAKE_PYTEST-} != *failed* ]] ;;
esac
"""


@dataclass
class Machine:
    """A checkout (with a space in its path) and a PATH with nothing but stand-ins and a few plain tools."""

    home: Path
    root: Path = field(init=False)
    bin: Path = field(init=False)

    def __post_init__(self) -> None:
        self.root, self.bin = self.home / "kidney seg", self.home / "bin"
        (self.root / "core/kidneyseg/sparse").mkdir(parents=True)
        (self.root / "core/kidneyseg/sparse/_kernels.cpp").write_text("int kernel;\n")
        for name in ("run", "check", "packaging", "pyproject.toml"):
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, self.root / name)
        self.bin.mkdir()
        for tool in BORROWED:
            (self.bin / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
        self.stand_in("python3", PYTHON)
        self.stand_in("apt-get", '#!/bin/bash\necho "apt-get $*" >>"$DIARY"\n')
        self.stand_in("apt-cache", "#!/bin/bash\n[[ $2 == libglib2.0-0t64 ]]\n")
        self.user(1000)
        self.libraries(LIBRARIES)
        for program in ("g++", "Xvfb", "xauth", "xdotool", "openbox"):
            self.stand_in(program, "#!/bin/bash\n")

    def stand_in(self, name: str, script: str) -> None:
        """Put a program on the PATH."""
        (self.bin / name).unlink(missing_ok=True)  # a link to the machine's own program must not be written through
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    def user(self, number: int) -> None:
        """0 is root."""
        self.stand_in("id", f"#!/bin/bash\necho {number}\n")

    def libraries(self, names: list[str]) -> None:
        """What the dynamic linker knows."""
        lines = "".join(f"\\t{name} (libc6,x86-64) => /lib/{name}\\n" for name in names)
        self.stand_in("ldconfig", f"#!/bin/bash\nprintf '{lines}'\n")

    def environment(self, **more: str) -> dict[str, str]:
        """With a display, and nothing of the real session."""
        return {"PATH": str(self.bin), "HOME": str(self.home), "DIARY": str(self.diary), "DISPLAY": ":7", **more}

    @property
    def diary(self) -> Path:
        """Every call of Python and apt."""
        return self.home / "diary"

    def calls(self, pattern: str) -> list[str]:
        """The diary's lines that match, which are forgotten then."""
        lines = self.diary.read_text().splitlines() if self.diary.exists() else []
        self.diary.unlink(missing_ok=True)
        return [line for line in lines if re.search(pattern, line)]

    def start(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `run` or `check` from another folder, as a user may."""
        return subprocess.run(
            [self.root / command[0], *command[1:]],
            env=self.environment(**environment),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
