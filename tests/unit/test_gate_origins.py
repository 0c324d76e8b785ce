"""Unit: where values come from, through the whole gate: what is told, what is learned, and what is lost denies."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from gatekit import NOON, SpyRunner, open_gate, records

from sandbox import knowledge, state_origins
from sandbox.adapters.ticket import new_ticket, read_answer
from sandbox.approve import Approval, ApprovalRequest, Refused, TerminalApprover
from sandbox.call import Outcome, Permit
from sandbox.errors import ApprovalNeeded, Denied, Fault, ToolError, UsageError
from sandbox.gate import Gate
from sandbox.ir import Json

SPEC = """\
sandbox: 1
name: mail
session: {id: {type: string}}
types: {pair: {type: record, fields: {to: {type: string, max_size: 50}, n: {type: int, optional: true}}}}
state: {dirty: {type: bool, initial: false}, sent: {type: set, items: {type: string}, initial: []}}
tools:
  read:
    args: {}
    returns: {body: {origin: web}, from: {type: {type: email, optional: true}, origin: sender}}
    rules: [{id: any, allow: true}]
    run: {tool: "tools.payments:send_money"}
  send:
    args: {to: {type: string}}
    rules:
      - {id: web, deny: "'web' in origin(args.to)"}
      - {id: mine, allow: "'user' in origin(args.to) && !('unknown' in origin(args.to))"}
      - {id: tool, ask: "'tool:read' in origin(args.to)"}
    run: {tool: "tools.payments:send_money"}
  probe:
    args:
      s: {type: string, max_size: 100, optional: true}
      n: {type: int, optional: true}
      d: {type: decimal, scale: 2, optional: true}
      e: {type: email, optional: true}
      u: {type: url, optional: true}
      p: {type: path, under: /workspace, optional: true}
      t: {type: timestamp, optional: true}
      w: {type: duration, optional: true}
      sh: {type: shell, max_size: 200, optional: true}
      a: {type: argv, max_size: 4, optional: true}
      xs: {type: list, items: {type: string, max_size: 50}, optional: true}
      rs: {type: list, items: pair, optional: true}
      b: {type: bool, optional: true}
      x: {type: text, optional: true}
      k: {type: enum, values: [red, Red], optional: true}
      h: {type: string, max_size: 50, secret: true, optional: true}
    rules:
ASKED
    run: {tool: "tools.payments:send_money"}
  free:
    args: {to: {type: string}}
    rules: [{id: any, allow: true}]
    run: {tool: "tools.payments:send_money"}
