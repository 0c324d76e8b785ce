"""Random typed expressions as source text, each in two spellings: ours, and the same for a CEL engine.

The spellings differ in decimals and maps only. A CEL engine has no decimals, so there one of scale s is the integer
`value * 10**s`, a decimal literal is written as that integer, and where two scales meet the smaller side is multiplied
by the power of ten between them. A set is a list there, and a map a map of the keys that are kept, whose value at any
other key is an error: `state.m[k]` is `(k in state.m ? state.m[k] : 0)`. All else, quotes and escapes of strings
included, is the same text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from hypothesis import strategies as st

from sandbox.ir import (
    Argument,
    BoolType,
    DecimalSort,
    DecimalType,
    EnumSort,
    EnumType,
    IntSort,
    IntType,
    ListType,
    MapSort,
    SetSort,
    Sort,
    StringSort,
    StringType,
    TextType,
    Variable,
    sort_of,
)
from sandbox.lang import Digits, Items, Scope, Word

ARGUMENTS = {
    argument.name: argument
    for argument in (
        Argument("n", IntType(-50, 50)),
        Argument("m", IntType(0, 9)),
        Argument("amount", DecimalType(2, None, None)),
        Argument("fee", DecimalType(4, None, None)),
        Argument("s", StringType(None, 0, 9)),
        Argument("t", StringType(None, 0, 9)),
        Argument("e", EnumType(("low", "high", "a b"))),
        Argument("xs", ListType(StringType(None, 0, 9), 0, 3, unique=False)),
        Argument("ys", ListType(StringType(None, 0, 9), 2, 3, unique=False)),
        Argument("ks", ListType(IntType(-9, 9), 0, 3, unique=False)),
        Argument("note", TextType(9)),
        Argument("os", StringType(None, 0, 9), optional=True),
        Argument("on", IntType(-9, 9), optional=True),
        Argument("b", BoolType()),
    )
}
SORTS: dict[str, Sort] = {name: sort_of(argument.type) for name, argument in ARGUMENTS.items()}
STATE = {
    "sum": DecimalSort(2),
    "count": IntSort(),
    "phase": EnumSort(("open", "shut")),
    "known": SetSort(StringSort()),
    "seen": SetSort(EnumSort(("low", "high", "a b"))),
    "given": MapSort(StringSort(), IntSort()),
}
KEYS = {"known": StringType(None, 0, 99), "seen": EnumType(("low", "high", "a b")), "given": StringType(None, 0, 99)}
VARIABLES = {name: Variable(name, sort, 0, key=KEYS.get(name)) for name, sort in STATE.items()}
TRUSTED = ("a", "ab", "é")
SCOPE = Scope(
    tools=("send", "other"),
    arguments={"send": ARGUMENTS},
    state=VARIABLES,
    constants={"trusted": Items(tuple(Word(word) for word in TRUSTED)), "three": Digits(3, 0), "half": Digits(5, 1)},
    tool="send",
)
CEL_CONSTANTS = {"trusted": list(TRUSTED), "three": 3, "half": 5}

ALPHABET = "aAbB./\\'\"\n é😀K\u212a\U0002ffff"
WORDS = st.text(ALPHABET, max_size=4)
T = TypeVar("T")
PATTERNS = ("^a", "b$", "^[a-c]+$", r"\d|/", ".", r"^\.$", "a{2,3}", "[^a]", r"^(a|b)*\\", "", "(?:a|é)B?", "^.{0,2}$")


# A strategy that is made anew is also prepared anew, which takes longer than to draw from it: each is made once.


@cache
def among(*values: T) -> st.SearchStrategy[T]:
    """One of some values."""
    return st.sampled_from(values)


@cache
def whole(low: int, high: int) -> st.SearchStrategy[int]:
    """A whole number."""
    return st.integers(low, high)


@cache
def several(items: st.SearchStrategy[T], least: int, most: int) -> st.SearchStrategy[list[T]]:
    """A list of drawn items."""
    return st.lists(items, min_size=least, max_size=most)


EITHER = st.booleans()


def of_any_depth(made: Callable[[int], st.SearchStrategy[Source]]) -> st.SearchStrategy[Source]:
    """Sources up to depth 6, most of them less deep: what two operators do to each other shows there, and sooner."""
    return among(1, 2, 3, 3, 4, 4, 6).flatmap(made)


@dataclass(frozen=True, slots=True)
class Source:
    """One expression, in our spelling and in the engine's. `scale` is that of a decimal."""

    ours: str
    cel: str
    scale: int = 0

    @classmethod
    def both(cls, text: str) -> Source:
        return cls(text, text)


