"""Differential: the domain that proofs assume of arguments is what `parse` lets through, and nothing less.

A domain that excluded one call which `parse` accepts would make proofs say something false of the code that runs.
"""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
import z3
from ground_values import CTX, term
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.call import Call
from sandbox.encode import Environment, ListTerm, RecordTerm, domain, state_domain, symbols
from sandbox.ground import is_literally_true
from sandbox.ir import (
    ArgType,
    Argument,
    ArgvType,
    BoolType,
    Contract,
    DecimalType,
    EnumSort,
    EnumType,
    IntSort,
    IntType,
    ListType,
    PathType,
    RecordType,
    StringType,
    TextType,
    Tool,
    UrlType,
    Variable,
    sort_of,
)
from sandbox.parse import parse_call

CODE = StringType("[A-Z]{2}[0-9]*", 2, 5)
FREE = StringType(None, 1, 6)
ROWS = ListType(RecordType((Argument("p", IntType(0, 3), optional=True), Argument("q", BoolType()))), 0, 3, unique=True)
TYPES: tuple[ArgType, ...] = (
    BoolType(),
    IntType(-3, 10),
    DecimalType(2, -150, 1_000),
    DecimalType(0, None, None),
    CODE,
    FREE,
    TextType(4),
    EnumType(("red", "green")),
    PathType(None),
    PathType("/workspace"),
    ListType(IntType(0, 3), 1, 3, unique=True),
    ListType(FREE, 0, 2, unique=False),
    ListType(PathType("/w"), 0, 2, unique=True),
    ListType(EnumType(("a", "b")), 0, 3, unique=True),
)

characters = st.characters(exclude_categories=[])
texts = st.one_of(
    st.text(characters, max_size=7),
    st.text("AB09/.~\\ \n\u0000\u0085", max_size=7),
    st.from_regex(r"[A-Z]{2}[0-9]{0,4}", fullmatch=True),
    st.sampled_from(["/", "//", "/a/../b", "a/./b/", "/a//b", "~/x", "/..a", "red", "green", ".", "..", "/workspace"]),
)
scalars = st.one_of(
    st.booleans(),
    st.integers(-12, 12),
    st.integers(-12, 12).map(str),
    st.decimals(-20, 20, places=2).map(lambda d: str(Decimal(d))),
    texts,
)
values = st.one_of(scalars, st.lists(scalars, max_size=4))


def contract(type_: ArgType, *, optional: bool = False) -> Contract:
    return Contract("c", (Tool("t", (Argument("x", type_, optional=optional),), ()),))


def inside(spec: Contract, args: dict[str, object]) -> bool:
    (tool,) = spec.tools
    terms = {a.name: term(args.get(a.name), sort_of(a.type)) for a in tool.arguments}
    env = Environment(CTX, terms, {a.name: z3.BoolVal(a.name in args, CTX) for a in tool.arguments})
    return all(is_literally_true(fact) for fact in domain(tool, env))


@pytest.mark.parametrize("type_", TYPES, ids=lambda type_: type(type_).__name__)
@settings(max_examples=60, deadline=None)
@given(value=values)
def test_whatever_parse_accepts_is_in_the_domain(type_: ArgType, value: object) -> None:
    spec = contract(type_)
    parsed = parse_call(json.dumps({"tool": "t", "args": {"x": value}}).encode(), spec)
    if isinstance(parsed, Call):
        assert inside(spec, dict(parsed.args)), parsed.args


@pytest.mark.parametrize("type_", [CODE, FREE, EnumType(("red", "green"))], ids=lambda type_: type(type_).__name__)
@settings(max_examples=150, deadline=None)
@given(value=texts)
def test_the_domain_of_a_string_excludes_what_parse_refuses(type_: ArgType, value: str) -> None:
    spec = contract(type_)
    accepted = isinstance(parse_call(json.dumps({"tool": "t", "args": {"x": value}}).encode(), spec), Call)
    encodable = all(ord(c) <= 0x2FFFF for c in value) and (not isinstance(type_, EnumType) or value in type_.values)
    if encodable and not accepted:
        assert not inside(spec, {"x": value})


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (IntType(-3, 10), -4),
        (IntType(-3, 10), 11),
        (DecimalType(2, -150, None), -151),
        (ListType(IntType(0, 3), 1, 3, unique=True), ()),
        (ListType(IntType(0, 3), 1, 3, unique=True), (1, 1)),
        (ListType(IntType(0, 3), 1, 3, unique=True), (4,)),
        (ListType(IntType(0, 3), 2, 3, unique=False), (1,)),
        (ListType(FREE, 0, 2, unique=False), ("a", "1234567")),
        (ListType(FREE, 0, 2, unique=False), ("",)),
        (ArgvType(2), ()),
        (ArgvType(2), ("a", "b\n")),
        (ROWS, ({"p": 1, "q": True}, {"p": 1, "q": True})),
        (ROWS, ({"q": True}, {"p": 1, "q": True}, {"q": True})),
        (PathType(None), "a"),
        (PathType(None), "/a/../b"),
        (PathType(None), "/a//b"),
        (PathType(None), "/a/"),
        (PathType(None), "/./a"),
        (PathType(None), "/a\n"),
        (PathType(None), ""),
    ],
)
def test_the_domain_excludes_what_no_canonical_value_is(type_: ArgType, value: object) -> None:
    assert not inside(contract(type_), {"x": value})