"""
NAMES = ("s", "n", "d", "e", "u", "p", "t", "w", "sh", "a", "xs", "rs", "b", "x", "k", "h")
ASKED = "\n".join(
    f"      - {{id: {name}, deny: \"has(args.{name}) && 'web' in origin(args.{name})\"}}" for name in NAMES
)
TEXT = SPEC.replace("ASKED", f"{ASKED}\n      - {{id: any, allow: true}}")
ONE, OTHER = {"id": "s1"}, {"id": "s2"}
READ = {"tool": "read", "args": {}}


def send(to: str, tool: str = "send") -> dict[str, object]:
    return {"tool": tool, "args": {"to": to}}


def returning(result: Json, **more: str) -> SpyRunner:
    def behave(permit: Permit) -> Outcome:
        if permit.call.tool == "read":
            return Outcome("ok", "ok", "", result=result, **more)
        return Outcome("ok", "ok", "", result=None)

    return SpyRunner(behave)


def opened(folder: Path, result: Json = None, **more: object) -> Gate:
    return open_gate(folder, text=TEXT, runner=returning(result), **more)


def rule(gate: Gate, call: dict[str, object], session: object = ONE, **more: object) -> str:
    decision = gate.decide(call, session, **more)
    return decision.rule or decision.reason_code


def labels(gate: Gate, name: str, value: Json, session: object = ONE, **more: object) -> set[str]:
    """What is known of one argument of `probe`."""
    decision = gate.decide({"tool": "probe", "args": {name: value}}, session, **more)
    assert decision.call is not None, decision.reason
    return set(decision.call.origins[name])


# --- what the host tells -----------------------------------------------------------------------------


@pytest.mark.parametrize("solver", [False, True])
def test_what_the_host_tells_of_a_call_decides_it_by_both_engines(tmp_path: Path, solver: bool) -> None:
    with opened(tmp_path, solver=solver) as gate:
        assert rule(gate, send("bob")) == "default_deny"
        assert rule(gate, send("bob"), origins={"to": "web"}) == "web"
        assert rule(gate, send("bob"), origins={"to": ["user"]}) == "mine"
        assert rule(gate, send("bob"), origins={"to": {"user", "web"}}) == "web"
        assert rule(gate, send("bob"), origins={"to": ("user", "unknown")}) == "default_deny"
        assert gate.call(send("bob"), ONE, origins={"to": "user"}).decision.rule == "mine"
        with pytest.raises(Denied):
            gate.call(send("bob"), ONE)


async def _acall(gate: Gate) -> str:
    return (await gate.acall(send("bob"), ONE, origins={"to": "user"})).decision.rule


def test_the_asynchronous_call_is_told_as_the_other_is(tmp_path: Path) -> None:
    import asyncio

    with opened(tmp_path) as gate:
        assert asyncio.run(_acall(gate)) == "mine"


def test_a_label_that_no_spec_has_is_refused_before_anything_is_judged(tmp_path: Path) -> None:
    wrong = "`webb` is no origin of `mail`; did you mean `web`?"
    with opened(tmp_path) as gate:
        decision = gate.decide(send("bob"), ONE, origins={"to": "webb"})
        assert (decision.verdict, decision.reason_code, decision.reason) == ("deny", "origin.wrong", wrong)
        with pytest.raises(UsageError, match="did you mean `web`"):
            gate.call(send("bob"), ONE, origins={"to": "webb"})
        with pytest.raises(UsageError, match="did you mean `web`"):
            gate.learn("bob", "webb", ONE)
        with pytest.raises(UsageError, match="say nothing of such values"):
            gate.learn("bob", "unknown", ONE)


def test_origins_of_an_argument_that_there_is_not_deny(tmp_path: Path) -> None:
    """A slip of the host must not pass for nothing that is known."""
    with opened(tmp_path) as gate:
        decision = gate.decide(send("bob"), ONE, origins={"too": "web"})
        assert (decision.verdict, decision.reason_code) == ("deny", "origin.wrong")
        assert decision.reason == "the host tells origins of `too`, which is no argument of `send`; did you mean `to`?"


# --- what is learned ---------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", [False, True])
def test_a_result_that_was_shown_is_known_by_its_tool_and_its_field(tmp_path: Path, solver: bool) -> None:
    result = {"body": "evil", "from": "Ann@Example.org", "list": ["x", {"deep": ["y"]}]}
    with opened(tmp_path, result, solver=solver) as gate:
        assert rule(gate, send("evil")) == "default_deny"
        gate.call(READ, ONE)
        assert rule(gate, send("evil")) == "web"
        assert labels(gate, "s", "evil") == {"tool:read", "web"}
        assert labels(gate, "e", "Ann@EXAMPLE.org") == {"tool:read", "sender"}
        assert labels(gate, "s", "y") == {"tool:read"}
        assert labels(gate, "s", "deep") == {"tool:read"}
        assert labels(gate, "s", "body") == {"unknown"}
        assert rule(gate, send("x")) == "tool"


@pytest.mark.parametrize(
    ("shown", "name", "value"),
    [
        ('{"to": "evil", "to": "good"}', "s", "evil"),
        ('{"to": "evil", "limit": NaN, "more": [Infinity, -1e999, 1e99999999999999999999]}', "s", "evil"),
        ('\ufeff{"to": "evil"}', "s", "evil"),
        ('{"n": 12345678901234567890.25}', "d", "12345678901234567890.25"),
        ('{"n": 1.50}', "d", "1.5"),
    ],
)
def test_nothing_in_a_text_that_is_json_hides_what_else_is_in_it(
    shown: str, name: str, value: str, tmp_path: Path
) -> None:
    """Whoever wrote it may have written what other readers of JSON pass over, or what is no JSON elsewhere."""
    with opened(tmp_path, {"body": shown}) as gate:
        gate.call(READ, ONE)
        assert labels(gate, name, value) == {"web", "tool:read"}


def test_what_the_user_said_is_learned_from_the_host(tmp_path: Path) -> None:
    with opened(tmp_path) as gate:
        gate.learn({"to": ["bob", {"n": 5}]}, "user", ONE)
        assert rule(gate, send("bob")) == "mine"
        assert labels(gate, "n", 5) == {"user"}
        gate.learn("bob", "web", ONE)
        assert rule(gate, send("bob")) == "web"


def test_two_sessions_share_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, {"body": "evil"}) as gate:
        gate.call(READ, ONE)
        gate.learn("bob", "user", OTHER)
        assert labels(gate, "s", "evil", OTHER) == {"unknown"}
        assert labels(gate, "s", "bob", ONE) == {"unknown"}


def test_what_is_known_outlives_the_gate(tmp_path: Path) -> None:
    with opened(tmp_path, {"body": "evil"}) as gate:
        gate.call(READ, ONE)
    with opened(tmp_path) as gate:
        assert rule(gate, send("evil")) == "web"


def test_a_session_is_forgotten_when_the_host_says_so(tmp_path: Path) -> None:
    with opened(tmp_path, {"body": "evil"}) as gate:
        gate.call(READ, ONE)
        gate.call(READ, OTHER)
        gate.forget(ONE)
        assert labels(gate, "s", "evil", ONE) == {"unknown"}
        assert labels(gate, "s", "evil", OTHER) == {"tool:read", "web"}


@pytest.mark.parametrize("session", [{"id": "a"}, {"id": 5}, {"id": ["b"]}, {}, None])
def test_a_spec_that_declares_no_session_has_one_for_each_id_that_is_given(tmp_path: Path, session: object) -> None:
    text = TEXT.replace("session: {id: {type: string}}\n", "")
    with open_gate(tmp_path, text=text, runner=returning({"body": "evil"})) as gate:
        gate.call(READ, session)
        assert rule(gate, send("evil"), session) == "web"
        assert labels(gate, "s", "evil", {"id": "b"}) == {"unknown"}


def test_what_a_failed_tool_said_is_known_too(tmp_path: Path) -> None:
    def behave(permit: Permit) -> Outcome:
        return Outcome("error", "tool.error", "pay mallory", stdout="evil\n", stderr="worse")

    with open_gate(tmp_path, text=TEXT, runner=SpyRunner(behave)) as gate:
        with pytest.raises(ToolError):
            gate.call(READ, ONE)
        for said in ("evil", "worse", "pay mallory"):
            assert "tool:read" in labels(gate, "s", said)


def test_what_is_withheld_or_redacted_was_not_shown_and_is_not_known(tmp_path: Path) -> None:
    after = '    after: [{id: no, withhold: "true"}]\n    run: {tool: "tools.payments:send_money"}\n  send:'
    text = TEXT.replace('    run: {tool: "tools.payments:send_money"}\n  send:', after, 1)
    with open_gate(tmp_path, text=text, runner=returning({"body": "evil"})) as gate:
        with pytest.raises(ToolError):
            gate.call(READ, ONE)
        assert labels(gate, "s", "evil") == {"unknown"}


def test_a_result_whose_origin_cannot_be_noted_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        message = "secret words"
        raise RuntimeError(message)

    with opened(tmp_path, {"body": "evil"}) as gate:
        monkeypatch.setattr(knowledge.Knowledge, "learn_outcome", broken)
        with pytest.raises(Fault, match=r"could not be noted, and it is withheld: RuntimeError$") as caught:
            gate.call(READ, ONE)
    assert caught.value.reason_code == "origin.not_noted"
    assert records(tmp_path)[-1]["kind"] == "outcome"


def test_a_spec_that_asks_for_no_origin_notes_none(tmp_path: Path) -> None:
    text = TEXT.split("  send:")[0]
    with open_gate(tmp_path, text=text, runner=returning({"body": "evil"})) as gate:
        gate.call(READ, ONE)
        gate.learn("x", "user", ONE)
        gate.forget(ONE)
    with sqlite3.connect(tmp_path / ".sandbox" / "state.db") as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert "origins" not in names
    assert not (tmp_path / ".sandbox" / "state.key").exists()


# --- a model that types it again ---------------------------------------------------------------------

AGAIN: list[tuple[Json, str, Json, set[str]]] = [
    ("Evil", "s", "evil", {"web", "tool:read", "unknown"}),
    ("evil", "s", " EVIL\t", {"web", "tool:read", "unknown"}),
    ("evil", "s", "e v\u200bi\u00adl", {"web", "tool:read", "unknown"}),
    ("evil", "s", "\uff45\uff56\uff49\uff4c", {"web", "tool:read", "unknown"}),
    ("GB29 NWBK 6016", "s", "GB29NWBK6016", {"web", "tool:read", "unknown"}),
    ("evil", "s", "evil.", {"unknown"}),
    ("pay evil now", "s", "evil", {"unknown"}),
    (1, "n", 1, {"web", "tool:read"}),
    (1.0, "n", 1, {"web", "tool:read"}),
    ("1", "n", 1, {"web", "tool:read"}),
    ("1.0", "n", 1, {"web", "tool:read"}),
    (" 1", "n", 1, {"web", "tool:read", "unknown"}),
    ("+1", "n", 1, {"web", "tool:read", "unknown"}),
    ("001", "n", 1, {"web", "tool:read", "unknown"}),
    ("\u0661", "n", 1, {"web", "tool:read", "unknown"}),
    ("1e0", "n", 1, {"web", "tool:read", "unknown"}),
    (1, "s", "1", {"web", "tool:read", "unknown"}),
    (1, "s", "1.0", {"web", "tool:read", "unknown"}),
    ("1,000.50", "d", "1000.5", {"web", "tool:read", "unknown"}),
    (1000.5, "d", "1000.50", {"web", "tool:read"}),
    ("1000.50", "d", 1000.5, {"web", "tool:read"}),
    (-0.0, "n", 0, {"web", "tool:read"}),
    (True, "n", 1, {"unknown"}),
    (True, "b", True, {"web", "tool:read"}),
    (1, "b", True, {"unknown"}),
    ("true", "b", True, {"web", "tool:read", "unknown"}),
    ("Ann@Example.ORG", "e", "Ann@example.org", {"web", "tool:read"}),
    ("ann@example.org", "e", "Ann@example.org", {"web", "tool:read", "unknown"}),
    ("HTTP://Evil.Example", "u", "http://evil.example/", {"web", "tool:read"}),
    ("http://evil.example:80/", "u", "http://EVIL.example", {"web", "tool:read"}),
    ("a/./b", "p", "/workspace/a//b/", {"web", "tool:read"}),
    ("/workspace/a", "p", "a", {"web", "tool:read"}),
    ("2026-01-01T01:00:00+01:00", "t", "2026-01-01T00:00:00Z", {"web", "tool:read"}),
    ("60s", "w", "1m", {"web", "tool:read"}),
    ("rm  -rf 'x'", "sh", "rm -rf x", {"web", "tool:read"}),
    ("rm -rf x", "sh", "rm -rf y", {"unknown"}),
    ("rm", "sh", "rm -rf y", {"web", "tool:read", "unknown"}),
    ("rm -rf x", "a", ["rm", "-rf", "x"], {"unknown"}),
    (["rm", "x"], "a", ["rm", "x"], {"web", "tool:read"}),
    (["a", "b"], "xs", ["b", "a"], {"web", "tool:read"}),
    (["a"], "xs", ["a", "z"], {"web", "tool:read", "unknown"}),
    (["a"], "xs", [], {"unknown"}),
    ([{"to": "evil"}], "rs", [{"to": "ann"}, {"to": "evil", "n": 3}], {"web", "tool:read", "unknown"}),
    ([[[["deep"]]]], "s", "deep", {"web", "tool:read"}),
    ({"evil": None}, "s", "evil", {"web", "tool:read"}),
    ("red", "k", "red", {"web", "tool:read"}),
    ("red", "k", "Red", {"web", "tool:read", "unknown"}),
    ("x" * 20_000, "x", "x" * 20_000, {"web", "tool:read"}),
    ("x" * 20_000, "x", "X" * 20_000, {"unknown"}),
    ("pin 1234", "h", "pin 1234", {"web", "tool:read"}),
    (None, "s", "null", {"unknown"}),
    ('{"to": ["evil", 7]}', "s", "evil", {"web", "tool:read"}),
    (' [{"to": "[\\"evil\\"]"}]', "s", "evil", {"web", "tool:read"}),
    ('{"to": ["evil", 7]}', "n", 7, {"web", "tool:read"}),
    ('{"to": ["evil"]', "s", "evil", {"unknown"}),
    ("9" * 5_000, "n", 9, {"unknown"}),
    ("[" * 99 + '"evil"' + "]" * 99, "s", "evil", {"unknown"}),
    ("[" * 9_999, "s", "evil", {"unknown"}),
]


@pytest.mark.parametrize(
    ("shown", "name", "value", "expected"), AGAIN, ids=[f"{n}-{i}" for i, (_, n, _, _) in enumerate(AGAIN)]
)
def test_a_value_that_is_typed_again_is_known_but_not_quite(
    tmp_path: Path, shown: Json, name: str, value: Json, expected: set[str]
) -> None:
    with opened(tmp_path, {"body": shown}) as gate:
        gate.call(READ, ONE)
        assert labels(gate, name, value) == expected


def test_what_looks_like_what_the_user_said_is_not_what_the_user_said(tmp_path: Path) -> None:
    with opened(tmp_path) as gate:
        gate.learn("Bob", "user", ONE)
        assert labels(gate, "s", "Bob") == {"user"}
        assert labels(gate, "s", "bob") == {"unknown"}
        assert rule(gate, send("bob ")) == "default_deny"


def test_a_list_is_the_users_only_where_every_element_is(tmp_path: Path) -> None:
    with opened(tmp_path) as gate:
        gate.learn(["ann", "bob"], "user", ONE)
        assert labels(gate, "xs", ["bob", "ann"]) == {"user"}
        assert labels(gate, "xs", ["bob", "mallory"]) == {"user", "unknown"}


def test_a_default_is_a_value_like_any_other(tmp_path: Path) -> None:
    text = TEXT.replace("s: {type: string, max_size: 100, optional: true}", "s: {type: string, default: evil}")
    text = text.replace("has(args.s) && ", "")
    with open_gate(tmp_path, text=text, runner=returning({"body": "evil"})) as gate:
        gate.call(READ, ONE)
        left_out = gate.decide({"tool": "probe", "args": {}}, ONE)
        assert left_out.call is not None
        assert left_out.call.origins["s"] == {"web", "tool:read"}
        assert left_out.rule == "s"


# --- too much, or lost -------------------------------------------------------------------------------


def test_a_session_that_has_seen_too_much_denies_what_rests_on_origins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_origins, "MAX_MARKS", 6)
    with opened(tmp_path, {"body": [f"x{n}" for n in range(9)]}) as gate:
        gate.call(READ, ONE)
        decision = gate.decide(send("bob"), ONE, origins={"to": "user"})
        assert (decision.verdict, decision.reason_code) == ("deny", "origin.full")
        with pytest.raises(Denied) as caught:
            gate.call(send("bob"), ONE, origins={"to": "user"})
        assert caught.value.reason_code == "origin.full"
        assert rule(gate, send("bob", "free")) == "any"
        assert rule(gate, send("bob"), OTHER, origins={"to": "user"}) == "mine"
        gate.call(READ, ONE)
        with pytest.raises(UsageError) as refused:
            gate.learn("bob", "user", ONE)
        assert refused.value.reason_code == "origin.full"
        gate.forget(ONE)
        assert rule(gate, send("bob"), origins={"to": "user"}) == "mine"


def test_a_result_of_more_values_than_are_learned_fills_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knowledge, "MAX_LEAVES", 3)
    with opened(tmp_path, {"body": ["a", "b", "c", "d"]}) as gate:
        assert gate.call(READ, ONE).value == {"body": ["a", "b", "c", "d"]}
        assert rule(gate, send("zzz")) == "origin.full"


def test_what_was_learned_already_takes_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_origins, "MAX_MARKS", 6)
    with opened(tmp_path) as gate:
        for _ in range(20):
            gate.learn("bob", "web", ONE)
        assert rule(gate, send("bob")) == "web"


def test_a_result_for_a_session_too_many_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_origins, "MAX_SESSIONS", 1)
    with opened(tmp_path, {"body": "evil"}) as gate:
        gate.call(READ, ONE)
        with pytest.raises(Fault, match="it is withheld: origins are known of 1 sessions"):
            gate.call(READ, OTHER)
        gate.forget(ONE)
        gate.call(READ, OTHER)
        assert rule(gate, send("evil"), OTHER) == "web"


def test_a_key_that_is_lost_fills_every_session_that_knew_something(tmp_path: Path) -> None:
    with opened(tmp_path, {"body": "evil"}) as gate:
        gate.call(READ, ONE)
    (tmp_path / ".sandbox" / "state.key").unlink()
    with opened(tmp_path) as gate:
        assert rule(gate, send("evil")) == "origin.full"
        assert rule(gate, send("evil"), OTHER) == "default_deny"
    with opened(tmp_path) as gate:
        assert rule(gate, send("evil")) == "origin.full"


def test_the_state_holds_no_value(tmp_path: Path) -> None:
    with opened(tmp_path, {"body": "a word that stands nowhere"}) as gate:
        gate.call(READ, ONE)
        gate.learn("another such word", "user", ONE)
    kept = b"".join(path.read_bytes() for path in (tmp_path / ".sandbox").iterdir())
    assert b"stands nowhere" not in kept
    assert b"another such" not in kept


# --- the record, and people --------------------------------------------------------------------------


def test_the_record_and_the_receipt_hold_the_labels_that_were_judged(tmp_path: Path) -> None:
    with opened(tmp_path, {"body": "evil"}) as gate:
        gate.call(READ, ONE)
        receipt = gate.call(send("bob"), ONE, origins={"to": "user"}).receipt
        with pytest.raises(Denied):
            gate.call(send("evil"), ONE)
    assert receipt.origins == {"to": ("user",)}
    told = [record["body"] for record in records(tmp_path)]
    assert told[-1]["call"]["origins"] == {"to": ["tool:read", "web"]}
    assert told[-2]["receipt"]["origins"] == {"to": ["user"]}
    assert told[-3]["decision"]["call"]["origins"] == {"to": ["user"]}
    assert "origins" not in told[0]["decision"]["call"]


class Thinking:
    """A person who approves, and in whose time something happens."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.seen: list[dict[str, list[str]]] = []
        self._meanwhile = meanwhile

    def review(self, request: ApprovalRequest) -> Approval | Refused:
        self.seen.append({name: sorted(labels) for name, labels in request.call.origins.items()})
        self._meanwhile()
        return Approval(request.call.digest, "ann", request.expires_at_ms)


