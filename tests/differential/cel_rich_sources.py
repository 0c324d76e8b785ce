"""Random expressions about times, records, URLs and command lines, each in our spelling and in a CEL engine's.

The spellings differ in four things. An engine takes no timestamps inside of maps, so a timestamp or duration `args.x`,
`state.x`, `session.x` is the variable `args_x` (and so on) there; it has no sign of a duration, so `-d` is
`duration('0s') - d`; decimals are scaled integers, as in `cel_sources`; and a record is a map there, as is a URL.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from cel_sources import EITHER, Source, among, around, choice, joined, of_any_depth, whole
from hypothesis import strategies as st

from sandbox.ir import (
    Argument,
    ArgvType,
    BoolType,
    DecimalType,
    DurationType,
    EmailType,
    EnumType,
    IntType,
    ListSort,
    ListType,
    RecordType,
    ShellType,
    Sort,
    StringSort,
    StringType,
    TimestampSort,
    TimestampType,
    UrlType,
    Variable,
    sort_of,
)
from sandbox.lang import Items, Scope, Word

LINE = RecordType(
    (
        Argument("n", IntType(-9, 9)),
        Argument("s", StringType(None, 0, 9)),
        Argument("amount", DecimalType(2, None, None)),
        Argument("e", EnumType(("low", "high"))),
        Argument("o", IntType(-9, 9), optional=True),
        Argument("tags", ListType(StringType(None, 0, 9), 1, 3, unique=False)),
    )
)
ARGUMENTS = {
    argument.name: argument
    for argument in (
        Argument("b", BoolType()),
        Argument("n", IntType(-9, 9)),
        Argument("when", TimestampType()),
        Argument("wait", DurationType()),
        Argument("ws", ListType(TimestampType(), 0, 3, unique=False)),
        Argument("r", LINE),
        Argument("q", LINE, optional=True),
        Argument("rs", ListType(LINE, 0, 3, unique=False)),
        Argument("u", UrlType(("https",))),
        Argument("m", EmailType()),
        Argument("argv", ArgvType(4)),
        Argument("cmd", ShellType(100)),
    )
}
SORTS: dict[str, Sort] = {name: sort_of(argument.type) for name, argument in ARGUMENTS.items()}
SORTS["cmd"] = ListSort(ListSort(StringSort(), 3), 3)  # as long as those below; all 64 x 64 words take a second each
STATE = {"last": TimestampSort()}
SESSION = {
    "role": Argument("role", EnumType(("clerk", "boss"))),
    "since": Argument("since", TimestampType()),
}
FACTS: dict[str, Sort] = {"now": TimestampSort()} | {f"session.{a.name}": sort_of(a.type) for a in SESSION.values()}
SCOPE = Scope(
    tools=("t",),
    arguments={"t": ARGUMENTS},
    state={"last": Variable("last", TimestampSort(), 0)},
    constants={"programs": Items((Word("git"), Word("ls")))},
    facts={"now": TimestampSort()},
    tool="t",
    session=SESSION,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WORDS = st.sampled_from(["", "a", "b", "git", "ls", "-f", "a.example"])
INSTANTS = st.integers(-5_000_000_000_000, 5_000_000_000_000) | st.integers(-200_000_000, 200_000_000)
LENGTHS = st.integers(-100_000_000, 100_000_000)


@cache
@st.composite
def boolean(draw: st.DrawFn, depth: int) -> Source:
    """An expression of sort bool."""
    if depth == 0:
        return draw(atom())
    inner = boolean(depth - 1)
    match draw(among("atom", "atom", "and", "or", "not", "choice", "records", "commands", "optional")):
        case "and" | "or" as kind:
            return joined(" && " if kind == "and" else " || ", [draw(inner), draw(inner)])
        case "not":
            return around("!", draw(inner))
        case "choice":
            return choice(draw(inner), draw(inner), draw(inner))
        case "records":
            macro = draw(among("all", "exists", "exists_one"))
            variable = f"x{depth}"
            body = record_test(variable) if draw(EITHER) else inner
            return called(f"args.rs.{macro}({variable}, ", draw(body))
        case "commands":
            macro = draw(among("all", "exists", "exists_one"))
            return called(f"args.cmd.{macro}(c, ", draw(command_test()))
        case "optional":
            return joined(" && ", [Source.both("has(args.q)"), draw(record_test("args.q"))])
        case _:
            return draw(atom(depth - 1))


@cache
@st.composite
def atom(draw: st.DrawFn, depth: int = 0) -> Source:
    kind = draw(among("instant", "instant", "span", "part", "part", "member", "record", "element", "text"))
    sign = draw(among(" == ", " != ", " < ", " <= ", " > ", " >= "))
    match kind:
        case "instant":
            return joined(sign, [draw(instant(depth)), draw(instant(depth))])
        case "span":
            return joined(sign, [draw(span(depth)), draw(span(depth))])
        case "part":
            method, most = draw(among(("getHours", 23), ("getMinutes", 59), ("getDayOfWeek", 6)))
            of, number = draw(instant(depth)), draw(whole(0, most))
            return Source(f"(({of.ours}).{method}(){sign}{number})", f"(({of.cel}).{method}(){sign}{number})")
        case "member":
            one = draw(instant(depth))
            forms = [
                Source(f"({one.ours} in args.ws)", f"({one.cel} in args_ws)"),
                joined(" in ", [one, Source.both("[timestamp('1970-01-01T00:00:00Z')]")]),
                Source(f"args.ws.exists(v, v < {one.ours})", f"args_ws.exists(v, v < {one.cel})"),
                Source(f"args.ws.all(v, v.getHours() > 3 || v == {one.ours})",
                       f"args_ws.all(v, v.getHours() > 3 || v == {one.cel})"),
            ]  # fmt: skip
            return forms[draw(whole(0, len(forms) - 1))]
        case "record":
            return draw(record_test("args.r"))
        case "element":
            at = draw(whole(0, 3))
            element = draw(record_test(f"args.rs[{at}]"))
            return joined(" && ", [Source.both(f"size(args.rs) > {at}"), element])
        case _:
            return Source.both(draw(text_test()))


@cache
@st.composite
def instant(draw: st.DrawFn, depth: int) -> Source:
    """An expression of sort timestamp."""
    if depth <= 0 or draw(EITHER):
        name = draw(among("args.when", "state.last", "session.since", "now", "literal"))
        if name != "literal":
            return Source(name, name.replace(".", "_"))
        when = EPOCH + timedelta(milliseconds=draw(INSTANTS))
        zone = draw(among("Z", "+00:00"))
        return Source.both(f"timestamp('{when.strftime('%Y-%m-%dT%H:%M:%S')}.{when.microsecond // 1000:03d}{zone}')")
    one = draw(instant(depth - 1))
    match draw(among("+", "-", "flipped", "?")):
        case "+" | "-" as sign:
            return joined(f" {sign} ", [one, draw(span(depth - 1))])
        case "flipped":
            return joined(" + ", [draw(span(depth - 1)), one])
        case _:
            return choice(Source.both("args.b"), one, draw(instant(depth - 1)))


@cache
@st.composite
def span(draw: st.DrawFn, depth: int) -> Source:
    """An expression of sort duration."""
    if depth <= 0 or draw(EITHER):
        if draw(EITHER):
            return Source("args.wait", "args_wait")
        text = draw(among("0s", "1h30m", "-1.5s", "250ms", "72h", "1h0.5s", "-2m3s"))
        return Source.both(f"duration('{text}')")
    one = draw(span(depth - 1))
    match draw(among("+", "-", "neg", "instants", "?")):
        case "+" | "-" as sign:
            return joined(f" {sign} ", [one, draw(span(depth - 1))])
        case "neg":
            return Source(f"-({one.ours})", f"(duration('0s') - {one.cel})")
        case "instants":
            return joined(" - ", [draw(instant(depth - 1)), draw(instant(depth - 1))])
        case _:
            return choice(Source.both("args.b"), one, draw(span(depth - 1)))


@cache
@st.composite
def record_test(draw: st.DrawFn, of: str) -> Source:
    """A test of a record's fields."""
    word, number = draw(WORDS), draw(whole(-9, 9))
    cents = draw(whole(-300, 300))
    amount = f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"
    forms = [
        Source.both(f"{of}.n < {number}"),
        Source.both(f"{of}.n == args.n"),
        Source.both(f"{of}.s == '{word}'"),
        Source.both(f"{of}.s.startsWith('{word}')"),
        Source.both(f"{of}.s in programs"),
        Source.both(f"{of}.e == 'low'"),
        Source(f"{of}.amount <= {amount}", f"{of}.amount <= {cents}"),
        Source.both(f"has({of}.o)"),
        Source.both(f"has({of}.n)"),
        Source.both(f"(has({of}.o) && {of}.o > {number})"),
        Source.both(f"(has({of}.o) ? {of}.o == {number} : args.b)"),
        Source.both(f"{of}.tags[0] == '{word}'"),
        Source.both(f"'{word}' in {of}.tags"),
        Source.both(f"{of}.tags.exists(t, t == '{word}' || t == {of}.s)"),
        Source.both(f"(size({of}.tags) > 1 && {of}.tags[1] != '{word}')"),
        Source.both(f"size({of}.tags) == {number}"),
    ]
    return forms[draw(whole(0, len(forms) - 1))]


