"""Unit: values that come from elsewhere than a model's arguments, each with the reason code that it is refused with.

Facts of the session and origins come from the host, results from a tool, and rows of the state from a file that rots.
Whatever is let through here would be read by both engines, and by each in its own way.
"""

from __future__ import annotations

import datetime as dt
import enum
import fractions
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import test_parse
import test_types_email
import test_types_record
import test_types_times
import test_types_url
import test_types_words
from gatekit import SpyRunner, open_gate

from sandbox import strict_json
from sandbox.aftermath import ResultJudge
from sandbox.call import Call, Outcome
from sandbox.canonical import text_digest
from sandbox.decide import EnginePair, Evaluator
from sandbox.errors import Denied, SandboxError, UsageError
from sandbox.ir import (
    TRUE,
    ArgType,
    Argument,
    BoolSort,
    BoolType,
    Contract,
    DecimalSort,
    DecimalType,
    DurationType,
    EnumSort,
    EnumType,
    IntSort,
    IntType,
    Json,
    MapSort,
    PathType,
    Period,
    Returned,
    Rule,
    SetSort,
    StringSort,
    StringType,
    TimestampType,
    Tool,
    Variable,
)
from sandbox.machine import apply_then, initial_state
from sandbox.session import read_session
from sandbox.stages import staged
from sandbox.state import Store, Transaction
from sandbox.state_document import row_digest

LEAST = 30

# --- facts of the session ----------------------------------------------------------------------------

FACTS: tuple[ArgType, ...] = (
    BoolType(),
    IntType(None, None),
    DecimalType(2, None, None),
    StringType(None, 0, 40),
    EnumType(("a", "b")),
    PathType("/data"),
    TimestampType(),
    DurationType(),
)


class Int(int):
    """What equals an int and is none."""


class Str(str):
    """What equals a string and is none."""

    __slots__ = ()


class Shade(enum.StrEnum):
    """The same, of the standard library."""

    A = "a"


def endless_list() -> list[object]:
    each: list[object] = []
    each.append(each)
    return each


def endless_dict() -> dict[str, object]:
    each: dict[str, object] = {}
    each["x"] = each
    return each


def deep(levels: int) -> list[object]:
    return [deep(levels - 1)] if levels else []


NO_FACTS: dict[str, object] = {
    "null": None,
    "not a number": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "Decimal NaN": Decimal("NaN"),
    "Decimal signalling NaN": Decimal("sNaN"),
    "Decimal infinity": Decimal("-Infinity"),
    "Decimal of many digits": Decimal("1e400"),
    "Decimal of many places": Decimal("1e-400"),
    "int of many digits": 10**401,
    "negative zero": -0.0,
    "a large float": 1e300,
    "a small float": 5e-324,
    "int of another class": Int(1),
    "str of another class": Str("a"),
    "an enum": Shade.A,
    "bytes": b"a",
    "bytearray": bytearray(b"a"),
    "memoryview": memoryview(b"a"),
    "tuple": ("a",),
    "set": {"a"},
    "frozenset": frozenset({"a"}),
    "range": range(3),
    "complex": 1 + 0j,
    "fraction": fractions.Fraction(1, 2),
    "datetime": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "date": dt.date(2026, 1, 1),
    "timedelta": dt.timedelta(seconds=1),
    "a Path": Path("/data/x"),
    "function": len,
    "type": str,
    "object": object(),
    "list": ["a"],
    "dict": {"a": "a"},
    "empty list": [],
    "empty dict": {},
    "a list of itself": endless_list(),
    "a dict of itself": endless_dict(),
    "deep": deep(40),
    "a lone surrogate": "\ud800",
    "NUL": "a\0",
    "beyond the theory": "\U00030000",
    "too long": "a" * 5_000_000,
    "keys of another kind": {1: 2},
    "many keys": {f"k{at}": at for at in range(300)},
}
SPEC = """\
sandbox: 1
name: facts
session: {fact: DECLARED}
tools:
  t:
    args: {}
    rules: [{id: all, allow: true}]
    run: {tool: "tools.payments:send_money"}
"""