def test_what_is_learned_while_a_person_thinks_counts(tmp_path: Path) -> None:
    gates: list[Gate] = []
    person = Thinking(lambda: gates[0].learn("bob", "web", ONE))
    with opened(tmp_path, "bob", approver=person) as gate:
        gates.append(gate)
        gate.call(READ, ONE)
        with pytest.raises(Denied) as caught:
            gate.call(send("bob"), ONE)
        assert caught.value.decision.rule == "web"


def test_a_person_is_asked_again_where_what_is_known_has_changed(tmp_path: Path) -> None:
    gates: list[Gate] = []
    person = Thinking(lambda: gates[0].learn("bob", "sender", ONE))
    with opened(tmp_path, "bob", approver=person) as gate:
        gates.append(gate)
        gate.call(READ, ONE)
        assert gate.call(send("bob"), ONE).receipt.origins == {"to": ("sender", "tool:read")}
        assert person.seen == [{"to": ["tool:read"]}, {"to": ["sender", "tool:read"]}]


def test_no_label_is_lost_while_a_person_thinks(tmp_path: Path) -> None:
    """Not even by `forget`, which makes a value unknown."""
    gates: list[Gate] = []
    person = Thinking(lambda: gates[0].forget(ONE))
    with opened(tmp_path, "bob", approver=person) as gate:
        gates.append(gate)
        gate.call(READ, ONE)
        assert gate.call(send("bob"), ONE).receipt.origins == {"to": ("tool:read", "unknown")}