@dataclass(frozen=True, slots=True)
class Names:
    """What may be named: which optionals are known to be there, and the variables of the quantifiers around."""

    present: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()


@cache
@st.composite
def quoted(draw: st.DrawFn, words: st.SearchStrategy[str] = WORDS) -> str:
    """A string literal in one of CEL's many spellings."""
    word = draw(words)
    style = draw(among("'", '"', "'''", '"""', "raw"))
    if style == "raw" and "'" not in word and "\n" not in word and not word.endswith("\\"):
        return f"r'{word}'"
    quote = "'" if style == "raw" else style
    return quote + "".join(draw(spelled(char)) for char in word) + quote


@cache
def spelled(char: str) -> st.SearchStrategy[str]:
    """One character inside of a string literal."""
    code = ord(char)
    forms = [f"\\U{code:08x}"]
    if code <= 0xFFFF:
        forms.append(f"\\u{code:04X}")
    if code <= 0x7F:
        forms += [f"\\x{code:02x}", f"\\{code:03o}"]
    if char in "\\'\"\n":
        forms.append({"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n"}[char])
    else:
        forms += [char] * 6
    return st.sampled_from(forms)


@cache
@st.composite
def boolean(draw: st.DrawFn, names: Names, depth: int) -> Source:
    """An expression of sort bool."""
    if depth == 0:
        return draw(atom(names))
    kind = draw(among("atom", "atom", "and", "or", "not", "choice", "optional", "index", "quantifier", "equal"))
    inner = boolean(names, depth - 1)
    match kind:
        case "and" | "or":
            sign = "&&" if kind == "and" else "||"
            return joined(f" {sign} ", draw(several(inner, 2, 3)))
        case "not":
            return around("!", draw(inner))
        case "choice":
            return choice(draw(inner), draw(inner), draw(inner))
        case "equal":
            return joined(draw(among(" == ", " != ")), [draw(inner), draw(inner)])
        case "optional":
            return draw(behind_has(names, depth - 1))
        case "index":
            return draw(behind_size())
        case "quantifier":
            return draw(quantifier(names, depth - 1))
        case _:
            return draw(atom(names, depth - 1))


@cache
@st.composite
def behind_has(draw: st.DrawFn, names: Names, depth: int) -> Source:
    """`has(args.x) && ...`, or the true branch of a choice."""
    name = draw(among("os", "on"))
    known = Names(names.present | {name}, names.words, names.numbers)
    test, inner = Source.both(f"has(args.{name})"), draw(boolean(known, depth))
    if draw(EITHER):
        return joined(" && ", [test, inner])
    return choice(test, inner, draw(boolean(names, depth)))


@cache
@st.composite
def behind_size(draw: st.DrawFn) -> Source:
    """`size(args.xs) > k && args.xs[k] == ...`."""
    at = draw(whole(0, 4))
    bound = draw(among(f"size(args.xs) > {at}", f"args.xs.size() >= {at + 1}", f"{at} < size(args.xs)"))
    return Source.both(f"({bound} && args.xs[{at}] == {draw(quoted())})")


