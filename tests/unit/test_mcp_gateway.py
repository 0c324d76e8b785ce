"""What a client of the gateway is answered; the real server is played by a runner that runs nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.approve import Approval, ApprovalRequest, Refused, ScriptedApprover
from sandbox.call import Outcome
from sandbox.errors import EnvironmentLacking
from sandbox.gate import Gate
from sandbox.ir import Json, Tool
from sandbox.mcp.beginning import Client
from sandbox.mcp.gateway import Gateway
from sandbox.mcp.stdio import MAX_IN_FLIGHT, StdioServer
from sandbox.mcp.wire import Request, read_message
from tests.gatekit import SpyRunner, digest_of, records, spec_file
from tests.mcpkit import OK, SPEC, call, initialize, line, modern, request

WITH_OWN = SPEC + "  own:\n    rules: [{id: all, allow: true}]\n    run: {tool: 'tools.python:run_code'}\n"


class Served(SpyRunner):
    """A session of a real server whose `unreviewed` tools are not as they were pinned."""

    unreviewed: frozenset[str] = frozenset()

    def is_as_reviewed(self, tool: str) -> bool:
        return tool not in self.unreviewed

    def prepare(self, contract: object, tool: Tool) -> object:
        if tool.name in self.unreviewed:
            message = "not as reviewed"
            raise EnvironmentLacking(message, "mcp.changed")
        return super().prepare(contract, tool)


def open_gate(folder: Path, server: Served, *, text: str = SPEC, **settings: object) -> Gate:
    spec = spec_file(folder, text)
    digest = digest_of(spec)
    return Gate.open(spec, runner=SpyRunner(), server=server, engine="evaluator", proved_digest=digest, **settings)


@pytest.fixture
def served() -> Served:
    return Served(lambda _: OK)


@pytest.fixture
def gateway(tmp_path: Path, served: Served) -> Iterator[Gateway]:
    with open_gate(tmp_path, served) as gate:
        yield Gateway(gate, served)


def ask(gateway: Gateway, client: Client, message: dict[str, Json]) -> dict[str, Json]:
    asked = read_message(line(message))
    assert isinstance(asked, Request)
    answer = json.loads(gateway.answer(client, asked))
    assert answer["id"] == message["id"]
    return answer


def begun(gateway: Gateway) -> Client:
    client = Client()
    ask(gateway, client, initialize())
    return client


def text_of(answer: dict[str, Json]) -> str:
    assert answer["result"]["isError"]
    return answer["result"]["content"][0]["text"]


# --- how a connection begins


@pytest.mark.parametrize(
    ("asked", "answered"), [("2025-11-25", "2025-11-25"), ("2025-06-18", "2025-06-18"), ("2024-11-05", "2025-11-25")]
)
def test_a_known_version_is_agreed_and_else_ours_is_offered(gateway: Gateway, asked: str, answered: str) -> None:
    result = ask(gateway, Client(), initialize(asked))["result"]
    assert result == {
        "protocolVersion": answered,
        "capabilities": {"tools": {"listChanged": False}},
        "serverInfo": {"name": "sandbox", "version": "1"},
    }


def test_nothing_is_answered_before_initialize(gateway: Gateway) -> None:
    assert ask(gateway, Client(), request("tools/list"))["error"]["message"] == "send `initialize` first"
    assert ask(gateway, Client(), call("echo", text="a"))["error"]["code"] == -32600
    assert ask(gateway, Client(), request("ping"))["result"] == {}


def test_a_connection_is_initialized_once(gateway: Gateway) -> None:
    assert ask(gateway, begun(gateway), initialize())["error"]["message"] == "this connection is initialized already"


def test_in_the_new_version_every_request_says_what_it_speaks(gateway: Gateway) -> None:
    client = Client()
    found = ask(gateway, client, modern(request("server/discover")))["result"]
    assert found["supportedVersions"] == ["2026-07-28"]
    assert (found["resultType"], found["ttlMs"], found["cacheScope"]) == ("complete", 0, "private")
    listed = ask(gateway, client, modern(request("tools/list")))["result"]
    assert [tool["name"] for tool in listed["tools"]] == ["echo", "add"]
    assert ask(gateway, client, modern(call("echo", text="a")))["result"]["resultType"] == "complete"
    assert ask(gateway, client, request("tools/list"))["error"]["code"] == -32602
    assert ask(gateway, client, initialize())["error"]["code"] == -32022


def test_a_connection_does_not_change_its_way(gateway: Gateway) -> None:
    error = ask(gateway, begun(gateway), modern(request("tools/list")))["error"]
    assert error["message"] == "this connection began with `initialize`; leave the version out"


def test_an_unknown_version_is_told_which_there_are(gateway: Gateway) -> None:
    message = modern(request("tools/list"))
    message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2099-01-01"
    error = ask(gateway, Client(), message)["error"]
    assert error["code"] == -32022
    assert error["data"] == {"supported": ["2026-07-28"], "requested": "2099-01-01"}


# --- what is offered


def test_tools_are_listed_with_what_the_spec_says(gateway: Gateway) -> None:
    echo, add = ask(gateway, begun(gateway), request("tools/list"))["result"]["tools"]
    assert (echo["name"], echo["description"]) == ("echo", "Say it again.")
    assert echo["inputSchema"]["properties"]["times"] == {"type": "integer", "minimum": 1, "maximum": 9}
    assert add["description"] == "add"


def test_a_tool_that_is_not_as_reviewed_is_not_listed_and_a_call_of_it_is_denied_on_record(
    gateway: Gateway, served: Served, tmp_path: Path
) -> None:
    served.unreviewed = frozenset({"echo"})
    client = begun(gateway)
    assert [tool["name"] for tool in ask(gateway, client, request("tools/list"))["result"]["tools"]] == ["add"]
    assert text_of(ask(gateway, client, call("echo", text="a"))).startswith("denied (mcp.changed): not as reviewed.")
    assert served.permits == []
    assert records(tmp_path)[-1]["body"]["reason_code"] == "mcp.changed"


@pytest.mark.parametrize(
    "method",
    ["resources/list", "resources/read", "resources/subscribe", "resources/templates/list", "prompts/list",
     "prompts/get", "completion/complete", "logging/setLevel", "tasks/list", "subscriptions/listen",
     "sampling/createMessage", "elicitation/create", "roots/list", "server/discover", "tools/pin", ""],
)  # fmt: skip
def test_nothing_else_is_offered(gateway: Gateway, method: str) -> None:
    assert ask(gateway, begun(gateway), request(method))["error"]["code"] == -32601


# --- calls


def test_an_allowed_call_reaches_the_server_as_the_canonical_value(gateway: Gateway, served: Served) -> None:
    result = ask(gateway, begun(gateway), call("echo", text="a", times=2))["result"]
    assert result == {"content": [{"type": "text", "text": "done"}], "isError": False}
    assert served.calls == [{"args": {"text": "a", "times": 2}, "tool": "echo"}]


def test_the_receipt_names_the_isolation(gateway: Gateway, tmp_path: Path) -> None:
    ask(gateway, begun(gateway), call("echo", text="a"))
    assert records(tmp_path)[-1]["body"]["receipt"]["isolation"] == "session"


def test_digits_reach_the_gate_as_they_were_written(gateway: Gateway, served: Served) -> None:
    params = b'{"name":"add","arguments":{"a":0.10,"b":123456789012345678.25}}'
    raw = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%s}' % params
    client = begun(gateway)
    assert "result" in json.loads(gateway.answer(client, read_message(raw)))
    assert served.calls == [{"args": {"a": "0.10", "b": "123456789012345678.25"}, "tool": "add"}]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (call("echo", text="rude"), "denied (default_deny): no rule of `echo` allows this call."),
        (call("echo", text="a", times=7), "Allowed would be: `times` 5."),
        (call("echo", text="a", times="7"), "denied (parse.type)"),
        (call("echo", text="a", admin=True), "denied (parse.unknown_argument)"),
        (call("echo"), "denied (parse.missing_argument)"),
        (call("shell", command="id"), "denied (unknown_tool): unknown tool `shell`"),
        (call("ECHO", text="a"), "denied (unknown_tool)"),
        (call("echo", text="LOUD"), "not run: it waits for a person"),
    ],
)
def test_a_refusal_is_a_tool_result_that_says_why(
    gateway: Gateway, served: Served, message: dict[str, Json], words: str
) -> None:
    assert words in text_of(ask(gateway, begun(gateway), message))
    assert served.permits == []


@pytest.mark.parametrize(
    "params",
    [
        {"name": "echo", "arguments": {"text": "a"}, "task": {"ttl": 1}},
        {"name": "echo", "arguments": {"text": "a"}, "requestState": "x"},
        {"name": "echo", "arguments": {"text": "a"}, "approved": True},
        {"name": "echo", "arguments": [1]},
        {"name": "echo", "arguments": None},
        {"name": 1},
        {"arguments": {}},
    ],
)
def test_what_is_no_call_is_an_error_of_the_protocol(gateway: Gateway, served: Served, params: dict[str, Json]) -> None:
    answer = ask(gateway, begun(gateway), {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    assert answer["error"]["code"] == -32602
    assert served.permits == []


def test_a_person_who_was_named_when_the_gateway_started_can_approve(tmp_path: Path, served: Served) -> None:
    with open_gate(tmp_path, served, approver=ScriptedApprover("ada")) as gate:
        gateway = Gateway(gate, served)
        assert not ask(gateway, begun(gateway), call("echo", text="LOUD"))["result"]["isError"]
    assert served.permits[0].approved_by == ("ada",)


def test_while_a_person_thinks_other_calls_go_on(tmp_path: Path, served: Served) -> None:
    asked, answer = threading.Event(), threading.Event()

    class Thinking(ScriptedApprover):
        def review(self, request: ApprovalRequest) -> Approval | Refused:
            asked.set()
            assert answer.wait(30)
            return super().review(request)

    with open_gate(tmp_path, served, approver=Thinking("ada")) as gate:
        gateway = Gateway(gate, served, people=True)
        client = begun(gateway)
        waiting = threading.Thread(target=ask, args=(gateway, client, call("echo", 1, text="LOUD")))
        waiting.start()
        assert asked.wait(30)
        assert not ask(gateway, client, call("echo", 2, text="a"))["result"]["isError"]
        answer.set()
        waiting.join()
    assert [call["args"]["text"] for call in served.calls] == ["a", "LOUD"]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome("timeout", "limit.time", "the call took longer than 10 ms; the server was stopped"), "took longer"),
        (Outcome("sandbox_failure", "sandbox_failure.engine", "/host/path broke"), "(sandbox_failure.engine)"),
        (Outcome("sandbox_failure", "permit.expired", "late", started=False), "(permit.expired)"),
        (Outcome("error", "mcp.protocol", "it\x1b[2J broke the protocol"), r"it\u001b[2J broke"),
    ],
)
def test_what_went_wrong_is_told_in_one_line_and_never_more(
    tmp_path: Path, outcome: Outcome, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    served = Served(lambda _: outcome)
    with open_gate(tmp_path, served) as gate:
        gateway = Gateway(gate, served)
        text = text_of(ask(gateway, begun(gateway), call("echo", text="a")))
    assert words in text
    assert "/host/path" not in text
    assert "Traceback" not in text


def test_a_fault_of_ours_is_an_error_without_a_word_of_it(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        message = "secret path"
        raise RuntimeError(message)

    client = begun(gateway)
    monkeypatch.setattr(Gateway, "_list", fail)
    assert ask(gateway, client, request("tools/list"))["error"] == {"code": -32603, "message": "internal error"}


def test_the_servers_own_error_is_passed_on_as_an_error(tmp_path: Path) -> None:
    result: dict[str, Json] = {"content": [{"type": "text", "text": "no such note"}]}
    served = Served(lambda _: Outcome("error", "tool.error", "no such note", result=result))
    with open_gate(tmp_path, served) as gate:
        gateway = Gateway(gate, served)
        assert text_of(ask(gateway, begun(gateway), call("echo", text="a"))) == "no such note"


def test_without_a_real_server_only_tools_with_a_run_are_listed(tmp_path: Path, served: Served) -> None:
    with open_gate(tmp_path, served, text=WITH_OWN) as gate:
        gateway = Gateway(gate, None)
        tools = ask(gateway, begun(gateway), request("tools/list"))["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["own"]


# --- standard input and output


class Pipes:
    """A client that has written all of its lines, and reads what comes."""

    def __init__(self, *messages: object, raw: bytes = b"") -> None:
        self._input = [*(line(message) for message in messages), raw, b""]
        self.output: list[dict[str, Json]] = []

    def read(self) -> bytes:
        data = self._input.pop(0) if self._input else b""
        return data if data or not self._input else self.read()

    def write(self, data: bytes) -> None:
        self.output.append(json.loads(data))


def answerer(gateway: Gateway) -> Callable[[Request], bytes]:
    client = Client()
    return lambda request: gateway.answer(client, request)


def served_all(gateway: Gateway, *messages: object, raw: bytes = b"") -> dict[Json, dict[str, Json]]:
    pipes = Pipes(*messages, raw=raw)
    StdioServer(answerer(gateway), pipes.read, pipes.write).serve()
    return {answer["id"]: answer for answer in pipes.output}


def test_every_request_gets_one_answer_and_a_notification_none(gateway: Gateway) -> None:
    note: Json = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    answers = served_all(
        gateway, initialize(), note, request("tools/list", "x"), *(call("add", n, a=1, b=2) for n in range(1, 20))
    )
    assert set(answers) == {0, "x", *range(1, 20)}


TWICE = b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"add","arguments":{"a":1,"a":2,"b":1}}}\n'


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (
            b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"add","arguments":{"a":1,"a":2,"b":1}}}\n',
            -32700,
        ),
        (b'[{"jsonrpc":"2.0","id":5,"method":"ping"}]\n', -32600),
        (b'{"jsonrpc":"2.0","id":5,"method":"ping","params":"' + b"x" * 5_000_000 + b'"}\n', -32600),
        (b"\x00\xff garbage\n", -32700),
    ],
)
def test_hostile_lines_are_answered_without_an_id_and_run_nothing(
    gateway: Gateway, served: Served, raw: bytes, code: int
) -> None:
    answers = served_all(gateway, initialize(), raw=raw)
    assert answers[None]["error"]["code"] == code
    assert served.permits == []


def blocked(tmp_path: Path) -> tuple[Served, threading.Event, threading.Event]:
    """A server whose calls wait until they may go on."""
    entered, go_on = threading.Event(), threading.Event()

    def wait(_: object) -> Outcome:
        entered.set()
        assert go_on.wait(30)
        return OK

    return Served(wait), entered, go_on


def test_a_flood_is_refused_at_once_an_id_in_use_is_refused_and_a_cancelled_call_never_begins(tmp_path: Path) -> None:
    served, entered, go_on = blocked(tmp_path)
    messages = [
        initialize(),
        *(call("echo", n, text=f"t{n}") for n in range(1, 41)),
        call("echo", 3, text="again"),
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 30}},
    ]
    pipes = Pipes(*messages)
    with open_gate(tmp_path, served) as gate:
        server = StdioServer(answerer(Gateway(gate, served)), pipes.read, pipes.write)
        thread = threading.Thread(target=server.serve)
        thread.start()
        assert entered.wait(30)
        go_on_when_all_is_read(pipes, go_on)
        thread.join(60)
    busy = [answer["id"] for answer in pipes.output if answer.get("error", {}).get("code") == -32000]
    assert busy == list(range(MAX_IN_FLIGHT + 1, 41))
    assert [answer["error"]["message"] for answer in pipes.output if answer["id"] is None] == [
        "the `id` of a request that is not answered yet was used again"
    ]
    ran = {call["args"]["text"] for call in served.calls}
    assert ran == {f"t{n}" for n in range(1, MAX_IN_FLIGHT + 1)} - {"t30"}
    assert 30 not in [answer["id"] for answer in pipes.output]


def go_on_when_all_is_read(pipes: Pipes, go_on: threading.Event) -> None:
    """The reader never waits for a call: it takes everything while the first call still runs."""
    from tests.mcpkit import wait_for

    wait_for(lambda: not pipes._input)
    go_on.set()


def test_a_client_that_is_gone_gets_no_further_call_begun(tmp_path: Path) -> None:
    served, _, go_on = blocked(tmp_path)
    go_on.set()
    pipes = Pipes(initialize(), *(call("echo", n, text=f"t{n}") for n in range(1, 31)))

    def write(data: bytes) -> None:
        if b'"id":0' not in data:
            raise BrokenPipeError
        pipes.write(data)

    with open_gate(tmp_path, served) as gate:
        StdioServer(answerer(Gateway(gate, served)), pipes.read, write).serve()
    assert len(served.calls) < 10
