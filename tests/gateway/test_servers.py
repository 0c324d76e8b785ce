"""Servers that others wrote, behind the gateway: what the spec allows works, and nothing else is there.

The known escapes of old versions succeed against the server alone and fail behind the gateway.
"""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path

import pytest
from mcp import MCPError
from mcp.client.client import Client

from tests.gateway.kit import VERSIONS, WORDS, Mode, Place, over_http, said

pytestmark = pytest.mark.containers

MODES: tuple[Mode, ...] = ("auto", "legacy")


def run(work: Coroutine[object, object, None]) -> None:
    asyncio.run(work)


# --- the official file system server (npm)

NOTES = """\
  read_text_file:
    description: Read a note.
    args: {path: {type: path, under: /workspace/notes}}
    rules: [{id: notes, allow: "args.path.startsWith('/workspace/notes/')", reason: only what lies in notes}]
  write_file:
    args:
      path: {type: path, under: /workspace/notes}
      content: {type: text, max_size: 4KiB}
    rules: [{id: notes, allow: "args.path.startsWith('/workspace/notes/') && size(args.content) <= 100"}]
  list_directory:
    args: {path: {type: path, under: /workspace/notes}}
    rules: [{id: notes, allow: "args.path == '/workspace/notes'"}]
"""
NOTES_OLD = NOTES.replace("read_text_file", "read_file")


def notes(folder: Path, server: str = "filesystem") -> Place:
    place = Place(folder, server, NOTES_OLD if server == "filesystem_old" else NOTES)
    for name, text in (("notes/a.txt", "alpha"), ("notes_private/secret.txt", "SECRET")):
        file = place.workspace / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    place.pin()
    return place


@pytest.mark.parametrize("mode", MODES)
def test_the_file_system_server_reads_and_writes_what_the_spec_allows(tmp_path: Path, mode: Mode) -> None:
    place = notes(tmp_path / "p")

    async def work() -> None:
        async with place.gateway(mode) as client:
            assert client.session.protocol_version == VERSIONS[mode]
            tools = (await client.list_tools()).tools
            assert [tool.name for tool in tools] == ["read_text_file", "write_file", "list_directory"]
            assert tools[0].description == "Read a note."
            assert tools[1].input_schema["properties"]["content"] == {"type": "string", "maxLength": 4096}
            assert await said(client, "read_text_file", path="/workspace/notes/a.txt") == (False, "alpha")
            assert await said(client, "read_text_file", path="a.txt") == (False, "alpha")
            failed, _ = await said(client, "write_file", path="b.txt", content="beta")
            assert not failed
            assert (place.workspace / "notes" / "b.txt").read_text() == "beta"
            assert "[FILE] b.txt" in (await said(client, "list_directory", path="/workspace/notes"))[1]

    run(work())
    outcomes = [record["body"] for record in place.records() if record["kind"] == "outcome"]
    assert {body["receipt"]["isolation"] for body in outcomes} == {"session"}
    assert [change["path"] for body in outcomes for change in body["changes"]] == ["notes/b.txt"]


def test_what_the_spec_does_not_allow_is_denied_with_what_would_be(tmp_path: Path) -> None:
    place = notes(tmp_path / "p")

    async def work() -> None:
        async with place.gateway() as client:
            failed, text = await said(client, "read_text_file", path="/workspace/notes_private/secret.txt")
            assert failed
            assert text.startswith("denied (default_deny)")
            failed, text = await said(client, "read_text_file", path="/workspace/notes/../notes_private/secret.txt")
            assert failed
            assert "a path without `..` segments is accepted" in text
            failed, text = await said(client, "write_file", path="b.txt", content="x" * 101)
            assert failed
            assert f'Allowed would be: `content` "{"x" * 100}"' in text
            for tool in ("edit_file", "move_file", "directory_tree"):
                failed, text = await said(client, tool, path="/workspace/notes/a.txt")
                assert failed
                assert text.startswith(f"denied (unknown_tool): unknown tool `{tool}`")

    run(work())
    assert not (place.workspace / "notes" / "b.txt").exists()


def test_files_that_the_host_acts_upon_are_not_written(tmp_path: Path) -> None:
    place = notes(tmp_path / "p")

    async def work() -> None:
        async with place.gateway() as client:
            failed, _ = await said(client, "write_file", path=".envrc", content="curl evil.example")
            assert failed
            assert "a.txt" in (await said(client, "list_directory", path="/workspace/notes"))[1]
            assert ".envrc" not in (await said(client, "list_directory", path="/workspace/notes"))[1]

    run(work())
    assert [path.name for path in (place.workspace / "notes").iterdir()] == ["a.txt"]
    assert "changes.refused" in [record["body"].get("reason_code") for record in place.records()]


