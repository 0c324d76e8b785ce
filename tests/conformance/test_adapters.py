"""Every adapter against its real framework, each in an environment of its own that is made here and kept.

`make test` runs the lightest in full, `make test-adapters` all of them.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PINS = ROOT / "tests" / "adapters" / "pins"
TABLE = ROOT / "docs" / "adapters" / "README.md"
LIGHT = ("anthropic", "langchain", "openai-agents", "pydantic-ai", "smolagents")
HEAVY = (
    "agent-framework",
    "autogen",
    "claude-agent-sdk",
    "crewai",
    "deepagents",
    "fastmcp",
    "inspect-ai",
    "llama-index",
    "mcp",
)
FEWEST = 12
"""Tests that every adapter has at the least: a run that collects nothing has shown nothing."""


def check(name: str) -> None:
    made = [sys.executable, ROOT / "scripts" / "adapter_env.py", name]
    python = subprocess.run(made, capture_output=True, text=True, check=True).stdout.strip()
    tests = ROOT / "tests" / "adapters" / f"test_{name.replace('-', '_')}.py"
    command = [python, "-m", "pytest", "-q", "-o", "filterwarnings=", str(tests)]
    environment = {**os.environ, "SANDBOX_ADAPTER": name}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    said = done.stdout[-6_000:] + done.stderr[-2_000:]
    assert done.returncode == 0, said
    passed = re.search(r"^(\d+) passed", said, re.MULTILINE)
    assert passed is not None, said
    assert int(passed[1]) >= FEWEST, said
    assert "skipped" not in said, said


@pytest.mark.parametrize("name", LIGHT)
def test_an_adapter_keeps_what_all_adapters_keep(name: str) -> None:
    check(name)


@pytest.mark.adapters
@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_adapter_keeps_what_all_adapters_keep(name: str) -> None:
    check(name)


def test_every_adapter_and_every_pinned_framework_is_in_one_of_the_lists() -> None:
    pinned = {path.stem for path in (ROOT / "tests" / "adapters" / "pins").glob("*.txt")}
    tested = {
        path.stem.removeprefix("test_").replace("_", "-") for path in (ROOT / "tests" / "adapters").glob("test_*.py")
    }
    assert pinned == tested == {*LIGHT, *HEAVY}


def test_coverage_leaves_out_the_adapters_that_the_tests_of_every_day_do_not_run() -> None:
    left_out = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]["report"]["omit"]
    modules = {name.replace("-", "_") for name in HEAVY} | {"mcp_servers"}
    assert set(left_out) == {f"sandbox/adapters/{name}.py" for name in modules}


# --- what the pages say --------------------------------------------------------------------------------


def test_the_table_of_adapters_names_the_versions_that_were_tested() -> None:
    table = TABLE.read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    lock = (ROOT / "requirements.lock").read_text()
    for name in (*LIGHT, *HEAVY):
        (wanted,) = extras[name]
        package = re.split(r"[><=\[]", wanted)[0]
        pins = (PINS / f"{name}.txt").read_text()
        found = re.search(rf"^{package}==(\S+)", pins, re.MULTILINE) or re.search(
            rf"^{package}==(\S+)", lock, re.MULTILINE
        )
        assert found is not None, name
        assert f"{package} {found[1]}" in table, name


def test_the_table_of_adapters_says_when_these_pins_were_tested() -> None:
    """Other pins have another digest: run `make test-adapters`, then write the month and the digest."""
    said = re.search(r"^Tested in (\d{4}-\d{2}), .* \(digest `([0-9a-f]{12})`\):$", TABLE.read_text(), re.MULTILINE)
    assert said is not None
    assert (
        said[2] == hashlib.sha256(b"".join(each.read_bytes() for each in sorted(PINS.glob("*.txt")))).hexdigest()[:12]
    )


@pytest.mark.parametrize("name", ["plain", *LIGHT, *HEAVY])
def test_every_adapter_has_a_page_and_a_short_whole_program(name: str) -> None:
    page = TABLE.with_name(f"{'mcp_client' if name == 'mcp' else name.replace('-', '_')}.md").read_text()
    assert name == "plain" or f'pip install "sandbox[{name}]"' in page
    assert [each for each in ("hooked", "refused", "\n## Approvals\n", "\n## Limits\n") if each not in page] == []
    programs = re.findall(r"examples/(\w+\.py)", page)
    assert programs
    tests = "".join(each.read_text() for each in (ROOT / "tests").rglob("test_*.py"))
    for program in programs:
        assert len((ROOT / "examples" / program).read_text().splitlines()) < 40
        assert program in tests or f'"{program.removesuffix(".py")}"' in tests
