"""What types, defaults, named types and facts of a spec become in the contract."""

from __future__ import annotations

from pathlib import Path

from spec_files import spec, write

from sandbox.call import Call
from sandbox.compile import load_contract, load_properties
from sandbox.ir import (
    Argument,
    ArgvType,
    ArgWord,
    Assignment,
    DecimalType,
    DurationType,
    EmailType,
    EnumType,
    Fact,
    IntType,
    ListType,
    RecordType,
    RunArgv,
    ShellType,
    StringType,
    TimestampSort,
    TimestampType,
    UrlType,
    Variable,
)
from sandbox.parse import parse_call

SPEC = spec("""
types:
  money: {type: decimal, scale: 2, min: 0}
  line: {type: record, fields: {sku: {type: string}, price: {type: money}, note: {type: string, optional: true}}}
session:
  user: {type: string}
  role: {type: enum, values: [clerk, boss]}
  since: {type: timestamp}
state:
  last: {type: timestamp, initial: 1970-01-01T00:00:01Z}
tools:
  t:
    args:
      when: {type: timestamp}
      wait: {type: duration, default: 1h30m}
      lines: {type: list, items: line, max_size: 3}
      first: {type: line, optional: true}
      price: {type: money, default: 5.00}
      u: {type: url, schemes: [https]}
      v: {type: url, optional: true}
      mail: {type: email}
      words: {type: argv, max_size: 5}
      cmd: {type: shell, default: git log}
      flag: {type: bool, default: false}
      deep: {type: record, default: {a: [1, -2], s: "q\\"\\u00e9"}, fields: {a: {type: list, items: int}, s: {type: string}, b: {type: int, default: 7}}}
    rules:
      - {id: a, allow: "session.role == 'boss' && args.lines.all(x, has(x.note) && x.price < 5)"}
    then: {last: now}
    run: {argv: [echo, '{args.words}', '{args.u}']}
""")  # noqa: E501 - as authors write it

MONEY = DecimalType(2, 0, None)
NOTE = Argument("note", StringType(None, 0, 4096), optional=True)
LINE = RecordType((Argument("sku", StringType(None, 0, 4096)), Argument("price", MONEY), NOTE))


def test_every_type_is_compiled_and_a_named_one_is_what_it_names(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, SPEC))
    (tool,) = contract.tools
    found = {argument.name: argument for argument in tool.arguments}
    assert found["when"] == Argument("when", TimestampType())
    assert found["wait"] == Argument("wait", DurationType(), default='"1h30m"')
    assert found["lines"] == Argument("lines", ListType(LINE, 0, 3, unique=False))
    assert found["first"] == Argument("first", LINE, optional=True)
    assert found["price"] == Argument("price", MONEY, default="5.00")
    assert found["u"].type == UrlType(("https",))
    assert found["v"].type == UrlType(("http", "https"))
    assert found["mail"].type == EmailType()
    assert found["words"].type == ArgvType(5)
    assert found["cmd"] == Argument("cmd", ShellType(4096), default='"git log"')
    assert found["flag"].default == "false"
    assert found["deep"].default == '{"a":[1,-2],"s":"q\\"\\u00e9"}'
    assert isinstance(found["deep"].type, RecordType)
    assert found["deep"].type.fields[2] == Argument("b", IntType(-(2**63), 2**63 - 1), default="7")
    assert contract.session == (
        Argument("user", StringType(None, 0, 4096)),
        Argument("role", EnumType(("clerk", "boss"))),
        Argument("since", TimestampType()),
    )
    assert contract.variables == (Variable("last", TimestampSort(), 1000),)
    assert tool.then == (Assignment("last", Fact("now", TimestampSort())),)
    assert tool.run is not None
    assert tool.run.what == RunArgv(("echo", ArgWord("words"), ArgWord("u")))


def test_a_default_is_the_canonical_value_of_what_is_left_out(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, SPEC))
    given = {"when": "2026-01-01T00:00:00Z", "lines": [], "u": "https://a/", "mail": "a@b.example", "words": ["x"]}
    call = parse_call({"tool": "t", "args": given}, contract)
    assert isinstance(call, Call)
    assert call.args["wait"] == 5_400_000
    assert call.args["price"] == 500
    assert call.args["cmd"] == (("git", "log"),)
    assert call.args["flag"] is False
    assert call.args["deep"] == {"a": (1, -2), "s": 'q"\u00e9', "b": 7}
    assert "first" not in call.args


def test_properties_know_the_time_and_the_session(tmp_path: Path) -> None:
    write(tmp_path, SPEC)
    text = """
proves: spec.yaml
properties:
  - {id: a, never: "decision == 'allow' && session.role == 'clerk'"}
  - {id: b, never: "decision == 'allow' && args.when > now + duration('1h') && state.last > now"}
  - {id: c, possible: "decision == 'allow' && now.getDayOfWeek() == 3"}
"""
    (found,) = load_properties(write(tmp_path, text, "p.yaml"))
    assert [one.id for one in found.properties] == ["a", "b", "c"]