def test_without_a_person_what_is_asked_waits(tmp_path: Path) -> None:
    with opened(tmp_path, "bob") as gate:
        gate.call(READ, ONE)
        with pytest.raises(ApprovalNeeded) as caught:
            gate.call(send("bob"), ONE)
        assert caught.value.decision.call is not None
        assert caught.value.decision.call.origins == {"to": {"tool:read"}}


# --- what was approved elsewhere ---------------------------------------------------------------------


def waiting(gate: Gate, to: str) -> dict[str, Json]:
    """The answer to a call that was asked, approved by Ann, as a paused run stores it."""
    with pytest.raises(ApprovalNeeded) as caught:
        gate.call(send(to), ONE)
    return json.loads(json.dumps(approved(gate, caught.value)))


def approved(gate: Gate, waits: ApprovalNeeded) -> dict[str, Json]:
    return new_ticket(waits.decision, NOON, basis=gate.basis(waits.decision)).answer(approved_by=["ann"])


def test_a_resumed_call_runs_with_the_origins_that_were_shown(tmp_path: Path) -> None:
    with opened(tmp_path, "bob") as gate:
        gate.call(READ, ONE)
        answer = waiting(gate, "bob")
        assert answer["origins"] == {"to": ["tool:read"]}
    with opened(tmp_path, "bob") as gate:
        assert gate.call(send("bob"), ONE, given=read_answer(answer).given()).receipt.origins == {"to": ("tool:read",)}


