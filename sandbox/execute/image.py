"""The default image: Python and its standard library from Debian's packages, no shell, built on this machine.

`mmdebstrap` unpacks the packages (their signatures checked by apt, from the package sources that this
machine itself uses), and the layer is wrapped into an image archive with a fixed date: the same packages
give the same bytes and so the same image id. The tag is a digest of the recipe, so that a second build has
nothing to do and a changed recipe is another image.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.errors import EnvironmentLacking
from sandbox.execute.engine import Engine
from sandbox.ir import Json

PACKAGES: Final = ("python3-minimal", "python3.11-minimal", "libpython3.11-stdlib")
SUITE: Final = "bookworm"
LEFT_OUT: Final = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/lintian/*")
LIBRARY: Final = "/usr/lib/python3.11"
ADDED: Final = "/usr/local/lib"
COMPILE: Final = (
    f'PYTHONHASHSEED=0 chroot "$1" /usr/bin/python3.11 -S -m compileall -q -j 1 '
    f"--invalidation-mode unchecked-hash {LIBRARY}"
)
"""Unpacked packages are not configured, so their modules are not compiled: without this every start does it anew."""

DATE: Final = 1_735_689_600
"""2025-01-01: every file's and the image's own date, so that equal packages give equal bytes."""

BUILD_TIMEOUT_S: Final = 600
"""For fetching about 15 MB of packages and unpacking them; seconds where the archive is near."""

REPOSITORY: Final = "sandbox-default"
SOURCES: Final = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d"))
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}

HOW_TO_BUILD: Final = "the default image is not there: `sandbox image build` makes it from Debian packages"


@dataclass(frozen=True, slots=True)
class Addition:
    """What an image has besides the default one: more Debian packages, and a folder of files below `/usr/local/lib`.

    `digest` is of the recipe that it was made from, and names the image.
    """

    digest: str
    packages: tuple[str, ...]
    folder: Path


@dataclass(frozen=True, slots=True)
class Image:
    """An image that the engine has. `id` is its digest (`sha256:...`), size in bytes."""

    id: str
    tag: str
    size: int
    packages: tuple[str, ...]
    built: bool

    def to_json(self) -> dict[str, Json]:
        """For `--json`."""
        packages: list[Json] = list(self.packages)
        return {"image": self.id, "tag": self.tag, "size": self.size, "packages": packages, "built": self.built}


def recipe_digest() -> str:
    """SHA-256 (hex) of all that decides what the image holds, but for the packages' own versions."""
    recipe = [PACKAGES, SUITE, LEFT_OUT, COMPILE, DATE, platform.machine()]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()


def default_tag() -> str:
    """The name under which the engine holds the image of this recipe."""
    return f"{REPOSITORY}:{recipe_digest()[:16]}"


def find_image(engine: Engine, name: str | None) -> str:
    """The id (`sha256:...`) of the named image, else of the default one. Nothing is ever pulled.

    Raises:
        EnvironmentLacking: the engine does not have it.
    """
    found = engine.image(name or default_tag())
    if found is None:
        message = f"the image `{name}` is not on this machine: docker pull it" if name else HOW_TO_BUILD
        raise EnvironmentLacking(message, "environment.image")
    return str(found["Id"])


def build_image(engine: Engine) -> Image:
    """The default image, built if the engine does not have it yet.

    Raises:
        EnvironmentLacking: mmdebstrap, its package sources or the right to unpack are missing.
    """
    tag = default_tag()
    return known_image(engine, tag) or make_image(engine, tag, recipe_digest())


def known_image(engine: Engine, tag: str) -> Image | None:
    """The image of this name, if the engine has it."""
    found = engine.image(tag)
    return None if found is None else _image(found, tag, built=False)


def make_image(engine: Engine, tag: str, recipe: str, addition: Addition | None = None) -> Image:
    """A new image of this name, with what is added. Raises as `build_image`."""
    with tempfile.TemporaryDirectory(prefix="sandbox-image-") as folder:
        layer = Path(folder, "layer.tar")
        _unpack_packages(layer, addition)
        engine.load(_wrap(layer, Path(folder, "image.tar"), tag, recipe))
    found = engine.image(tag)
    if found is None:
        message = f"the engine took the image and does not have it; its log says why, then {HOW_TO_BUILD}"
        raise EnvironmentLacking(message, "environment.image")
    return _image(found, tag, built=True)