@pytest.mark.parametrize(
    "value",
    [
        ({"p": 1, "q": True}, {"p": 2, "q": True}),
        ({"p": 1, "q": True}, {"p": 1, "q": False}),
        ({"q": True}, {"p": 0, "q": True}),
        ({"q": True}, {"q": False}),
    ],
)
def test_rows_that_differ_in_one_part_are_different(value: object) -> None:
    assert inside(contract(ROWS), {"x": value})


def test_what_an_absent_part_would_be_makes_no_difference() -> None:
    spec = contract(ROWS)
    ctx = z3.Context()
    env = symbols(spec, spec.tools[0], ctx)
    items = env.args["x"]
    assert isinstance(items, ListTerm)
    one, other = items.items[:2]
    assert isinstance(one, RecordTerm)
    assert isinstance(other, RecordTerm)
    solver = z3.Solver(ctx=ctx)
    solver.add(*domain(spec.tools[0], env), items.length == 2, one.parts["q"] == other.parts["q"])
    solver.add(z3.Not(one.present["p"]), z3.Not(other.present["p"]), one.parts["p"] != other.parts["p"])
    assert solver.check() == z3.unsat


@pytest.mark.parametrize(
    ("host", "is_ip", "private", "there"),
    [
        ("127.0.0.1", True, True, True),
        ("127.0.0.1", False, True, False),
        ("127.0.0.1", True, False, False),
        ("8.8.8.8", True, False, True),
        ("8.8.8.8", True, True, False),
        ("a.example", False, False, True),
        ("a.example", True, False, False),
    ],
)
def test_what_is_said_of_a_host_goes_with_it(host: str, is_ip: bool, private: bool, there: bool) -> None:
    spec = contract(UrlType(("https",)))
    ctx = z3.Context()
    env = symbols(spec, spec.tools[0], ctx)
    url = env.args["x"]
    assert isinstance(url, RecordTerm)
    solver = z3.Solver(ctx=ctx)
    solver.add(*domain(spec.tools[0], env), url.parts["host"] == host)
    solver.add(url.parts["is_ip"] == is_ip, url.parts["is_private"] == private)
    assert (solver.check() == z3.sat) is there


def test_a_port_is_one_that_there_is_and_the_scheme_one_that_is_declared() -> None:
    spec = contract(UrlType(("https",)))
    ctx = z3.Context()
    env = symbols(spec, spec.tools[0], ctx)
    url = env.args["x"]
    assert isinstance(url, RecordTerm)
    found = {}
    for scheme, port in (("https", 0), ("https", 1), ("https", 65_535), ("https", 65_536), ("http", 1)):
        solver = z3.Solver(ctx=ctx)
        solver.add(*domain(spec.tools[0], env), url.parts["host"] == "a.example", url.parts["port"] == port)
        solver.add(url.parts["scheme"] == scheme)
        found[scheme, port] = solver.check() == z3.sat
    assert [where for where, there in found.items() if there] == [("https", 1), ("https", 65_535)]


def test_an_enum_is_one_of_its_values_and_no_more() -> None:
    spec = contract(EnumType(("red", "green")))
    ctx = z3.Context()
    env = symbols(spec, spec.tools[0], ctx)
    found = {}
    for position in range(-1, 4):
        solver = z3.Solver(ctx=ctx)
        solver.add(*domain(spec.tools[0], env), env.args["x"] == position)
        found[position] = solver.check() == z3.sat
    assert found == {-1: False, 0: True, 1: True, 2: False, 3: False}


def test_an_absent_optional_is_in_the_domain_even_of_a_type_without_values() -> None:
    assert inside(contract(IntType(5, 4), optional=True), {})
    assert not inside(contract(IntType(5, 4), optional=True), {"x": 5})
    assert not inside(contract(IntType(5, 4)), {"x": 5})


def test_of_the_state_only_the_sort_is_assumed() -> None:
    spec = Contract("c", (Tool("t", (), ()),), (Variable("n", IntSort(), 0), Variable("e", EnumSort(("x", "y")), "x")))
    ctx = z3.Context()
    env = symbols(spec, spec.tools[0], ctx, "_0")
    solver = z3.Solver(ctx=ctx)
    solver.add(*state_domain(spec, env), env.state["n"] == -(10**40))
    assert solver.check() == z3.sat
    solver.add(env.state["e"] == 2)
    assert solver.check() == z3.unsat
