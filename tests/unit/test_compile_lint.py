# ruff: noqa: E501 - a table is read line by line
"""What is allowed and seldom meant; and that what is shipped has none of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import spec, write

from sandbox.compile import lint, load_contract, load_properties

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["payments", "files", "python"])
def test_a_shipped_spec_loads_with_its_properties_and_without_a_warning(name: str) -> None:
    contract = load_contract(ROOT / "specs" / f"{name}.yaml")
    assert contract.name == name
    assert lint(contract) == ()
    (found,) = load_properties(ROOT / "proofs" / f"{name}.yaml")
    assert found.contract == contract
    assert {one.kind for one in found.properties} == {"never", "always", "possible"}


def test_every_shipped_mistake_loads() -> None:
    found = load_properties(ROOT / "proofs" / "mistakes")
    assert [Path(one.file).stem for one in found] == ["late_check", "off_by_one", "per_call", "prefix", "wrong_half"]


ARGV = """
tools:
  t:
    args:
      s: {type: string}
      p: {type: path}
      q: {type: string, pattern: '[a-z]+'}
      r: {type: list, items: string}
    rules: [{id: a, allow: args.s == 'x'}]
    run: {argv: [ls, '{args.s}', '{args.p}', '{args.q}', '{args.r}', '--', '{args.s}']}