def _image(found: Mapping[str, Json], tag: str, *, built: bool) -> Image:
    config = found.get("Config")
    labels = config.get("Labels") if isinstance(config, dict) else None
    packages = str(labels.get("sandbox.packages", "")) if isinstance(labels, dict) else ""
    return Image(str(found["Id"]), tag, int(str(found["Size"])), tuple(packages.split()), built)


# --- the layer -----------------------------------------------------------------------------------------


def _unpack_packages(layer: Path, addition: Addition | None) -> None:
    program = shutil.which("mmdebstrap")
    if program is None:
        message = "mmdebstrap is missing: apt-get install mmdebstrap (Debian), then `sandbox image build`"
        raise EnvironmentLacking(message, "environment.mmdebstrap")
    listing = f'--extract-hook=ls "$1/var/cache/apt/archives" > {shlex.quote(str(_listing(layer)))}'
    excludes = [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    packages = (*PACKAGES, *(addition.packages if addition is not None else ()))
    options = ["--variant=extract", f"--include={','.join(packages)}", "--format=tar", "--quiet"]
    options += [listing, f"--extract-hook={COMPILE}", *_adding(addition), *excludes]
    command = [program, *options, *_apt_options(), SUITE, str(layer), *_package_sources()]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(DATE), "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(  # noqa: S603  # our own words, no shell
            command, env=environment, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        message = f"mmdebstrap did not end within {BUILD_TIMEOUT_S} s: is the package archive within reach?"
        raise EnvironmentLacking(message, "environment.mmdebstrap") from error
    if done.returncode != 0:
        last = " ".join(done.stderr.split())[-600:]
        message = f"mmdebstrap failed (it needs root or unprivileged user name spaces, and a package archive): {last}"
        raise EnvironmentLacking(message, "environment.mmdebstrap")


def _adding(addition: Addition | None) -> list[str]:
    """What puts the added files in their place, as root's own, and compiles those that are Python."""
    if addition is None:
        return []
    place = f'"$1{ADDED}"'
    copy = f"mkdir -p {place} && cp -r --no-preserve=all {shlex.quote(str(addition.folder))}/. {place}"
    modes = f"chmod -R u=rwX,go=rX {place}"
    programs = f"find {place} -path '*/bin/*' -type f -exec chmod 755 {{}} +"
    return [f"--extract-hook={hook}" for hook in (copy, modes, programs, COMPILE.replace(LIBRARY, ADDED))]


def _package_sources() -> list[str]:
    """The machine's own package sources for this suite; where there are none, mmdebstrap's own default."""
    single, folder = SOURCES
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [single, *(path for path in entries if path.suffix in {".list", ".sources"})]
    return [str(path) for path in files if path.is_file() and _serves_suite(path)]


def _serves_suite(path: Path) -> bool:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    words = {word for line in lines if not line.lstrip().startswith("#") for word in line.split()}
    return SUITE in words or f"{SUITE}-security" in words


def _apt_options() -> list[str]:
    """The proxies that this machine's own apt goes through."""
    program = shutil.which("apt-config")
    if program is None:
        return []
    listed = subprocess.run([program, "dump"], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603  # as above
    proxies = ("Acquire::http::Proxy", "Acquire::https::Proxy")
    return [f"--aptopt={line.rstrip(';')}" for line in listed.stdout.splitlines() if line.startswith(proxies)]


# --- the archive ---------------------------------------------------------------------------------------


def _wrap(layer: Path, archive: Path, tag: str, recipe: str) -> Path:
    """An image archive (the engine's `load` format) around one layer; its bytes depend on the layer alone."""
    with layer.open("rb") as file:
        layer_digest = hashlib.file_digest(file, "sha256").hexdigest()
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": "2025-01-01T00:00:00Z",
        "config": {"Labels": {"sandbox.packages": " ".join(_packages(layer)), "sandbox.recipe": recipe}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
    }
    config_bytes = json.dumps(config, sort_keys=True).encode()
    config_name = f"{hashlib.sha256(config_bytes).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [tag], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(archive, "w") as tar:
        for name, data in ((config_name, config_bytes), ("manifest.json", manifest)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        tar.add(layer, "layer.tar")
    return archive


def _listing(layer: Path) -> Path:
    return layer.with_suffix(".packages")


def _packages(layer: Path) -> list[str]:
    """`name_version_architecture` of every package that was unpacked."""
    names = _listing(layer).read_text(encoding="utf-8").split()
    return sorted(name.removesuffix(".deb").replace("%3a", ":") for name in names if name.endswith(".deb"))
