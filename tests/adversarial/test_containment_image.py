"""The default image: reproducible, complete where it must be, and without what an intruder would look for."""

from __future__ import annotations

import contextlib
from pathlib import Path

import docker
import execkit
import pytest

from sandbox.execute import image
from sandbox.execute.cold import ColdRunner
from sandbox.execute.engine import Engine

pytestmark = pytest.mark.containers

LOOK = """
import os, stat, sys, importlib
absent = []
for name in "json ctypes decimal sqlite3 ssl asyncio hashlib zoneinfo xml.etree.ElementTree unittest bz2 lzma".split():
    try:
        importlib.import_module(name)
    except ImportError:
        absent.append(name)
privileged, programs = [], []
for folder, _, names in os.walk("/", onerror=lambda error: None):
    if folder.startswith(("/proc", "/sys", "/dev")):
        continue
    for name in names:
        path = os.path.join(folder, name)
        mode = os.lstat(path).st_mode
        if mode & 0o6000:
            privileged.append(path)
        if name in ("sh", "bash", "dash", "busybox", "perl", "apt", "su", "sudo", "mount", "passwd", "shadow"):
            if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                programs.append(path)
result = {"absent": absent, "privileged": privileged, "programs": programs}
"""


def test_a_second_build_has_nothing_to_do() -> None:
    with contextlib.closing(Engine.connect()) as engine:
        built = image.build_image(engine)
        again = image.build_image(engine)
    assert not again.built
    assert again.id == built.id
    assert any(package.startswith("libpython3.11-stdlib_") for package in again.packages)


def test_the_standard_library_is_whole_and_there_is_nothing_to_climb_on() -> None:
    with contextlib.closing(ColdRunner()) as runner:
        outcome = execkit.run_program(runner, LOOK)
    assert outcome.result["absent"] == []
    assert outcome.result["privileged"] == []
    assert [path for path in outcome.result["programs"] if "/bash-completion/" not in path] == []


@pytest.mark.deep
def test_the_same_packages_give_the_same_image(engine: docker.DockerClient, tmp_path: Path) -> None:
    identities = []
    for number in range(2):
        layer = tmp_path / f"layer{number}.tar"
        image._unpack_packages(layer)
        with contextlib.closing(Engine.connect()) as connected:
            connected.load(image._wrap(layer, tmp_path / f"image{number}.tar", "sandbox-rebuilt:test"))
        identities.append(engine.images.get("sandbox-rebuilt:test").id)
        engine.images.get("sandbox-rebuilt:test").tag("sandbox-rebuilt", "kept")
    engine.images.remove("sandbox-rebuilt:test")
    engine.images.remove("sandbox-rebuilt:kept")
    assert identities[0] == identities[1]
