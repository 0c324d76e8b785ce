# ruff: noqa: E501 - a table is read line by line
"""Refusals of expressions about times, records, URLs, command lines and the session: their exact place and words."""

from __future__ import annotations

import pytest
from rich_scope import SCOPE, lowered

from sandbox.errors import SpecError
from sandbox.ir import BoolSort
from sandbox.lang import Scope

REFUSALS = [
    (
        "timestamp('x') == now",
        11,
        "`'x'` is no timestamp; write an RFC 3339 text such as `timestamp('2026-01-31T08:00:00Z')`",
    ),
    (
        "timestamp('2026-02-30T00:00:00Z') == now",
        11,
        "`'2026-02-30T00:00:00Z'` is no timestamp; write an RFC 3339 text such as `timestamp('2026-01-31T08:00:00Z')`",
    ),
    (
        "timestamp('2026-01-01') < now",
        11,
        "`'2026-01-01'` is no timestamp; write an RFC 3339 text such as `timestamp('2026-01-31T08:00:00Z')`",
    ),
    (
        "timestamp('2026-01-01T00:00:00') < now",
        11,
        "`'2026-01-01T00:00:00'` is no timestamp; write an RFC 3339 text such as `timestamp('2026-01-31T08:00:00Z')`",
    ),
    (
        "timestamp('2026-01-01T00:00:00.0001Z') < now",
        11,
        "`'2026-01-01T00:00:00.0001Z'` is no timestamp; write an RFC 3339 text such as `timestamp('2026-01-31T08:00:00Z')`",
    ),
    (
        "timestamp('2026-06-30T23:59:60Z') < now",
        11,
        "`'2026-06-30T23:59:60Z'` is no timestamp; write an RFC 3339 text such as `timestamp('2026-01-31T08:00:00Z')`",
    ),
    (
        "duration('1d') < args.wait",
        10,
        "`'1d'` is no duration; write units of `ns us ms s m h` in whole milliseconds, such as `duration('1h30m')`",
    ),
    (
        "duration('1.5ms') < args.wait",
        10,
        "`'1.5ms'` is no duration; write units of `ns us ms s m h` in whole milliseconds, such as `duration('1h30m')`",
    ),
    (
        "duration('') < args.wait",
        10,
        "`''` is no duration; write units of `ns us ms s m h` in whole milliseconds, such as `duration('1h30m')`",
    ),
    (
        "duration('-0s') == args.wait",
        10,
        "`'-0s'` is no duration; write units of `ns us ms s m h` in whole milliseconds, such as `duration('1h30m')`",
    ),
    (
        "timestamp(args.s) < now",
        11,
        "`timestamp` takes a constant string, found string `args.s`; an argument is declared `type: timestamp` instead",
    ),
    (
        "timestamp(1) < now",
        11,
        "`timestamp` takes a constant string, found int `1`; an argument is declared `type: timestamp` instead",
    ),
    ("timestamp() < now", 1, "`timestamp` takes 1 argument, found 0"),
    ("duration('1s', '2s') < args.wait", 1, "`duration` takes 1 argument, found 2"),
    ("args.s.timestamp() < now", 8, "`timestamp` is a function; write `timestamp('...')`"),
    (
        "now < '2026-01-01T00:00:00Z'",
        7,
        "expected timestamp, found string `'2026-01-01T00:00:00Z'`; write `timestamp('2026-01-01T00:00:00Z')`",
    ),
    ("args.wait < 5", 13, "expected duration, found int `5`; a number has no unit; write `duration('1h')`"),
    ("args.wait < args.when", 13, "expected duration, found timestamp `args.when`"),
    ("args.when == 5", 14, "expected timestamp, found int `5`"),
    ("now == 1", 8, "expected timestamp, found int `1`"),
    ("now + now == now", 7, "expected duration, found timestamp `now`"),
    (
        "now - 5 == now",
        7,
        "expected timestamp or duration, found int `5`; a number has no unit; write `duration('1h')`",
    ),
    (
        "now + 5 == now",
        7,
        "expected timestamp or duration, found int `5`; a number has no unit; write `duration('1h')`",
    ),
    (
        "5 + now == now",
        1,
        "expected timestamp or duration, found int `5`; a number has no unit; write `duration('1h')`",
    ),
    ("args.wait - now == args.wait", 13, "expected duration, found timestamp `now`"),
    ("args.wait * 2 == args.wait", 1, "expected int or decimal, found duration `args.wait`"),
    ("args.wait / 2 == args.wait", 1, "expected int or decimal, found duration `args.wait`"),
    ("-now == now", 2, "expected duration, found timestamp `now`"),
    ("now && true", 1, "expected bool, found timestamp `now`"),
    ("args.when in [1]", 15, "expected timestamp, found int `1`"),
    (
        "args.when in ['2026-01-01T00:00:00Z']",
        15,
        "expected timestamp, found string `'2026-01-01T00:00:00Z'`; write `timestamp('2026-01-01T00:00:00Z')`",
    ),
    (
        "args.when in [timestamp('2026-01-01T00:00:00Z'), duration('1h')]",
        50,
        "expected timestamp, found duration `duration('1h')`",
    ),
    ("args.ws == ['x']", 13, "expected timestamp, found string `'x'`; write `timestamp('x')`"),
    ("args.wait.getHours() == 1", 1, "expected timestamp, found duration `args.wait`"),
    ("now.getHours('Europe/Paris') == 1", 5, "`getHours` takes 0 arguments, found 1"),
    ("now.getSeconds() == 1", 5, "`getSeconds` is no method of this language; check its spelling"),
    ("getHours(now) == 1", 1, "`getHours` is a method; write `x.getHours(...)`"),
    ("now.getHour() == 1", 5, "`getHour` is no method of this language; did you mean `getHours`?"),
    ("args.then < now", 1, "`args.then` is optional; write `has(args.then) &&` before it"),
    ("args.b ? now : 5", 16, "expected timestamp, found int `5`"),
    (
        "args.b ? timestamp('2026-01-01T00:00:00Z') : duration('1h')",
        46,
        "expected timestamp, found duration `duration('1h')`",
    ),
    ("session == 'x'", 1, "`session` is no value by itself; write `session.NAME`"),
    ("session.usr == 'x'", 9, "the session has no fact `usr`; did you mean `user`?"),
    ("session.role == 'chef'", 17, "`'chef'` is not a value of `session.role`; known: `boss`, `clerk`"),
    ("session.user.x == 'x'", 14, "string `session.user` has no fields"),
    ("has(session.user)", 5, "`has` takes an argument of the call, or a field of a record; write `has(args.NAME)`"),
    ("has(state.last)", 5, "`has` takes an argument of the call, or a field of a record; write `has(args.NAME)`"),
    ("has(now)", 5, "`has` takes an argument of the call, or a field of a record; write `has(args.NAME)`"),
    ("now.x == 1", 5, "timestamp `now` has no fields"),
    (
        "args.r == args.r",
        1,
        "expected a single value, found record `args.r`; write a field of it, such as `args.r.sku`",
    ),
    ("args.r == 'x'", 1, "expected a single value, found record `args.r`; write a field of it, such as `args.r.sku`"),
    ("args.r.skuu == 'x'", 8, "record `args.r` has no field `skuu`; did you mean `sku`?"),
    ("args.r.sku.x == 'x'", 12, "string `args.r.sku` has no fields"),
    ("args.r.note == 'x'", 1, "`args.r.note` is optional; write `has(args.r.note) &&` before it"),
    ("has(args.r.note) || args.r.note == 'x'", 21, "`args.r.note` is optional; write `has(args.r.note) &&` before it"),
    ("has(args.o.note) && args.o.note == 'x'", 5, "`args.o` is optional; write `has(args.o) &&` before it"),
    ("args.o.sku == 'x'", 1, "`args.o` is optional; write `has(args.o) &&` before it"),
    ("has(args.o) && args.o.note == 'x'", 16, "`args.o.note` is optional; write `has(args.o.note) &&` before it"),
    ("has(args.o.note)", 5, "`args.o` is optional; write `has(args.o) &&` before it"),
    ("has(args.r.nope)", 12, "record `args.r` has no field `nope`; did you mean `note`?"),
    ("has(args.s.x)", 12, "string `args.s` has no fields"),
    ("has(args.r.inner.oz)", 5, "`args.r.inner` is optional; write `has(args.r.inner) &&` before it"),
    (
        "has(args.r.inner) && args.r.inner.oz == 1",
        22,
        "`args.r.inner.oz` is optional; write `has(args.r.inner.oz) &&` before it",
    ),
    ("has(args.r.note) && args.o.note == 'x'", 21, "`args.o` is optional; write `has(args.o) &&` before it"),
    (
        "args.r.memo == 'x'",
        1,
        "expected a single value, found text `args.r.memo`; rules see only `size` and `has` of it; declare it `string`",
    ),
    ("args.r.tags[1] == 'x'", 1, "`args.r.tags` may be too short for `1`; write `size(args.r.tags) > 1 &&` before it"),
    ("args.r.tags[0].x == 'x'", 16, "string `args.r.tags[0]` has no fields"),
    ("args.rs[0].sku == 'x'", 1, "`args.rs` may be too short for `0`; write `size(args.rs) > 0 &&` before it"),
    (
        "size(args.rs) > 0 && args.rs[0].note == 'x'",
        22,
        "`args.rs[0].note` is optional; write `has(args.rs[0].note) &&` before it",
    ),
    (
        "size(args.rs) > 1 && has(args.rs[0].note) && args.rs[1].note == 'x'",
        46,
        "`args.rs[1].note` is optional; write `has(args.rs[1].note) &&` before it",
    ),
    ("args.rs.all(x, x.note == 'x')", 16, "`x.note` is optional; write `has(x.note) &&` before it"),
    ("args.rs.all(x, x == 'x')", 16, "expected a single value, found record `x`; write a field of it, such as `x.sku`"),
    (
        "args.rs.exists(x, has(x.note)) && args.rs.exists(x, x.note == 'x')",
        53,
        "`x.note` is optional; write `has(x.note) &&` before it",
    ),
    (
        "args.rs.all(x, x.tags[1] == 'a')",
        16,
        "`x.tags` may be too short for `1`; write `size(x.tags) > 1 &&` before it",
    ),
    (
        "args.rs.all(x, size(args.rs) > 1 && x.tags[1] == 'a')",
        37,
        "`x.tags` may be too short for `1`; write `size(x.tags) > 1 &&` before it",
    ),
    ("args.rs == ['x']", 13, "expected record, found string `'x'`"),
    ("args.r in args.rs", 11, "`in` needs single values, found list of record `args.rs`; write `exists(x, ...)`"),
    (
        "args.s in args.cmd",
        11,
        "`in` needs single values, found list of list of string `args.cmd`; write `exists(x, ...)`",
    ),
    ("args.s in args.rs", 11, "`in` needs single values, found list of record `args.rs`; write `exists(x, ...)`"),
    (
        "args.u == 'https://x'",
        1,
        "expected a single value, found url `args.u`; write a field of it, such as `args.u.host`",
    ),
    ("args.u.hostname == 'x'", 8, "url `args.u` has no field `hostname`; did you mean `host`?"),
    ("args.u.port == '443'", 16, "expected int, found string `'443'`"),
    (
        "args.u.startsWith('https')",
        1,
        "expected string, found url `args.u`; write a field of it, such as `args.u.host`",
    ),
    ("args.us[1].host == 'x'", 1, "`args.us` may be too short for `1`; write `size(args.us) > 1 &&` before it"),
    (
        "args.m == 'a@b.example'",
        1,
        "expected a single value, found email `args.m`; write a field of it, such as `args.m.domain`",
    ),
    ("args.m.host == 'x'", 8, "email `args.m` has no field `host`; known: `domain`, `local`"),
    (
        "size(args.r) == 1",
        6,
        "expected string, text or list, found record `args.r`; write a field of it, such as `args.r.sku`",
    ),
    (
        "size(args.u) == 1",
        6,
        "expected string, text or list, found url `args.u`; write a field of it, such as `args.u.host`",
    ),
    ("args.argv == 'git log'", 1, "expected a single value, found list of string `args.argv`"),
    ("args.argv[1] == 'log'", 1, "`args.argv` may be too short for `1`; write `size(args.argv) > 1 &&` before it"),
    ("args.argv.contains('x')", 1, "expected string, found list of string `args.argv`"),
    ("args.cmd == 'git log'", 1, "expected a single value, found list of list of string `args.cmd`"),
    ("args.cmd[0] == 'git'", 1, "expected a single value, found list of string `args.cmd[0]`"),
    (
        "args.cmd[0][1] == 'log'",
        1,
        "`args.cmd[0]` may be too short for `1`; write `size(args.cmd[0]) > 1 &&` before it",
    ),
    ("args.cmd[1][0] == 'log'", 1, "`args.cmd` may be too short for `1`; write `size(args.cmd) > 1 &&` before it"),
    ("args.cmd.all(c, c[1] == 'log')", 17, "`c` may be too short for `1`; write `size(c) > 1 &&` before it"),
    ("args.cmd.all(c, c == 'git')", 17, "expected a single value, found list of string `c`"),
    (
        "args.cmd.all(c, size(c) > 1) && args.cmd.all(c, c[1] == 'x')",
        49,
        "`c` may be too short for `1`; write `size(c) > 1 &&` before it",
    ),
    ("args.cmd.all(now, true)", 14, "`now` means something already; use another name"),
    ("args.cmd.all(session, true)", 14, "`session` means something already; use another name"),
    ("args.cmd.all(c, c.all(c, true))", 23, "`c` means something already; use another name"),
    ("args.rs.all(x, x)", 16, "expected bool, found record `x`; write a field of it, such as `x.sku`"),
    ("args.r", 1, "expected bool, found record `args.r`; write a field of it, such as `args.r.sku`"),
    (
        "args.b ? args.r : args.r",
        10,
        "expected a single value, found record `args.r`; write a field of it, such as `args.r.sku`",
    ),
    ("args.r < args.r", 1, "expected a single value, found record `args.r`; write a field of it, such as `args.r.sku`"),
]


@pytest.mark.parametrize(("text", "column", "message"), REFUSALS)
def test_an_expression_outside_of_the_language_is_refused_at_its_place(text: str, column: int, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        lowered(text, BoolSort())
    (problem,) = caught.value.problems
    assert (problem.place.line, problem.place.column, problem.message) == (1, column, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("now > now", "`now` has no meaning here, where no call is looked at"),
        ("session.user == 'x'", "`session` has no meaning here, where no call is looked at"),
    ],
)
def test_an_invariant_of_the_state_knows_no_call(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        lowered(text, BoolSort(), Scope(state=SCOPE.state))
    assert caught.value.problems[0].message == message
