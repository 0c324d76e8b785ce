"""Unit: what YAML offers beyond plain structure, and what readers of it read differently, is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.compile import load_contract
from sandbox.errors import SpecError
from sandbox.ir import EnumType

HEAD = "sandbox: 1\nname: x\n"
TEXT = "; put it in quotes if it is meant as text"
SYNTAX = "; check indentation, quotes and colons"
FORBIDDEN = " may not stand in this file; write it as an escape in double quotes"
NO_VALUE = " can stand in no value (NUL, surrogates, above U+2FFFF); take it out"

# what is said of it: the files, each with the line and the column
TRAPS: dict[str, list[tuple[str, int, int]]] = {
    "`tools` stands here already, in line 3; keep one of them": [
        (HEAD + 'tools: {}\n"tools": {}', 4, 1),
        (HEAD + 'tools: {}\n"\\x74ools": {}', 4, 1),
    ],
    "`min` stands here already, in line 6; keep one of them": [
        (HEAD + "tools:\n  t:\n    args:\n      a: {type: int, min: 0, min: 5}\n    rules: []", 6, 30),
    ],
    "`t` stands here already, in line 4; keep one of them": [
        (HEAD + "tools:\n  t: {rules: []}\n  t: {rules: []}", 5, 3),
    ],
    "`` stands here already, in line 4; keep one of them": [
        (HEAD + "define:\n  ? \n  : 1\n  ? \n  : 2", 6, 4),
    ],
    "anchors and aliases are refused; write the value out": [
        (HEAD + "tools: &all {t: {rules: []}}", 3, 8),
        (HEAD + "&k tools: {}", 3, 1),
        (HEAD + "define: {a: [&x 1, 2]}", 3, 14),
        (HEAD + "*k : {}", 3, 1),
        (HEAD + "tools: *nowhere", 3, 8),
        (HEAD + "tools: &a [*a]", 3, 8),
        (HEAD + "define:\n  a: &a [x, x, x]\n  b: &b [*a, *a, *a]\n  c: [*b, *b, *b]", 4, 6),
    ],
    "merge keys are refused; write the keys out": [
        (HEAD + "define:\n  <<: {a: 1}", 4, 3),
        (HEAD + "define: {<<: *a}", 3, 10),
    ],
    "`<<` is no name; write a letter or `_`, then letters, digits and `_`": [
        (HEAD + 'define: {"<<": 1}', 3, 11),
    ],
    "tags such as `tag:yaml.org,2002:str` are refused; take it out": [
        (HEAD + "define: {a: !!str 1}", 3, 13),
        (HEAD + "!!str tools: {}", 3, 1),
    ],
    "tags such as `tag:yaml.org,2002:python/object/apply:os.system` are refused; take it out": [
        (HEAD + 'define: {a: !!python/object/apply:os.system ["id"]}', 3, 13),
    ],
    "tags such as `tag:yaml.org,2002:binary` are refused; take it out": [
        (HEAD + "define: {a: !!binary aGk=}", 3, 13),
    ],
    "tags such as `tag:yaml.org,2002:set` are refused; take it out": [
        (HEAD + "tools: !!set {t}", 3, 8),
    ],
    "tags such as `!` are refused; take it out": [
        (HEAD + "define: {a: ! x}", 3, 13),
    ],
    "tags such as `tag:yaml.org,2002:int` are refused; take it out": [
        (HEAD + "define: {a: !<tag:yaml.org,2002:int> 1}", 3, 13),
    ],
    "directives such as `%YAML` are refused; take them out": [
        ("%TAG ! tag:x,2000:\n---\nsandbox: 1\nname: x\n", 1, 1),
        ("%YAML 1.2\n---\nsandbox: 1\nname: x\n", 1, 1),
        ("%FOO bar\n---\nsandbox: 1\nname: x\n", 1, 1),
    ],
    "expected `true` or `false`, found `yes`": [
        (HEAD + "tools: {t: {args: {a: {type: int, optional: yes}}, rules: []}}", 3, 45),
    ],
    "expected `true` or `false`, found `no`": [
        (HEAD + "tools: {t: {args: {a: {type: int, optional: no}}, rules: []}}", 3, 45),
    ],
    "expected `true` or `false`, found `on`": [
        (HEAD + "tools: {t: {args: {a: {type: int, optional: on}}, rules: []}}", 3, 45),
    ],
    "expected `true` or `false`, found `off`": [
        (HEAD + "tools: {t: {args: {a: {type: int, optional: off}}, rules: []}}", 3, 45),
    ],
    "expected `true` or `false`, found `y`": [
        (HEAD + "tools: {t: {args: {a: {type: int, optional: y}}, rules: []}}", 3, 45),
    ],
    "expected `true` or `false`, found `True`": [
        (HEAD + "tools: {t: {args: {a: {type: int, optional: True}}, rules: []}}", 3, 45),
    ],
    "expected `true` or `false`, found `true`": [
        (HEAD + 'tools: {t: {args: {a: {type: int, optional: "true"}}, rules: []}}', 3, 46),
    ],
    "unknown key `on`; check its spelling": [
        (HEAD + "on: 1", 3, 1),
    ],
    "expected a mapping; write `key: value` lines, or `{}`": [
        (HEAD + "tools: ~", 3, 8),
        (HEAD + "tools: {t}", 3, 9),
        (HEAD + "tools: [t: {rules: []}]", 3, 8),
    ],
    "expected a bool, number or string, found `0o17`" + TEXT: [
        (HEAD + "define: {a: 0o17}", 3, 13),
    ],
    "expected a bool, number or string, found `017`" + TEXT: [
        (HEAD + "define: {a: 017}", 3, 13),
    ],
    "expected a bool, number or string, found `0x1F`" + TEXT: [
        (HEAD + "define: {a: 0x1F}", 3, 13),
    ],
    "expected a bool, number or string, found `0b11`" + TEXT: [
        (HEAD + "define: {a: 0b11}", 3, 13),
    ],
    "expected a bool, number or string, found `1_000`" + TEXT: [
        (HEAD + "define: {a: 1_000}", 3, 13),
    ],
    "expected a bool, number or string, found `1:30`" + TEXT: [
        (HEAD + "define: {a: 1:30}", 3, 13),
    ],
    "expected a bool, number or string, found `190:20:30`" + TEXT: [
        (HEAD + "define: {a: 190:20:30}", 3, 13),
    ],
    "expected a bool, number or string, found `190:20:30.15`" + TEXT: [
        (HEAD + "define: {a: 190:20:30.15}", 3, 13),
    ],
    "expected a bool, number or string, found `.nan`" + TEXT: [
        (HEAD + "define: {a: .nan}", 3, 13),
    ],
    "expected a bool, number or string, found `-.inf`" + TEXT: [
        (HEAD + "define: {a: -.inf}", 3, 13),
    ],
    "expected a bool, number or string, found `1e3`" + TEXT: [
        (HEAD + "define: {a: 1e3}", 3, 13),
    ],
    "expected a bool, number or string, found `+1`" + TEXT: [
        (HEAD + "define: {a: +1}", 3, 13),
    ],
    "expected a bool, number or string, found `1.`" + TEXT: [
        (HEAD + "define: {a: 1.}", 3, 13),
    ],
    "expected a number, found `010`; write decimal digits, such as `12` or `-0.50`": [
        (HEAD + "tools: {t: {args: {a: {type: int, max: 010}}, rules: []}}", 3, 40),
    ],
    "expected a number, found `1:30`; write decimal digits, such as `12` or `-0.50`": [
        (HEAD + "tools: {t: {args: {a: {type: int, max: 1:30}}, rules: []}}", 3, 40),
    ],
    "this version reads format 1 only; write `sandbox: 1`": [
        ("sandbox: 01\nname: x\n", 1, 10),
        ("sandbox: 1.0\nname: x\n", 1, 10),
    ],
    "a file holds one document; take out what follows `---`": [
        (HEAD + "---\nsandbox: 1\nname: x", 3, 1),
        (HEAD + "...\n---\nsandbox: 1\nname: x", 4, 1),
        (HEAD + "...\ntools: {}", 4, 1),
        ("---\n---\nsandbox: 1\nname: x\n", 2, 1),
    ],
    "found character '\\t' that cannot start any token" + SYNTAX: [
        (HEAD + "tools:\n\tt: {rules: []}", 4, 1),
        (HEAD + "tools:\n  t:\n    rules:\n    -\t- x", 6, 6),
    ],
    "the character U+FEFF" + FORBIDDEN: [
        ("\ufeffsandbox: 1\nname: x\n", 1, 1),
        (HEAD + "tools: {} # \ufeff", 3, 13),
    ],
    "the character U+0000" + FORBIDDEN: [
        (HEAD + "tools: {}\x00", 3, 10),
    ],
    "the character U+0007" + FORBIDDEN: [
        (HEAD + "# \x07", 3, 3),
    ],
    "the character U+001B" + FORBIDDEN: [
        (HEAD + 'define: {a: "\x1b[31m"}', 3, 14),
    ],
    "the character U+007F" + FORBIDDEN: [
        (HEAD + "# \x7f", 3, 3),
    ],
    "the character U+009B" + FORBIDDEN: [
        (HEAD + "# \x9b", 3, 3),
    ],
    "the character U+0085" + FORBIDDEN: [
        (HEAD + "# \x85tools: {}", 3, 3),
    ],
    "the character U+2028" + FORBIDDEN: [
        (HEAD + "# \u2028tools: {}", 3, 3),
    ],
    "the character U+2029" + FORBIDDEN: [
        (HEAD + "# \u2029tools: {}", 3, 3),
    ],
    "the character U+202E" + FORBIDDEN: [
        (HEAD + "# \u202e", 3, 3),
    ],
    "the character U+2067" + FORBIDDEN: [
        (HEAD + "# \u2067", 3, 3),
    ],
    "the character U+000D" + FORBIDDEN: [
        (HEAD + "# x\rtools: {}\n", 3, 4),
    ],
    "U+0000" + NO_VALUE: [
        (HEAD + 'define: {a: "\\0"}', 3, 14),
    ],
    "U+D800" + NO_VALUE: [
        (HEAD + 'define: {a: "\\ud800"}', 3, 14),
    ],
    "U+30000" + NO_VALUE: [
        (HEAD + 'define: {a: "\\U00030000"}', 3, 14),
    ],
    "this is no YAML (ValueError); check quotes and escapes": [
        (HEAD + 'define: {a: "\\U00110000"}', 1, 1),
    ],
    "found unknown escape character 'q'" + SYNTAX: [
        (HEAD + 'define: {a: "\\q"}', 3, 15),
    ],
    "a file is nested at most 16 deep": [
        (HEAD + f"define: {{a: {'[' * 40}{']' * 40}}}", 3, 28),
        (HEAD + f"define: {{a: {'[' * 50_000}", 3, 28),
        (HEAD + f"define: {'{a: ' * 40}1{'}' * 40}", 3, 70),
        ("".join(f"{'  ' * depth}a:\n" for depth in range(40)), 17, 33),
    ],
    "a file holds at most 20,000 values; split it": [
        (HEAD + f"define: {{a: [{'1,' * 20_001}]}}", 3, 39996),
    ],
    "the file is larger than 256 KiB; split it": [
        (HEAD + f"define: {{a: '{'x' * 2**18}'}}", 1, 1),
        (HEAD + f"#{'x' * 2**18}", 1, 1),
    ],
    "a key is a name, never a list or a mapping; quote text that begins with `[` or `{`": [
        (HEAD + "? {a: 1}\n: 1", 3, 3),
        (HEAD + "? [a, b]\n: 1", 3, 3),
    ],
    "expected ',' or '}', but got '<stream end>'" + SYNTAX: [
        (HEAD + "tools: {t: {rules: []}", 4, 1),
    ],
    "found unexpected end of stream" + SYNTAX: [
        (HEAD + 'define: {a: "x}', 4, 1),
    ],
    "expected ',' or '}', but got ':'" + SYNTAX: [
        (HEAD + "define: {a: b: c}", 3, 14),
    ],
    "expected <block end>, but found '<block mapping start>'" + SYNTAX: [
        (HEAD + "tools:\n  t:\n    rules: []\n   args: {}", 6, 4),
    ],
    "found character '@' that cannot start any token" + SYNTAX: [
        (HEAD + "define: {a: @x}", 3, 13),
    ],
    "found character '`' that cannot start any token" + SYNTAX: [
        (HEAD + "define: {a: `x`}", 3, 13),
    ],
    "found character '%' that cannot start any token" + SYNTAX: [
        (HEAD + "define: {a: %x}", 3, 13),
    ],
    "found character '|' that cannot start any token" + SYNTAX: [
        (HEAD + "define: {a: |+}", 3, 13),
    ],
    "could not find expected ':'" + SYNTAX: [
        (HEAD + f"{'a' * 1_100}: 1", 3, 1101),
    ],
}
NO_UTF_8 = "the file is not UTF-8 here; save it as UTF-8"
BYTES: list[tuple[bytes, int, int, str]] = [
    (HEAD.encode("utf-16"), 1, 1, NO_UTF_8),
    (HEAD.encode("utf-16-le"), 1, 2, "the character U+0000" + FORBIDDEN),
    (HEAD.encode() + b"# \xe9", 3, 3, NO_UTF_8),
    (HEAD.encode() + b"# \xc0\xaf", 3, 3, NO_UTF_8),
    (HEAD.encode() + b"# \xed\xa0\x80", 3, 3, NO_UTF_8),
]


def refusals(path: Path) -> list[tuple[int, int, str]]:
    """What is said of a file, with its places; nothing if it is accepted."""
    try:
        load_contract(path)
    except SpecError as error:
        return [(problem.place.line, problem.place.column, problem.message) for problem in error.problems]
    return []


@pytest.mark.parametrize("message", TRAPS)
def test_a_trap_is_refused_with_its_place(tmp_path: Path, message: str) -> None:
    wrong = []
    for text, line, column in TRAPS[message]:
        (tmp_path / "spec.yaml").write_text(f"{text}\n", encoding="utf-8", newline="")
        found = refusals(tmp_path / "spec.yaml")
        if found != [(line, column, message)]:
            wrong.append((text[:200], found))
    assert wrong == []


def test_bytes_that_are_no_utf_8_are_refused_with_their_place(tmp_path: Path) -> None:
    for raw, line, column, message in BYTES:
        (tmp_path / "spec.yaml").write_bytes(raw)
        assert refusals(tmp_path / "spec.yaml") == [(line, column, message)], raw


def test_words_that_yaml_1_1_reads_as_booleans_are_the_words(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(
        HEAD + "tools: {t: {args: {a: {type: enum, values: [no, yes, on, off, y, NaN, 2026-01-31]}}, rules: []}}"
    )
    (argument,) = load_contract(tmp_path / "spec.yaml").tools[0].arguments
    assert argument.type == EnumType(("no", "yes", "on", "off", "y", "NaN", "2026-01-31"))
