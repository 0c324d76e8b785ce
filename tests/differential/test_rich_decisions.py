"""Differential: whole calls of every type are decided alike by both engines, through the solver's own process."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.call import Call, Rejected
from sandbox.compile import load_contract
from sandbox.decide import decide
from sandbox.engines import EnginePair, SolverWorker, engine_pair
from sandbox.ir import Contract
from sandbox.nearest import nearest_allowed
from sandbox.parse import parse_call

SPEC = """
sandbox: 1
name: rich
session:
  role: {type: enum, values: [clerk, admin]}
  since: {type: timestamp}
  limit: {type: decimal, scale: 2}
state:
  last: {type: timestamp, initial: "2026-01-01T00:00:00Z"}
  spent: {type: decimal, scale: 2, initial: 0}
types:
  line:
    type: record
    fields:
      sku: {type: string, max_size: 8}
      price: {type: decimal, scale: 2, min: 0, max: 1000}
      note: {type: text, optional: true}
      tags: {type: list, items: string, max_size: 3}
      inner: {type: record, optional: true, fields: {n: {type: int}, when: {type: timestamp, optional: true}}}
tools:
  fetch:
    args:
      url: {type: url}
      mirrors: {type: list, items: url, max_size: 3, default: []}
    rules:
      - {id: inner, deny: "args.url.is_private || args.mirrors.exists(m, m.is_private)"}
      - {id: sites, allow: "args.url.host.endsWith('.example') && args.url.port == 443"}
      - {id: paths, ask: "args.url.path.startsWith('/a') && args.url.query == '' && args.mirrors.all(m, !m.is_ip)"}
  mail:
    args:
      to: {type: email}
      copies: {type: list, items: email, max_size: 3, unique: true, default: []}
    rules:
      - {id: office, allow: "args.to.domain == 'bank.example' && args.copies.all(c, c.domain == args.to.domain)"}
      - {id: boss, ask: "args.to.local.lowerAscii() == 'boss' && session.role == 'admin'"}
  run:
    args: {cmd: {type: argv, max_size: 6}}
    rules:
      - {id: options, deny: "args.cmd.exists(w, w.startsWith('-'))"}
      - {id: git, allow: "args.cmd[0] == 'git' && size(args.cmd) > 1 && args.cmd[1] in ['log', 'show']"}
  shell:
    args: {cmd: {type: shell}}
    rules:
      - {id: options, deny: "args.cmd.exists(c, c.exists(w, w == '--upload-pack'))"}
      - {id: one, allow: "size(args.cmd) == 1 && args.cmd[0][0] == 'git'"}
      - {id: known, ask: "args.cmd.all(c, c[0] in ['git', 'ls']) && args.cmd.exists_one(c, c[0] == 'ls')"}
  order:
    args:
      lines: {type: list, items: {type: line}, max_size: 4}
      extra: {type: line, optional: true}
    rules:
      - {id: dear, deny: "args.lines.exists(l, l.price > session.limit)"}
      - {id: noted, deny: "args.lines.exists(l, has(l.note) && size(l.note) > 3)"}
      - {id: later, ask: "args.lines.exists(l, has(l.inner) && has(l.inner.when) && l.inner.when > now)"}
      - {id: plain, allow: "args.lines.all(l, size(l.tags) > 0 && l.tags[0] in l.tags && l.sku != 'gold')"}
      - {id: extra, ask: "has(args.extra) && args.extra.tags.all(t, args.lines.exists(l, l.sku == t))"}
    then: {spent: "has(args.extra) ? state.spent + args.extra.price : state.spent"}
  meet:
    args:
      at: {type: timestamp}
      wait: {type: duration, default: 30m}
    rules:
      - {id: night, deny: "args.at.getHours() < 8 || args.at.getDayOfWeek() in [0, 6]"}
      - {id: soon, allow: "args.at > now && args.at - now < duration('24h') && args.wait <= duration('1h')"}
      - {id: old, ask: "now - session.since > duration('720h') && args.at + args.wait > state.last"}
    then: {last: args.at}
