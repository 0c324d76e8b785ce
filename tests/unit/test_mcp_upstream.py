"""The conversation with a real server that may be hostile: what is believed of it, and what ends it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox.ir import Json
from sandbox.mcp.upstream import MAX_MESSAGES, ServerLost, ServerRefused, Upstream
from tests.mcpkit import ScriptedChannel, line

Answers = Callable[[dict[str, Json]], list[bytes | None]]
TOOLS: list[Json] = [{"name": "echo", "inputSchema": {}}]


def result(message: dict[str, Json], value: Json) -> bytes:
    return line({"jsonrpc": "2.0", "id": message["id"], "result": value})


def well_behaved(message: dict[str, Json]) -> list[bytes | None]:
    match message["method"]:
        case "initialize":
            hello: Json = {"protocolVersion": "2025-11-25", "serverInfo": {"name": "small", "version": "1"}}
            return [result(message, hello)]
        case "tools/list":
            return [result(message, {"tools": TOOLS})]
        case "tools/call":
            return [result(message, {"content": []})]
        case _:
            return []


def opened(call: Answers = well_behaved, limit: int = 10_000) -> tuple[Upstream, ScriptedChannel]:
    """A conversation that has begun; `call` is how the server answers tool calls."""
    channel = ScriptedChannel(
        lambda message: call(message) if message["method"] == "tools/call" else well_behaved(message)
    )
    upstream = Upstream(channel, limit)
    upstream.open(0)
    return upstream, channel


def test_a_server_begins_lists_and_answers() -> None:
    upstream, channel = opened()
    assert upstream.server == "small 1"
    assert list(upstream.list_all(0).tools) == ["echo"]
    assert upstream.ask("tools/call", {"name": "echo", "arguments": {"a": "b"}}, 0) == {"content": []}
    assert [message["method"] for message in channel.sent] == [
        "initialize", "notifications/initialized", "tools/list", "tools/call",
    ]  # fmt: skip
    assert channel.sent[0]["params"]["capabilities"] == {}


def test_a_server_that_knows_only_the_new_way_is_asked_in_it() -> None:
    def answer(message: dict[str, Json]) -> list[bytes | None]:
        if message["method"] == "initialize":
            return [line({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32022, "message": "no"}})]
        if message["method"] == "server/discover":
            named: Json = {"io.modelcontextprotocol/serverInfo": {"name": "new", "version": "2"}}
            told: Json = {"supportedVersions": ["2026-07-28"], "capabilities": {"prompts": {}}, "_meta": named}
            return [result(message, told)]
        if message["method"] == "prompts/list":
            return [result(message, {"resultType": "complete", "prompts": [{"name": "a"}]})]
        return well_behaved(message)

    channel = ScriptedChannel(answer)
    upstream = Upstream(channel, 10_000)
    upstream.open(0)
    listed = upstream.list_all(0, prompts=True, resources=True)
    assert (list(listed.tools), list(listed.prompts), listed.resources) == (["echo"], ["a"], {})
    assert upstream.server == "new 2"
    versions = [m["params"].get("_meta", {}).get("io.modelcontextprotocol/protocolVersion") for m in channel.sent]
    assert versions == [None, "2026-07-28", "2026-07-28", "2026-07-28"]


def lost(call: Answers, limit: int = 10_000) -> tuple[str, str]:
    upstream, _ = opened(call, limit)
    with pytest.raises(ServerLost) as loss:
        upstream.ask("tools/call", {"name": "echo", "arguments": {}}, 0)
    return loss.value.reason_code, str(loss.value)


NOT_ASKED = "the server answered what it was not asked"
NO_MESSAGE = "the server sent what is no message: "
TOO_MUCH = "the server sent more than 10000 bytes for one request"
LATE = "the server did not answer in time"
TWICE = b'{"jsonrpc":"2.0","id":2,"result":{"a":1,"a":2}}\n'
BATCH = line([{"jsonrpc": "2.0", "id": 2, "result": {}}])


@pytest.mark.parametrize(
    ("answer", "code", "reason"),
    [
        (lambda m: [result({"id": m["id"] - 1}, {})], "mcp.protocol", NOT_ASKED),
        (lambda m: [result({"id": m["id"] + 1}, {}), result(m, {})], "mcp.protocol", NOT_ASKED),
        (lambda m: [result({"id": str(m["id"])}, {})], "mcp.protocol", NOT_ASKED),
        (lambda m: [result({"id": None}, {})], "mcp.protocol", NOT_ASKED),
        (lambda _: [BATCH], "mcp.protocol", f"{NO_MESSAGE}a batch is not accepted"),
        (lambda _: [TWICE], "mcp.protocol", f"{NO_MESSAGE}parse.duplicate_key"),
        (lambda _: [b'{"jsonrpc":"2.0"\n'], "mcp.protocol", f"{NO_MESSAGE}parse.json"),
        (lambda _: [None], "mcp.server_gone", "the server ended"),
        (lambda _: [b'{"jsonrpc":"2.0","id":3', None], "mcp.server_gone", "the server ended"),
        (lambda _: [], "limit.time", LATE),
        (lambda _: [b"\x1b[2J garbage\n", "late"], "limit.time", LATE),
        (lambda _: [b"x" * 20_000], "limit.output", TOO_MUCH),
        (lambda _: [b"\n" * 9_000] * 5_000, "limit.output", TOO_MUCH),
    ],
)
def test_a_server_that_does_not_keep_to_the_protocol_is_lost(answer: Answers, code: str, reason: str) -> None:
    found = lost(answer)
    assert found[0] == code
    assert found[1].startswith(reason)


def test_a_flood_of_messages_ends_the_conversation() -> None:
    note = line({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}})
    code, reason = lost(lambda m: [note] * (MAX_MESSAGES + 1), limit=10_000_000)
    assert (code, reason) == ("limit.output", "the server sent more than 1000 messages for one request")


def test_what_a_server_greets_with_is_no_message_and_no_harm() -> None:
    upstream, _ = opened(lambda m: [b"Server ready!\n", result(m, {"content": []})])
    assert upstream.ask("tools/call", {"name": "echo", "arguments": {}}, 0) == {"content": []}


@pytest.mark.parametrize("method", ["sampling/createMessage", "elicitation/create", "roots/list", "x/y"])
def test_what_a_server_asks_for_is_refused(method: str) -> None:
    asked = line({"jsonrpc": "2.0", "id": 3, "method": method, "params": {}})
    upstream, channel = opened(lambda m: [asked, result(m, {"content": []})])

    def quiet(message: dict[str, Json]) -> list[bytes | None]:
        return [] if "method" not in message else [asked, result(message, {"content": []})]

    channel._answer = quiet
    assert upstream.ask("tools/call", {"name": "echo", "arguments": {}}, 0) == {"content": []}
    assert channel.sent[-1] == {"jsonrpc": "2.0", "id": 3, "error": {"code": -32601, "message": "not granted"}}


def test_an_error_is_the_servers_refusal() -> None:
    upstream, _ = opened(lambda m: [line({"jsonrpc": "2.0", "id": m["id"], "error": {"code": 7, "message": "no"}})])
    with pytest.raises(ServerRefused, match="no"):
        upstream.ask("tools/call", {"name": "echo", "arguments": {}}, 0)


def test_a_changed_list_is_noticed_before_the_next_call() -> None:
    upstream, channel = opened()
    upstream.drain()
    assert not upstream.changed
    channel.unasked(line({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}))
    upstream.drain()
    assert upstream.changed
    upstream.list_all(0)
    assert not upstream.changed


def test_an_answer_that_nobody_waits_for_ends_the_conversation() -> None:
    upstream, channel = opened()
    channel.unasked(result({"id": 9}, {}))
    with pytest.raises(ServerLost, match="not asked"):
        upstream.drain()


@pytest.mark.parametrize(
    "pages",
    [
        [{"tools": [{"name": "a"}, {"name": "a"}]}],
        [{"tools": [{"name": "a"}], "nextCursor": "1"}, {"tools": [{"name": "a"}]}],
        [{"tools": [{"title": "a"}]}],
        [{"tools": None}],
        [[]],
        [{"tools": [], "nextCursor": "1"}] * 40,
        [{"tools": [{"name": f"t{n}"} for n in range(600)]}],
    ],
)
def test_a_list_of_tools_that_cannot_be_used_ends_the_conversation(pages: list[Json]) -> None:
    left = iter(pages)
    channel = ScriptedChannel(lambda m: [result(m, next(left))] if m["method"] == "tools/list" else well_behaved(m))
    upstream = Upstream(channel, 100_000)
    upstream.open(0)
    with pytest.raises(ServerLost):
        upstream.list_all(0)


OTHERS = {"prompts/list": "prompts", "resources/list": "resources", "resources/templates/list": "resourceTemplates"}


def lists(pages: Callable[[str, str | None], Json]) -> Upstream:
    """A conversation with a server whose lists, beside that of tools, are `pages(method, cursor)`; None: no method."""

    def answer(message: dict[str, Json]) -> list[bytes | None]:
        if message["method"] == "initialize":
            told: Json = {"prompts": {}, "resources": {"subscribe": True}}
            return [result(message, {"protocolVersion": "2025-11-25", "capabilities": told})]
        if message["method"] not in OTHERS:
            return well_behaved(message)
        page = pages(message["method"], message["params"].get("cursor"))
        if page is None:
            error: Json = {"code": -32601, "message": "no such method"}
            return [line({"jsonrpc": "2.0", "id": message["id"], "error": error})]
        return [result(message, page)]

    upstream = Upstream(ScriptedChannel(answer), 1_000_000)
    upstream.open(0)
    return upstream


def test_what_is_not_granted_is_not_asked_for() -> None:
    upstream, channel = opened()
    upstream.list_all(0)
    assert {message["method"] for message in channel.sent} & set(OTHERS) == set()


@pytest.mark.parametrize(
    "told", [None, {}, {"prompts": True}, {"prompts": None, "tools": {}}, [{"prompts": {}}], "prompts"]
)
def test_what_the_server_says_it_has_not_is_not_asked_for_either(told: Json) -> None:
    def answer(message: dict[str, Json]) -> list[bytes | None]:
        if message["method"] == "initialize":
            return [result(message, {"protocolVersion": "2025-11-25", "capabilities": told})]
        return well_behaved(message)

    channel = ScriptedChannel(answer)
    upstream = Upstream(channel, 10_000)
    upstream.open(0)
    upstream.list_all(0, prompts=True, resources=True)
    assert {message["method"] for message in channel.sent} & set(OTHERS) == set()


def test_lists_of_a_kind_that_the_server_does_not_have_are_empty() -> None:
    found = lists(lambda _method, _cursor: None).list_all(0, prompts=True, resources=True)
    assert (list(found.tools), found.prompts, found.resources, found.templates) == (["echo"], {}, {}, {})


def test_each_list_is_told_apart_by_what_it_is_of() -> None:
    pages: dict[str, Json] = {
        "prompts/list": {"prompts": [{"name": "a"}]},
        "resources/list": {"resources": [{"uri": "memo://a", "name": "a"}, {"uri": "memo://b", "name": "a"}]},
        "resources/templates/list": {"resourceTemplates": [{"uriTemplate": "memo://{x}", "name": "a"}]},
    }
    found = lists(lambda method, _: pages[method]).list_all(0, prompts=True, resources=True)
    assert list(found.prompts) == ["a"]
    assert list(found.resources) == ["memo://a", "memo://b"]
    assert list(found.templates) == ["memo://{x}"]


@pytest.mark.parametrize(
    ("method", "page"),
    [
        ("prompts/list", {"prompts": [{"name": "a"}, {"name": "a"}]}),
        ("prompts/list", {"prompts": [{"name": f"p{n}"} for n in range(300)]}),
        ("prompts/list", {"prompts": [{"title": "a"}]}),
        ("resources/list", {"resources": [{"name": "a"}]}),
        ("resources/list", {"resources": [{"uri": "memo://a"}, {"uri": "memo://a"}]}),
        ("resources/list", {"resources": "memo://a"}),
        ("resources/templates/list", {"resourceTemplates": [{"uri": "memo://a"}]}),
        ("resources/list", {"resources": [], "nextCursor": "again"}),
        ("prompts/list", {"prompts": [], "nextCursor": {"never": "ends"}}),
    ],
)
def test_a_list_that_cannot_be_used_or_never_ends_is_the_end(method: str, page: Json) -> None:
    upstream = lists(lambda asked, _: page if asked == method else {OTHERS[asked]: []})
    with pytest.raises(ServerLost) as loss:
        upstream.list_all(0, prompts=True, resources=True)
    assert loss.value.reason_code == "mcp.protocol"


def test_of_more_resources_than_can_be_pinned_the_first_are_listed() -> None:
    many: list[Json] = [{"uri": f"memo://{n}"} for n in range(300)]
    upstream = lists(lambda method, _: {OTHERS[method]: many if method == "resources/list" else []})
    assert list(upstream.list_all(0, resources=True).resources) == [f"memo://{n}" for n in range(256)]


@pytest.mark.parametrize("kind", ["tools", "prompts", "resources"])
def test_any_list_that_changed_is_noticed(kind: str) -> None:
    upstream, channel = opened()
    channel.unasked(line({"jsonrpc": "2.0", "method": f"notifications/{kind}/list_changed"}))
    upstream.drain()
    assert upstream.changed


def test_pages_are_joined() -> None:
    def answer(message: dict[str, Json]) -> list[bytes | None]:
        if message["method"] != "tools/list":
            return well_behaved(message)
        second = message["params"].get("cursor") == "2"
        return [
            result(message, {"tools": [{"name": "b"}]} if second else {"tools": [{"name": "a"}], "nextCursor": "2"})
        ]

    upstream = Upstream(ScriptedChannel(answer), 10_000)
    upstream.open(0)
    assert sorted(upstream.list_all(0).tools) == ["a", "b"]


@pytest.mark.parametrize("version", ["2099-01-01", None])
def test_a_server_of_an_unknown_version_is_not_spoken_to(version: Json) -> None:
    upstream = Upstream(ScriptedChannel(lambda m: [result(m, {"protocolVersion": version})]), 10_000)
    with pytest.raises(ServerLost, match="speaks no version"):
        upstream.open(0)
