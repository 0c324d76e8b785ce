"""The gateway in front of servers that others wrote, driven by the official client, in an environment made for it.

`tests/gateway/` has the tests, the recipes of the images, and the client's pins; `make test-adapters` runs this.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FEWEST = 35
"""Tests that are there at the least: a run that collects nothing has shown nothing."""


@pytest.mark.adapters
@pytest.mark.xdist_group("containers")
def test_the_gateway_in_front_of_servers_that_others_wrote() -> None:
    made = [sys.executable, ROOT / "scripts" / "adapter_env.py", "mcp-client"]
    python = subprocess.run(made, capture_output=True, text=True, check=True).stdout.strip()
    command = [python, "-m", "pytest", "-q", "-o", "filterwarnings=", str(ROOT / "tests" / "gateway")]
    environment = {**os.environ, "SANDBOX_GATEWAY": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    said = done.stdout[-8_000:] + done.stderr[-2_000:]
    assert done.returncode == 0, said
    passed = re.search(r"^(\d+) passed", said, re.MULTILINE)
    assert passed is not None, said
    assert int(passed[1]) >= FEWEST, said
    assert "skipped" not in said, said