"""

words = st.sampled_from(["git", "ls", "log", "show", "-v", "--upload-pack", "a b", "", "'", "é", "x" * 30])
lines = st.lists(st.lists(words, min_size=1, max_size=5), min_size=1, max_size=5)
times = st.sampled_from(
    ["2026-03-02T07:59:59.999Z", "2026-03-02T08:00:00+00:00", "2026-03-07T09:00:00Z", "0001-01-01T00:00:00Z"]
)
urls = st.builds(
    "{}://{}{}".format,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["a.example", "bank.example:8443", "10.0.0.1", "[::1]", "1.1.1.1", "x.local", "[2606:4700::1]"]),
    st.sampled_from(["", "/", "/a", "/b?q=1", "/a/../c", "/%41"]),
)
mails = st.sampled_from(["boss@bank.example", "BOSS@a.example", "office@bank.example", "a+b@bankx.example"])
inner = st.fixed_dictionaries({"n": st.integers(-3, 3)}, optional={"when": times})
line = st.fixed_dictionaries(
    {
        "sku": st.sampled_from(["", "gold", "a"]),
        "price": st.sampled_from(["0", "9.99", "10.00", "10.01"]),
        "tags": st.lists(st.sampled_from(["a", "gold", "b"]), max_size=3),
    },
    optional={"note": st.sampled_from(["", "abc", "abcd"]), "inner": inner},
)


def shell(commands: list[list[str]]) -> str:
    quoted = [" ".join("'" + word.replace("'", "'\"'\"'") + "'" for word in command) for command in commands]
    return " && ".join(quoted)


extras = st.fixed_dictionaries({}, optional={"extra": line})
waits = st.fixed_dictionaries({}, optional={"wait": st.sampled_from(["1h", "1h0.001s", "-5s"])})
calls = st.one_of(
    st.builds(lambda u, m: ("fetch", {"url": u, "mirrors": m}), urls, st.lists(urls, max_size=3)),
    st.builds(lambda t, c: ("mail", {"to": t, "copies": c}), mails, st.lists(mails, max_size=2)),
    st.builds(lambda w: ("run", {"cmd": w}), st.lists(words, min_size=1, max_size=6)),
    st.builds(lambda c: ("shell", {"cmd": shell(c)}), lines),
    st.builds(lambda n, x: ("order", {"lines": n} | x), st.lists(line, max_size=4), extras),
    st.builds(lambda a, w: ("meet", {"at": a} | w), times, waits),
)
facts = st.fixed_dictionaries(
    {
        "now": st.sampled_from([1_772_438_399_999, 1_772_409_600_000, -62_135_596_800_000]),
        "session.role": st.sampled_from(["clerk", "admin"]),
        "session.since": st.sampled_from([0, 1_772_438_399_999]),
        "session.limit": st.sampled_from([1_000, -1, 10**30]),
    }
)


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    path = tmp_path_factory.mktemp("rich") / "rich.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return load_contract(path)


@pytest.fixture(scope="module")
def both(contract: Contract) -> Iterator[EnginePair]:
    pair = engine_pair(contract, always_ask=True)
    assert isinstance(pair.solver, SolverWorker)
    with pair.solver:
        yield pair


@settings(max_examples=250, deadline=None)
@given(call=calls, known=facts, spent=st.sampled_from([0, -5, 10**20]))
def test_both_engines_decide_alike(
    contract: Contract, both: EnginePair, call: tuple[str, object], known: dict[str, int], spent: int
) -> None:
    tool, args = call
    parsed = parse_call(json.dumps({"tool": tool, "args": args}).encode(), contract)
    if isinstance(parsed, Rejected):
        return
    decision = decide(both, parsed, {"last": 0, "spent": spent}, known).decision
    assert decision.reason_code in {"rule.allow", "rule.ask", "rule.deny", "default_deny"}, decision
    assert decision.engines is not None
    assert decision.engines.solver == decision.engines.evaluator == decision.verdict


@pytest.mark.parametrize("command", ["ls " + " ".join(["x"] * 63), " ; ".join(["ls"] * 64), "git;" * 63 + "ls"])
def test_the_longest_lines_are_decided(contract: Contract, both: EnginePair, command: str) -> None:
    parsed = parse_call(json.dumps({"tool": "shell", "args": {"cmd": command}}).encode(), contract)
    assert isinstance(parsed, Call)
    known = {"now": 0, "session.role": "clerk", "session.since": 0, "session.limit": 0}
    decision = decide(both, parsed, {"last": 0, "spent": 0}, known).decision
    assert decision.reason_code in {"rule.ask", "default_deny"}


@settings(max_examples=60, deadline=None)
@given(call=calls, known=facts)
def test_the_nearest_allowed_call_is_looked_for_and_allowed(
    contract: Contract, both: EnginePair, call: tuple[str, object], known: dict[str, int]
) -> None:
    tool, args = call
    parsed = parse_call(json.dumps({"tool": tool, "args": args}).encode(), contract)
    if isinstance(parsed, Rejected):
        return
    alone = EnginePair(both.evaluator, None)

    def allows(raw: object) -> bool:
        tried = parse_call(json.dumps(raw).encode(), contract)
        return (
            isinstance(tried, Call) and decide(alone, tried, {"last": 0, "spent": 0}, known).decision.verdict == "allow"
        )

    declared = contract.tool(tool)
    assert declared is not None
    for suggestion in nearest_allowed(parsed, declared, probe=allows, judge=allows):
        assert allows(suggestion.call)


def test_a_time_is_moved_to_the_nearest_one_that_is_allowed(contract: Contract, both: EnginePair) -> None:
    raw = json.dumps({"tool": "meet", "args": {"at": "2026-03-02T07:30:00Z", "wait": "2h"}}).encode()
    parsed = parse_call(raw, contract)
    assert isinstance(parsed, Call)
    known = {"now": 1_772_409_600_000, "session.role": "clerk", "session.since": 1_772_409_600_000, "session.limit": 0}
    alone = EnginePair(both.evaluator, None)

    def allows(raw: dict[str, object]) -> bool:
        tried = parse_call(json.dumps(raw).encode(), contract)
        return (
            isinstance(tried, Call) and decide(alone, tried, {"last": 0, "spent": 0}, known).decision.verdict == "allow"
        )

    meet = contract.tool("meet")
    assert meet is not None
    assert nearest_allowed(parsed, meet, probe=allows, judge=allows) == ()
    late = parse_call(raw.replace(b"07:30", b"09:30"), contract)
    assert isinstance(late, Call)
    (found,) = nearest_allowed(late, meet, probe=allows, judge=allows)
    assert (found.argument, found.value) == ("wait", "3600s")