@pytest.mark.parametrize("value", NO_FACTS.values(), ids=NO_FACTS.keys())
def test_what_is_no_fact_is_refused_of_every_type(value: object) -> None:
    for type_ in FACTS:
        contract = Contract("c", (), session=(Argument("fact", type_),))
        with pytest.raises(UsageError) as caught:
            read_session(contract, {"fact": value})
        assert caught.value.reason_code == "session.invalid"
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 500


def test_there_are_enough_of_each() -> None:
    assert min(len(NO_FACTS), len(NO_ROWS), len(NO_ORIGINS)) >= LEAST


@pytest.mark.parametrize("session", ["x", b"x", 7, [("fact", "a")], ["fact"], {"fact"}, object(), True])
def test_what_is_no_mapping_is_no_session(session: object) -> None:
    with pytest.raises(UsageError) as caught:
        read_session(Contract("c", ()), session)  # type: ignore[arg-type]  # that is the point
    assert caught.value.reason_code == "session.invalid"


def test_a_call_with_a_wrong_fact_runs_nothing(tmp_path: Path) -> None:
    runner = SpyRunner()
    with open_gate(tmp_path, text=SPEC.replace("DECLARED", "{type: string, max_size: 40}"), runner=runner) as gate:
        for value in NO_FACTS.values():
            assert gate.decide({"tool": "t", "args": {}}, {"fact": value}).reason_code == "session.invalid"
            with pytest.raises(UsageError):
                gate.call({"tool": "t", "args": {}}, {"fact": value})
        assert gate.decide({"tool": "t", "args": {}}, {}).reason_code == "session.missing"
        assert runner.permits == []
        gate.call({"tool": "t", "args": {}}, {"fact": "a"})


# --- the state ---------------------------------------------------------------------------------------

NOW, DAY = 1_000_000, 86_400_000
NAME = StringType("[a-z]*", 0, 8)
KEPT = Contract(
    "c",
    (),
    (
        Variable("number", IntSort(), 0),
        Variable("sum", DecimalSort(2), 0, Period("window", DAY)),
        Variable("flag", BoolSort(), initial=False),
        Variable("phase", EnumSort(("open", "shut")), "open"),
        Variable("known", SetSort(StringSort()), (), key=NAME, max_size=2),
        Variable("given", MapSort(StringSort(), IntSort()), 0, Period("reset", DAY), key=NAME, max_size=2),
        Variable("sent", MapSort(StringSort(), IntSort()), 0, Period("window", DAY), key=NAME, max_size=2),
    ),
)
Change = Callable[[str], str]


def kept(folder: Path) -> Store:
    """A state in which every variable was written."""
    store = Store.open(f"sqlite:///{folder}/state.db", "")
    with store.transaction() as transaction:
        after = apply_then(
            KEPT,
            initial_state(KEPT, NOW),
            {
                "number": 7,
                "sum": 3,
                "flag": True,
                "phase": "shut",
                "known": (("ann", True), ("bob", True)),
                "given": {"ann": 5},
                "sent": {"ann": 4},
            },
        )
        transaction.save(KEPT, after)
    return store


def instead(there: str, here: str) -> Change:
    """The document with another text at a place."""

    def changed(document: str) -> str:
        assert document.count(there) == 1, document
        return document.replace(there, here)

    return changed


def value(name: str, here: object) -> Change:
    """The document with another value of a variable; as `...`, with none."""

    def changed(document: str) -> str:
        tree = json.loads(document)
        del tree["values"][name]
        tree["values"] |= {} if here is ... else {name: here}
        return json.dumps(tree, sort_keys=True)

    return changed


def events(name: str, here: object) -> Change:
    """The document with other events of a window."""

    def changed(document: str) -> str:
        tree = json.loads(document)
        where = "events" if name == "sum" else "key_events"
        tree[where] = {} if here is ... else {name: here}
        return json.dumps(tree, sort_keys=True)

    return changed