"""


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("tools: {t: {rules: []}}", ["`t` has no rules and is always denied", "this spec allows and asks nothing, so that every call is denied"]),
        ("tools: {t: {rules: [{id: a, deny: '1 < 2'}, {id: b, allow: true}, {id: c, ask: '1 == 2'}]}}",
         ["rule `a` is always true", "rule `b` is always true", "rule `b` never decides, because `a` is always true", "rule `c` is never true"]),
        ("tools: {t: {rules: [{id: a, ask: '1 <= 2 && true'}, {id: b, allow: '2 <= 1 || !false'}]}}",
         ["rule `a` is always true", "rule `b` is always true", "rule `b` never decides, because `a` is always true"]),
        ("tools: {t: {rules: [{id: a, deny: false}]}, u: {rules: [{id: b, allow: true}]}}",
         ["no rule of `t` allows or asks, so that it is always denied", "rule `a` is never true", "rule `b` is always true"]),
        ("state: {v: {type: int, initial: 0, reset: 1h}}\ntools: {t: {args: {n: {type: int}}, rules: [{id: a, allow: state.v + args.n < 5}]}}",
         ["`v` has a `reset`: up to twice its cap fits in a rolling period; `window` has no gap", "no `then` and no `on_success` ever changes `v`; a cap on it caps nothing"]),
        ("state: {s: {type: set, items: string, initial: []}, d: {type: set, items: string, initial: [a]}, k: {type: set, items: string, initial: [a]}, g: {type: set, items: string, initial: []}, m: {type: map, key: string, value: int, initial: 0, reset: 1h}}\ntools: {t: {args: {s: {type: string}}, rules: [{id: a, allow: args.s in state.s || args.s in state.k}], then: {k: state.k.remove(args.s), g: state.g.add(args.s).remove('b'), d: state.d}}}",
         ["`m` has a `reset`: up to twice its cap fits in a rolling period; `window` has no gap", "no `then` and no `on_success` ever changes `m`; a cap on it caps nothing", "nothing ever changes `d`; a list in `define` says the same", "nothing is ever added to `s`, which begins empty; nothing is ever in it"]),
        ("session: {id: {type: string}, principal: {type: string}}\nstate: {a: {type: int, initial: 0, window: 1h, scope: session}, b: {type: int, initial: 0, scope: session}, c: {type: int, initial: 0, window: 1h, scope: principal}}\ntools: {t: {args: {n: {type: int, min: 0}}, rules: [{id: a, allow: args.n > 1}], then: {a: state.a + args.n, b: state.b + 1, c: state.c + args.n}}}",
         ["`a` has `scope: session`: whoever begins a new session has a new budget"]),
        ("state: {m: {type: map, key: string, value: int, initial: 0}, p: {type: map, key: {type: string, pattern: '[a-z]+'}, value: int, initial: 0}}\ntools: {t: {args: {s: {type: string}, q: {type: string, pattern: '[a-z]+'}, u: {type: url}}, rules: [{id: a, allow: args.s != ''}], then: {'m[args.s]': '1', 'm[args.q]': '2', 'p[args.s]': '3', \"m['x']\": '4', 'm[args.u.query]': '5'}}}",
         ["each spelling of the key in `m[args.s]` has a value of its own (`Ann`, `ann`, `ann `); give its type a pattern", "each spelling of the key in `m[args.u.query]` has a value of its own (`Ann`, `ann`, `ann `); give its type a pattern"]),
        ("tools: {t: {args: {p: {type: path}}, rules: [{id: a, allow: \"args.p.startsWith('/a')\"}, {id: b, allow: \"args.p.lowerAscii().startsWith('/a/')\"}]}}",
         ["the prefix `/a` in rule `a` has no slash at its end and begins `/a-other` too"]),
        ("tools: {t: {args: {s: {type: string}}, rules: [{id: a, allow: \"args.s.matches('a')\"}, {id: b, deny: \"args.s.matches('a')\"}, {id: c, ask: \"args.s.matches('^a$')\"}]}}",
         ["`matches` in rule `a` finds its pattern anywhere; write `^...$` to mean all of the text", "rule `a` never decides, because `b` is true whenever it is"]),
        ("tools: {t: {args: {s: {type: string}, r: {type: string}}, rules: [{id: a, allow: args.s.contains(args.r)}]}}",
         ["rule `a` tests against a part that is no constant, which is slow to prove"]),
        ("tools: {t: {args: {xs: {type: list, items: string}}, rules: [{id: a, allow: \"args.xs.all(x, x == 'a')\"}, {id: b, allow: \"size(args.xs) > 0 && args.xs.all(x, x == 'a')\"}, {id: c, ask: \"args.xs.all(x, x == 'a')\"}]}}",
         ["rule `a` never decides, because `c` is true whenever it is", "rule `a` rests on `all` of `args.xs`, which is true of an empty list", "rule `b` never decides, because `c` is true whenever it is"]),
        ("tools: {t: {args: {n: {type: int, max: 5}, s: {type: string, max_size: 3}}, rules: [{id: a, deny: args.n > 6}, {id: b, deny: size(args.s) <= 3 && args.n <= 5}, {id: c, ask: args.n > 1 && args.n < 2}, {id: d, ask: \"args.s == 'a' && args.s == 'b'\"}]}}",
         ["no rule of `t` allows or asks, so that it is always denied", "rule `a` is never true", "rule `b` is always true", "rule `c` is never true", "rule `d` is never true", "this spec allows and asks nothing, so that every call is denied"]),
        ("tools: {t: {args: {n: {type: int}, d: {type: decimal, scale: 2, min: 0.50}}, rules: [{id: a, deny: args.n > 5}, {id: b, allow: args.n > 5 && args.d < 1}, {id: c, allow: args.n < 9}, {id: d, allow: args.n < 9 && args.d > 0.49}, {id: e, allow: 0.5 > args.d || args.d == 0.49}, {id: f, ask: args.n < 7}, {id: g, ask: args.n < 7}]}}",
         ["rule `b` never decides, because `a` is true whenever it is", "rule `d` never decides, because `c` is true whenever it is", "rule `e` is never true"]),
        ("tools: {t: {args: {u: {type: url}, m: {type: email}, us: {type: list, items: url}}, rules: [{id: a, allow: \"args.u.host.endsWith('bank.example') || args.u.path.startsWith('/a') || args.m.domain.lowerAscii().endsWith('x') || args.us.exists(u, u.host.endsWith('y') || u.host.endsWith('.z'))\"}]}}",
         ["the suffix `bank.example` in rule `a` has no dot at its beginning and ends `evil-bank.example` too", "the prefix `/a` in rule `a` has no slash at its end and begins `/a-other` too", "the suffix `x` in rule `a` has no dot at its beginning and ends `evil-x` too", "the suffix `y` in rule `a` has no dot at its beginning and ends `evil-y` too"]),
        ("tools: {t: {args: {c: {type: shell}, r: {type: record, fields: {xs: {type: list, items: int}}}}, rules: [{id: a, allow: \"args.c.all(c, c.all(w, w != 'x')) && args.r.xs.all(x, x > 0)\"}]}}",
         ["rule `a` rests on `all` of `args.r.xs`, which is true of an empty list"]),
        ("tools: {t: {args: {d: {type: duration}, u: {type: url}, a: {type: argv}, e: {type: enum, values: [x, -y]}, b: {type: bool}, w: {type: timestamp}}, rules: [{id: a, allow: args.b}], run: {argv: [ls, '{args.d}', '{args.u}', '{args.a}', '{args.e}', '{args.b}', '{args.w}']}}}",
         [f"`args.{name}` may begin with `-`, like an option; give it a pattern, or put `--` before it" for name in "dae"]),
        (ARGV,
         ["`args.r` may begin with `-`, like an option; give it a pattern, or put `--` before it", "`args.s` may begin with `-`, like an option; give it a pattern, or put `--` before it"]),
    ],
)  # fmt: skip
def test_what_is_seldom_meant_is_pointed_out(tmp_path: Path, text: str, messages: list[str]) -> None:
    found = lint(load_contract(write(tmp_path, spec(text))))
    assert sorted(problem.message for problem in found) == sorted(messages)


def test_a_prefix_in_the_middle_of_a_part_of_a_uri_is_told(tmp_path: Path) -> None:
    text = (
        "sandbox: 1\nname: x\nserver: {resources: read}\ntools:\n"
        "  read:\n    args: {uri: {type: string, max_size: 99}}\n    rules:\n"
        "      - {id: a, allow: \"args.uri.startsWith('memo://public')\"}\n"
        "      - {id: b, allow: \"args.uri.startsWith('memo://open/') || args.uri.startsWith('note:')\"}\n"
    )
    told = [problem.message for problem in lint(load_contract(write(tmp_path, text)))]
    prefix = "the prefix `memo://public` in rule `a` has no slash at its end and begins `memo://public-other` too"
    assert told == [prefix]
    without = text.replace("server: {resources: read}\n", "")
    assert lint(load_contract(write(tmp_path, without))) == ()
