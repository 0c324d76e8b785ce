"""What the pages about clients tell people to write works: it parses, it starts, and it refuses what it should.

The examples are run as they are.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.mcp.http import PATH
from tests.mcpkit import GatewayProcess, call, request

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("claude_code", "cursor")


def blocks(page: str) -> list[dict[str, object]]:
    """Every JSON block of a page."""
    text = (ROOT / "docs" / f"{page}.md").read_text()
    found = re.findall(r"^( *)```json\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)
    return [json.loads(body) for _, body in found]


def state(folder: Path) -> dict[str, str]:
    folder.chmod(0o700)
    return {"SANDBOX_STATE": f"sqlite:///{folder}/state.db"}


def expanded(word: str) -> str:
    """As the client expands it."""
    return word.replace("${workspaceFolder}", str(ROOT))


@pytest.mark.containers
@pytest.mark.parametrize("page", PAGES)
def test_the_configuration_of_a_page_starts_the_gateway(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in state(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    server = blocks(page)[0]["mcpServers"]["notes"]
    assert server["command"] == "sandbox"
    (command, _, spec, dashes, *words) = map(expanded, server["args"])
    assert (command, dashes) == ("mcp", "--")
    with GatewayProcess(Path(spec), words) as gateway:
        gateway.begin()
        tools = gateway.ask(request("tools/list", 1))["result"]["tools"]
        assert [tool["name"] for tool in tools] == ["list_notes", "read_note"]
        assert gateway.text(call("read_note", 2, path="shopping.md")).startswith("# Shopping")
        assert gateway.text(call("read_note", 3, path="diary.md")).startswith("denied (rule.deny)")
        assert gateway.text(call("read_note", 4, path="notes_server.py")).startswith("denied (default_deny)")
        assert gateway.end() == 0


@pytest.mark.parametrize("page", PAGES)
def test_the_configuration_for_http_names_what_the_gateway_serves(page: str) -> None:
    server = blocks(page)[1]["mcpServers"]["notes"]
    assert server["url"] == f"http://127.0.0.1:8931{PATH}"
    assert re.fullmatch(r"Bearer \$\{(env:)?SANDBOX_TOKEN\}", server["headers"]["Authorization"])


def test_the_permissions_name_the_tools_of_the_spec() -> None:
    permissions = blocks("claude_code")[2]["permissions"]
    assert permissions["allow"] == ["mcp__notes__list_notes", "mcp__notes__read_note"]
    assert "Bash" in permissions["deny"]


REFUSED = (
    "denied (rule.deny): denied by rule `diary`: the diary is private (also true: `notes`). It did not run; "
    "the same call will be denied again."
)


@pytest.mark.containers
@pytest.mark.parametrize(
    ("example", "printed"),
    [
        ("mcp_gateway", f"list_notes read_note\n# Shopping\n{REFUSED}\n"),
        ("mcp_http", "diary.md\nshopping.md\n"),
    ],
)
def test_an_example_runs_and_is_short(example: str, printed: str, tmp_path: Path) -> None:
    file = ROOT / "examples" / f"{example}.py"
    done = subprocess.run(
        [sys.executable, file], capture_output=True, text=True, check=False, env={**os.environ, **state(tmp_path)}
    )
    assert (done.stdout, done.returncode) == (printed, 0), done.stderr
    assert len(file.read_text().splitlines()) < 40
