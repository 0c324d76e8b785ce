"""`sandbox init` as a user types it: what it writes is valid, denies everything, and is proved."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mcpkit import server

OPENAPI = {
    "openapi": "3.0.0",
    "paths": {"/a": {"post": {"operationId": "a", "requestBody": {"content": {"application/json": {"schema": {
        "type": "object", "properties": {"x": {"type": "integer"}}}}}}}}},
}  # fmt: skip


def sandbox(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "sandbox", *words]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)


def check_what_was_written(folder: Path, spec: str, properties: str) -> None:
    assert sandbox(folder, "check", spec).returncode == 0
    proved = sandbox(folder, "prove", properties, "--json")
    verdicts = [each["verdict"] for each in json.loads(proved.stdout)["properties"]]
    assert (proved.returncode, verdicts) == (0, ["proved"]), proved.stdout + proved.stderr


def test_from_a_function(tmp_path: Path) -> None:
    (tmp_path / "pay.py").write_text("def send(to: str, amount: int) -> dict:\n    'Send.'\n")
    done = sandbox(tmp_path, "init", "--python", "pay:send", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "schema_version": 1, "spec": "pay.yaml", "properties": "pay.proofs.yaml", "tools": ["send"], "left_out": [],
    }  # fmt: skip
    check_what_was_written(tmp_path, "pay.yaml", "pay.proofs.yaml")
    again = sandbox(tmp_path, "init", "--python", "pay:send")
    assert (again.returncode, "is there already" in again.stderr) == (2, True)


def test_from_an_openapi_file_into_the_folders_of_a_project(tmp_path: Path) -> None:
    for name in ("specs", "proofs"):
        (tmp_path / name).mkdir()
    (tmp_path / "shop.json").write_text(json.dumps(OPENAPI))
    done = sandbox(tmp_path, "init", "--openapi", "shop.json")
    assert done.stdout == "wrote specs/shop.yaml (1 tool, all denied) and proofs/shop.yaml\n", done.stderr
    check_what_was_written(tmp_path, "specs/shop.yaml", "proofs/shop.yaml")


@pytest.mark.parametrize(
    "words", [(), ("--python", "a:b", "--openapi", "x.json"), ("--python", "a:b", "--image", "x"), ("--name", "x")]
)
def test_one_thing_is_asked_for(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = sandbox(tmp_path, "init", *words)
    assert done.returncode == 2
    assert "give one of --mcp, --python, --openapi" in done.stderr


@pytest.mark.containers
def test_from_an_mcp_server_in_a_container(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "server.py").write_text(server()[2])
    words = ["--mcp", "python3 /workspace/server.py", "--workspace", "notes", "--out", "small.yaml", "--name", "small"]
    done = sandbox(tmp_path, "init", *words)
    assert done.stdout == "wrote small.yaml (2 tools, all denied) and small.proofs.yaml\n", done.stderr
    text = (tmp_path / "small.yaml").read_text()
    assert 'server: {memory: 512MiB, workspace: {source: "notes", mode: ro}}' in text
    assert "  # it says of itself: Echo.\n  echo:\n" in text
    check_what_was_written(tmp_path, "small.yaml", "small.proofs.yaml")
