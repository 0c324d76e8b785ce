"""What the host says of a call's values, by the one way of every adapter: asked for each call, in canonical form."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
from gatekit import SpyRunner, kinds, open_gate, spec_file

from sandbox.adapters.front import Front, fronts
from sandbox.adapters.langchain import wrap
from sandbox.adapters.origins import Saying, said_origins
from sandbox.adapters.ticket import read_answer
from sandbox.call import Outcome
from sandbox.decorator import sandboxed
from sandbox.errors import ApprovalNeeded, Denied, UsageError
from sandbox.gate import Gate
from sandbox.ir import Json
from sandbox.mcp.gateway import Gateway

SPEC = """\
sandbox: 1
name: mail
tools:
  read:
    args: {}
    returns: {body: {origin: web}}
    rules: [{id: any, allow: true}]
    run: {tool: "tools.payments:send_money"}
  send:
    args: {to: {type: email}, n: {type: int, optional: true}}
    rules:
      - {id: web, deny: "'web' in origin(args.to)"}
      - {id: mine, allow: "'user' in origin(args.to) && !('unknown' in origin(args.to))"}
      - {id: people, ask: "'unknown' in origin(args.to)", approvers: 1}
    run: {tool: "tools.payments:send_money"}
"""
SAID = {"ann@example.org": "user", "eve@example.org": ["web", "user"]}


def labels(tool: str, arguments: Mapping[str, Json]) -> dict[str, object]:
    return {"to": SAID.get(str(arguments["to"]), "unknown")} if tool == "send" else {}


def send(gate: Gate, source: object) -> Front:
    return next(front for front in fronts(gate, source) if front.name == "send")


@pytest.mark.parametrize("as_text", [True, False])
def test_the_host_is_asked_for_every_call_with_canonical_arguments(tmp_path: Path, as_text: bool) -> None:
    asked: list[object] = []

    def source(tool: str, arguments: Mapping[str, Json]) -> dict[str, object]:
        asked.append((tool, dict(arguments)))
        return labels(tool, arguments)

    runner = SpyRunner()
    with open_gate(tmp_path, text=SPEC, runner=runner) as gate:
        front = send(gate, Saying(source))
        for to, status in [("ann@EXAMPLE.org", "ok"), ("eve@example.org", "denied"), ("bob@example.org", "waiting")]:
            arguments = {"to": to}
            assert front.call(json.dumps(arguments) if as_text else arguments).status == status
            assert asyncio.run(front.acall(json.dumps(arguments) if as_text else arguments)).status == status
    assert asked[0] == ("send", {"to": "ann@example.org"})
    assert len(runner.permits) == 2
    assert runner.permits[0].call.told_origins() == {"to": ("user",)}


def test_what_cannot_be_read_is_not_asked_about(tmp_path: Path) -> None:
    def source(tool: str, arguments: Mapping[str, Json]) -> dict[str, object]:
        raise AssertionError

    with open_gate(tmp_path, text=SPEC) as gate:
        front = send(gate, Saying(source))
        for arguments in ("", "[]", '{"to": 1}', '{"to": "a@b.example", "to": "c@d.example"}', {"to": "no"}):
            assert front.call(arguments).status == "denied"


def test_a_host_that_fails_lets_nothing_run(tmp_path: Path) -> None:
    def source(tool: str, arguments: Mapping[str, Json]) -> dict[str, object]:
        raise LookupError(tool)

    runner = SpyRunner()
    with open_gate(tmp_path, text=SPEC, runner=runner) as gate:
        front = send(gate, Saying(source))
        with pytest.raises(LookupError):
            front.call({"to": "ann@example.org"})
        with pytest.raises(UsageError, match="`who` is no origin of `mail`"):
            send(gate, Saying(lambda *_: {"to": "who"})).call({"to": "ann@example.org"})
        told = send(gate, Saying(lambda *_: {"too": "user"})).call({"to": "ann@example.org"})
    assert "origin.wrong" in told.text
    assert runner.permits == []


@pytest.mark.parametrize(
    "said", [None, "user", ["to"], {"to": None}, {"to": 7}, {"to": ["user", 7]}, {"to": {"user": False}}, {7: "user"}]
)
def test_what_is_no_answer_of_the_host_lets_nothing_run(tmp_path: Path, said: object) -> None:
    """Nothing to say is `{}`; a source that forgets to return has not said that."""
    runner = SpyRunner()
    with open_gate(tmp_path, text=SPEC, runner=runner) as gate:
        gate.learn(["ann@example.org"], "user")
        front = send(gate, Saying(lambda *_: said))
        for run in (front.call, lambda arguments: asyncio.run(front.acall(arguments))):
            with pytest.raises(UsageError, match="told as") as refused:
                run({"to": "ann@example.org"})
            assert refused.value.reason_code == "origin.wrong"
        with contextlib.suppress(UsageError):
            assert front.ticket({"to": "bob@example.org"}) is None
    assert runner.permits == []


def test_facts_are_still_those_of_the_session(tmp_path: Path) -> None:
    text = SPEC.replace("name: mail", "name: mail\nsession: {principal: {type: string}}").replace(
        "\"'user' in origin(args.to)", "\"session.principal == 'ann' && 'user' in origin(args.to)"
    )
    with open_gate(tmp_path, text=text) as gate:
        known = send(gate, Saying(labels, lambda: {"principal": "ann"}))
        assert known.call({"to": "ann@example.org"}).status == "ok"
        other = send(gate, Saying(labels, {"principal": "eve"}))
        assert other.call({"to": "ann@example.org"}).status == "denied"


def test_a_resumed_call_is_the_same_only_with_the_same_origins(tmp_path: Path) -> None:
    said = {"to": "unknown"}
    runner = SpyRunner()
    with open_gate(tmp_path, text=SPEC, runner=runner) as gate:
        front = send(gate, Saying(lambda *_: dict(said)))
        arguments = {"to": "bob@example.org"}
        ticket = front.ticket(arguments)
        assert ticket is not None
        assert ticket.origins == {"to": ("unknown",)}
        answered = read_answer(ticket.answer(approved_by=["ann"]))
        said["to"] = "web"
        assert front.call(arguments, answered).status == "denied"
        said["to"] = "unknown"
        assert front.call(arguments, answered).status == "ok"
    assert len(runner.permits) == 1


def test_a_frameworks_own_tools_ask_the_host_too(tmp_path: Path) -> None:
    runner = SpyRunner(lambda _: Outcome("ok", "ok", "", result={"body": "mal@evil.example"}))
    with open_gate(tmp_path, text=SPEC, runner=runner) as gate:
        read, tool = wrap(gate, session=Saying(labels, {"id": "one"}))
        call = {"name": "send", "args": {"to": "ann@example.org"}, "id": "1", "type": "tool_call"}
        assert tool.invoke(call).status == "success"
        read.invoke({"name": "read", "args": {}, "id": "2", "type": "tool_call"})
        found = tool.invoke({**call, "args": {"to": "mal@evil.example"}})  # learned from what `read` returned
        assert (found.status, "`web`" in found.content) == ("error", True)
        gate.learn(["carl@example.org"], "user", {"id": "one"})
        unsaid = next(each for each in wrap(gate, session={"id": "one"}) if each.name == "send")
        assert unsaid.invoke({**call, "args": {"to": "carl@example.org"}}).status == "success"
    assert kinds(tmp_path).count("denied") == 1


def test_only_a_saying_says_anything(tmp_path: Path) -> None:
    raw = {"tool": "send", "args": {"to": "ann@example.org"}}
    with open_gate(tmp_path, text=SPEC) as gate:
        for source in (None, {}, dict):
            assert said_origins(gate, source, raw) is None
        assert said_origins(gate, Saying(labels), raw) == {"to": "user"}


HOST = SPEC.replace('run: {tool: "tools.payments:send_money"}', "run: {host: a test}")


KINDS = ("function", "generator", "coroutine", "async generator")


def decorated(gate: Gate, source: object, kind: str, ran: list[str]) -> Callable[[str], object]:
    """The tool as one of the kinds of function that the decorator takes."""
    mark = sandboxed(gate, tool="send", session=source)

    def send(to: str, n: int = 1) -> list[str]:
        ran.append(to)
        return [to]

    def items(to: str, n: int = 1) -> Iterator[str]:
        ran.append(to)
        yield to

    async def asend(to: str, n: int = 1) -> list[str]:
        ran.append(to)
        return [to]

    async def aitems(to: str, n: int = 1) -> AsyncIterator[str]:
        ran.append(to)
        yield to

    match kind:
        case "function":
            return mark(send)
        case "generator":
            made = mark(items)
            return lambda to: list(made(to))
        case "coroutine":
            awaited = mark(asend)
            return lambda to: asyncio.run(awaited(to))
        case _:
            source_of = mark(aitems)

    async def every(to: str) -> list[str]:
        return [item async for item in source_of(to)]

    return lambda to: asyncio.run(every(to))


@pytest.mark.parametrize("kind", KINDS)
def test_a_decorated_tool_is_told_where_its_values_come_from(tmp_path: Path, kind: str) -> None:
    ran: list[str] = []

    def source(tool: str, arguments: Mapping[str, Json]) -> object:
        return None if arguments["to"] == "nobody@example.org" else labels(tool, arguments)

    with Gate.open(spec_file(tmp_path, HOST)) as gate:
        gate.attach("read", list)
        run = decorated(gate, Saying(source), kind, ran)
        assert run("ann@example.org") == ["ann@example.org"]
        with pytest.raises(Denied):
            run("eve@example.org")
        with pytest.raises(ApprovalNeeded):
            run("bob@example.org")
        with pytest.raises(UsageError, match="told as"):
            run("nobody@example.org")
    assert ran == ["ann@example.org"]


def test_a_gateway_is_told_no_origins(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=SPEC) as gate, pytest.raises(UsageError, match="learns origins from results alone"):
        Gateway(gate, None, Saying(labels))
