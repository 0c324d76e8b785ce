"""Whose budget a client of the gateway spends: that of its own session, and never a new one for every request."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sandbox.call import Permit
from sandbox.cli.mcp import session_facts
from sandbox.errors import UsageError
from sandbox.gate import Gate
from sandbox.mcp.sessions import CurrentServer, Sessions
from sandbox.mcp.wire import Request, read_message
from tests.gatekit import SpyRunner, digest_of, spec_file
from tests.mcpkit import OK, call, initialize, line, modern
from tests.unit.test_mcp_gateway import Served

SPEC = """\
sandbox: 1
name: gateway
session:
  id: {type: string, min_size: 1, max_size: 64}
  principal: {type: string, min_size: 1, max_size: 64}
server: {}
state:
  own: {type: int, initial: 0, scope: session}
  all: {type: int, initial: 0, scope: principal}
tools:
  echo:
    args: {text: {type: string, max_size: 200}}
    rules:
      - {id: own, deny: state.own >= 2}
      - {id: all, deny: state.all >= 3}
      - {id: rest, allow: true}
    then: {own: state.own + 1, all: state.all + 1}
"""
ANN: Mapping[str, object] = {"principal": "ann"}


class Closed(Served):
    """The real server of one session, that can be closed."""

    def abort(self) -> None:
        """As a server whose container is killed."""


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    spec = spec_file(tmp_path, SPEC)
    forward = CurrentServer()
    with Gate.open(
        spec, runner=SpyRunner(), server=forward, engine="evaluator", proved_digest=digest_of(spec)
    ) as opened:
        opened.forward = forward  # type: ignore[attr-defined]
        yield opened


def sessions(gate: Gate, given: Mapping[str, object] = ANN) -> Sessions:
    facts = session_facts(gate.policy, given)
    return Sessions(gate, gate.forward, lambda: Closed(lambda _: OK), facts)  # type: ignore[attr-defined]


def asked(message: Mapping[str, object]) -> Request:
    request = read_message(line(dict(message)))
    assert isinstance(request, Request)
    return request


def code(answer: bytes | None) -> str:
    """`done`, or what the client was told of a refusal."""
    assert answer is not None
    result = json.loads(answer)["result"]
    return result["content"][0]["text"] if result["isError"] else "done"


def begun(all_: Sessions) -> str:
    name, _ = all_.begin(asked(initialize())) or (None, b"")
    assert name is not None
    return name


def test_each_client_has_a_session_and_all_have_one_principal(gate: Gate) -> None:
    all_ = sessions(gate)
    one, other = begun(all_), begun(all_)
    echo = asked(call("echo", text="a"))
    assert [code(all_.answer(one, echo)) for _ in range(2)] == ["done", "done"]
    assert "`own`" in code(all_.answer(one, echo))
    assert code(all_.answer(other, echo)) == "done"
    assert "`all`" in code(all_.answer(other, echo))


def test_a_request_without_a_session_gets_no_new_budget(gate: Gate) -> None:
    all_ = sessions(gate)
    for _ in range(2):
        assert "`id`" in code(all_.alone(asked(modern(call("echo", text="a")))))


def test_where_the_host_names_the_session_requests_without_one_share_its_budget(gate: Gate) -> None:
    all_ = sessions(gate, {**ANN, "id": "desk"})
    echo = asked(modern(call("echo", text="a")))
    assert [code(all_.alone(echo)) for _ in range(2)] == ["done", "done"]
    assert "`own`" in code(all_.alone(echo))
    assert "`own`" in code(all_.answer(begun(all_), asked(call("echo", text="a"))))


def test_the_model_names_no_session_of_its_own(gate: Gate) -> None:
    all_ = sessions(gate)
    name = begun(all_)
    for meta in ({"session": {"id": "other"}}, {"sessionId": "other"}, {"principal": "bob", "id": "other"}):
        message = call("echo", text="a")
        message["params"]["_meta"] = meta
        all_.answer(name, asked(message))
    assert "`own`" in code(all_.answer(name, asked(call("echo", text="a"))))


def test_on_one_stream_all_requests_are_of_one_session_in_either_version(gate: Gate) -> None:
    with sessions(gate).only(Closed(lambda _: OK)) as (answer, _):
        told = [code(answer(asked(modern(call("echo", n, text="a"))))) for n in range(3)]
    assert told[:2] == ["done", "done"]
    assert "`own`" in told[2]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"principal": 5}, "the session fact `principal` is wrong"),
        ({"principal": ""}, "the session fact `principal` is wrong"),
        ({"principal": "ann", "id": "x" * 65}, "the session fact `id` is wrong"),
        ({}, "the spec declares the session fact `principal`; give it by `--session`"),
    ],
)
def test_facts_that_every_call_would_be_denied_for_are_refused_at_the_start(
    gate: Gate, facts: Mapping[str, object], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        session_facts(gate.policy, facts)


def test_an_id_of_a_form_of_its_own_has_to_be_given(tmp_path: Path) -> None:
    text = SPEC.replace("id: {type: string, min_size: 1, max_size: 64}", 'id: {type: string, pattern: "[a-z]{4}"}')
    spec = spec_file(tmp_path, text)
    with Gate.open(spec, runner=SpyRunner(), engine="evaluator", proved_digest=digest_of(spec)) as opened:
        with pytest.raises(UsageError, match="the session fact `id` is wrong"):
            session_facts(opened.policy, ANN)
        facts = session_facts(opened.policy, {**ANN, "id": "desk"})
        assert facts(alone=True)["id"] == facts(alone=False)["id"] == "desk"


def test_a_session_has_an_id_of_its_own_even_where_no_rule_reads_it(tmp_path: Path) -> None:
    spec = spec_file(tmp_path, "sandbox: 1\nname: plain\ntools: {}\n")
    with Gate.open(spec, runner=SpyRunner(), engine="evaluator", proved_digest=digest_of(spec)) as opened:
        facts = session_facts(opened.policy, {})
        assert facts(alone=False)["id"] != facts(alone=False)["id"]
        assert facts(alone=True) == {}


def test_the_permits_of_two_clients_say_that_they_are_two(gate: Gate) -> None:
    permits: list[Permit] = []
    facts = session_facts(gate.policy, ANN)

    def start() -> Closed:
        return Closed(lambda permit: permits.append(permit) or OK)

    all_ = Sessions(gate, gate.forward, start, facts)  # type: ignore[attr-defined]
    for _ in range(2):
        all_.answer(begun(all_), asked(call("echo", text="a")))
    assert len({permit.session_digest for permit in permits}) == 2


CEILING = """\
sandbox: 1
name: company
session: {principal: {type: string}, id: {type: string}}
state: {all: {type: int, initial: 0, scope: principal}}
tools:
  unlock:
    args: {user: {type: string}, pin: {type: string, secret: true, max_size: 20}}
    rules:
      - {id: all, deny: state.all >= 3}
      - {id: person, ask: args.user == 'bob'}
      - {id: rest, allow: true}
    then: {all: state.all + 1}
