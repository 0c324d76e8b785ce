"""What a process in the container, and the engine, could read of a secret: nothing but what the function is given."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from gatekit import spec_file

from sandbox.gate import Gate

pytestmark = pytest.mark.containers

MARK = "7f3a-marked-secret"
SPEC = """\
sandbox: 1
name: vault
tools:
  look:
    args: {password: {type: string, secret: true}}
    rules: [{id: all, allow: true}]
    run: {tool: vault:look}
"""
TOOL = """\
import glob

def look(password):
    seen = []
    for path in sorted(glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ")):
        try:
            with open(path, "rb") as file:
                seen.append([path, file.read().decode("utf-8", "replace")])
        except OSError:
            pass
    return {"given": len(password), "seen": seen}
"""


def test_no_command_line_and_no_environment_in_the_container_has_it(tmp_path: Path) -> None:
    spec = spec_file(tmp_path, SPEC, "vault.yaml")
    (tmp_path / "vault.py").write_text(TOOL, encoding="utf-8")
    (tmp_path / "pyproject.toml").touch()
    with Gate.open(spec) as gate:
        result = gate.call({"tool": "look", "args": {"password": MARK}})
    assert isinstance(result.value, dict)
    assert result.value["given"] == len(MARK)
    assert any(path.endswith("/cmdline") for path, _ in result.value["seen"])
    assert any(path.endswith("/environ") for path, _ in result.value["seen"])
    assert MARK not in json.dumps(result.value)
    canonical = json.dumps({"args": {"password": MARK}, "tool": "look"}, separators=(",", ":"))
    assert result.receipt.call_digest != hashlib.sha256(canonical.encode()).hexdigest()
    for path in sorted((tmp_path / ".sandbox").iterdir()):
        assert MARK.encode() not in path.read_bytes()