@cache
@st.composite
def quantifier(draw: st.DrawFn, names: Names, depth: int) -> Source:
    """`all`, `exists` and `exists_one` over lists of strings and of ints."""
    macro = draw(among("all", "exists", "exists_one"))
    over = draw(among("xs", "ys", "ks"))
    variable = f"v{len(names.words) + len(names.numbers)}"
    words = names.words if over == "ks" else (*names.words, variable)
    numbers = (*names.numbers, variable) if over == "ks" else names.numbers
    body = draw(boolean(Names(names.present, words, numbers), depth))
    return Source(f"args.{over}.{macro}({variable}, {body.ours})", f"args.{over}.{macro}({variable}, {body.cel})")


@cache
@st.composite
def atom(draw: st.DrawFn, names: Names, depth: int = 0) -> Source:
    """A test of something that is no bool."""
    kind = draw(among("int", "int", "decimal", "decimal", "string", "string", "enum", "list", "bool", "lower"))
    match kind:
        case "int":
            if draw(whole(0, 3)) == 0:
                items = draw(several(whole(-9, 9), 0, 4))
                return joined(" in ", [draw(integer(names, depth)), Source.both(f"{items}")])
            return joined(draw(relation()), [draw(integer(names, depth)), draw(integer(names, depth))])
        case "decimal":
            return at_one_scale(draw(relation()), draw(decimal(depth)), draw(decimal(depth)))
        case "string":
            return draw(string_test(names))
        case "enum":
            return draw(enum_test())
        case "list":
            return draw(list_test(names))
        case "lower":
            return draw(lowered_test(names))
        case _:
            return Source.both(draw(among("args.b", "true", "false", "has(args.os)", "has(args.n)")))


def relation() -> st.SearchStrategy[str]:
    return among(" == ", " != ", " < ", " <= ", " > ", " >= ")


@cache
def leaf_or_number(leaves: tuple[str, ...]) -> st.SearchStrategy[Source]:
    looked_up = at_key(Source.both("args.s"))
    return st.sampled_from([looked_up, *map(Source.both, leaves)]) | st.integers(-20, 20).map(str).map(Source.both)


@cache
def string_or_constant(names: Names) -> st.SearchStrategy[Source]:
    return string(names) | quoted().map(Source.both)


@cache
@st.composite
def integer(draw: st.DrawFn, names: Names, depth: int) -> Source:
    """An expression of sort int."""
    leaves = [
        "args.n",
        "args.m",
        "state.count",
        "size(args.s)",
        "args.xs.size()",
        "size(args.note)",
        "three",
        "size(trusted)",
    ]
    leaves += [*names.numbers] * 2 + (["args.on"] if "on" in names.present else [])
    if depth <= 0 or draw(EITHER):
        return draw(leaf_or_number(tuple(leaves)))
    one, other = draw(integer(names, depth - 1)), draw(integer(names, depth - 1))
    match draw(among("+", "-", "neg", "*", "/", "%", "?", "map")):
        case "map":
            return at_key(draw(string_or_constant(names)))
        case "+" | "-" as sign:
            return joined(f" {sign} ", [one, other])
        case "neg":
            return around("-", one)
        case "*":
            factor = Source.both(str(draw(whole(-5, 5))))
            return joined(" * ", [factor, one] if draw(EITHER) else [one, factor])
        case "/" | "%" as sign:
            return joined(f" {sign} ", [one, Source.both(str(draw(whole(1, 7))))])
        case _:
            return choice(draw(boolean(names, 0)), one, other)


@cache
@st.composite
def decimal(draw: st.DrawFn, depth: int) -> Source:
    """An expression of sort decimal; never a literal alone, whose scale its neighbour would have to tell."""
    if depth <= 0 or draw(EITHER):
        name, scale = draw(among(("args.amount", 2), ("args.fee", 4), ("state.sum", 2)))
        return Source(name, name, scale)
    one = draw(decimal(depth - 1))
    match draw(among("+", "-", "literal", "*", "neg", "?")):
        case "+" | "-" as sign:
            return at_one_scale(f" {sign} ", one, draw(decimal(depth - 1)))
        case "literal":
            return at_one_scale(draw(among(" + ", " - ")), one, draw(literal(one.scale)))
        case "*":
            factor = draw(literal(1))
            return Source(f"({one.ours} * {factor.ours})", f"({one.cel} * {factor.cel})", one.scale + factor.scale)
        case "neg":
            negated = around("-", one)
            return Source(negated.ours, negated.cel, one.scale)
        case _:
            test = draw(boolean(Names(), 0))
            scaled_one, scaled_other, scale = scaled(one, draw(decimal(depth - 1)))
            return Source(
                *(choice(test, scaled_one, scaled_other).ours, choice(test, scaled_one, scaled_other).cel), scale
            )


