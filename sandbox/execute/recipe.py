"""Images with more in them than the default one: Debian packages, and Python and Node packages pinned by digest.

A recipe is a TOML file; what it names beside it are lock files, of which every entry has a digest, so that a registry
can only give what was reviewed. No script of any package is run, neither to build it nor after it was unpacked.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sandbox.errors import EnvironmentLacking, UsageError
from sandbox.execute.engine import Engine
from sandbox.execute.image import Addition, Image, known_image, make_image, recipe_digest

REPOSITORY: Final = "sandbox-recipe"
FETCH_TIMEOUT_S: Final = 900
"""For all packages of one kind; a Node interpreter is 100 MB."""
MAX_LOCK: Final = 16 * 1024 * 1024
"""Bytes of a lock file."""

PYTHON_VERSION: Final = "3.11.2"
"""Of the suite of `image`; wheels that want a later one are refused when the image is built, and not when it runs."""
PYTHON_FOLDER: Final = "python3.11/dist-packages"
NODE_FOLDER: Final = "node_modules"

_KEYS: Final = frozenset({"recipe", "debian", "python", "node"})
_DEBIAN: Final = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_REQUIREMENT: Final = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+( --hash=sha256:[0-9a-f]{64})+")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe that was read: names of Debian packages, the text of a requirements file, of an npm lock file."""

    debian: tuple[str, ...]
    python: str
    node: str

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all that decides what the image holds, but for the Debian packages' own versions."""
        body = [recipe_digest(), platform.machine(), self.debian, self.python, self.node]
        return hashlib.sha256(json.dumps(body).encode()).hexdigest()

    @property
    def tag(self) -> str:
        """The name under which the engine holds the image."""
        return f"{REPOSITORY}:{self.digest[:16]}"


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file, with the lock files that it names.

    Raises:
        UsageError: a file is missing or wrong, or an entry of a lock has no digest.
    """
    try:
        whole = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise _wrong(path, f"it is no TOML: {error}") from error
    unknown = sorted(whole.keys() - _KEYS)
    if unknown or whole.get("recipe") != 1:
        raise _wrong(path, f"`{unknown[0]}` is no key of a recipe" if unknown else "it begins with `recipe = 1`")
    debian = whole.get("debian", [])
    if not isinstance(debian, list) or not all(isinstance(name, str) and _DEBIAN.fullmatch(name) for name in debian):
        raise _wrong(path, "`debian` is a list of package names")
    python, node = (_beside(path, whole, key) for key in ("python", "node"))
    return Recipe(tuple(debian), _checked_requirements(python), _checked_lock(node))


def build_recipe(engine: Engine, recipe: Recipe) -> Image:
    """The recipe's image, built if the engine does not have it yet.

    Raises:
        EnvironmentLacking: a program that is needed is missing, or a package could not be had as it was pinned.
    """
    found = known_image(engine, recipe.tag)
    if found is not None:
        return found
    with tempfile.TemporaryDirectory(prefix="sandbox-recipe-") as name:
        folder = Path(name)
        _add_python(recipe.python, folder)
        _add_node(recipe.node, folder)
        return make_image(engine, recipe.tag, recipe.digest, Addition(recipe.digest, recipe.debian, folder))


# --- reading -------------------------------------------------------------------------------------------


def _beside(recipe: Path, whole: dict[str, object], key: str) -> tuple[Path, str]:
    name = whole.get(key, "")
    if not isinstance(name, str):
        raise _wrong(recipe, f"`{key}` is the name of a file beside the recipe")
    place = recipe.parent / name
    return (place, _text(place)) if name else (place, "")


def _checked_requirements(file: tuple[Path, str]) -> str:
    place, text = file
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    lines = [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in lines:
        if not _REQUIREMENT.fullmatch(" ".join(line.split())):
            raise _wrong(place, f"`{line[:80]}` is not `NAME==VERSION` with `--hash=sha256:...` and nothing else")
    return "".join(f"{' '.join(line.split())}\n" for line in lines)


def _checked_lock(file: tuple[Path, str]) -> str:
    place, text = file
    if not text:
        return ""
    try:
        whole = json.loads(text)
        packages = whole["packages"]
        unpinned = [name for name, each in packages.items() if name and "sha512-" not in str(each.get("integrity"))]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _wrong(place, "it is no lock file of npm (version 2 or later)") from error
    if unpinned:
        raise _wrong(place, f"`{unpinned[0][:80]}` has no `integrity` of SHA-512")
    return text


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_LOCK + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, "it cannot be read as UTF-8") from error
    if len(data) > MAX_LOCK:
        raise _wrong(path, f"it is larger than {MAX_LOCK} bytes")
    return text


def _wrong(path: Path, reason: str) -> UsageError:
    message = f"the recipe `{path}` cannot be used: {reason}"
    return UsageError(message, "run.recipe")


# --- adding --------------------------------------------------------------------------------------------


def _add_python(requirements: str, folder: Path) -> None:
    """Wheels for the image's Python, unpacked: nothing is built, and nothing is taken that is not in the list."""
    if not requirements:
        return
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        options = ["--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile"]
        options += [f"--python-version={PYTHON_VERSION}"]
        options += ["--no-input", "--disable-pip-version-check", "--no-warn-conflicts", "--quiet"]
        target = folder / PYTHON_FOLDER
        _run([sys.executable, "-m", "pip", "install", *options, f"--target={target}", "-r", file.name], folder)
    for programs in (target / "bin", target / "share"):
        shutil.rmtree(programs, ignore_errors=True)


def _add_node(lock: str, folder: Path) -> None:
    """The packages of a lock, unpacked; links to programs are left out, for a program is named by its file."""
    if not lock:
        return
    npm = shutil.which("npm")
    if npm is None:
        message = "npm is missing: install it (nodejs.org, or your distribution's package), then build again"
        raise EnvironmentLacking(message, "environment.npm")
    with tempfile.TemporaryDirectory(prefix="sandbox-npm-") as name:
        root = json.loads(lock)["packages"].get("", {})
        wanted = {"name": "recipe", "version": "0.0.0", "dependencies": root.get("dependencies", {})}
        Path(name, "package.json").write_text(json.dumps(wanted), encoding="utf-8")
        Path(name, "package-lock.json").write_text(lock, encoding="utf-8")
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-bin-links", "--omit=dev", "--silent"]
        _run([npm, "ci", *options, f"--cache={name}/cache"], Path(name))
        modules = Path(name, NODE_FOLDER)
        (modules / ".package-lock.json").unlink(missing_ok=True)
        shutil.move(modules, folder / NODE_FOLDER)


def _run(words: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603  # our own words, no shell
            words, cwd=folder, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        message = f"the packages did not come within {FETCH_TIMEOUT_S} s: is the registry within reach?"
        raise EnvironmentLacking(message, "environment.recipe") from error
    if done.returncode != 0:
        last = " ".join((done.stderr or done.stdout).split())[-600:]
        message = f"the packages of the recipe could not be had as they were pinned: {last}"
        raise EnvironmentLacking(message, "environment.recipe")
