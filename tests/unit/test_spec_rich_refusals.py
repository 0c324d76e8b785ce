# ruff: noqa: E501 - a table is read line by line
"""Refusals of specs about types, facts and defaults: their exact place and words."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import spec, write

from sandbox.compile import load_contract
from sandbox.errors import SpecError

FILES = [
    ("types: {string: {type: int}}", [(3, 9, "`string` means something already; use another name")]),
    ("types: {set: {type: int}}", [(3, 9, "`set` means something already; use another name")]),
    ("types: {now: {type: int}}", [(3, 9, "`now` means something already; use another name")]),
    ("define: {a: 1}\ntypes: {a: {type: int}}", [(4, 9, "`a` means something already; use another name")]),
    ("types: {a: {type: a}}", [(3, 19, "the type `a` contains itself; take it out of itself")]),
    (
        "types: {a: {type: b}, b: {type: list, items: a}}",
        [(3, 46, "the type `a` contains itself; take it out of itself")],
    ),
    ("types: {a: {type: nope}}", [(3, 19, "`nope` is no type; check its spelling")]),
    (
        "types: {mony: {type: int}}\ntools: {t: {rules: [], args: {x: {type: money}}}}",
        [(4, 41, "`money` is no type; did you mean `mony`?")],
    ),
    (
        "types: {a: {type: int, optional: true}}",
        [(3, 34, "`optional` belongs to an argument, not to a type; write it where the type is used")],
    ),
    (
        "types: {a: {type: int, default: 1}}",
        [(3, 33, "`default` belongs to an argument, not to a type; write it where the type is used")],
    ),
    (
        "types: {a: {type: int, pattern: x}}",
        [(3, 24, "unknown key `pattern`; known: `default`, `max`, `min`, `optional`, `secret`, `type`")],
    ),
    ("types: {a: int}", [(3, 12, "expected a mapping, found `int`; write `{type: string}`")]),
    ("types: []", [(3, 8, "expected a mapping; write `key: value` lines, or `{}`")]),
    ("types: {a-b: {type: int}}", [(3, 9, "`a-b` is no name; write a letter or `_`, then letters, digits and `_`")]),
    (
        "types: {money: {type: int}}\ntools: {t: {rules: [], args: {x: {type: money, min: 1}}}}",
        [(4, 48, "unknown key `min`; known: `default`, `optional`, `secret`, `type`")],
    ),
    (
        "types: {a: {type: text}}\ntools: {t: {rules: [], args: {x: {type: list, items: a}}}}",
        [(4, 54, "a list of `text` is not supported in this version")],
    ),
    (
        "types: {a: {type: shell}}\ntools: {t: {rules: [], args: {x: {type: list, items: {type: a}}}}}",
        [(4, 61, "a list of `shell` is not supported in this version")],
    ),
    (
        "types:\n  a0: {type: record, fields: {x: {type: a1}, y: {type: a1}}}\n  a1: {type: record, fields: {x: {type: a2}, y: {type: a2}}}\n  a2: {type: record, fields: {x: {type: a3}, y: {type: a3}}}\n  a3: {type: record, fields: {x: {type: a4}, y: {type: a4}}}\n  a4: {type: record, fields: {x: {type: a5}, y: {type: a5}}}\n  a5: {type: record, fields: {x: {type: a6}, y: {type: a6}}}\n  a6: {type: record, fields: {x: {type: a7}, y: {type: a7}}}\n  a7: {type: list, items: int, max_size: 200}\ntools: {t: {rules: [], args: {x: {type: a0}}}}",
        [(8, 7, "types are nested at most 8 deep; write a flatter one")],
    ),
    (
        "session: {u: {type: string, optional: true}}",
        [(3, 39, "a fact of the session is always supplied; take `optional` out")],
    ),
    (
        "session: {u: {type: string, default: x}}",
        [(3, 38, "a fact of the session is always supplied; take `default` out")],
    ),
    (
        "session: {u: {type: list, items: string}}",
        [(3, 21, "a fact of the session is a single value, such as a string or an enum")],
    ),
    (
        "session: {u: {type: record, fields: {a: {type: int}}}}",
        [(3, 21, "a fact of the session is a single value, such as a string or an enum")],
    ),
    ("session: {u: {type: url}}", [(3, 21, "a fact of the session is a single value, such as a string or an enum")]),
    ("session: {u: {type: text}}", [(3, 21, "a fact of the session is a single value, such as a string or an enum")]),
    ("session: {u: {type: strng}}", [(3, 21, "`strng` is no type; did you mean `string`?")]),
    ("session: {u: string}", [(3, 14, "expected a mapping, found `string`; write `{type: string}`")]),
    (
        "session: {a b: {type: string}}",
        [(3, 11, "`a b` is no name; write a letter or `_`, then letters, digits and `_`")],
    ),
    ("session: []", [(3, 10, "expected a mapping; write `key: value` lines, or `{}`")]),
    (
        "state: {t: {type: timestamp, initial: 5}}",
        [(3, 39, "`5` is no timestamp; write one such as 2026-01-31T08:00:00Z")],
    ),
    (
        "state: {t: {type: timestamp, initial: 2026-01-01}}",
        [(3, 39, "`2026-01-01` is no timestamp; write one such as 2026-01-31T08:00:00Z")],
    ),
    (
        "state: {t: {type: timestamp, initial: '2026-01-01T00:00:00Z', window: 1h}}",
        [(3, 71, "`window` belongs to a budget, an int, a decimal or a map of such; take it out")],
    ),
    (
        "state: {t: {type: duration, initial: 1h}}",
        [(3, 19, "`duration` is no type of state; known: `bool`, `decimal`, `enum`, `int`, `map`, `set`, `timestamp`")],
    ),
    (
        "state: {t: {type: timestamp, initial: 2026-01-01T00:00:00Z, min: 2026-01-01T00:00:00Z}}",
        [(3, 66, "expected a number, found `2026-01-01T00:00:00Z`; write decimal digits, such as `12` or `-0.50`")],
    ),
    (
        "define: {now: 1, session: 2, duration: 3, timestamp: 4}",
        [
            (3, 10, "`now` means something already; use another name"),
            (3, 18, "`session` means something already; use another name"),
            (3, 30, "`duration` means something already; use another name"),
            (3, 43, "`timestamp` means something already; use another name"),
        ],
    ),
]

ARGUMENTS = [
    ("{type: url, schemes: []}", [(5, 36, "a url needs at least one scheme; write `[https]`")]),
    ("{type: url, schemes: [htps]}", [(5, 37, "`htps` is no scheme that is known; did you mean `https`?")]),
    ("{type: url, schemes: [https, https]}", [(5, 44, "the scheme `https` stands here already; keep one of them")]),
    ("{type: url, schemes: https}", [(5, 36, "expected a list; write `[...]`")]),
    ("{type: email, max_size: 5}", [(5, 29, "unknown key `max_size`; known: `default`, `optional`, `secret`, `type`")]),
    ("{type: argv, max_size: 0}", [(5, 38, "this number lies between 1 and 1,000,000; `0` does not")]),
    (
        "{type: argv, max_size: 1001}",
        [(5, 38, "`max_size` is at most 1,000 here, found 1,001; write less, or let the tool be called more often")],
    ),
    (
        "{type: shell, max_size: 17KiB}",
        [(5, 39, "`max_size` is at most 16,384 here, found 17,408; write less, or let the tool be called more often")],
    ),
    ("{type: record}", [(5, 15, "`fields` is missing here; add it")]),
    ("{type: record, fields: {}}", [(5, 38, "a record needs at least one field; write `{name: {type: string}}`")]),
    ("{type: record, fields: [a]}", [(5, 38, "expected a mapping; write `key: value` lines, or `{}`")]),
    ("{type: record, fields: {a: int}}", [(5, 42, "expected a mapping, found `int`; write `{type: string}`")]),
    (
        "{type: record, fields: {a-b: {type: int}}}",
        [(5, 39, "`a-b` is no name; write a letter or `_`, then letters, digits and `_`")],
    ),
    ("{type: record, fields: {in: {type: int}}}", [(5, 39, "`in` is a reserved word of CEL; use another name")]),
    ("{type: record, fields: {a: {type: int, maxx: 1}}}", [(5, 54, "unknown key `maxx`; did you mean `max`?")]),
    (
        "{type: record, fields: {a: {type: int, default: x}}}",
        [
            (
                5,
                63,
                "the default is no value of its type: a string is not accepted; an integer without fraction or exponent is",
            )
        ],
    ),
    (
        "{type: record, fields: {a: {type: int, optional: true, default: 1}}}",
        [(5, 79, "`default` and `optional` exclude each other; keep one of them")],
    ),
    (
        "{type: int, default: 1.5}",
        [
            (
                5,
                36,
                "the default is no value of its type: `1.5` is not accepted; an integer without fraction or exponent is",
            )
        ],
    ),
    (
        "{type: int, max: 5, default: 6}",
        [(5, 44, "the default is no value of its type: `6` is out of range; -9223372036854775808 to 5 is accepted")],
    ),
    (
        "{type: string, default: 5}",
        [(5, 39, "the default is no value of its type: a number is not accepted; a string is")],
    ),
    (
        "{type: string, default: null}",
        [(5, 39, "the default is no value of its type: null is no value; leave an optional argument out")],
    ),
    ("{type: string, default: }", [(5, 30, "expected a value, found nothing; write a value or take the key out")]),
    (
        "{type: string, default: {a: 1}}",
        [(5, 39, "the default is no value of its type: an object is not accepted; a string is")],
    ),
    (
        "{type: enum, values: [a, b], default: c}",
        [(5, 53, "the default is no value of its type: `c` is none of the values; accepted: `a`, `b`")],
    ),
    (
        "{type: bool, default: yes}",
        [(5, 37, "the default is no value of its type: a string is not accepted; true or false is")],
    ),
    (
        "{type: decimal, scale: 2, default: 1.005}",
        [(5, 50, "the default is no value of its type: `1.005` has too many digits; 2 behind the point are accepted")],
    ),
    (
        "{type: path, default: a}",
        [(5, 37, "the default is no value of its type: an absolute path, one that begins with `/`, is accepted")],
    ),
    (
        "{type: timestamp, default: now}",
        [
            (
                5,
                42,
                "the default is no value of its type: `now` is not accepted; an RFC 3339 instant with offset, such as 2026-01-31T09:30:00Z, is",
            )
        ],
    ),
    (
        "{type: duration, default: 1d}",
        [
            (
                5,
                41,
                "the default is no value of its type: `1d` is not accepted; a duration in whole milliseconds, such as 500ms, 10s or 1h30m, is",
            )
        ],
    ),
    (
        "{type: url, default: ftp://x}",
        [(5, 36, "the default is no value of its type: this is not accepted; a URL of scheme http or https is")],
    ),
    (
        "{type: list, items: int, default: [1, a]}",
        [
            (
                5,
                49,
                "the default is no value of its type, item 1: a string is not accepted; an integer without fraction or exponent is",
            )
        ],
    ),
    (
        "{type: list, items: int, default: 1}",
        [(5, 49, "the default is no value of its type: a number is not accepted; an array is")],
    ),
    (
        "{type: record, fields: {a: {type: int}}, default: {b: 1}}",
        [(5, 65, "the default is no value of its type, unknown field `b`; the fields are `a`")],
    ),
    (
        "{type: shell, default: 'a > b'}",
        [
            (
                5,
                39,
                "the default is no value of its type: `>` outside of quotes is not accepted; plain words joined by && || ; or | are",
            )
        ],
    ),
    (
        "{type: argv, default: []}",
        [(5, 37, "the default is no value of its type: 0 words are not accepted; 1 to 64 are")],
    ),
    (
        "{type: int, optional: true, default: 1}",
        [(5, 52, "`default` and `optional` exclude each other; keep one of them")],
    ),
    ("{type: list, items: {type: int, default: 1}}", [(5, 56, "an item is never optional; take `default` out")]),
    ("{type: list, items: {type: int, optional: true}}", [(5, 57, "an item is never optional; take `optional` out")]),
    ("{type: list, items: argv}", [(5, 35, "a list of `argv` is not supported in this version")]),
    ("{type: list, items: shell}", [(5, 35, "a list of `shell` is not supported in this version")]),
    ("{type: list, items: record}", [(5, 35, "`fields` is missing here; add it")]),
    (
        "{type: list, items: {type: record, fields: {a: {type: list, items: {type: record, fields: {b: {type: list, items: int, max_size: 32}}}}}}}",
        [(5, 15, "a value of this type is up to 33,825 single values, and 20,000 are allowed; declare shorter lists")],
    ),
    ("{type: timestamp, min: 5}", [(5, 33, "unknown key `min`; known: `default`, `optional`, `secret`, `type`")]),
    (
        "{type: url, pattern: x}",
        [(5, 27, "unknown key `pattern`; known: `default`, `optional`, `schemes`, `secret`, `type`")],
    ),
    ("{type: map}", [(5, 22, "`map` is a type of state and of nothing else; an argument is a `list`")]),
    ("{type: set, items: string}", [(5, 22, "`set` is a type of state and of nothing else; an argument is a `list`")]),
    ("{type: list, items: set}", [(5, 35, "`set` is a type of state and of nothing else; an argument is a `list`")]),
]

CHAIN = "types:\n" + "".join(f"  a{at}: {{type: a{at + 1}}}\n" for at in range(300)) + "  a300: {type: int}\n"
REVERSED = "types:\n  a0: {type: int}\n" + "".join(
    f"  a{at}: {{type: record, fields: {{x: {{type: a{at - 1}}}}}}}\n" for at in range(1, 11)
)
WIDE = "types:\n  a0: {type: int}\n" + "".join(
    f"  a{at}: {{type: record, fields: {{{', '.join(f'f{k}: {{type: a{at - 1}}}' for k in range(90))}}}}}\n"
    for at in range(1, 8)
)
DEEP = "types are nested at most 8 deep; write a flatter one"


def refusals(folder: Path, text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(SpecError) as caught:
        load_contract(write(folder, text))
    return [(each.place.line, each.place.column, each.message) for each in caught.value.problems]


@pytest.mark.parametrize(("text", "expected"), FILES)
def test_a_file_is_refused(tmp_path: Path, text: str, expected: list[tuple[int, int, str]]) -> None:
    assert refusals(tmp_path, spec(text + "\n")) == expected


@pytest.mark.parametrize(("text", "expected"), ARGUMENTS)
def test_an_argument_is_refused(tmp_path: Path, text: str, expected: list[tuple[int, int, str]]) -> None:
    assert refusals(tmp_path, spec(f"tools:\n  t:\n    args: {{a: {text}}}\n    rules: []\n")) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CHAIN, DEEP),
        (REVERSED, DEEP),
        (WIDE, "a value of this type is up to 729,000 single values, and 20,000 are allowed; declare shorter lists"),
    ],
)
def test_a_short_file_cannot_describe_an_enormous_type(tmp_path: Path, text: str, message: str) -> None:
    assert {each for _, _, each in refusals(tmp_path, spec(text))} == {message}


def test_a_record_has_a_limited_number_of_fields(tmp_path: Path) -> None:
    fields = ", ".join(f"f{at}: {{type: int}}" for at in range(101))
    text = f"tools: {{t: {{rules: [], args: {{a: {{type: record, fields: {{{fields}}}}}}}}}}}\n"
    assert refusals(tmp_path, spec(text)) == [(3, 57, "a record has at most 100 fields; split it")]


@pytest.mark.parametrize(
    ("type_", "message"),
    [
        ("{type: record, fields: {x: {type: int}}}", "`args.a` is no word and no list of words; let a `tool` take it"),
        ("{type: shell}", "`args.a` is no word and no list of words; let a `tool` take it"),
        (
            "{type: list, items: {type: record, fields: {x: {type: int}}}}",
            "`args.a` is no word and no list of words; let a `tool` take it",
        ),
    ],
)
def test_what_is_no_word_stands_in_no_argv(tmp_path: Path, type_: str, message: str) -> None:
    text = f"tools:\n  t:\n    args: {{a: {type_}}}\n    rules: []\n    run: {{argv: [ls, '{{args.a}}']}}\n"
    assert refusals(tmp_path, spec(text)) == [(7, 23, message)]


def test_arguments_together_are_limited_too(tmp_path: Path) -> None:
    args = ", ".join(f"a{at}: {{type: shell}}" for at in range(5))
    assert refusals(tmp_path, spec(f"tools:\n  t:\n    rules: []\n    args: {{{args}}}\n")) == [
        (
            6,
            16,
            "the arguments of `t` are up to 20,805 values, of which this is 4,161, and 20,000 are allowed; declare shorter lists",
        )
    ]