@cache
@st.composite
def literal(draw: st.DrawFn, scale: int) -> Source:
    """A number with at most `scale` digits behind the point."""
    digits = draw(whole(0, scale))
    value = draw(whole(0, 5000))
    if digits == 0:
        return Source(str(value), str(value), 0)
    text = str(value).rjust(digits + 1, "0")
    return Source(f"{text[:-digits]}.{text[-digits:]}", str(value), digits)


@cache
@st.composite
def string(draw: st.DrawFn, names: Names) -> Source:
    """An expression of sort string that is no constant."""
    leaves = [
        "args.s",
        "args.t",
        "args.ys[1]",
        *names.words,
        *names.words,
        *(["args.os"] if "os" in names.present else []),
    ]
    leaf = Source.both(leaves[draw(whole(0, len(leaves) - 1))])
    if draw(whole(0, 5)) > 0:
        return leaf
    return choice(draw(boolean(Names(), 0)), leaf, Source.both(draw(quoted())))


@cache
@st.composite
def string_test(draw: st.DrawFn, names: Names) -> Source:
    subject, other = draw(string(names)), draw(string_or_constant(names))
    match draw(among("relation", "part", "matches", "in", "set", "trusted", "size")):
        case "set":
            return joined(" in ", [other, Source.both("state.known")])
        case "relation":
            pair = [subject, other] if draw(EITHER) else [other, subject]
            return joined(draw(relation()), pair)
        case "part":
            method = draw(among("startsWith", "endsWith", "contains"))
            return Source(f"{subject.ours}.{method}({other.ours})", f"{subject.cel}.{method}({other.cel})")
        case "matches":
            pattern = draw(quoted(among(*PATTERNS)))
            return Source(f"{subject.ours}.matches({pattern})", f"{subject.cel}.matches({pattern})")
        case "in":
            words = ", ".join(draw(several(quoted(), 0, 3)))
            return joined(" in ", [subject, Source.both(f"[{words}]")])
        case "trusted":
            return joined(" in ", [subject, Source.both("trusted")])
        case _:
            return Source(f"(size({subject.ours}) > 1)", f"(size({subject.cel}) > 1)")


@cache
@st.composite
def lowered_test(draw: st.DrawFn, names: Names) -> Source:
    subject = draw(string(names))
    word = draw(quoted())
    rest = draw(
        st.sampled_from(
            [f" == {word}", f" != {word}", f" in [{word}, 'b']", f".startsWith({word})", f".endsWith({word})",
             f".contains({word})", ".matches('^a+$')", ".matches('k')"]
        )
    )  # fmt: skip
    return Source(f"({subject.ours}.lowerAscii(){rest})", f"({subject.cel}.lowerAscii(){rest})")


@cache
@st.composite
def enum_test(draw: st.DrawFn) -> Source:
    values = draw(among("'low'", "'high'", "'a b'", '"low"'))
    forms = [f"args.e == {values}", f"{values} != args.e", f"args.e in [{values}, 'high']", "args.e in []",
             f"args.e == (args.b ? {values} : 'low')", "tool == 'send'", "tool in ['other']", "state.phase == 'open'",
             "state.phase != (args.n > 0 ? 'open' : 'shut')", "args.e in state.seen",
             f"{values} in state.seen"]  # fmt: skip
    return Source.both(f"({forms[draw(whole(0, len(forms) - 1))]})")


