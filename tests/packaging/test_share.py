"""The files for the desktop, and the scripts' own words."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kidneyseg.version import __version__

ROOT = Path(__file__).parents[2]
SHARE = ROOT / "packaging/installer/share"
DESKTOP = ROOT / "assets/kidneyseg.desktop"
SCRIPTS = ["packaging/build", "packaging/build-cuda", "packaging/prove"]
MIME = "{http://www.freedesktop.org/standards/shared-mime-info}"


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def mime_types() -> dict[str, list[str]]:
    root = ElementTree.parse(SHARE / "kidneyseg.xml").getroot()
    return {
        t.attrib["type"]: [g.attrib["pattern"] for g in t.iter(f"{MIME}glob")] for t in root.iter(f"{MIME}mime-type")
    }


def test_the_desktop_opens_what_the_mime_types_name() -> None:
    assert mime_types() == {"application/x-nifti": ["*.nii"], "application/x-nifti-compressed": ["*.nii.gz"]}
    entry = configparser.ConfigParser(interpolation=None)
    entry.read(DESKTOP)
    assert entry["Desktop Entry"]["MimeType"].strip(";").split(";") == list(mime_types())
    assert entry["Desktop Entry"]["Exec"] == "kidneyseg-gui %f"
    metainfo = ElementTree.parse(SHARE / "kidneyseg.metainfo.xml").getroot()
    assert [node.text for node in metainfo.iter("mediatype")] == list(mime_types())


def test_the_desktop_entry_is_valid() -> None:
    subprocess.run([tool("desktop-file-validate"), DESKTOP], check=True)


def test_the_metadata_are_valid(tmp_path: Path) -> None:
    appstream = tool("appstreamcli")
    text = (SHARE / "kidneyseg.metainfo.xml").read_text(encoding="utf-8")
    (tmp_path / "kidneyseg.metainfo.xml").write_text(
        text.replace("@version@", __version__).replace("@date@", "2026-11-29")
    )
    # The project has no domain to name the component after.
    options = ["--no-net", "--override=cid-desktopapp-is-not-rdns=info"]
    subprocess.run([appstream, "validate", *options, tmp_path / "kidneyseg.metainfo.xml"], check=True)


def test_the_mime_database_can_be_built(tmp_path: Path) -> None:
    update = tool("update-mime-database")
    (tmp_path / "mime/packages").mkdir(parents=True)
    shutil.copy(SHARE / "kidneyseg.xml", tmp_path / "mime/packages")
    environment = os.environ | {"XDG_DATA_HOME": str(tmp_path), "XDG_DATA_DIRS": str(tmp_path)}
    done = subprocess.run([update, tmp_path / "mime"], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "60:application/x-nifti-compressed:*.nii.gz" in (tmp_path / "mime/globs2").read_text()


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_says_what_it_does(script: str) -> None:
    done = subprocess.run([ROOT / script, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: {script}")
    told = set(re.findall(r"^  (--[a-z-]+)", done.stdout, re.MULTILINE))
    taken = set(re.findall(r"--[a-z]+(?= \||\))", (ROOT / script).read_text(encoding="utf-8").split("esac")[0]))
    assert taken <= told | {"--help"}
    wrong = subprocess.run([ROOT / script, "--sideways"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)


def test_the_shell_scripts_are_clean() -> None:
    files = [*SCRIPTS, "packaging/tools.sh", "packaging/installer/share/setup.sh"]
    files += [str(path.relative_to(ROOT)) for path in (ROOT / "packaging/prover").glob("*.sh")]
    subprocess.run([tool("shellcheck"), "-x", *files], cwd=ROOT, check=True)


def test_the_package_says_what_the_project_says() -> None:
    control = (SHARE / "control").read_text(encoding="utf-8")
    for name in ("version", "size", "depends"):
        assert control.count(f"@{name}@") == 1
    assert "Research use only. Not a medical device." in control
    assert all(len(line) <= 80 for line in control.splitlines() if "@" not in line)