CORRUPT, MISFIT = "state.corrupt", "state.misfit"
NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "",
    " 7",
    "7 ",
    "+7",
    "07",
    "-0",
    "7_0",
    "7.0",
    "7e3",
    "0x7",
    "\u0667",
    "--7",
)
NO_ROWS: list[tuple[Change, str]] = [
    *((value("number", {"int": text}), CORRUPT) for text in (*NUMBERS, "9" * 4_301, "7\n", "7\0")),
    *((value("number", {"int": other}), CORRUPT) for other in (7, 7.5, True, None, ["7"], {"int": "7"})),
    *(
        (value("number", other), CORRUPT)
        for other in (7, "7", True, None, [], {}, {"float": "7"}, {"int": "7", "x": 1})
    ),
    *((value("number", other), CORRUPT) for other in ({"set": ["7"]}, {"map": {"a": "7"}}, ...)),
    (instead('{"int":"7"}', "NaN"), CORRUPT),
    (instead('{"int":"7"}', "Infinity"), CORRUPT),
    (instead('{"int":"7"}', "[" * 100_000), CORRUPT),
    (instead('{"int":"7"}', '{"int":"8","int":"7"}'), CORRUPT),
    (instead('"number":{', '"number":{"int":"8"},"number":{'), CORRUPT),
    *((value("flag", other), CORRUPT) for other in ("true", 1, {"int": "1"}, None, ...)),
    *((value("phase", other), CORRUPT) for other in (True, {"int": "0"}, {"set": ["open"]}, None, ...)),
    *((value("phase", other), MISFIT) for other in ("ajar", "", "OPEN", "open ", "\u043epen")),
    *((value("known", {"set": items}), CORRUPT) for items in ("ann", [1], [None], [["ann"]], ["bob", "ann"])),
    *((value("known", other), CORRUPT) for other in ({"set": ["ann", "ann"]}, {"map": {}}, {"int": "0"}, ["ann"], ...)),
    *((value("known", {"set": [item]}), MISFIT) for item in ("Ann", "a" * 9, "\u0430nn", "a\0", "\ud800", "1")),
    *(
        (value("given", {"map": entries}), CORRUPT)
        for entries in ({"ann": "0"}, {"ann": 5}, {"ann": "x"}, ["ann"], "ann")
    ),
    *((value("given", other), CORRUPT) for other in ({"set": ["ann"]}, {"int": "5"}, {}, ...)),
    *((value("given", {"map": {key: "5"}}), MISFIT) for key in ("Ann", "a" * 9, "\u0430nn", "\ud800")),
    (instead('{"ann":"5"}', '{"ann":"5","ann":"6"}'), CORRUPT),
    *((events("sum", pairs), CORRUPT) for pairs in ([["1", "-3"]], [["1", "0"]], [["2", "3"], ["1", "3"]], [["1"]])),
    *((events("sum", pairs), CORRUPT) for pairs in ([[1, 3]], [["1", "3", "4"]], [["1", "NaN"]], "13", {"a": []}, ...)),
    *(
        (events("sent", keys), CORRUPT)
        for keys in ({"ann": []}, {"ann": [["1", "-4"]]}, {"ann": [["1", "x"]]}, [], ...)
    ),
    (events("sent", {"Ann": [["1", "4"]]}), MISFIT),
    (instead('"number":"int"', '"number":"timestamp"'), MISFIT),
    (instead('"number":"int"', '"numbers":"int"'), MISFIT),
    (instead('"number":"int",', ""), CORRUPT),
    (instead('"values":', '"value":'), CORRUPT),
    (instead('"clock_ms":"1000000"', '"clock_ms":"now"'), CORRUPT),
    (instead('"clock_ms":"1000000"', '"clock_ms":1000000'), CORRUPT),
    (instead(f'"epochs":{{"{DAY}":"0"}}', '"epochs":{"day":"0"}'), CORRUPT),
    (instead(f'"epochs":{{"{DAY}":"0"}}', f'"epochs":{{"{DAY}":"-0"}}'), CORRUPT),
    (instead(f'"epochs":{{"{DAY}":"0"}}', '"epochs":[]'), CORRUPT),
    (lambda _: "", CORRUPT),
    (lambda document: document[:-1], CORRUPT),
    (lambda document: document + "{}", CORRUPT),
    (lambda document: f"[{document}]", CORRUPT),
]