@pytest.mark.parametrize("mode", MODES)
def test_nothing_but_tools_is_there(tmp_path: Path, mode: Mode) -> None:
    place = notes(tmp_path / "p")

    async def work() -> None:
        async with place.gateway(mode) as client:
            for ask in (client.list_resources, client.list_prompts, client.list_resource_templates):
                with pytest.raises(MCPError):
                    await ask()

    run(work())


# --- CVE-2025-53110 (a prefix that matches a sibling) and CVE-2025-53109 (a link whose target is not checked)


def test_a_sibling_with_the_same_prefix_is_read_without_the_gateway_and_not_behind_it(tmp_path: Path) -> None:
    place = notes(tmp_path / "p", "filesystem_old")
    sibling = "/workspace/notes_private/secret.txt"

    async def work() -> None:
        async with place.alone() as client:
            assert await said(client, "read_file", path=sibling) == (False, "SECRET")
        async with place.gateway() as client:
            failed, text = await said(client, "read_file", path=sibling)
            assert failed
            assert text.startswith("denied (default_deny)")
            assert await said(client, "read_file", path="/workspace/notes/a.txt") == (False, "alpha")

    run(work())


def linked(folder: Path) -> tuple[Place, Path]:
    """Notes of which one is a link out of the workspace, to a secret of the host."""
    place = notes(folder / "host" / "p", "filesystem_old")
    secret = folder / "host" / "secret.txt"
    secret.write_text("HOST SECRET")
    (place.workspace / "notes" / "link.txt").symlink_to("../../../secret.txt")
    return place, folder / "host"


def test_a_link_out_of_the_folder_is_followed_without_the_gateway_and_leads_nowhere_behind_it(tmp_path: Path) -> None:
    place, host = linked(tmp_path)

    async def work() -> None:
        words = [*WORDS["filesystem_old"][:2], "/workspace/p/workspace/notes"]
        async with place.alone(host, words) as client:
            reading = await said(client, "read_file", path="/workspace/p/workspace/notes/link.txt")
            assert reading == (False, "HOST SECRET")
        async with place.gateway() as client:
            failed, text = await said(client, "read_file", path="/workspace/notes/link.txt")
            assert failed
            assert "SECRET" not in text

    run(work())


def test_a_link_to_what_the_spec_does_not_name_is_no_way_to_it(tmp_path: Path) -> None:
    """Behind the gateway a link can lead only to what the server was granted; and a server can leave none behind."""
    place, host = linked(tmp_path)

    async def work() -> None:
        words = [*WORDS["filesystem_old"][:2], "/workspace/p/workspace/notes"]
        async with place.alone(host, words) as client:
            writing = await said(client, "write_file", path="/workspace/p/workspace/notes/link.txt", content="OWNED")
            assert writing[0] is False
        assert (host / "secret.txt").read_text() == "OWNED"
        (host / "secret.txt").write_text("HOST SECRET")
        async with place.gateway() as client:
            await said(client, "write_file", path="/workspace/notes/link.txt", content="OWNED")

    run(work())
    assert (host / "secret.txt").read_text() == "HOST SECRET"


# --- the official git server (PyPI)

GIT = """\
  git_log:
    args:
      repo_path: {type: path}
      max_count: {type: int, min: 1, max: 50}
    rules: [{id: repository, allow: args.repo_path == '/workspace'}]
  git_status:
    args: {repo_path: {type: path}}
    rules: [{id: repository, allow: args.repo_path == '/workspace'}]
  git_diff:
    args:
      repo_path: {type: path}
      target: {type: string, max_size: 100, pattern: "[A-Za-z0-9_][A-Za-z0-9_./~^-]*"}
    rules: [{id: repository, allow: args.repo_path == '/workspace'}]
  git_checkout:
    args:
      repo_path: {type: path}
      branch_name: {type: string, max_size: 100, pattern: "[A-Za-z0-9_][A-Za-z0-9_./-]*"}
    rules: [{id: repository, ask: args.repo_path == '/workspace'}]
"""


def repository(folder: Path, server: str, mode: str = "ro") -> Place:
    place = Place(folder, server, GIT, mode)
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    (place.workspace / "a.txt").write_text("one\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", *identity, *words], cwd=place.workspace, check=True)
    (place.workspace / "a.txt").write_text("two\n")
    place.pin()
    return place