@cache
@st.composite
def command_test(draw: st.DrawFn) -> Source:
    """A test of one command `c` of a command line."""
    word = draw(WORDS)
    forms = [
        "c[0] in programs", f"c[0] == '{word}'", f"'{word}' in c", f"size(c) > 1 && c[1] == '{word}'",
        f"c.all(w, !w.startsWith('-') || w == '{word}')", f"c.exists(w, w == '{word}')", f"c == ['{word}']",
        "c.exists_one(w, w == c[0])", "size(c) < 2", f"args.cmd.exists(d, d[0] != c[0] && '{word}' in d)",
    ]  # fmt: skip
    return Source.both(forms[draw(whole(0, len(forms) - 1))])


@cache
@st.composite
def text_test(draw: st.DrawFn) -> str:
    """A test of a URL, an address, an argv, a command line, or the session."""
    word = draw(WORDS)
    forms = [
        f"args.u.host == '{word}'", f"args.u.host.endsWith('{word}')", "args.u.port == 443", "args.u.is_private",
        f"args.u.path.contains('{word}')", f"args.m.domain == '{word}'", f"args.argv[0] == '{word}'",
        f"'{word}' in args.argv", f"args.argv == ['{word}']", f"args.cmd[0][0] == '{word}'", "size(args.cmd) == 2",
        f"size(args.cmd) > 1 && args.cmd[1][0] == '{word}'", "session.role == 'boss'", "has(args.q)",
        "args.argv.all(w, w in programs)",
    ]  # fmt: skip
    return forms[draw(whole(0, len(forms) - 1))]