def test_what_was_approved_before_more_was_known_counts_for_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, "bob") as gate:
        gate.call(READ, ONE)
        answer = waiting(gate, "bob")
        gate.learn("bob", "sender", ONE)
        with pytest.raises(Denied) as caught:
            gate.call(send("bob"), ONE, given=read_answer(answer).given())
        assert caught.value.reason_code == "approval.refused"
        assert "not known as it was when it was approved" in str(caught.value)


def test_a_label_that_was_shown_is_not_lost_where_the_host_does_not_tell_it_again(tmp_path: Path) -> None:
    """What the host told of the one call would be forgotten, and a person's yes count for another thing."""
    with opened(tmp_path) as gate:
        with pytest.raises(ApprovalNeeded) as caught:
            gate.call(send("bob"), ONE, origins={"to": ["tool:read", "sender"]})
        given = read_answer(approved(gate, caught.value)).given()
        with pytest.raises(Denied):  # now it is unknown besides, which nobody has seen
            gate.call(send("bob"), ONE, given=given)
        told = gate.call(send("bob"), ONE, given=given, origins={"to": "tool:read"})
        assert told.receipt.origins == {"to": ("sender", "tool:read")}


def test_approvals_without_the_labels_do_not_count_where_a_rule_asks_for_some(tmp_path: Path) -> None:
    with opened(tmp_path, "bob") as gate:
        gate.call(READ, ONE)
        given = read_answer(waiting(gate, "bob")).given()
        with pytest.raises(Denied) as caught:
            gate.call(send("bob"), ONE, given=replace(given, origins={}))
        assert caught.value.reason_code == "approval.refused"