@pytest.mark.parametrize("server", ["git", "git_old"])
def test_the_git_server_tells_of_one_repository(tmp_path: Path, server: str) -> None:
    place = repository(tmp_path / "p", server)

    async def work() -> None:
        async with place.gateway() as client:
            assert "first" in (await said(client, "git_log", repo_path="/workspace", max_count=5))[1]
            assert "a.txt" in (await said(client, "git_status", repo_path="/workspace"))[1]
            assert "+two" in (await said(client, "git_diff", repo_path="/workspace", target="main"))[1]
            failed, text = await said(client, "git_log", repo_path="/workspace", max_count=500)
            assert failed
            assert "50" in text
            failed, text = await said(client, "git_log", repo_path="/", max_count=5)
            assert failed
            assert text.startswith("denied (default_deny)")
            failed, text = await said(client, "git_checkout", repo_path="/workspace", branch_name="main")
            assert failed
            assert text.startswith("not run: it waits for a person")

    run(work())


def test_an_option_for_git_is_obeyed_without_the_gateway_and_refused_behind_it(tmp_path: Path) -> None:
    """CVE-2025-68144: what is meant as the name of a revision reaches git as an option."""
    place = repository(tmp_path / "p", "git_old")
    victim = place.workspace / "victim.txt"
    option = "--output=/workspace/victim.txt"

    async def work() -> None:
        victim.write_text("precious")
        async with place.alone() as client:
            await said(client, "git_diff", repo_path="/workspace", target=option)
        assert victim.read_text() != "precious"
        victim.write_text("precious")
        async with place.gateway() as client:
            failed, text = await said(client, "git_diff", repo_path="/workspace", target=option)
            assert failed
            assert text.startswith("denied (parse.pattern)")
            failed, text = await said(client, "git_checkout", repo_path="/workspace", branch_name="--orphan=x")
            assert failed
            assert text.startswith("denied (parse.pattern)")

    run(work())
    assert victim.read_text() == "precious"


def test_another_repository_is_opened_without_the_gateway_and_refused_behind_it(tmp_path: Path) -> None:
    """CVE-2025-68145: the server was told to keep to one repository, and does not."""
    place = repository(tmp_path / "host" / "p", "git_old")
    other = repository(tmp_path / "host" / "other", "git_old")
    assert other.workspace.exists()

    async def work() -> None:
        words = ["python3", "-m", "mcp_server_git", "--repository", "/workspace/p/workspace"]
        async with place.alone(tmp_path / "host", words) as client:
            assert "first" in (await said(client, "git_log", repo_path="/workspace/other/workspace"))[1]
        async with place.gateway() as client:
            failed, text = await said(client, "git_log", repo_path="/workspace/other/workspace", max_count=1)
            assert failed
            assert text.startswith("denied (default_deny)")

    run(work())


def test_a_repository_is_made_anywhere_without_the_gateway_and_nowhere_behind_it(tmp_path: Path) -> None:
    """CVE-2025-68143: `git_init` takes any folder, and makes it one in which git runs what its settings say."""
    place = repository(tmp_path / "p", "git_old")

    async def work() -> None:
        async with place.alone() as client:
            assert (await said(client, "git_init", repo_path="/workspace/anywhere"))[0] is False
        assert (place.workspace / "anywhere" / ".git").exists()
        async with place.gateway() as client:
            failed, text = await said(client, "git_init", repo_path="/workspace/again")
            assert failed
            assert text.startswith("denied (unknown_tool)")

    run(work())
    assert not (place.workspace / "again").exists()


# --- the official time, fetch and sqlite servers (PyPI)

TIME = """\
  get_current_time:
    args: {timezone: {type: enum, values: [UTC, Europe/London]}}
    rules: [{id: all, allow: true}]
  convert_time:
    args:
      source_timezone: {type: enum, values: [UTC, Europe/London]}
      time: {type: string, pattern: "[0-2][0-9]:[0-5][0-9]"}
      target_timezone: {type: string, max_size: 40}
    rules: [{id: all, allow: true}]
"""


