"""Every refusal of a spec file: all of its problems, each at its exact place and in its exact words."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.compile import load_contract
from sandbox.compile.cost import MAX_COST, SMALLER
from sandbox.errors import SpecError

HEAD = "sandbox: 1\nname: x\n"


def with_argument(argument: str) -> str:
    return f"{HEAD}tools:\n  t:\n    args: {{a: {argument}}}\n    rules: []\n"


def with_state(variable: str) -> str:
    return f"{HEAD}state:\n  v: {variable}\n"


def with_rule(rule: str) -> str:
    return (
        f"{HEAD}tools:\n  t:\n    args: {{n: {{type: int, optional: true}}, s: {{type: string}}, "
        f"d: {{type: decimal, scale: 2}}, u: {{type: int, min: 0}}}}\n    rules:\n      - {rule}\n"
    )


def with_run(run: str) -> str:
    return f"{HEAD}tools:\n  t:\n    args: {{n: {{type: int}}}}\n    rules: []\n    run: {run}\n"


def with_then(variable: str, value: str) -> str:
    return (
        f"{HEAD}state: {{v: {variable}}}\ntools:\n  t:\n    args: {{n: {{type: int}}, u: {{type: int, min: 0}}, "
        f"d: {{type: decimal, scale: 2}}, b: {{type: bool}}, s: {{type: string}}, "
        f"us: {{type: list, items: {{type: int, min: 0}}, min_size: 1}}}}\n    rules: []\n    then: {{v: {value}}}\n"
    )


Problems = list[tuple[int, int, str]]

FILES: list[tuple[str, Problems]] = [
    ("", [(1, 1, "the file is empty; a spec begins with `sandbox: 1`, a property file with `proves:`")]),
    ("# only\n", [(1, 1, "the file is empty; a spec begins with `sandbox: 1`, a property file with `proves:`")]),
    ("proves: x.yaml\nproperties: []\n", [(1, 1, "this is a property file and no spec; `sandbox prove` reads it")]),
    ("hello", [(1, 1, "expected a mapping; write `key: value` lines, or `{}`")]),
    ("- 1", [(1, 1, "expected a mapping; write `key: value` lines, or `{}`")]),
    ("sandbox: 1\nname: x\n---\na: 1\n", [(3, 1, "a file holds one document; take out what follows `---`")]),
    ("sandbox: 1\nname: x\nname: y\n", [(3, 1, "`name` stands here already, in line 2; keep one of them")]),
    ("sandbox: 1\nname: &a x\n", [(2, 7, "anchors and aliases are refused; write the value out")]),
    ("sandbox: 1\nname: *a\n", [(2, 7, "anchors and aliases are refused; write the value out")]),
    ("sandbox: !!int 1\nname: x\n", [(1, 10, "tags such as `tag:yaml.org,2002:int` are refused; take it out")]),
    ("sandbox: 1\nname: !x y\n", [(2, 7, "tags such as `!x` are refused; take it out")]),
    ("sandbox: 1\nname: x\ntools:\n  <<: {}\n", [(4, 3, "merge keys are refused; write the keys out")]),
    ("%YAML 1.1\n---\nsandbox: 1\n", [(1, 1, "directives such as `%YAML` are refused; take them out")]),
    (
        "sandbox: 1\nname: x\n? [a]\n: 1\n",
        [(3, 3, "a key is a name, never a list or a mapping; quote text that begins with `[` or `{`")],
    ),
    ('sandbox: 1\nname: "x\n', [(3, 1, "found unexpected end of stream; check indentation, quotes and colons")]),
    (
        "sandbox: 1\n\tname: x\n",
        [(2, 1, "found character '\\t' that cannot start any token; check indentation, quotes and colons")],
    ),
    (
        'sandbox: 1\nname: "x\x1b[31m"\n',
        [(2, 9, "the character U+001B may not stand in this file; write it as an escape in double quotes")],
    ),
    (
        "sandbox: 1\nname: x # \u202e\n",
        [(2, 11, "the character U+202E may not stand in this file; write it as an escape in double quotes")],
    ),
    (
        "\ufeffsandbox: 1\nname: x\n",
        [(1, 1, "the character U+FEFF may not stand in this file; write it as an escape in double quotes")],
    ),
    (
        (
            "sandbox: 1\nname: x\ntools: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]"
            "]]]]]]]]]]]]]]]]]]]]]"
        ),
        [(3, 24, "a file is nested at most 16 deep")],
    ),
    ("sandbox: 2\nname: x\n", [(1, 10, "this version reads format 1 only; write `sandbox: 1`")]),
    ('sandbox: "1"\nname: x\n', [(1, 11, "this version reads format 1 only; write `sandbox: 1`")]),
    ("sandbox: 1\n", [(1, 1, "`name` is missing here; add it")]),
    ("name: x\n", [(1, 1, "`sandbox` is missing here; add it")]),
    ("sandbox: 1\nname: 12\n", [(2, 7, "expected a short name, found `12`; put it in quotes if it is meant as text")]),
    ("sandbox: 1\nname:\n", [(2, 1, "expected a short name, found nothing; write a value or take the key out")]),
    (
        "sandbox: 1\nname: [x]\n",
        [(2, 7, "expected a short name, found a list; text that begins with `[` needs quotes")],
    ),
    ('sandbox: 1\nname: "a b"\n', [(2, 8, "`a b` is no short name; write letters, digits, `_`, `-` and `.`")]),
    ("sandbox: 1\nname: x\ntols: {}\n", [(3, 1, "unknown key `tols`; did you mean `tools`?")]),
    (
        "sandbox: 1\nname: x\nzzz: {}\n",
        [
            (
                3,
                1,
                ("unknown key `zzz`; check its spelling"),
            )
        ],
    ),
    (
        "sandbox: 1\nname: x\ntypes: {}\nsession: {}\nserver: {sampling: true}\n",
        [(5, 10, "`sampling` is not supported in this version")],
    ),
    ("sandbox: 1\nname: x\ntools: []\n", [(3, 8, "expected a mapping; write `key: value` lines, or `{}`")]),
    ("sandbox: 1\nname: x\ntools:\n", [(3, 1, "expected a mapping; write `key: value` lines, or `{}`")]),
    (
        'sandbox: 1\nname: x\ntools: {"a b": {rules: []}}\n',
        [(3, 10, "`a b` is no tool name; write a letter or `_`, then letters, digits, `_`, `-` and `.`")],
    ),
    ("sandbox: 1\nname: x\ntools: {t: {}}\n", [(3, 12, "`rules` is missing here; add it")]),
    (
        ("sandbox: 1\nname: x\ntools: {t: {rules: [], returns: {x: {type: string, origin: unknown}}}}\n"),
        [(3, 60, "`unknown` is the origin of what nothing is known of; give the field a label of its own")],
    ),
    (
        ("sandbox: 1\nname: x\ntools: {t: {rules: [], returns: {x: {}}}}\n"),
        [(3, 37, "a field of `returns` has a `type`, an `origin`, or both; add one")],
    ),
    (
        ("sandbox: 1\nname: x\ntools: {t: {rules: [], returns: {x: {origin: 'tool:t'}}}}\n"),
        [(3, 47, "`tool:t` is no short name; write letters, digits, `_`, `-` and `.`")],
    ),
    (
        "sandbox: 1\nname: x\ndefine: {args: 1, in: 2, has: 3}\n",
        [(3, 19, "`in` is a reserved word of CEL; use another name")],
    ),
    (
        "sandbox: 1\nname: x\ndefine: {a: null}\n",
        [(3, 13, "expected a bool, number or string, found `null`; put it in quotes if it is meant as text")],
    ),
    (
        "sandbox: 1\nname: x\ndefine: {a: 1e3, b: .5, c: 0x10, d: 0o17, e: +1, f: .inf, g: 007}\n",
        [
            (3, 13, "expected a bool, number or string, found `1e3`; put it in quotes if it is meant as text"),
            (3, 21, "expected a bool, number or string, found `.5`; put it in quotes if it is meant as text"),
            (3, 28, "expected a bool, number or string, found `0x10`; put it in quotes if it is meant as text"),
            (3, 37, "expected a bool, number or string, found `0o17`; put it in quotes if it is meant as text"),
            (3, 46, "expected a bool, number or string, found `+1`; put it in quotes if it is meant as text"),
            (3, 53, "expected a bool, number or string, found `.inf`; put it in quotes if it is meant as text"),
            (3, 62, "expected a bool, number or string, found `007`; put it in quotes if it is meant as text"),
        ],
    ),
    (
        "sandbox: 1\nname: x\ndefine: {a: {b: 1}}\n",
        [(3, 13, "expected a bool, number or string, found a mapping; text with `: ` in it needs quotes")],
    ),
    (
        "sandbox: 1\nname: x\ndefine: {a: [[1]]}\n",
        [(3, 13, "expected a bool, number or string, found a list; text that begins with `[` needs quotes")],
    ),
    (
        'sandbox: 1\nname: x\ndefine: {a: "x\\0"}\n',
        [(3, 15, "U+0000 can stand in no value (NUL, surrogates, above U+2FFFF); take it out")],
    ),
    (
        "sandbox: 1\nname: x\ndefine: {a-b: 1}\n",
        [(3, 10, "`a-b` is no name; write a letter or `_`, then letters, digits and `_`")],
    ),
    (
        (
            "sandbox: 1\nname: x\nstate: {v: {type: int, initial: 0}}\ntools:\n  t:\n    args: {n: {typ"
            "e: int}, u: {type: int, min: 0}, d: {type: decimal, scale: 2}, b: {type: bool}, s: {t"
            "ype: string}, us: {type: list, items: {type: int, min: 0}, min_size: 1}}\n    rules: ["
            "]\n    then: {w: 0}\n"
        ),
        [(8, 12, "the state has no variable `w`; known: `v`")],
    ),
    (
        "sandbox: 1\nname: x\nextends: nowhere.yaml\n",
        [(3, 10, "`nowhere.yaml` does not exist; it is relative to this file")],
    ),
    (
        "sandbox: 1\nname: x\nrequire_proofs: nowhere.yaml\n",
        [(3, 17, "`nowhere.yaml` does not exist; it is relative to this file")],
    ),
    (
        (
            "sandbox: 1\nname: x\ntools:\n  t:\n    args: {xs: {type: list, items: {type: string, max_"
            'size: 16KiB}, max_size: 1000}}\n    rules:\n      - {id: small, allow: "size(args.xs) ='
            "= 0\"}\n      - {id: big, deny: \"args.xs.exists(x, x.contains('a') || x.contains('b'))\""
            "}\n"
        ),
        [
            (
                8,
                26,
                (
                    "a decision could take 34,557,091 steps, of which rule `big` takes 23,028,010, "
                    f"and {MAX_COST:,} are allowed; {SMALLER}"
                ),
            )
        ],
    ),
    (
        "sandbox: 1\nname: x\ntools: {t: {rules: [], effects: [a, a]}}\n",
        [(3, 37, "the effect `a` stands here already; keep one of them")],
    ),
]

ARGUMENTS: list[tuple[str, Problems]] = [
    ("string", [(5, 15, "expected a mapping, found `string`; write `{type: string}`")]),
    ("{max: 1}", [(5, 15, "`type` is missing here; add it, such as `type: string`")]),
    ("{type: strng}", [(5, 22, "`strng` is no type; did you mean `string`?")]),
    ("{type: set}", [(5, 22, "`set` is a type of state and of nothing else; an argument is a `list`")]),
    ("[string]", [(5, 15, "expected a mapping; write one such as `{type: string}`")]),
    ("{type: null}", [(5, 22, "expected text, found `null`; put it in quotes if it is meant as text")]),
    ("{type: string, optional: yes}", [(5, 40, "expected `true` or `false`, found `yes`")]),
    (
        "{type: int, pattern: a}",
        [(5, 27, "unknown key `pattern`; known: `default`, `max`, `min`, `optional`, `secret`, `type`")],
    ),
    ("{type: int, min: 5, max: 1}", [(5, 32, "`min` is above `max`; no value would be accepted")]),
    ("{type: int, min: 0.5}", [(5, 32, "this number has 1 digits behind the point and an int has none; write fewer")]),
    ('{type: int, min: "5"}', [(5, 33, "expected a number, found text `5`; take the quotes off")]),
    ("{type: decimal}", [(5, 15, "`scale` is missing here; add it")]),
    (
        "{type: decimal, scale: 2, min: 0.001}",
        [(5, 46, "this number has 3 digits behind the point and the scale is 2; write fewer")],
    ),
    ("{type: decimal, scale: 101}", [(5, 38, "a decimal has at most 100 digits behind the point")]),
    (
        "{type: decimal, scale: -1}",
        [(5, 38, "expected a whole number up to 1,000,000, found `-1`; write decimal digits")],
    ),
    (
        '{type: string, pattern: "[A-Z"}',
        [(5, 40, "the pattern is refused: the class is not closed; escape a literal bracket as `\\[`")],
    ),
    (
        '{type: string, pattern: "\\\\d+\\u0041*?"}',
        [
            (
                5,
                51,
                (
                    "the pattern is refused: lazy repetition is not in the dialect; it changes no verdict,"
                    " so remove the `?`"
                ),
            )
        ],
    ),
    (
        "{type: string, max_size: 17KiB}",
        [(5, 40, "`max_size` is at most 16,384 here, found 17,408; write less, or declare it `text`")],
    ),
    (
        "{type: string, min_size: 9, max_size: 5}",
        [(5, 40, "`min_size` is above `max_size`; no value would be accepted")],
    ),
    (
        "{type: text, max_size: 2MiB}",
        [
            (
                5,
                38,
                ("`max_size` is at most 1,048,576 here, found 2,097,152; write less, or let the tool take it in parts"),
            )
        ],
    ),
    (
        "{type: text, pattern: a}",
        [(5, 28, "unknown key `pattern`; known: `default`, `max_size`, `optional`, `secret`, `type`")],
    ),
    ("{type: enum, values: []}", [(5, 36, "an enum needs at least one value; write `[a, b]`")]),
    ("{type: enum, values: [a, b, a]}", [(5, 43, "the value `a` stands here already; keep one of them")]),
    (
        "{type: enum, values: [1, true, null]}",
        [
            (5, 37, "expected text, found `1`; put it in quotes if it is meant as text"),
            (5, 40, "expected text, found `true`; put it in quotes if it is meant as text"),
            (5, 46, "expected text, found `null`; put it in quotes if it is meant as text"),
        ],
    ),
    ("{type: enum, values: a}", [(5, 36, "expected a list; write `[...]`")]),
    ("{type: list}", [(5, 15, "`items` is missing here; add it")]),
    (
        "{type: list, items: {type: list, items: string}}",
        [(5, 42, "a list of `list` is not supported in this version")],
    ),
    ("{type: list, items: text}", [(5, 35, "a list of `text` is not supported in this version")]),
    (
        "{type: list, items: {type: string, optional: true}}",
        [(5, 60, "an item is never optional; take `optional` out")],
    ),
    (
        "{type: list, items: string, max_size: 1001}",
        [(5, 53, ("`max_size` is at most 1,000 here, found 1,001; write less, or let the tool be called more often"))],
    ),
    (
        "{type: list, items: string, min_size: 33}",
        [(5, 53, "`min_size` is above `max_size`; no value would be accepted")],
    ),
    ("{type: list, items: string, max_size: 0}", [(5, 53, "this number lies between 1 and 1,000,000; `0` does not")]),
    (
        "{type: path, under: workspace}",
        [(5, 35, "`workspace` is no canonical absolute path; write one such as `/workspace`")],
    ),
    (
        "{type: path, under: /a/../b}",
        [(5, 35, "`/a/../b` is no canonical absolute path; write one such as `/workspace`")],
    ),
    ("{type: path, under: /a/}", [(5, 35, "`/a/` is no canonical absolute path; write one such as `/workspace`")]),
]

STATE: list[tuple[str, Problems]] = [
    (
        "{type: int, initial: 0, min: 0, max: 5}",
        [
            (4, 35, "`min` on state is refused, for nothing enforces it; write a rule and an `always` property"),
            (4, 43, "`max` on state is refused, for nothing enforces it; write a rule and an `always` property"),
        ],
    ),
    ("{type: int, initial: 0, scope: word}", [(4, 37, "`word` is no scope; known: `principal`, `session`, `spec`")]),
    ("{type: int}", [(4, 6, "`initial` is missing here; add it")]),
    (
        "{type: int, initial: yes}",
        [(4, 27, "expected a number, found `yes`; write decimal digits, such as `12` or `-0.50`")],
    ),
    ("{type: bool, initial: yes}", [(4, 28, "expected `true` or `false`, found `yes`")]),
    ("{type: enum, values: [a], initial: b}", [(4, 41, "`b` is not one of the `values`; known: `a`")]),
    ("{type: enum, initial: b}", [(4, 6, "`values` is missing here, and `enum` needs it; add it")]),
    ("{type: decimal, initial: 0}", [(4, 6, "`scale` is missing here, and `decimal` needs it; add it")]),
    ("{type: int, scale: 2, initial: 0}", [(4, 25, "`scale` belongs to `decimal`, not to `int`; take it out")]),
    (
        "{type: decimal, scale: 1, initial: 0.05}",
        [(4, 41, "this number has 2 digits behind the point and the scale is 1; write fewer")],
    ),
    (
        "{type: int, initial: 1, window: 24h}",
        [(4, 27, "a `window` variable is the sum of what was added; write `initial: 0`")],
    ),
    (
        "{type: int, initial: 0, window: 24h, reset: 1h}",
        [(4, 38, "`reset` and `window` exclude each other; keep one of them")],
    ),
    (
        "{type: bool, initial: false, reset: 1h}",
        [(4, 42, "`reset` belongs to a budget, an int, a decimal or a map of such; take it out")],
    ),
    (
        "{type: int, initial: 0, reset: 24}",
        [(4, 37, "expected a duration, found `24`; write one such as `500ms`, `10s`, `5m`, `24h` or `7d`")],
    ),
    (
        "{type: int, initial: 0, reset: 0s}",
        [(4, 37, "expected a duration, found `0s`; write one such as `500ms`, `10s`, `5m`, `24h` or `7d`")],
    ),
    (
        "{type: string, initial: a}",
        [(4, 13, "`string` is no type of state; known: `bool`, `decimal`, `enum`, `int`, `map`, `set`, `timestamp`")],
    ),
]

RULES: list[tuple[str, Problems]] = [
    ("{id: a}", [(7, 9, "a rule has exactly one of `allow`, `ask`, `deny`; split it or add one")]),
    (
        "{id: a, allow: true, deny: true}",
        [(7, 9, "a rule has exactly one of `allow`, `ask`, `deny`; split it or add one")],
    ),
    ("{allow: true}", [(7, 9, "`id` is missing here; add it")]),
    (
        "{id: a, allow: true, approvers: 2, expires: 1m}",
        [
            (7, 41, "`approvers` belongs to `ask`, not to `allow`; take it out"),
            (7, 53, "`expires` belongs to `ask`, not to `allow`; take it out"),
        ],
    ),
    ("{id: a, ask: true, approvers: 0}", [(7, 39, "this number lies between 1 and 1,000,000; `0` does not")]),
    ("{id: a, allow: args.s}", [(7, 24, "expected bool, found string `args.s`; compare it with something")]),
    (
        "{id: a, allow: args.d > 5.001}",
        [(7, 33, "`5.001` has 3 digits behind the point, more than the scale 2 of `args.d`; write at most 2")],
    ),
    (
        '{id: a, allow: "args.d > 5.001"}',
        [(7, 34, "`5.001` has 3 digits behind the point, more than the scale 2 of `args.d`; write at most 2")],
    ),
    (
        "{id: a, allow: 'args.s == ''x'' && args.d > 5.001'}",
        [(7, 53, "`5.001` has 3 digits behind the point, more than the scale 2 of `args.d`; write at most 2")],
    ),
    (
        '{id: a, allow: "args.s == \\"\\u0041\\" && args.d > 5.001"}',
        [(7, 58, "`5.001` has 3 digits behind the point, more than the scale 2 of `args.d`; write at most 2")],
    ),
    (
        'id: a\n        allow: >-\n          args.s == "x"\n            && args.d\n          > 5.001\n',
        [(11, 13, "`5.001` has 3 digits behind the point, more than the scale 2 of `args.d`; write at most 2")],
    ),
    (
        'id: a\n        allow: |\n          args.s == "x" &&\n            args.d > 5.001\n',
        [(10, 22, "`5.001` has 3 digits behind the point, more than the scale 2 of `args.d`; write at most 2")],
    ),
    (
        'id: a\n        allow: args.s == "x" &&\n          args.d > 5.001\n',
        [(9, 20, "`5.001` has 3 digits behind the point, more than the scale 2 of `args.d`; write at most 2")],
    ),
    ("{id: a, allow: {x: 1}}", [(7, 24, "expected an expression, found a mapping; text with `: ` in it needs quotes")]),
    ("{id: a, allow: [x]}", [(7, 24, "expected an expression, found a list; text that begins with `[` needs quotes")]),
    ("{id: a, allow: yes}", [(7, 24, "unknown name `yes`; known: `args`, `now`, `tool`")]),
    ("{id: a, allow: True}", [(7, 24, "unknown name `True`; known: `args`, `now`, `tool`")]),
    ("{id: a, allow: }", [(7, 17, "expected an expression, found nothing; write a value or take the key out")]),
    ("{id: a, alow: true}", [(7, 17, "unknown key `alow`; did you mean `allow`?")]),
    ("{id: a, allow: args.n == 1}", [(7, 24, "`args.n` is optional; write `has(args.n) &&` before it")]),
    (
        "{id: a, allow: true}\n      - {id: a, deny: true}",
        [(8, 14, "the id `a` stands here already; ids are unique within a tool")],
    ),
    ("{id: a, allow: true, reason: 5}", [(7, 38, "expected text, found `5`; put it in quotes if it is meant as text")]),
]

RUNS: list[tuple[str, Problems]] = [
    ("{}", [(7, 10, "`run` has exactly one of `tool`, `argv`, `host`")]),
    ("{tool: a:b, host: x}", [(7, 10, "`run` has exactly one of `tool`, `argv`, `host`")]),
    ("{tool: a.b}", [(7, 17, "`a.b` is no `module:function`; write one such as `tools.payments:send_money`")]),
    (
        "{host: because, memory: 1GiB, min_isolation: vm}",
        [
            (7, 34, "`memory` means nothing on the host, where no container is; take it out"),
            (7, 55, "`min_isolation` means nothing on the host, where no container is; take it out"),
        ],
    ),
    (
        "{tool: a:b, memory: 0, cpus: 0, pids: 0}",
        [
            (7, 30, "a size in bytes lies between 1 and 1,099,511,627,776; `0` does not"),
            (7, 39, "thousandths of a processor lies between 1 and 1,024,000; `0` does not"),
            (7, 48, "this number lies between 1 and 1,000,000; `0` does not"),
        ],
    ),
    (
        "{tool: a:b, memory: 1GB}",
        [(7, 30, "expected a size, found `1GB`; write one such as `64KiB`, `128MiB`, `1GiB` or `4096`")],
    ),
    (
        "{tool: a:b, cpus: 0.0001}",
        [(7, 28, "expected a number of processors, found `0.0001`; write one such as `1` or `0.5`")],
    ),
    (
        "{tool: a:b, timeout: 10}",
        [(7, 31, "expected a duration, found `10`; write one such as `500ms`, `10s`, `5m`, `24h` or `7d`")],
    ),
    (
        "{tool: a:b, network: [a.b]}",
        [(7, 32, "`a.b` is no `host:port`; write one such as `api.bank.example:443`, in lower case")],
    ),
    ('{tool: a:b, network: ["a.b:70000"]}', [(7, 33, "a port lies between 1 and 65,535; `70000` does not")]),
    ('{tool: a:b, network: ["127.1:80"]}', [(7, 33, "`127.1:80` is read as `127.0.0.1:80`; write that")]),
    ('{tool: a:b, network: ["2130706433:80"]}', [(7, 33, "`2130706433:80` is read as `127.0.0.1:80`; write that")]),
    ('{tool: a:b, network: ["0177.0.0.1:80"]}', [(7, 33, "`0177.0.0.1:80` is read as `127.0.0.1:80`; write that")]),
    ('{tool: a:b, network: ["a.b:0443"]}', [(7, 33, "`a.b:0443` is read as `a.b:443`; write that")]),
    ('{tool: a:b, network: ["[::0001]:80"]}', [(7, 33, "`[::0001]:80` is read as `[::1]:80`; write that")]),
    (
        '{tool: a:b, network: ["[::ffff:7f00:1]:80"]}',
        [(7, 33, "`[::ffff:7f00:1]:80` stands for an address of IPv4; write that one")],
    ),
    (
        '{tool: a:b, network: [{to: "https://a.b:443"}]}',
        [
            (
                7,
                38,
                "`https://a.b:443` is no `host:port`; write one such as `api.bank.example:443`, in lower case",
            )
        ],
    ),
    (
        '{tool: a:b, network: ["a.b:443", {to: "a.b:443"}]}',
        [(7, 49, "`a.b:443` stands here already; say all of it in one grant")],
    ),
    ("{tool: a:b, network: [{methods: [GET]}]}", [(7, 32, "`to` is missing here; add it")]),
    (
        '{tool: a:b, network: [{to: "a.b:443", method: [GET]}]}',
        [(7, 48, "unknown key `method`; did you mean `methods`?")],
    ),
    (
        '{tool: a:b, network: [{to: "a.b:443", methods: [get, CONNECT]}]}',
        [
            (7, 58, "`get` is no method that can be granted; did you mean `GET`?"),
            (
                7,
                63,
                (
                    "`CONNECT` is no method that can be granted; known: `DELETE`, `GET`, `HEAD`, `OPTIONS`, "
                    "`PATCH`, `POST`, `PUT`"
                ),
            ),
        ],
    ),
    (
        '{tool: a:b, network: [{to: "a.b:443", methods: []}]}',
        [(7, 57, "an empty list allows no request; name a method or take `methods` out")],
    ),
    (
        '{tool: a:b, network: ["localhost:443", "printer:80", "api.corp.internal:443"]}',
        [
            (
                7,
                at,
                (
                    f"`{host}` is no name of the public internet; name the blocks that it lies in, "
                    "such as `addresses: [10.1.0.0/16]`"
                ),
            )
            for at, host in ((33, "localhost"), (50, "printer"), (64, "api.corp.internal"))
        ],
    ),
    (
        '{tool: a:b, network: [{to: "10.0.0.1:80", addresses: [10.0.0.0/8]}]}',
        [(7, 63, "`10.0.0.1` is one address already; take `addresses` out")],
    ),
    (
        '{tool: a:b, network: [{to: "a.b:80", addresses: [10.1.0.0/8, 0.0.0.0/0, "::ffff:0:0/96", here, 10.0.0.7]}]}',
        [
            (7, 59, "`10.1.0.0/8` is no block of addresses; write one such as `10.1.0.0/16`"),
            (7, 71, "`0.0.0.0/0` is every address; name the blocks that the host lies in"),
            (7, 83, "`::ffff:0:0/96` stands for addresses of IPv4; write those"),
            (7, 99, "`here` is no block of addresses; write one such as `10.1.0.0/16`"),
            (7, 105, "`10.0.0.7` is read as `10.0.0.7/32`; write that"),
        ],
    ),
    (
        '{tool: a:b, network: [{to: "a.b:443", credential: {}}]}',
        [(7, 60, "a credential has exactly one of `env`, `file`")],
    ),
    (
        '{tool: a:b, network: [{to: "a.b:443", credential: {env: A, file: b}}]}',
        [(7, 60, "a credential has exactly one of `env`, `file`")],
    ),
    (
        '{tool: a:b, network: [{to: "a.b:80", credential: {env: A}}]}',
        [(7, 59, "a credential is sent over TLS only; take it out, or say `tls: true`")],
    ),
    (
        '{tool: a:b, network: [{to: "a.b:443", credential: {env: "A=B", header: Host, prefix: " x"}}]}',
        [
            (7, 67, "`A=B` is no name of a variable; write letters, digits and `_`"),
            (7, 81, "`Host` belongs to the connection; a credential has a header of its own"),
            (7, 96, "` x` is no beginning of a header's value; write up to 64 visible ASCII characters"),
        ],
    ),
    (
        '{tool: a:b, network: [{to: "a.b:443", credential: {env: A, header: "X Key"}}]}',
        [(7, 78, "`X Key` is no name of a header; write letters, digits, `-` and `_`")],
    ),
    ("{tool: a:b, min_isolation: none}", [(7, 37, "`none` is no isolation; known: `container`, `gvisor`, `vm`")]),
    ("{argv: []}", [(7, 17, "`argv` needs at least one word, the program")]),
    (
        '{argv: ["{args.n}", "x{args.n}", "{args.m}"]}',
        [
            (7, 19, "the program is a constant; an argument may not choose what runs"),
            (7, 31, "`{args.NAME}` is a whole word; make it a word of its own"),
            (7, 44, "the tool has no argument `m`; known: `n`"),
        ],
    ),
    ("{tool: a:b, workspace: {source: w}}", [(7, 33, "`mode` is missing here; add it")]),
    ("{tool: a:b, workspace: {source: w, mode: rx}}", [(7, 51, "`rx` is no mode; known: `ro`, `rw`")]),
    (
        "{tool: a:b, workspace: {source: ., mode: ro}}",
        [(7, 42, "a workspace may not be, contain or lie in the folder of the state; choose another folder")],
    ),
    (
        "{tool: a:b, workspace: {source: .sandbox/x, mode: ro}}",
        [(7, 42, "a workspace may not be, contain or lie in the folder of the state; choose another folder")],
    ),
    (
        '{tool: a:b, image: "UPPER/x"}',
        [(7, 30, "`UPPER/x` is no name of an image; write one such as `name:tag` or `name@sha256:...`")],
    ),
    ("{tool: a:b, privileged: true}", [(7, 22, "unknown key `privileged`; check its spelling")]),
]

THENS: list[tuple[str, str, Problems]] = [
    ("{type: int, initial: 0}", "args.s", [(8, 15, "expected int, found string `args.s`")]),
    (
        "{type: int, initial: 0, window: 1h}",
        "state.v + args.n",
        [
            (
                8,
                15,
                (
                    "what is added to `v`, which has a `window`, might be negative; declare `min: 0` (or m"
                    "ore) on the arguments in it"
                ),
            )
        ],
    ),
    (
        "{type: int, initial: 0, window: 1h}",
        "args.u",
        [(8, 15, "`v` has a `window` and is only ever added to; write `state.v + AMOUNT`, or leave it out")],
    ),
    (
        "{type: int, initial: 0, window: 1h}",
        "state.v - args.u",
        [(8, 15, "`v` has a `window` and is only ever added to; write `state.v + AMOUNT`, or leave it out")],
    ),
    (
        "{type: int, initial: 0, window: 1h}",
        '"args.b ? state.v : 0"',
        [(8, 16, "`v` has a `window` and is only ever added to; write `state.v + AMOUNT`, or leave it out")],
    ),
    (
        "{type: decimal, scale: 2, initial: 0, window: 1h}",
        "state.v + args.d",
        [
            (
                8,
                15,
                (
                    "what is added to `v`, which has a `window`, might be negative; declare `min: 0` (or m"
                    "ore) on the arguments in it"
                ),
            )
        ],
    ),
    (
        "{type: decimal, scale: 1, initial: 0}",
        "args.d",
        [(8, 15, "`args.d` has 2 digits behind the point and 1 are kept; nothing is rounded silently")],
    ),
]


def assert_refused(tmp_path: Path, text: str, expected: Problems) -> None:
    (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_contract(tmp_path / "spec.yaml")
    problems = caught.value.problems
    assert [(problem.place.line, problem.place.column, problem.message) for problem in problems] == expected
    assert all(problem.place.file == str(tmp_path / "spec.yaml") for problem in problems)
    lines = text.split("\n")
    assert all(len(problem.source_line) == len(lines[problem.place.line - 1]) for problem in problems)


@pytest.mark.parametrize(("text", "expected"), FILES)
def test_a_file_is_refused(tmp_path: Path, text: str, expected: Problems) -> None:
    assert_refused(tmp_path, text, expected)


@pytest.mark.parametrize(("argument", "expected"), ARGUMENTS)
def test_an_argument_is_refused(tmp_path: Path, argument: str, expected: Problems) -> None:
    assert_refused(tmp_path, with_argument(argument), expected)


@pytest.mark.parametrize(("variable", "expected"), STATE)
def test_a_variable_is_refused(tmp_path: Path, variable: str, expected: Problems) -> None:
    assert_refused(tmp_path, with_state(variable), expected)


@pytest.mark.parametrize(("rule", "expected"), RULES)
def test_a_rule_is_refused(tmp_path: Path, rule: str, expected: Problems) -> None:
    assert_refused(tmp_path, with_rule(rule), expected)


@pytest.mark.parametrize(("run", "expected"), RUNS)
def test_a_run_is_refused(tmp_path: Path, run: str, expected: Problems) -> None:
    assert_refused(tmp_path, with_run(run), expected)


@pytest.mark.parametrize(("variable", "value", "expected"), THENS)
def test_an_assignment_is_refused(tmp_path: Path, variable: str, value: str, expected: Problems) -> None:
    assert_refused(tmp_path, with_then(variable, value), expected)
