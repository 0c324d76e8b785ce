"""docs/ci.md: its snippets are YAML, and the commands in them do what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

pytestmark = (
    pytest.mark.no_cover
)  # what is tested runs in processes of its own, and what they cover, the tests of their modules do

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
SNIPPETS = [YAML(typ="safe").load(body) for body in re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)]
GITHUB, GITLAB, CERTIFY = SNIPPETS

SPEC = """\
sandbox: 1
name: pays
tools:
  pay:
    args: {amount: {type: int, min: 1, max: 60}}
    rules: [{id: small, allow: args.amount <= 40}]
"""
PROPERTIES = """\
proves: ../specs/pays.yaml
properties:
  - {id: small, never: args.amount > 40}
  - {id: useful, possible: decision == 'allow'}
"""


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a current ledger."""
    made = tmp_path_factory.mktemp("proved")
    for name, text in (("specs/pays.yaml", SPEC), ("proofs/pays.yaml", PROPERTIES)):
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(text)
    assert run(made, "sandbox prove --update").returncode == 0
    return made


@pytest.fixture
def project(proved: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(proved, tmp_path / "project"))


def run(folder: Path, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-e", "-c", line],
        cwd=folder,
        env={**os.environ, "PATH": path, "CI": "true", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def ours(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("pip ")]


def github() -> Iterator[str]:
    """Each command of the workflow, for each of its shares."""
    job = GITHUB["jobs"]["prove"]
    for shard in job["strategy"]["matrix"]["shard"]:
        for line in ours([step["run"] for step in job["steps"] if "run" in step]):
            yield line.replace("${{ matrix.shard }}", shard)


def gitlab(number: int) -> tuple[list[str], dict[str, str]]:
    count = GITLAB["prove"]["parallel"]
    return ours(GITLAB["prove"]["script"]), {"CI_NODE_INDEX": str(number), "CI_NODE_TOTAL": str(count)}


def test_the_workflow_proves_and_writes_what_it_uploads(project: Path) -> None:
    for line in github():
        done = run(project, line)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        assert "cached" not in done.stdout
    uploads = [step["with"] for step in GITHUB["jobs"]["prove"]["steps"] if "upload" in step.get("uses", "")]
    assert {each.get("sarif_file") or each["path"] for each in uploads} == {"proofs.sarif", "proofs.html"}
    assert all((project / name).is_file() for name in ("proofs.sarif", "proofs.html"))
    assert set(GITHUB["permissions"]) == {"contents", "security-events"}


def test_the_pipeline_proves_all_shares(project: Path) -> None:
    for number in range(1, GITLAB["prove"]["parallel"] + 1):
        lines, environment = gitlab(number)
        for line in lines:
            done = run(project, line, **environment)
            assert done.returncode == 0, (line, done.stdout, done.stderr)
    assert all((project / path).is_file() for path in GITLAB["prove"]["artifacts"]["paths"])


def test_a_release_has_a_certificate_that_checks(project: Path) -> None:
    for line in ours(CERTIFY["certify"]["script"]):
        done = run(project, line)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    assert (project / CERTIFY["certify"]["artifacts"]["paths"][0]).is_dir()


def broken(folder: Path, how: str) -> None:
    match how:
        case "weaker rule":
            spec = folder / "specs" / "pays.yaml"
            spec.write_text(spec.read_text().replace("<= 40}", "<= 41}"))
        case "ledger deleted":
            (folder / "proofs" / "ledger.json").unlink()
        case "property removed":
            file = folder / "proofs" / "pays.yaml"
            file.write_text(file.read_text().replace("  - {id: small, never: args.amount > 40}\n", ""))
        case "file removed":
            shutil.move(folder / "proofs" / "pays.yaml", folder / "proofs" / "others.yaml")


@pytest.mark.parametrize("how", ["weaker rule", "ledger deleted", "property removed", "file removed"])
def test_a_merge_that_breaks_something_is_blocked(project: Path, how: str) -> None:
    broken(project, how)
    assert any(run(project, line).returncode == 1 for line in github() if line.startswith("sandbox prove"))