def row_with(transaction: Transaction, change: Change) -> None:
    """The spec's row with a changed document and the digest that goes with it: not rot, but a slip or somebody."""
    ((version, clock, document),) = transaction._run("SELECT version, clock_ms, document FROM state")
    text = change(str(document))
    digest = row_digest(("c", "spec", ""), int(version or 0), int(clock or 0), text_digest(text))
    transaction._run("UPDATE state SET document = ?, digest = ?", text, digest)


def code_of(folder: Path, change: Change) -> str:
    """The reason code with which the changed state is refused; '' if it is read."""
    kept(folder).close()
    store = Store.open(f"sqlite:///{folder}/state.db", "")
    try:
        with store.transaction() as transaction:
            row_with(transaction, change)
            transaction.check_fit(KEPT)
            transaction.load(KEPT, NOW)
    except SandboxError as error:
        return error.reason_code
    finally:
        store.close()
    return ""


def test_what_nobody_wrote_is_not_read(tmp_path: Path) -> None:
    assert code_of(tmp_path / "as it was", lambda document: document) == ""
    found = [code_of(tmp_path / str(at), change) for at, (change, _) in enumerate(NO_ROWS)]
    assert found == [code for _, code in NO_ROWS]


def test_a_set_that_holds_more_than_it_may_is_read_and_only_shrinks(tmp_path: Path) -> None:
    store = kept(tmp_path)
    smaller = Contract("c", (), tuple(replace(v, max_size=1) if v.name == "known" else v for v in KEPT.variables))
    with store.transaction() as transaction:
        assert transaction.load(smaller, NOW).values["known"] == {"ann", "bob"}
    store.close()


def test_a_number_that_grows_without_end_denies_at_its_bound(tmp_path: Path) -> None:
    text = SPEC.replace("session: {fact: DECLARED}", "state: {n: {type: int, initial: 1}}")
    text += "    then: {n: state.n * FACTOR}\n".replace("FACTOR", "9" * 390)
    call = {"tool": "t", "args": {}}
    with open_gate(tmp_path, text=text) as gate:
        found = [gate.decide(call).reason_code]
        while found[-1] == "rule.allow" and len(found) < 20:
            gate.call(call)
            found.append(gate.decide(call).reason_code)
        assert found == ["rule.allow"] * 10 + ["state_full"]
        with pytest.raises(Denied) as caught:
            gate.call(call)
        assert caught.value.reason_code == "state_full"


# --- results -----------------------------------------------------------------------------------------


ODD: list[object] = [2.0, 2.5, 1e300, 1e-7, [[2]], [2, "a"], {"x": {"x": 2}}, {"result": "a"}, [{}], [[], []]]
"""What a tool may return besides, where one value is declared that is no decimal."""
ODD_FOR: list[ArgType] = [BoolType(), IntType(None, None), test_parse.TEXT]


def hostile_results() -> dict[str, list[tuple[ArgType, object, str]]]:
    """The hostile inputs of each type as what a tool returns: those that are JSON, and come back as they were."""
    of_json = [
        (type_, json.loads(raw), code)
        for type_, raw, code in test_parse.REFUSED
        if code not in {"parse.json", "parse.duplicate_key", "parse.depth"} and same_when_read(raw)
    ]
    of_json += [(type_, raw, "parse.type") for type_ in ODD_FOR for raw in ODD]
    tables = {
        type(type_).__name__: [each for each in of_json if type(each[0]) is type(type_)] for type_, _, _ in of_json
    }
    tables["RecordType"] = test_types_record.HOSTILE
    tables["UrlType"] = [(test_types_url.WEB, raw, code) for raw, code in test_types_url.HOSTILE]
    tables["EmailType"] = [(test_types_email.EMAIL, raw, code) for raw, code in test_types_email.HOSTILE]
    tables["TimestampType"] = [(test_types_times.AT, raw, code) for raw, code in test_types_times.HOSTILE_INSTANTS]
    tables["DurationType"] = [(test_types_times.LASTS, raw, code) for raw, code in test_types_times.HOSTILE_DURATIONS]
    tables["ShellType"] = [(test_types_words.SHELL, raw, code) for raw, code in test_types_words.HOSTILE_LINES]
    tables["ArgvType"] = [(test_types_words.ARGV, raw, code) for raw, code in test_types_words.HOSTILE_ARGVS]
    return tables