SOURCES = of_any_depth(boolean)


def called(head: str, body: Source) -> Source:
    return Source(f"{head}{body.ours})", f"{head}{body.cel})")


def values() -> st.SearchStrategy[dict[str, dict[str, object]]]:
    """An environment: arguments, state and facts, times in milliseconds and decimals as scaled integers."""
    words = st.lists(WORDS, min_size=1, max_size=3).map(tuple)
    line = st.fixed_dictionaries(
        {
            "n": st.integers(-9, 9),
            "s": WORDS,
            "amount": st.integers(-300, 300),
            "e": st.sampled_from(["low", "high"]),
            "tags": words,
        },
        optional={"o": st.integers(-9, 9)},
    )
    url = st.fixed_dictionaries(
        {
            "scheme": st.just("https"),
            "host": WORDS,
            "port": st.sampled_from([443, 8443]),
            "path": WORDS.map("/".__add__),
            "query": WORDS,
            "is_ip": st.booleans(),
            "is_private": st.booleans(),
        }
    )
    needed = {
        "b": st.booleans(), "n": st.integers(-9, 9), "when": INSTANTS, "wait": LENGTHS, "r": line, "u": url,
        "ws": st.lists(INSTANTS, max_size=3).map(tuple), "rs": st.lists(line, max_size=3).map(tuple),
        "m": st.fixed_dictionaries({"local": WORDS, "domain": WORDS}), "argv": words,
        "cmd": st.lists(words, min_size=1, max_size=3).map(tuple),
    }  # fmt: skip
    facts = {"now": INSTANTS, "session.role": st.sampled_from(["clerk", "boss"]), "session.since": INSTANTS}
    return st.fixed_dictionaries(
        {
            "args": st.fixed_dictionaries(needed, optional={"q": line}),
            "state": st.fixed_dictionaries({"last": INSTANTS}),
            "facts": st.fixed_dictionaries(facts),
        }
    )
