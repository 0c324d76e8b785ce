"""Makes the environment in which one adapter is tested: its framework, pinned, on top of the project's own `.venv`.

`python scripts/adapter_env.py NAME` prints the path of its Python; `--lock` resolves the pins anew. Does nothing
where the environment is there already. What the project itself needs is taken from `.venv`, not installed again.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
HOME = ROOT / ".venv-adapters"
PINS = ROOT / "tests" / "adapters" / "pins"
CLIENT_PINS = ROOT / "tests" / "gateway" / "pins"


def main() -> int:
    """Make or lock the named environments."""
    names = [word for word in sys.argv[1:] if not word.startswith("-")]
    for name in names:
        if "--lock" in sys.argv:
            lock(name)
        print(make(name))
    return 0


def make(name: str) -> Path:
    """The Python of this adapter's environment, made if it is not as its pins say."""
    pins = next(found for folder in (PINS, CLIENT_PINS) if (found := folder / f"{name}.txt").exists())
    HOME.mkdir(exist_ok=True)
    folder, note = HOME / name, HOME / f"{name}.made"
    python = folder / "bin" / "python"
    with (HOME / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        made = digest(pins.read_bytes(), (VENV / "locked").read_bytes(), sys.version.encode(), str(ROOT).encode())
        if python.exists() and note.exists() and note.read_text() == made:
            return python
        venv.create(folder, clear=True, with_pip=False, symlinks=True)
        site = next(folder.glob("lib/python*/site-packages"))
        core = next(VENV.glob("lib/python*/site-packages"))
        (site / "zz_core.pth").write_text(f"{core}\n{ROOT}\n")
        (site / "zzz_coverage.pth").write_text("import coverage; coverage.process_startup(slug='pth')\n")
        run([VENV / "bin" / "pip", "--python", python, "install", "--quiet", "--no-deps", "--requirement", pins])
        note.write_text(made)
    return python


def lock(name: str) -> None:
    """Resolve the extra of this name into exact versions, those of the project's own lock where they agree."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    own = {
        line.split("==")[0].strip() for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line
    }
    with tempfile.TemporaryDirectory() as scratch:
        wanted, shared, found = (Path(scratch) / file for file in ("wanted.in", "shared.txt", "found.txt"))
        wanted.write_text("".join(f"{each}\n" for each in (*extras[name], *own_requirements())))
        pinned = [line.split()[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line]
        shared.write_text("".join(f"{each}\n" for each in pinned))
        options = ["--quiet", "--strip-extras", "--allow-unsafe", "--no-header", "--no-annotate", "--no-emit-options"]
        command = [VENV / "bin" / "pip-compile", *options, "--no-emit-index-url", "--output-file", found, wanted]
        try:
            run([*command[:-1], "--constraint", shared, wanted])
        except subprocess.CalledProcessError:
            found.unlink(missing_ok=True)
            run(command)
        lines = [line for line in found.read_text().splitlines() if "==" in line]
        kept = [line for line in lines if line.split("==")[0] not in own or line.split()[0] not in pinned]
    PINS.mkdir(parents=True, exist_ok=True)
    (PINS / f"{name}.txt").write_text("".join(f"{line}\n" for line in kept))


def own_requirements() -> list[str]:
    """What the project itself needs: the framework has to live with it."""
    return list(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])


def digest(*parts: bytes) -> str:
    """SHA-256 (hex) of several texts."""
    return hashlib.sha256(b"\0".join((*parts, sysconfig.get_platform().encode()))).hexdigest()


def run(command: list[object]) -> None:
    """Run a command; its output goes where ours goes."""
    subprocess.run([str(word) for word in command], check=True, stdout=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
