"""The page in a real browser: what an author wrote does not run, nothing is refused, and both looks are there."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from test_page import HOSTILE, PROPERTIES, SPEC

from sandbox.prove import ProveOptions, prove_paths
from sandbox.prove.page import page

LIGHT, DARK = (0xF6, 0xF7, 0xF9), (0x0F, 0x12, 0x17)

pytestmark = pytest.mark.deep


def browser(*words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "no Chromium: `apt-get install chromium`"
    switches = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--window-size=1100,1400")
    return subprocess.run([program, *switches, *words], capture_output=True, text=True, check=True, timeout=120)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    (folder / "pays.yaml").write_text(SPEC)
    (folder / "proofs.yaml").write_text(PROPERTIES)
    file = folder / "page.html"
    file.write_text(page(prove_paths([folder / "proofs.yaml"], ProveOptions(jobs=2))), encoding="utf-8")
    return file


def test_nothing_runs_and_nothing_is_refused(shown: Path) -> None:
    done = browser("--dump-dom", shown.as_uri())
    assert "<title>Proofs: 2 of 4 properties are not proved</title>" in done.stdout
    assert HOSTILE.split("<")[0] in done.stdout
    assert "<script" not in done.stdout
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []


@pytest.mark.parametrize(("scheme", "colour"), [("1", LIGHT), ("0", DARK)])
def test_it_has_a_light_and_a_dark_look(shown: Path, tmp_path: Path, scheme: str, colour: tuple[int, ...]) -> None:
    picture = tmp_path / "page.png"
    browser(f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={picture}", shown.as_uri())
    assert first_pixel(picture.read_bytes()) == colour


def first_pixel(png: bytes) -> tuple[int, ...]:
    """Of a PNG: what its first pixel is, which no filter changes."""
    at, data = 8, b""
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += length + 12
    return tuple(zlib.decompress(data)[1:4])