@cache
@st.composite
def list_test(draw: st.DrawFn, names: Names) -> Source:
    words = ", ".join(draw(several(quoted(), 0, 4)))
    numbers = ", ".join(str(number) for number in draw(several(whole(-3, 3), 0, 3)))
    member = draw(string_or_constant(names))
    count = draw(integer(names, 0))
    forms = [
        Source.both(f"(args.xs == [{words}])"),
        Source.both(f"([{words}] != args.ys)"),
        Source.both(f"(args.ks == [{numbers}])"),
        Source(f"({member.ours} in args.xs)", f"({member.cel} in args.xs)"),
        Source(f"({count.ours} in args.ks)", f"({count.cel} in args.ks)"),
        Source.both(f"(args.ys[0] == {draw(quoted())})"),
    ]
    return forms[draw(whole(0, len(forms) - 1))]


def joined(sign: str, parts: list[Source]) -> Source:
    return Source("(" + sign.join(part.ours for part in parts) + ")", "(" + sign.join(part.cel for part in parts) + ")")


def around(sign: str, inner: Source) -> Source:
    return Source(f"{sign}({inner.ours})", f"{sign}({inner.cel})")


def choice(test: Source, one: Source, other: Source) -> Source:
    return Source(f"({test.ours} ? {one.ours} : {other.ours})", f"({test.cel} ? {one.cel} : {other.cel})")


def at_key(key: Source) -> Source:
    """The value of the map at a key; `initial`, which is 0, where the key is not kept."""
    return Source(f"state.given[{key.ours}]", f"({key.cel} in state.given ? state.given[{key.cel}] : 0)")


@cache
@st.composite
def of_all_keys(draw: st.DrawFn) -> Source:
    """What is said of every kept key of the map, as only a property may."""
    body = draw(boolean(Names(words=("k",)), 2))
    more = joined(draw(relation()), [at_key(Source.both("k")), draw(integer(Names(words=("k",)), 1))])
    both = joined(draw(among(" || ", " && ")), [body, more])
    return Source(f"state.given.all(k, {both.ours})", f"state.given.all(k, {both.cel})")


def scaled(one: Source, other: Source) -> tuple[Source, Source, int]:
    """The engine's spelling of both at the larger scale."""
    scale = max(one.scale, other.scale)
    parts = [Source(part.ours, f"({part.cel} * {10 ** (scale - part.scale)})", scale) for part in (one, other)]
    return parts[0], parts[1], scale


def at_one_scale(sign: str, one: Source, other: Source) -> Source:
    left, right, scale = scaled(one, other)
    both = joined(sign, [left, right])
    return Source(both.ours, both.cel, scale)


def values() -> st.SearchStrategy[dict[str, object]]:
    """An environment: arguments (the optional ones perhaps absent) and state, decimals as scaled integers."""
    number = st.integers(-200_000, 200_000)
    small = st.integers(-9, 9)
    needed = {
        "n": st.integers(-50, 50), "m": st.integers(0, 9), "amount": number, "fee": number, "s": WORDS, "t": WORDS,
        "e": st.sampled_from(["low", "high", "a b"]), "xs": st.lists(WORDS, max_size=3).map(tuple),
        "ys": st.lists(WORDS, min_size=2, max_size=3).map(tuple), "ks": st.lists(small, max_size=3).map(tuple),
        "note": WORDS, "b": st.booleans(),
    }  # fmt: skip
    args = st.fixed_dictionaries(needed, optional={"os": WORDS, "on": small})
    entries = st.dictionaries(WORDS, small.filter(bool), max_size=3)
    state = st.fixed_dictionaries({
        "sum": number, "count": small, "phase": st.sampled_from(["open", "shut"]),
        "known": st.frozensets(WORDS, max_size=3), "seen": st.frozensets(st.sampled_from(["low", "high", "a b"])),
        "given": entries,
    })  # fmt: skip
    return st.fixed_dictionaries({"args": args, "state": state})