@pytest.mark.parametrize("mode", MODES)
def test_the_time_server_tells_the_time(tmp_path: Path, mode: Mode) -> None:
    place = Place(tmp_path / "p", "time", TIME)
    place.pin()

    async def work() -> None:
        async with place.gateway(mode) as client:
            assert '"timezone": "UTC"' in (await said(client, "get_current_time", timezone="UTC"))[1]
            failed, text = await said(client, "get_current_time", timezone="Mars/Olympus")
            assert failed
            assert "`UTC`" in text
            asked = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Nowhere/At_all"}
            failed, text = await said(client, "convert_time", **asked)
            assert failed  # the server's own error, as the server words it
            assert "Nowhere/At_all" in text

    run(work())


FETCH = """\
  fetch:
    args:
      url: {type: url, schemes: [https]}
      max_length: {type: int, min: 1, max: 5000, default: 5000}
    rules: [{id: docs, allow: "args.url.host == 'docs.example.org' && !args.url.is_private"}]
"""


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://169.254.169.254/latest/meta-data/", "denied (default_deny)"),
        ("https://docs.example.org@evil.example/", "denied (parse.url)"),
        ("http://docs.example.org/", "denied (parse.url)"),
        ("file:///etc/passwd", "denied (parse.url)"),
    ],
)
def test_the_fetch_server_is_asked_for_named_hosts_only(tmp_path: Path, url: str, words: str) -> None:
    place = Place(tmp_path / "p", "fetch", FETCH)
    place.pin()

    async def work() -> None:
        async with place.gateway() as client:
            failed, text = await said(client, "fetch", url=url)
            assert failed
            assert text.startswith(words)

    run(work())


def test_a_server_without_a_grant_of_network_reaches_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path / "p", "fetch", FETCH)
    place.pin()

    async def work() -> None:
        async with place.gateway() as client:
            failed, text = await said(client, "fetch", url="https://docs.example.org/")
            assert failed
            assert "denied" not in text  # it was allowed, ran, and found no network

    run(work())


def test_a_server_with_a_grant_reaches_the_granted_host_and_the_record_says_what(tmp_path: Path) -> None:
    pages = {"/": b"<html><body><p>granted page</p></body></html>", "/robots.txt": b"User-agent: *\nAllow: /\n"}

    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path, b"")
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/plain" if "robots" in self.path else "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_port
    tools = FETCH.replace("[https]", "[http]").replace("'docs.example.org' && !args.url.is_private", "'127.0.0.1'")
    place = Place(tmp_path / "p", "fetch_private", tools)
    grant = f'server:\n  network: [{{to: "127.0.0.1:{port}", tls: false}}]\n'
    place.spec.write_text(place.spec.read_text().replace("server:\n", grant))
    place.pin()

    async def work() -> None:
        async with place.gateway() as client:
            failed, text = await said(client, "fetch", url=f"http://127.0.0.1:{port}/")
            assert "granted page" in text, text
            assert not failed

    run(work())
    server.shutdown()
    server.server_close()
    outcome = next(record["body"] for record in place.records() if record["kind"] == "outcome")
    assert {each["path"] for each in outcome["requests"]} <= set(pages)


SHOP = """\
  read_query:
    args: {query: {type: string, max_size: 500}}
    rules:
      - {id: customers, deny: "args.query.contains('customers')"}
      - {id: select, allow: "args.query.startsWith('SELECT ')"}
  write_query:
    args: {query: {type: string, max_size: 500}}
    rules: [{id: orders, allow: "args.query.startsWith('INSERT INTO orders ')"}]
"""


def test_the_sqlite_server_runs_the_queries_that_the_spec_allows(tmp_path: Path) -> None:
    import sqlite3

    place = Place(tmp_path / "p", "sqlite", SHOP)
    with sqlite3.connect(place.workspace / "shop.db") as database:
        database.execute("CREATE TABLE orders (id INTEGER)")
        database.execute("CREATE TABLE customers (name TEXT)")
    place.pin()

    async def work() -> None:
        async with place.gateway() as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            assert tools == ["read_query", "write_query"]
            assert (await said(client, "write_query", query="INSERT INTO orders VALUES (7)"))[0] is False
            assert "7" in (await said(client, "read_query", query="SELECT id FROM orders"))[1]
            for tool, query in (("read_query", "SELECT * FROM customers"), ("write_query", "DROP TABLE orders")):
                failed, text = await said(client, tool, query=query)
                assert failed
                assert text.startswith("denied (")

    run(work())
    with sqlite3.connect(place.workspace / "shop.db") as database:
        assert database.execute("SELECT id FROM orders").fetchall() == [(7,)]