@pytest.mark.parametrize("origins", [None, [], {"to": "web"}, {"to": [1]}, {1: ["web"]}])
def test_a_ticket_with_other_labels_than_text_is_none(tmp_path: Path, origins: object) -> None:
    with opened(tmp_path, "bob") as gate:
        gate.call(READ, ONE)
        answer = waiting(gate, "bob")
    with pytest.raises(UsageError):
        read_answer({**answer, "origins": origins})


def test_a_person_at_the_terminal_sees_where_values_come_from(tmp_path: Path) -> None:
    sink = io.StringIO()
    person = TerminalApprover(io.StringIO("no\n"), sink, "ann")
    with opened(tmp_path, "bob", approver=person) as gate:
        gate.call(READ, ONE)
        with pytest.raises(Denied):
            gate.call(send("bob"), ONE)
    assert "\norigins   to from tool:read\n" in sink.getvalue()


def test_learning_needs_the_session_that_the_spec_declares(tmp_path: Path) -> None:
    """What was learned of nobody would be missing where it is asked."""
    with opened(tmp_path) as gate:
        for wrong in (lambda: gate.learn("x", "web"), lambda: gate.learn("x", "web", {"ID": "s1"}), gate.forget):
            with pytest.raises(UsageError) as caught:
                wrong()
            assert caught.value.reason_code == "session.missing"


