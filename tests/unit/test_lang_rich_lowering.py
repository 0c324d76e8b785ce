# ruff: noqa: E501 - a table is read line by line
"""What times, records, URLs, command lines and session facts become in the IR."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich_scope import ARGUMENTS, SCOPE, lowered

from sandbox import emails, parse, urls
from sandbox.errors import SpecError
from sandbox.evaluate import Env, evaluate
from sandbox.ir import (
    EMAIL_SORT,
    FALSE,
    SHELL_WORDS,
    TIMESTAMP_RANGE,
    TRUE,
    URL_SORT,
    Add,
    All,
    And,
    Arg,
    BoolSort,
    Bound,
    Const,
    DecimalSort,
    DurationSort,
    EnumSort,
    Eq,
    Exists,
    Expr,
    Fact,
    Field,
    Has,
    HasField,
    Index,
    IntSort,
    Le,
    ListSort,
    Lt,
    Member,
    Neg,
    Not,
    Or,
    Size,
    StartsWith,
    State,
    StringSort,
    Sub,
    TimestampSort,
    sort_of,
)
from sandbox.lang import Scope, reach
from sandbox.lang.reach import Command, declared

STRING, INT, BOOL, WHEN, WAIT = StringSort(), IntSort(), BoolSort(), TimestampSort(), DurationSort()
MS_2026 = 1_767_225_600_000


def arg(name: str) -> Arg:
    return Arg(name, sort_of(ARGUMENTS[name].type))


NOW, LAST = Fact("now", WHEN), State("last", WHEN)
R, U = arg("r"), arg("u")
LINE = R.sort
WORDS = ListSort(STRING, SHELL_WORDS)


def at(ms: int) -> Const:
    return Const(ms, WHEN)


def long(ms: int) -> Const:
    return Const(ms, WAIT)


def s(text: str) -> Const:
    return Const(text, STRING)


@pytest.mark.parametrize(
    ("text", "expr"),
    [
        ("now < timestamp('2026-01-01T00:00:00Z')", Lt(NOW, at(MS_2026))),
        ("timestamp(start) == args.when", Eq(at(MS_2026), arg("when"))),
        ("args.when >= timestamp('2026-01-01T01:00:00+01:00')", Le(at(MS_2026), arg("when"))),
        ("args.wait != duration('1h0.5s')", Not(Eq(arg("wait"), long(3_600_500)))),
        ("args.wait == -duration('1s')", Eq(arg("wait"), Neg(long(1000)))),
        ("now - args.when > args.wait", Lt(arg("wait"), Sub(NOW, arg("when")))),
        ("now + args.wait > state.last", Lt(LAST, Add(NOW, arg("wait")))),
        ("args.wait + now > state.last", Lt(LAST, Add(arg("wait"), NOW))),
        ("now - duration('1h') == state.last", Eq(Sub(NOW, long(3_600_000)), LAST)),
        ("args.wait + args.wait == duration('2s')", Eq(Add(arg("wait"), arg("wait")), long(2000))),
        ("args.wait - args.wait == -args.wait", Eq(Sub(arg("wait"), arg("wait")), Neg(arg("wait")))),
        ("args.when in [timestamp(start)]", Or((Eq(arg("when"), at(MS_2026)),))),
        ("args.when in args.ws", Member(arg("when"), arg("ws"))),
        ("has(args.then) && args.then == now", And((Has("then"), Eq(arg("then"), NOW)))),
        ("session.user == 'ann'", Eq(Fact("session.user", STRING), s("ann"))),
        ("session.role == 'boss'", Eq(Fact("session.role", EnumSort(("clerk", "boss"))), Const("boss", EnumSort(("clerk", "boss"))))),
        ("session.since < now", Lt(Fact("session.since", WHEN), NOW)),
        ("args.r.sku == 'a'", Eq(Field(R, "sku", STRING), s("a"))),
        ("args.r.price <= 5", Le(Field(R, "price", DecimalSort(2)), Const(500, DecimalSort(2)))),
        ("args.r.price <= session.limit", Le(Field(R, "price", DecimalSort(2)), Fact("session.limit", DecimalSort(2)))),
        ("size(args.r.memo) < 5", Lt(Size(Field(R, "memo", LINE.field("memo").sort)), Const(5, INT))),
        ("has(args.r.note) && args.r.note == 'a'", And((HasField(R, "note"), Eq(Field(R, "note", STRING), s("a"))))),
        ("has(args.r.sku)", TRUE),
        ("has(args.o) && has(args.o.note) ? args.o.note == 'a' : true", None),
        ("args.r.tags[0] == 'a'", Eq(Index(Field(R, "tags", ListSort(STRING, 3)), 0), s("a"))),
        ("'a' in args.r.tags", Member(s("a"), Field(R, "tags", ListSort(STRING, 3)))),
        ("size(args.rs) > one && args.rs[one].sku == 'a'",
         And((Lt(Const(1, INT), Size(arg("rs"))), Eq(Field(Index(arg("rs"), 1), "sku", STRING), s("a"))))),
        ("args.rs.all(x, has(x.note) && x.note == 'a')",
         All(Bound("x_1", LINE), arg("rs"), And((HasField(Bound("x_1", LINE), "note"), Eq(Field(Bound("x_1", LINE), "note", STRING), s("a")))))),
        ("args.rs.exists(x, x.tags.all(y, y == x.sku))",
         Exists(Bound("x_1", LINE), arg("rs"), All(Bound("y_2", STRING), Field(Bound("x_1", LINE), "tags", ListSort(STRING, 3)),
                                                   Eq(Bound("y_2", STRING), Field(Bound("x_1", LINE), "sku", STRING))))),
        ("args.rs == []", And((Eq(Size(arg("rs")), Const(0, INT)),))),
        ("args.u.host == 'a'", Eq(Field(U, "host", STRING), s("a"))),
        ("args.u.port == 443 && !args.u.is_private", And((Eq(Field(U, "port", INT), Const(443, INT)), Not(Field(U, "is_private", BOOL))))),
        ("args.us[0].path.startsWith('/a/')", StartsWith(Field(Index(arg("us"), 0), "path", STRING), s("/a/"))),
        ("args.m.domain == 'b'", Eq(Field(arg("m"), "domain", STRING), s("b"))),
        ("args.argv[0] == 'git'", Eq(Index(arg("argv"), 0), s("git"))),
        ("args.argv == ['ls']", And((Eq(Size(arg("argv")), Const(1, INT)), Eq(Index(arg("argv"), 0), s("ls"))))),
        ("args.cmd[0][0] == 'git'", Eq(Index(Index(arg("cmd"), 0), 0), s("git"))),
        ("args.cmd.all(c, c[0] in programs)",
         All(Bound("c_1", WORDS), arg("cmd"), Or((Eq(Index(Bound("c_1", WORDS), 0), s("git")), Eq(Index(Bound("c_1", WORDS), 0), s("ls")))))),
        ("args.cmd.all(c, size(c) > 1 && c[1] == 'x')",
         All(Bound("c_1", WORDS), arg("cmd"), And((Lt(Const(1, INT), Size(Bound("c_1", WORDS))), Eq(Index(Bound("c_1", WORDS), 1), s("x")))))),
        ("args.cmd.all(c, c == ['git', 'log'])", None),
        ("args.cmd.exists(c, 'push' in c)", Exists(Bound("c_1", WORDS), arg("cmd"), Member(s("push"), Bound("c_1", WORDS)))),
    ],
)  # fmt: skip
def test_what_is_written_becomes_this_term(text: str, expr: Expr | None) -> None:
    found = lowered(text, BOOL)
    assert expr is None or found == expr


def test_a_timestamp_may_be_assigned() -> None:
    assert lowered("now + duration('1h')", WHEN) == Add(NOW, long(3_600_000))
    assert lowered("timestamp(start)", WHEN) == at(MS_2026)
    assert lowered("args.b ? timestamp(start) : now", WHEN).then == at(MS_2026)
    with pytest.raises(SpecError, match="expected timestamp, found duration"):
        lowered("now - now", WHEN)


INSTANTS = st.integers(*TIMESTAMP_RANGE)


@settings(max_examples=300, deadline=None)
@given(instant=INSTANTS)
def test_the_parts_of_an_instant_are_what_the_calendar_says_before_1970_too(instant: int) -> None:
    day = datetime.fromtimestamp(0, UTC) + (instant // 1000) * (datetime.resolution * 1_000_000)
    env = Env({"when": instant}, {})
    assert evaluate(lowered("args.when.getHours()", INT))(env) == day.hour
    assert evaluate(lowered("args.when.getMinutes()", INT))(env) == day.minute
    assert evaluate(lowered("args.when.getDayOfWeek()", INT))(env) == day.isoweekday() % 7


@pytest.mark.parametrize("instant", [-(10**20), 10**20 + 1, -1, 0, 1])
def test_the_parts_of_an_instant_are_in_their_range_beyond_all_calendars(instant: int) -> None:
    env = Env({}, {"last": instant})
    assert evaluate(lowered("state.last.getHours()", INT))(env) == instant // 3_600_000 % 24
    assert evaluate(lowered("state.last.getMinutes()", INT))(env) == instant // 60_000 % 60
    assert evaluate(lowered("state.last.getDayOfWeek()", INT))(env) == (instant // 86_400_000 + 4) % 7


def test_the_declared_types_along_a_path_are_those_that_parse_enforces() -> None:
    assert (reach.MAX_WORD, reach.MAX_URL, reach.MAX_EMAIL) == (parse.MAX_WORD, urls.MAX_URL, emails.MAX_EMAIL)
    types = {name: argument.type for name, argument in ARGUMENTS.items()}
    for text in ("args.u.host", "args.us[0].query", "args.m.local", "args.argv[0]", "args.cmd[0][0]"):
        found = lowered(f"{text} == 'a'", BOOL)
        assert isinstance(found, Eq)
        assert sort_of(declared(found.left, types)) == STRING
    assert declared(Index(arg("cmd"), 0), types) == Command(200)
    assert declared(Field(U, "port", INT), types) is not None
    assert declared(Field(U, "nope", INT), types) is None
    assert declared(Field(arg("s"), "nope", INT), types) is None
    assert declared(Index(arg("s"), 0), types) is None
    assert declared(FALSE, types) is None
    assert declared(NOW, types) == ARGUMENTS["when"].type
    assert declared(Fact("tool", STRING), types) is None
    for sort, name in ((URL_SORT, "u"), (EMAIL_SORT, "m")):
        for part in sort.fields:
            type_ = declared(Field(arg(name), part.name, part.sort), types)
            assert type_ is not None
            assert sort_of(type_) == part.sort


def test_a_scope_names_the_session_only_where_there_is_one() -> None:
    assert "session" in SCOPE.names()
    assert "session" not in Scope(tool="t").names()
