"""Refusals of sets and maps in a spec file: every wrong combination of keys, and every wrong `then`, at its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import spec, write

from sandbox.compile import load_contract
from sandbox.errors import SpecError
from sandbox.ir import (
    DecimalSort,
    EnumSort,
    EnumType,
    IntSort,
    MapSort,
    Period,
    SetSort,
    StringSort,
    StringType,
    Variable,
)

Problems = list[tuple[int, int, str]]

TOOL = """
tools:
  t:
    args: {a: {type: name}, b: {type: name}, u: {type: int, min: 0}, i: {type: int}, os: {type: name, optional: true}}
    rules: [{id: x, allow: true}]
    then: """
MAPS = """types: {name: {type: string}}
state:
  m: {type: map, key: {type: string, max_size: 9}, value: int, initial: 0, window: 1h}
  s: {type: set, items: {type: string, max_size: 9}, initial: []}
  n: {type: int, initial: 0}
  r: {type: map, key: string, value: int, initial: 5}"""


def problems(text: str, folder: Path) -> Problems:
    with pytest.raises(SpecError) as error:
        load_contract(write(folder, text))
    return [(each.place.line, each.place.column, each.message) for each in error.value.problems]


VARIABLES: list[tuple[str, Problems]] = [
    ("{type: set, initial: []}", [(4, 6, "`items` is missing here, and `set` needs it; add it")]),
    ("{type: set, items: string}", [(4, 6, "`initial` is missing here; add it")]),
    (
        "{type: set, items: string, initial: 0}",
        [(4, 42, "expected a list, found `0`; a set begins with `[]` or items")],
    ),
    (
        "{type: set, items: string, initial: a}",
        [(4, 42, "expected a list, found `a`; a set begins with `[]` or items")],
    ),
    (
        "{type: set, items: {type: string, max_size: 3}, initial: [abcd]}",
        [(4, 64, "this is no item of the set: 4 characters are not accepted; 0 to 3 are")],
    ),
    (
        "{type: set, items: {type: string, pattern: '[a-z]+'}, initial: [a, B]}",
        [(4, 73, "this is no item of the set: `B` does not match; the pattern is `[a-z]+`")],
    ),
    (
        "{type: set, items: {type: enum, values: [a, b]}, initial: [c]}",
        [(4, 65, "this is no item of the set: `c` is none of the values; accepted: `a`, `b`")],
    ),
    ("{type: set, items: string, initial: [a, b, a]}", [(4, 49, "`a` stands here already; keep one of them")]),
    ("{type: set, items: string, initial: [1]}", [(4, 43, "expected text, found `1`; put it in quotes")]),
    (
        "{type: set, items: string, initial: [[a]]}",
        [(4, 42, "expected a string or enum value, found a list; text that begins with `[` needs quotes")],
    ),
    (
        "{type: set, items: int, initial: []}",
        [(4, 25, "items of a set and keys of a map are of type `string` or `enum`")],
    ),
    (
        "{type: set, items: text, initial: []}",
        [(4, 25, "items of a set and keys of a map are of type `string` or `enum`")],
    ),
    (
        "{type: set, items: {type: list, items: string}, initial: []}",
        [(4, 32, "items of a set and keys of a map are of type `string` or `enum`")],
    ),
    (
        "{type: set, items: {type: path}, initial: []}",
        [(4, 32, "items of a set and keys of a map are of type `string` or `enum`")],
    ),
    (
        "{type: set, items: set, initial: []}",
        [(4, 25, "`set` is a type of state and of nothing else; an argument is a `list`")],
    ),
    ("{type: set, items: nope, initial: []}", [(4, 25, "`nope` is no type; known: `enum`, `string`")]),
    (
        "{type: set, items: {type: string, optional: true}, initial: []}",
        [(4, 50, "what the state holds is never optional; take `optional` out")],
    ),
    (
        "{type: set, items: {type: string, default: a}, initial: []}",
        [(4, 49, "what the state holds is never optional; take `default` out")],
    ),
    (
        "{type: set, items: {type: string, pattern: '('}, initial: []}",
        [(4, 50, "the pattern is refused: the group is not closed; escape a literal parenthesis as `\\(`")],
    ),
    (
        "{type: set, items: string, initial: [], max_size: 0}",
        [(4, 56, "this number lies between 1 and 1,000,000; `0` does not")],
    ),
    (
        "{type: set, items: string, initial: [], max_size: 10001}",
        [(4, 56, "`max_size` is at most 10,000 here, found 10,001; what grows further is a job for the tool")],
    ),
    (
        "{type: set, items: string, initial: [a, b], max_size: 1}",
        [(4, 42, "the set begins with 2 items, more than its `max_size`")],
    ),
    (
        "{type: set, items: string, initial: [], reset: 24h}",
        [(4, 53, "`reset` belongs to a budget, an int, a decimal or a map of such; take it out")],
    ),
    (
        "{type: set, items: string, initial: [], window: 24h}",
        [(4, 54, "`window` belongs to a budget, an int, a decimal or a map of such; take it out")],
    ),
    (
        "{type: set, items: string, initial: [], key: string, value: int}",
        [
            (4, 51, "`key` belongs to `map`, not to `set`; take it out"),
            (4, 66, "`value` belongs to `map`, not to `set`; take it out"),
        ],
    ),
    (
        "{type: set, items: string, initial: [], scale: 2}",
        [(4, 53, "`scale` belongs to `decimal`, not to `set`; take it out")],
    ),
    (
        "{type: set, items: string, initial: [], values: [a]}",
        [(4, 54, "`values` belongs to `enum`, not to `set`; take it out")],
    ),
    (
        "{type: map, initial: 0}",
        [
            (4, 6, "`key` is missing here, and `map` needs it; add it"),
            (4, 6, "`value` is missing here, and `map` needs it; add it"),
        ],
    ),
    ("{type: map, key: string, value: int}", [(4, 6, "`initial` is missing here; add it")]),
    (
        "{type: map, key: string, value: int, initial: []}",
        [(4, 52, "expected one value, found a list; only a `set` begins with a list")],
    ),
    (
        "{type: map, key: string, value: int, initial: {}}",
        [(4, 52, "expected a bool, number or enum value, found a mapping; text with `: ` in it needs quotes")],
    ),
    (
        "{type: map, key: string, value: int, initial: 1.5}",
        [(4, 52, "this number has 1 digits behind the point and an int has none; write fewer")],
    ),
    (
        "{type: map, key: string, value: int, initial: x}",
        [(4, 52, "expected a number, found `x`; write decimal digits, such as `12` or `-0.50`")],
    ),
    (
        "{type: map, key: string, value: {type: decimal, scale: 2}, initial: 0.505}",
        [(4, 74, "this number has 3 digits behind the point and the scale is 2; write fewer")],
    ),
    (
        "{type: map, key: int, value: int, initial: 0}",
        [(4, 23, "items of a set and keys of a map are of type `string` or `enum`")],
    ),
    (
        "{type: map, key: string, value: bool, initial: false}",
        [(4, 38, "values of a map are of type `int` or `decimal`")],
    ),
    (
        "{type: map, key: string, value: string, initial: a}",
        [(4, 38, "values of a map are of type `int` or `decimal`")],
    ),
    (
        "{type: map, key: string, value: map, initial: 0}",
        [(4, 38, "`map` is a type of state and of nothing else; an argument is a `list`")],
    ),
    (
        "{type: map, key: string, value: {type: int, min: 0}, initial: 0}",
        [(4, 38, "bounds on state are refused, for nothing enforces them; write a rule and an `always` property")],
    ),
    (
        "{type: map, key: string, value: {type: decimal, scale: 2, max: 5}, initial: 0}",
        [(4, 38, "bounds on state are refused, for nothing enforces them; write a rule and an `always` property")],
    ),
    ("{type: map, key: string, value: {type: decimal}, initial: 0}", [(4, 38, "`scale` is missing here; add it")]),
    (
        "{type: map, key: string, value: {type: int, optional: true}, initial: 0}",
        [(4, 60, "what the state holds is never optional; take `optional` out")],
    ),
    (
        "{type: map, key: string, value: int, initial: 1, window: 24h}",
        [(4, 52, "a `window` variable is the sum of what was added; write `initial: 0`")],
    ),
    (
        "{type: map, key: string, value: int, initial: 0, window: 24h, reset: 24h}",
        [(4, 63, "`reset` and `window` exclude each other; keep one of them")],
    ),
    (
        "{type: map, key: string, value: int, initial: 0, min: 0}",
        [(4, 60, "`min` on state is refused, for nothing enforces it; write a rule and an `always` property")],
    ),
    (
        "{type: map, key: string, value: int, initial: 0, items: string}",
        [(4, 62, "`items` belongs to `set`, not to `map`; take it out")],
    ),
    (
        "{type: map, key: string, value: int, initial: 0, scale: 2}",
        [(4, 62, "`scale` belongs to `decimal`, not to `map`; take it out")],
    ),
    (
        "{type: int, initial: 0, max_size: 5}",
        [(4, 40, "`max_size` belongs to `map` and `set`, not to `int`; take it out")],
    ),
    ("{type: int, initial: 0, items: string}", [(4, 37, "`items` belongs to `set`, not to `int`; take it out")]),
    ("{type: int, initial: 0, key: string}", [(4, 35, "`key` belongs to `map`, not to `int`; take it out")]),
    ("{type: int, initial: 0, value: int}", [(4, 37, "`value` belongs to `map`, not to `int`; take it out")]),
    ("{type: int, initial: [0]}", [(4, 27, "expected one value, found a list; only a `set` begins with a list")]),
    (
        "{type: enum, values: [a], initial: [a]}",
        [(4, 41, "expected one value, found a list; only a `set` begins with a list")],
    ),
    ("{type: sett, initial: []}", [(4, 13, "`sett` is no type of state; did you mean `set`?")]),
    ("{type: map, keys: string, value: int, initial: 0}", [(4, 18, "unknown key `keys`; did you mean `key`?")]),
]


@pytest.mark.parametrize(("variable", "expected"), VARIABLES)
def test_a_set_or_map_is_refused(variable: str, expected: Problems, tmp_path: Path) -> None:
    assert problems(spec(f"state:\n  v: {variable}\n"), tmp_path) == expected


THEN: list[tuple[str, Problems]] = [
    (
        "{'m[args.a]': 'state.m[args.b] + args.u'}",
        [(13, 26, "`m` has a `window` and is only ever added to; write `state.m[args.a] + AMOUNT`, or leave it out")],
    ),
    (
        "{'m[args.a]': 'state.m[args.a] + args.i'}",
        [
            (
                13,
                26,
                (
                    "what is added to `m`, which has a `window`, might be negative; declare `min: 0` (or more) on the "
                    "arguments in it"
                ),
            )
        ],
    ),
    (
        "{'m[args.a]': args.u}",
        [(13, 25, "`m` has a `window` and is only ever added to; write `state.m[args.a] + AMOUNT`, or leave it out")],
    ),
    (
        "{'m[args.a]': 'state.m[args.a] - args.u'}",
        [(13, 26, "`m` has a `window` and is only ever added to; write `state.m[args.a] + AMOUNT`, or leave it out")],
    ),
    (
        "{'m[args.a]': 'state.m[args.a] + 1', 'm[ args.a ]': 'state.m[args.a] + 1'}",
        [(13, 49, "`m[ args.a ]` is assigned here already; keep one of them")],
    ),
    ("{m: 1}", [(13, 12, "a map is assigned entry by entry; write `'m[KEY]': ...`")]),
    ("{s: '[]'}", [(13, 16, "expected a set such as `state.s.add(...)`, found list of constants `[]`")]),
    ("{'s[args.a]': 1}", [(13, 13, "`s` is no map, and only a map has entries; write `s:`")]),
    ("{'n[args.a]': 1}", [(13, 13, "`n` is no map, and only a map has entries; write `n:`")]),
    ("{'r[args.a]': args.a}", [(13, 25, "expected int, found string `args.a`")]),
    ("{'r[args.i]': 1}", [(13, 15, "expected string, found int `args.i`")]),
    ("{'r[args.os]': 1}", [(13, 15, "`args.os` is optional; write `has(args.os) &&` before it")]),
    ("{'x[args.a]': 1}", [(13, 13, "the state has no variable `x`; known: `m`, `n`, `r`, `s`")]),
    ("{'': 1}", [(13, 13, "an expression is missing here; write one, such as `true`")]),
    ("{'r[args.a': 1}", [(13, 21, "the expression ends too early; something is missing behind it")]),
    ("{'r[args.a]': state.r}", [(13, 25, "expected int, found map `state.r`; the value of one key is `state.r[KEY]`")]),
    ("{s: state.n}", [(13, 15, "expected a set such as `state.s.add(...)`, found int `state.n`")]),
    ("{n: state.s}", [(13, 15, "expected int, found set `state.s`; ask `x in state.s`")]),
    (
        "{'m[''toolongkeyhere'']': 1}",
        [(13, 15, "`toolongkeyhere` is outside of the declared type of `state.m`; nothing like it is ever kept there")],
    ),
    ("{s: state.s.add(args.i)}", [(13, 27, "expected string, found int `args.i`")]),
    ("{\"r['a']\": 1, 'r[\"a\"]': 2}", [(13, 26, '`r["a"]` is assigned here already; keep one of them')]),
]


@pytest.mark.parametrize(("then", "expected"), THEN)
def test_an_assignment_is_refused(then: str, expected: Problems, tmp_path: Path) -> None:
    assert problems(spec(f"{MAPS}{TOOL}{then}\n"), tmp_path) == expected


@pytest.mark.parametrize(
    "then",
    [
        "{'m[args.a]': 'state.m[args.a] + args.u', s: state.s.add(args.a)}",
        "{'m[args.a]': 'args.u + state.m[args.a]'}",
        "{'m[args.a]': 'args.u > 3 ? state.m[args.a] : state.m[args.a] + 1'}",
        "{'m[args.a]': 'state.m[args.a] + 1', 'm[args.b]': 'state.m[args.b] + 1'}",
        "{'r[args.a]': 'state.r[args.a] - args.i', n: 'state.r[args.b]'}",
        "{\"r['a']\": 1, 'r[\"b\"]': 2}",
        "{s: 'args.i > 3 ? state.s.add(args.a).remove(args.b) : state.s'}",
    ],
)
def test_what_a_then_may_say_of_sets_and_maps(then: str, tmp_path: Path) -> None:
    assert load_contract(write(tmp_path, spec(f"{MAPS}{TOOL}{then}\n"))).tools[0].then


STRING, LEVELS = StringSort(), EnumSort(("b", "a"))
ANY = StringType(None, 0, 4_096)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("{type: set, items: string, initial: []}", Variable("v", SetSort(STRING), (), key=ANY, max_size=10_000)),
        (
            "{type: set, items: short, initial: [b, a], max_size: 2}",
            Variable("v", SetSort(STRING), ("a", "b"), key=StringType("[a-z]+", 0, 8), max_size=2),
        ),
        (
            "{type: set, items: level, initial: [a]}",
            Variable("v", SetSort(LEVELS), ("a",), key=EnumType(LEVELS.values), max_size=10_000),
        ),
        (
            "{type: map, key: string, value: int, initial: -5}",
            Variable("v", MapSort(STRING, IntSort()), -5, key=ANY, max_size=10_000),
        ),
        (
            "{type: map, key: level, value: money, initial: 0.5, reset: 24h}",
            Variable(
                "v", MapSort(LEVELS, DecimalSort(2)), 50, Period("reset", 86_400_000), "spec",
                EnumType(LEVELS.values), 10_000,
            ),
        ),
        (
            "{type: map, key: short, value: money, initial: 0, window: 1h, max_size: 9}",
            Variable(
                "v", MapSort(STRING, DecimalSort(2)), 0, Period("window", 3_600_000), "spec",
                StringType("[a-z]+", 0, 8), 9,
            ),
        ),
    ],
)  # fmt: skip
def test_sets_and_maps_as_they_are_compiled(variable: str, expected: Variable, tmp_path: Path) -> None:
    types = (
        "types: {short: {type: string, pattern: '[a-z]+', max_size: 8}, level: {type: enum, values: [b, a]}, "
        "money: {type: decimal, scale: 2}, capped: {type: decimal, scale: 2, max: 9}, flag: {type: bool}}\n"
    )
    assert load_contract(write(tmp_path, spec(f"{types}state:\n  v: {variable}\n"))).variables == (expected,)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (
            "{type: map, key: flag, value: int, initial: 0}",
            [(5, 23, "items of a set and keys of a map are of type `string` or `enum`")],
        ),
        (
            "{type: map, key: string, value: flag, initial: 0}",
            [(5, 38, "values of a map are of type `int` or `decimal`")],
        ),
        (
            "{type: map, key: string, value: capped, initial: 0}",
            [
                (
                    5,
                    38,
                    "bounds on state are refused, for nothing enforces them; write a rule and an `always` property",
                ),
            ],
        ),
    ],
)
def test_a_named_type_that_does_not_fit_is_refused(variable: str, expected: Problems, tmp_path: Path) -> None:
    types = "types: {capped: {type: decimal, scale: 2, max: 9}, flag: {type: bool}}\n"
    assert problems(spec(f"{types}state:\n  v: {variable}\n"), tmp_path) == expected


def test_a_pattern_that_is_refused_refuses_nothing_else(tmp_path: Path) -> None:
    text = spec(
        "types: {who: {type: string, pattern: '+'}}\n"
        "state: {s: {type: set, items: who, initial: [a]}, m: {type: map, key: who, value: int, initial: 0}}\n"
        "tools: {t: {rules: [{id: x, allow: \"'a' in state.s && state.m['a'] > 1\"}], then: {\"m['b']\": '1'}}}\n"
    )
    assert problems(text, tmp_path) == [
        (3, 39, "the pattern is refused: there is nothing before `+` to repeat; escape it as `\\+`")
    ]


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (60, ""),
        (
            4_096,
            (
                "a decision could take 2,117,446 steps, of which rule `x` takes 1,765,810, and 350,000 are "
                "allowed; declare smaller sizes (without a `max_size` a list has 32 items and a string 4,096 "
                "characters)"
            ),
        ),
    ],
)
def test_lookups_that_cost_too_much_are_refused(size: int, message: str, tmp_path: Path) -> None:
    lists = ", ".join(
        f"{name}: {{type: list, items: {{type: string, max_size: {size}}}, max_size: 60}}" for name in ("xs", "ys")
    )
    text = spec(
        "state: {s: {type: set, items: string, initial: []}, m: {type: map, key: string, value: int, initial: 0}}\n"
        f"tools: {{t: {{args: {{{lists}, k: {{type: string, max_size: 16}}}}, "
        "rules: [{id: x, allow: 'args.xs.all(x, args.ys.exists(y, y in state.s))'}], "
        "then: {'m[args.k]': 'state.m[args.k] + 1'}}}\n"
    )
    if message == "":
        assert load_contract(write(tmp_path, text)).tools
        return
    ((_, _, found),) = problems(text, tmp_path)
    assert found == message


def test_lists_in_lists_of_no_declared_size_are_refused_with_the_sizes_that_hold(tmp_path: Path) -> None:
    row = "{type: record, fields: {to: {type: list, items: STRING}}}"
    for string, size in (("string", ""), ("{type: string, max_size: 4096}", ", max_size: 32")):
        items = row.replace("STRING}", f"{string}{size}}}")
        text = spec(f"tools:\n  t:\n    args: {{rows: {{type: list, items: {items}{size}}}}}\n    rules: []\n")
        with pytest.raises(SpecError) as caught:
            load_contract(write(tmp_path, text))
        assert (
            "a decision could take 3,000,552 steps, of which the argument `rows` takes 3,000,552, and 350,000 are "
            "allowed; declare smaller sizes (without a `max_size` a list has 32 items and a string 4,096 characters)"
        ) in str(caught.value)
    small = row.replace("STRING", "{type: string, max_size: 200}, max_size: 8")
    mended = spec(f"tools:\n  t:\n    args: {{rows: {{type: list, items: {small}}}}}\n    rules: []\n")
    assert load_contract(write(tmp_path, mended)).tools