def test_rules_about_a_result_and_what_a_success_enables_see_the_origins_that_were_judged(tmp_path: Path) -> None:
    after = """
    on_success: {dirty: "true"}
    then: {sent: "'sender' in origin(args.to) ? state.sent.add(args.to) : state.sent"}
    after: [{id: sent, withhold: "'sender' in origin(args.to)"}, {id: fine, pass: "true"}]"""
    text = TEXT.replace(
        '    run: {tool: "tools.payments:send_money"}\n  probe', f"{after[1:]}\n    run: {{tool: x:y}}\n  probe"
    )
    text = text.replace(
        "      - {id: web, deny:", "      - {id: again, deny: args.to in state.sent}\n      - {id: web, deny:"
    )
    with open_gate(tmp_path, text=text, solver=True) as gate:
        gate.call(send("ann"), ONE, origins={"to": "user"})
        gate.call(send("ann"), ONE, origins={"to": "user"})
        with pytest.raises(ToolError, match="withheld by rule `sent`"):
            gate.call(send("bob"), ONE, origins={"to": ["user", "sender"]})
        assert rule(gate, send("bob")) == "again"


def test_a_field_without_a_type_is_no_reason_to_withhold(tmp_path: Path) -> None:
    after = '    after: [{id: fine, pass: "true"}]\n    run: {tool: "tools.payments:send_money"}\n  send:'
    text = TEXT.replace('    run: {tool: "tools.payments:send_money"}\n  send:', after, 1)
    with open_gate(tmp_path, text=text, runner=returning({"body": "evil", "from": "a@b.example"})) as gate:
        assert gate.call(READ, ONE).value == {"body": "evil", "from": "a@b.example"}
    with (
        open_gate(tmp_path, text=text, runner=returning({"body": "evil", "more": 1})) as gate,
        pytest.raises(ToolError, match="not what `returns` declares"),
    ):
        gate.call(READ, ONE)


