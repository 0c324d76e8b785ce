"""Unit: what the README shows is what happens. Each Python and console block runs; `...` stands for any lines."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.compile import load_contract

pytestmark = (
    pytest.mark.no_cover
)  # what is tested runs in processes of its own, and what they cover, the tests of their modules do

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = [
    (m["kind"], m["body"])
    for m in re.finditer(r"^```(?P<kind>\w+)\n(?P<body>.*?)^```$", README, re.MULTILINE | re.DOTALL)
]


def run(words: list[str], cwd: Path) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=120)
    return done.stdout + done.stderr


def shown_after(position: int) -> str:
    """The `text` block that follows a Python block: what it prints."""
    kind, body = BLOCKS[position + 1] if position + 1 < len(BLOCKS) else ("", "")
    return body if kind == "text" else ""


def agrees(printed: str, shown: str) -> bool:
    """Whether the output is what is shown, where a line `...` stands for any number of lines."""
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line) + r"\n" for line in shown.splitlines())
    return re.fullmatch(pattern, printed) is not None


def commands() -> list[tuple[str, str]]:
    """Each `$ command` of a console block with what is shown below it."""
    steps = [
        step for kind, body in BLOCKS if kind == "console" for step in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]
    ]
    return [(step.partition("\n")[0], step.partition("\n")[2]) for step in steps]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the project's files, in which examples may leave their state."""
    for name in ("specs", "proofs", "tools", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns(".sandbox", "__pycache__"))
    (tmp_path / ".sandbox").mkdir(mode=0o700)
    (tmp_path / "workspaces" / "payments").mkdir(parents=True)  # as set-up makes it
    return tmp_path


@pytest.mark.parametrize("position", [i for i, (kind, _) in enumerate(BLOCKS) if kind == "python"])
def test_the_python_that_the_readme_shows_prints_what_it_shows(position: int, checkout: Path) -> None:
    script = checkout / "example.py"
    script.write_text(BLOCKS[position][1])
    printed = run([sys.executable, str(script)], checkout)
    assert "Traceback" not in printed
    assert not shown_after(position) or printed == shown_after(position)


@pytest.mark.parametrize(("command", "shown"), commands())
def test_the_commands_that_the_readme_shows_print_what_it_shows(command: str, shown: str, checkout: Path) -> None:
    printed = run(["bash", "-c", command], checkout)
    assert agrees(printed, shown), printed


def test_the_spec_that_the_readme_shows_loads(tmp_path: Path) -> None:
    (body,) = (body for kind, body in BLOCKS if kind == "yaml")
    spec = tmp_path / "specs" / "notes.yaml"
    spec.parent.mkdir()
    spec.write_text(body)
    assert [tool.name for tool in load_contract(spec).tools] == ["write"]


def test_the_readme_names_every_command() -> None:
    listed = run([sys.executable, "-m", "sandbox", "--help"], ROOT)
    names = re.findall(r"^  ([\w-]+)  ", listed.partition("Commands:")[2], re.MULTILINE)
    (line,) = (line for line in README.splitlines() if line.startswith("`sandbox check"))
    assert sorted(names) == sorted(re.findall(r"[\w-]+", line.partition("`;")[0].removeprefix("`sandbox")))


def test_every_claim_names_files_that_exist() -> None:
    rows = [line for line in README.splitlines() if re.match(r"\| .* \| (construction|proved|tested|trusted) \|", line)]
    assert len(rows) >= 12
    for row in rows:
        where = row.rstrip("|").rsplit("|", 1)[1]
        for name in re.findall(r"`([^`]+)`|\(([^)]+)\)", where):
            assert (ROOT / (name[0] or name[1])).exists(), row