def same_when_read(raw: str) -> bool:
    """Whether a JSON text is the same to a tool's reader, which knows floats, and to ours."""
    try:
        return bool(strict_json.read({"x": json.loads(raw)}) == strict_json.read(f'{{"x":{raw}}}'))
    except (ValueError, RecursionError):
        return False


RESULTS = hostile_results()


def ruled(type_: ArgType, result: Json) -> tuple[str, str]:
    """The code of a result that `after` would pass, and its reason."""
    tool = Tool("t", (), (), returns=(Returned("x", type_),), after=(Rule("p", "allow", TRUE),))
    contract = Contract("c", (tool,))
    judge = ResultJudge(
        (contract,),
        {"c": EnginePair(Evaluator(staged(contract)), None)},
        Call("t", {}, "", ""),
        lambda: {"c": ({}, {})},
    )
    ruling = judge.ruling(Outcome("ok", "ok", "", result=result))
    return ruling.reason_code or ruling.kind, ruling.reason


@pytest.mark.parametrize("kind", sorted(RESULTS))
def test_a_result_is_held_to_its_type_as_an_argument_is(kind: str) -> None:
    assert len(RESULTS[kind]) >= LEAST
    for type_, raw, code in RESULTS[kind]:
        said = f"the call ran; its result is not what `returns` declares ({code}) and is withheld"
        assert ruled(type_, {"x": raw}) == ("after.type", said), raw  # type: ignore[dict-item]  # Decimals, surrogates


# --- origins -----------------------------------------------------------------------------------------

ORIGINS = """\
sandbox: 1
name: origins
tools:
  read:
    args: {}
    returns: {body: {origin: web}}
    rules: [{id: all, allow: true}]
    run: {tool: "tools.payments:send_money"}
  send:
    args: {to: {type: string}}
    rules:
      - {id: web, deny: "'web' in origin(args.to)"}
      - {id: all, allow: true}
    run: {tool: "tools.payments:send_money"}
"""
NO_ORIGINS: list[object] = [
    *(
        {"to": label}
        for label in ("", " web", "web ", "WEB", "w\u0435b", "web\0", "webb", "we", "*", "tool:", "tool:reed")
    ),
    *({"to": label} for label in ("tool:read\n", "Tool:read", "\ud800", "web,user", "a" * 100_000, "user:web")),
    *(
        {"to": label}
        for label in (None, 1, True, 1.5, b"web", object(), ["web", None], ["web", 1], [["web"]], {1: "web"})
    ),
    *({"to": label} for label in (["web", "webb"], ("user", ""), {"webb"}, iter(["web"]), range(2))),
    *({name: "web"} for name in ("", "too", "TO", "to ", "t\u043e", "args.to", "to.x", "\ud800")),
    *({name: "web"} for name in (1, None, True, b"to", ("to",))),
    *("to", b"to", 7, ["to"], [("to", "web")], {"to"}, ("to", "web"), object(), True),
]


def test_origins_that_are_none_deny(tmp_path: Path) -> None:
    runner, call = SpyRunner(), {"tool": "send", "args": {"to": "bob"}}
    with open_gate(tmp_path, text=ORIGINS, runner=runner) as gate:
        for origins in NO_ORIGINS:
            assert gate.decide(call, origins=origins).reason_code == "origin.wrong", origins  # type: ignore[arg-type]
            with pytest.raises(SandboxError) as caught:
                gate.call(call, origins=origins)  # type: ignore[arg-type]  # that is the point
            assert caught.value.reason_code == "origin.wrong"
        assert runner.permits == []
        assert gate.decide(call, origins={"to": ["web", "user"]}).rule == "web"
        assert gate.decide(call, origins={"to": []}).rule == "all"