# --- several specs -----------------------------------------------------------------------------------

CEILING = """\
sandbox: 1
name: above
tools:
  read:
    args: {}
    returns: {body: {origin: web}}
    rules: [{id: any, allow: true}]
    run: {tool: "tools.payments:send_money"}
  send:
    args: {to: {type: string}}
    rules: [{id: web, deny: "'web' in origin(args.to)"}, {id: any, allow: true}]
    run: {tool: "tools.payments:send_money"}
"""
BELOW = """\
sandbox: 1
name: below
extends: above.yaml
tools:
  read: {args: {}, rules: [{id: any, allow: true}], run: {tool: "tools.payments:send_money"}}
  send: {args: {to: {type: string}}, rules: [{id: any, allow: true}], run: {tool: "tools.payments:send_money"}}
"""


def test_what_only_a_ceiling_asks_is_learned_and_decides(tmp_path: Path) -> None:
    (tmp_path / "above.yaml").write_text(CEILING, encoding="utf-8")
    with open_gate(tmp_path, text=BELOW, runner=returning({"body": ["evil", {"key": "deep"}]}), solver=True) as gate:
        gate.call(send("evil"))
        gate.call(READ)
        for value in ("evil", "EVIL", "deep", "key"):
            with pytest.raises(Denied):
                gate.call(send(value))
        gate.call(send("other"))