MEMO = """\
  append_insight:
    args: {insight: {type: string, max_size: 200}}
    rules: [{id: all, allow: true}]
  memo:
    description: Read the memo of insights.
    args: {uri: {type: string, max_size: 100}}
    rules: [{id: insights, allow: "args.uri == 'memo://insights'"}]
  demo:
    description: A demonstration on a topic.
    args: {topic: {type: string, max_size: 40}}
    rules: [{id: harmless, allow: "!(args.topic.contains('people'))", reason: nothing about people}]
"""
OFFERED = "  resources: memo\n  prompts: {demo: mcp-demo}\n"


async def look(client: Client) -> None:
    """What the spec grants of the sqlite server's resources and prompts, and nothing else."""
    assert [tool.name for tool in (await client.list_tools()).tools] == ["append_insight"]
    (resource,) = (await client.list_resources()).resources
    assert (str(resource.uri), resource.mime_type) == ("memo://insights", "text/plain")
    assert (await client.list_resource_templates()).resource_templates == []
    (prompt,) = (await client.list_prompts()).prompts
    assert (prompt.name, prompt.description) == ("mcp-demo", "A demonstration on a topic.")
    assert [(each.name, each.required) for each in prompt.arguments] == [("topic", True)]
    (memo,) = (await client.read_resource("memo://insights")).contents
    assert str(memo.uri) == "memo://insights"
    assert "insights" in memo.text
    (message,) = (await client.get_prompt("mcp-demo", {"topic": "honey"})).messages
    assert message.role == "user"
    assert "honey" in message.content.text
    for asked in (
        client.read_resource("memo://secrets"),
        client.get_prompt("mcp-demo", {"topic": "people"}),
        client.get_prompt("mcp-demo", {}),
    ):
        with pytest.raises(MCPError, match=r"denied \((default_deny|parse)"):
            await asked
    with pytest.raises(MCPError, match="no such prompt"):
        await client.get_prompt("demo", {"topic": "honey"})
    failed, text = await said(client, "memo", uri="memo://insights")
    assert failed
    assert "mcp.channel" in text


@pytest.mark.parametrize("mode", MODES)
def test_the_sqlite_servers_memo_and_demonstration_are_there_where_they_are_granted(tmp_path: Path, mode: Mode) -> None:
    place = Place(tmp_path / "p", "sqlite", MEMO, offers=OFFERED)
    place.pin()
    pins = json.loads(place.spec.with_suffix(".pins.json").read_text())
    assert ([*pins["prompts"]], [*pins["resources"]]) == (["mcp-demo"], ["memo://insights"])

    async def work() -> None:
        async with place.gateway(mode) as client:
            await look(client)
            assert (await said(client, "append_insight", insight="Bees are busy."))[0] is False
            (memo,) = (await client.read_resource("memo://insights")).contents
            assert "Bees are busy." in memo.text

    run(work())
    read = [record["body"] for record in place.records() if record["kind"] == "outcome"]
    assert [body["status"] for body in read] == ["ok"] * 4
    refused = [record["body"]["reason_code"] for record in place.records() if record["kind"] == "denied"]
    assert refused == ["default_deny", "default_deny", "parse.missing_argument", "mcp.channel"]


def test_the_sqlite_servers_memo_and_demonstration_over_local_http(tmp_path: Path) -> None:
    place = Place(tmp_path / "p", "sqlite", MEMO, offers=OFFERED)
    place.pin()
    with over_http(place, tmp_path / "token") as client:
        for mode in MODES:
            run(client(mode, look))


# --- every server


@pytest.mark.parametrize("server", sorted(WORDS))
def test_a_server_is_the_same_when_it_is_started_again(tmp_path: Path, server: str) -> None:
    place = repository(tmp_path / "p", server) if "git" in server else notes(tmp_path / "p", server)
    program = [
        sys.executable,
        "-m",
        "sandbox",
        "mcp",
        "pin",
        "--check",
        "--spec",
        str(place.spec),
        "--",
        *WORDS[server],
    ]
    done = subprocess.run(program, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr


def test_over_local_http_the_official_client_needs_the_token(tmp_path: Path) -> None:
    place = Place(tmp_path / "p", "time", TIME)
    place.pin()

    async def work(client: Client) -> None:
        assert len((await client.list_tools()).tools) == 2
        assert '"timezone": "UTC"' in (await said(client, "get_current_time", timezone="UTC"))[1]

    with over_http(place, tmp_path / "token") as client:
        for mode in MODES:
            run(client(mode, work))