"""
DESK = (
    CEILING.replace("name: company", "name: desk\nextends: company.yaml\nserver: {}")
    .replace("all: {type: int, initial: 0, scope: principal}", "own: {type: int, initial: 0, scope: session}")
    .replace("all: state.all", "own: state.own")
    .replace("id: all, deny: state.all >= 3", "id: own, deny: state.own >= 2")
)
PIN = "a-marked-secret"


def test_two_clients_at_once_share_the_ceiling_and_nobody_is_told_a_secret(tmp_path: Path) -> None:
    spec_file(tmp_path, CEILING, "company.yaml")
    forward, told = CurrentServer(), []
    with Gate.open(spec_file(tmp_path, DESK, "desk.yaml"), runner=SpyRunner(), server=forward) as opened:
        all_ = Sessions(opened, forward, lambda: Closed(lambda _: OK), session_facts(opened.policy, ANN))
        names = [begun(all_), begun(all_)]

        def unlock(name: str, user: str = "ann", pin: str = PIN) -> None:
            told.append((name, code(all_.answer(name, asked(call("unlock", user=user, pin=pin))))))

        threads = [threading.Thread(target=unlock, args=(name,)) for name in names * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        unlock(begun(all_), user="bob")
        unlock(begun(all_), pin=PIN * 2)
    done = [sum(text == "done" for client, text in told if client == name) for name in names]
    assert (sum(done), max(done)) == (3, 2)
    assert not any(PIN in text for _, text in told)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and PIN.encode() in path.read_bytes()]
