"""The dearest decisions that a spec can lead to: every kind of value and rule, as large as loads, on hostile calls.

Each shape of a spec is grown until the next larger one is refused at load; then it is given calls that fill it, of few
characters and of very many, that match late or never. What counts is the whole decision, from the bytes of the call
through both engines: the processor time of this thread and of the solver's process, which take turns, so that a busy
neighbour adds nothing. Of each case the fastest of some runs counts: a spec that is slow is slow every time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from figures import Figure, related

from sandbox.compile import load_policy
from sandbox.decide import EnginePair
from sandbox.engines import SolverWorker, close_engines, engine_pairs
from sandbox.errors import SpecError
from sandbox.ir import MAX_ENTRIES, Contract
from sandbox.machine import StoredState, initial_state, is_map
from sandbox.policy import Policy
from sandbox.rehearsal import Rehearsal

TARGET_MS = 50.0
RUNS = 4
NOW_MS = 1_750_000_000_000
FEW, MANY = "a", "".join(chr(0x4E00 + at) for at in range(20_000))


@dataclass(frozen=True)
class Shape:
    """Specs by size: the declaration of the argument `a`, its rule (written `copies` times), hostile values.

    Where it is `full`, so is the state that the calls meet.
    """

    name: str
    declared: Callable[[int], str]
    rule: str
    values: Callable[[int], Iterator[object]]
    most: int
    copies: int = 1
    state: str = ""
    then: str = ""
    full: bool = False


@dataclass(frozen=True)
class Found:
    """The slowest call of one shape at its largest size."""

    shape: Shape
    size: int
    milliseconds: float
    verdict: str


def texts(size: int) -> Iterator[str]:
    """Strings of one character, of thousands, of both in turn, and one that ends otherwise."""
    yield FEW * size
    yield (MANY * (size // len(MANY) + 1))[:size]
    yield ("ab" * size)[:size]
    yield FEW * (size - 1) + "b"
    yield ("a" + MANY[: size // 2] * 2)[:size]


def lists(size: int, items: Callable[[int], Iterator[object]], inner: int) -> Iterator[object]:
    """Lists of `size` items, each list of the same hostile item."""
    for item in items(inner):
        yield [item] * size


def numbered(size: int) -> Iterator[object]:
    """Different short strings."""
    yield [f"item{at}" for at in range(size)]


def strings(rule: str, copies: int = 1, name: str = "") -> Shape:
    """Rules about one string."""
    return Shape(
        f"string: {name or rule} x {copies}", lambda n: f"{{type: string, max_size: {n}}}", rule, texts, 16_384, copies
    )


def string_lists(rule: str, inner: int, copies: int = 1) -> Shape:
    """Rules about every string of a list."""
    return Shape(
        f"list of strings of {inner}: {rule} x {copies}",
        lambda n: f"{{type: list, items: {{type: string, max_size: {inner}}}, max_size: {n}}}",
        rule,
        lambda n: lists(n, texts, inner),
        1_000,
        copies,
    )


def typed_lists(name: str, item: str, values: list[object], rule: str) -> Shape:
    """Rules about every item of a list of another type."""
    return Shape(
        f"list of {name}: {rule}",
        lambda n: f"{{type: list, items: {item}, max_size: {n}}}",
        rule,
        lambda n: iter([[value] * n for value in values]),
        1_000,
    )


URLS: list[object] = [
    "https://a.example/" + "%41" * 1_300,
    "https://a.example/" + "a/../" * 800,
    "http://[::1]/?" + "a" * 4_000,
]
PATHS: list[object] = ["/" + "a/" * 2_047, "/" + "/".join(["é" * 100] * 20), "/" + "/".join([MANY[:80]] * 16)]
FIELDS = "p: {type: string, max_size: 40}, q: {type: int}, r: {type: bool, optional: true}"
RECORD = f"{{type: record, fields: {{{FIELDS}, s: {{type: string, max_size: 40}}}}}}"
ROW: list[object] = [{"p": MANY[:40], "q": 2**62, "r": True, "s": FEW * 40}]

PATTERNS = (
    "b",
    "[a-z]{400}b",
    ".{20}b",
    "^(a|b)*a(a|b)(a|b)(a|b)(a|b)c",
    "(ab|ba)+c",
    "[^a]{3}é",
    "(é|ü|à)+x$",
    "^([a-z]{1,9}\\\\.)*$",
)

SHAPES = (
    *(strings(f"args.a.matches('{pattern}')", copies) for pattern in PATTERNS for copies in (1, 20, 200)),
    *(
        strings(f"args.a.{test}", copies)
        for test in (
            "contains('b')",
            "contains('aaaaaaaaaaaaaab')",
            "startsWith('ab')",
            "endsWith('ba')",
            "lowerAscii().contains('zz')",
            "lowerAscii().matches('zz$')",
        )
        for copies in (1, 20, 200)
    ),
    strings(f"args.a.contains('{'a' * 4000}b')", name="contains 4,001 characters"),
    strings("args.a == 'b' || args.a < 'c'", 200),
    strings("size(args.a) > 3", 1_000),
    *(
        string_lists(rule, inner)
        for inner in (10, 200, 4_096)
        for rule in (
            "args.a.exists(x, x.contains('b'))",
            "args.a.exists(x, x.matches('b$'))",
            "args.a.exists(x, x == 'q')",
            "args.a.exists(x, x.matches('é') || x.endsWith('zz'))",
        )
    ),
    string_lists("args.a.exists(x, x in ['q', 'r', 's', 't', 'u', 'v', 'w', 'y', 'z'])", 20, 4),
    string_lists("'q' in args.a", 20, 4),
    string_lists("args.a.exists_one(x, x == 'q')", 20, 4),
    string_lists("args.a.exists(x, x > 'q')", 200, 2),
    Shape(
        "unique list",
        lambda n: f"{{type: list, items: {{type: string, max_size: 40}}, max_size: {n}, unique: true}}",
        "size(args.a) > 2000",
        numbered,
        1_000,
    ),
    typed_lists("ints", "{type: int}", [2**62], "args.a.exists(x, x * 3 - 1 > 5 && x / 7 == 3)"),
    typed_lists("decimals", "{type: decimal, scale: 9}", ["9" * 390 + ".123456789"], "args.a.exists(x, x < 0.5)"),
    typed_lists("URLs", "{type: url}", URLS, "args.a.exists(x, x.host == 'b' || x.path.contains('zz'))"),
    typed_lists("URLs", "{type: url}", URLS, "args.a.exists(x, x.is_private)"),
    typed_lists("paths", "{type: path}", PATHS, "args.a.exists(x, x.matches('/zz(/|$)'))"),
    typed_lists("paths", "{type: path}", PATHS, "args.a.exists(x, x.startsWith('/zz/'))"),
    typed_lists(
        "e-mail addresses",
        "{type: email}",
        ["a" * 60 + "@" + "b" * 60 + ".example"],
        "args.a.exists(x, x.domain == 'b')",
    ),
    typed_lists("timestamps", "{type: timestamp}", ["2026-01-01T00:00:00.123+05:00"], "args.a.exists(x, x > now)"),
    typed_lists("durations", "{type: duration}", ["1h2m3s4ms"], "args.a.exists(x, x < duration('1s'))"),
    typed_lists(
        "records", RECORD, ROW, "args.a.exists(x, x.p == 'b' && x.q > 3 || has(x.r) && x.r && x.s.contains('b'))"
    ),
    typed_lists("records", RECORD, ROW, "args.a.exists(x, x.s.matches('é$'))"),
    Shape(
        "argv",
        lambda n: f"{{type: argv, max_size: {n}}}",
        "args.a.exists(x, x.matches('é'))",
        lambda n: iter([[MANY[: 16_384 // n]] * n, [FEW * (16_384 // n)] * n, ["ab"] * n]),
        1_000,
    ),
    Shape(
        "argv",
        lambda n: f"{{type: argv, max_size: {n}}}",
        "args.a.exists(x, x == 'rm' || x.startsWith('--exec'))",
        lambda n: iter([["ab"] * n]),
        1_000,
    ),
    Shape(
        "shell",
        lambda n: f"{{type: shell, max_size: {n}}}",
        "args.a.exists(c, c.exists(w, w.contains('b') || w.matches('é')))",
        lambda n: iter(
            ["e " + "'" + MANY[: max(0, n - 4)] + "'", ("e" * max(1, n // 64 - 1) + " ") * 63 + "e", "e;" * 63 + "e"]
        ),
        16_384,
    ),
    Shape("text", lambda n: f"{{type: text, max_size: {n}}}", "size(args.a) > 2000000", texts, 1_048_576),
    Shape(
        "a set",
        lambda n: f"{{type: string, max_size: {n}}}",
        "args.a in state.s",
        texts,
        16_384,
        8,
        state="s: {type: set, items: {type: string, max_size: 16KiB}, initial: []}",
        then="s: state.s.add(args.a)",
    ),
    Shape(
        "a map",
        lambda n: f"{{type: string, max_size: {n}}}",
        "state.m[args.a] > 3",
        texts,
        16_384,
        8,
        state="m: {type: map, key: {type: string, max_size: 16KiB}, value: {type: int}, initial: 0}",
        then='"m[args.a]": state.m[args.a] + 1',
    ),
    *(
        Shape(
            f"{name}, full",
            lambda n: f"{{type: string, max_size: {n}}}",
            rule,
            lambda _: iter([key_of(0), key_of(MAX_ENTRIES - 1), "b"]),
            100,
            copies,
            state=state,
            then=then,
            full=True,
        )
        for copies in (1, 20)
        for name, rule, state, then in (
            (
                "a set",
                "args.a in state.s && args.a == 'b'",
                "s: {type: set, items: {type: string, max_size: 100}, initial: []}",
                "s: state.s.add(args.a)",
            ),
            (
                "a map",
                "state.m[args.a] > 3",
                "m: {type: map, key: {type: string, max_size: 100}, value: {type: int}, initial: 0}",
                '"m[args.a]": state.m[args.a] + 1',
            ),
            (
                "a window",
                "state.w > 10000",
                "w: {type: int, initial: 0, window: 24h}",
                "w: state.w + 1",
            ),
            (
                "a map of windows",
                "state.m[args.a] > 3",
                "m: {type: map, key: {type: string, max_size: 100}, value: {type: int}, initial: 0, window: 24h}",
                '"m[args.a]": state.m[args.a] + 1',
            ),
        )
    ),
)


def key_of(at: int) -> str:
    """One of different strings of 100 characters: as many as a state may hold of so many entries."""
    return f"{at:0>100}"


def filled(contract: Contract) -> StoredState:
    """The state with one entry less than fills it in every set, map and window, so that a call may still add one."""
    empty, many = initial_state(contract, NOW_MS), range(MAX_ENTRIES - 1)
    kinds = {variable.name: variable for variable in contract.variables}
    values = {
        name: dict.fromkeys(map(key_of, many), 1) if is_map(kinds[name]) else frozenset(map(key_of, many))
        for name in empty.values
    }
    events = {name: tuple((NOW_MS - MAX_ENTRIES + at, 1) for at in many) for name in empty.events}
    keyed = {name: {key_of(at): ((NOW_MS - MAX_ENTRIES + at, 1),) for at in many} for name in empty.key_events}
    return replace(empty, values=values, events=events, key_events=keyed)


def spec_of(shape: Shape, size: int) -> str:
    """The spec of a shape at a size.

    Its calls end with a person: of all verdicts that is the dearest, for where any rule but an `allow` fires, each is
    evaluated once more by itself, and the solver is asked too.
    """
    rules = "".join(f"      - {{id: r{at}, deny: {json.dumps(shape.rule)}}}\n" for at in range(shape.copies))
    state = f"state:\n  {shape.state}\n" if shape.state else ""
    then = f"    then:\n      {shape.then}\n" if shape.then else ""
    return (
        f"sandbox: 1\nname: worst\n{state}tools:\n  t:\n    args:\n      a: {shape.declared(size)}\n    rules:\n{rules}"
        f"      - {{id: rest, ask: true}}\n{then}"
    )


def largest(shape: Shape, folder: Path) -> tuple[int, Policy] | None:
    """The largest size at which the spec loads."""
    low, high, best = 1, shape.most, None
    while low <= high:
        size = high if best is None and high == shape.most else (low + high) // 2
        file = folder / "spec.yaml"
        file.write_text(spec_of(shape, size), encoding="utf-8")
        try:
            best, low = (size, load_policy(file)), size + 1
        except SpecError:
            high = size - 1
    return best


def slowest(shape: Shape, folder: Path) -> Found | None:
    """The slowest of a shape's hostile calls at its largest size, through both engines."""
    found = largest(shape, folder)
    if found is None:
        return None
    size, policy = found
    engines = engine_pairs(policy)
    worst = Found(shape, size, 0.0, "")
    try:
        stored = {each.name: filled(each) for each in policy.contracts} if shape.full else None
        judge = Rehearsal(policy, engines, NOW_MS, stored)
        judge.judge(b"{}", NOW_MS)
        for value in shape.values(size):
            raw = json.dumps({"tool": "t", "args": {"a": value}}, ensure_ascii=False).encode()
            spent, decision = [], None
            for _ in range(RUNS):
                started = busy_ms(engines)
                decision = judge.judge(raw, NOW_MS)
                spent.append(busy_ms(engines) - started)
            if min(spent[1:]) > worst.milliseconds:
                worst = Found(shape, size, min(spent[1:]), f"{decision.verdict} {decision.reason_code}")
    finally:
        close_engines(engines)
    return worst


def busy_ms(engines: Mapping[str, EnginePair]) -> float:
    """Processor time so far of this thread and of every thread of the solvers' processes, in milliseconds."""
    children = [pair.solver.pid for pair in engines.values() if isinstance(pair.solver, SolverWorker)]
    tasks = [task for pid in children if pid for task in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return time.thread_time() * 1000 + sum(int(task.read_text().split()[0]) for task in tasks) / 1e6


def search(shapes: tuple[Shape, ...] = SHAPES) -> list[Found]:
    """Every shape's slowest decision, the slowest of all first."""
    with tempfile.TemporaryDirectory() as folder:
        found = [each for shape in shapes if (each := slowest(shape, Path(folder))) is not None]
    return sorted(found, key=lambda each: -each.milliseconds)


def figures() -> list[Figure]:
    """The five slowest."""
    found = search()
    over = sum(each.milliseconds > TARGET_MS for each in found)
    times = {f"{each.shape.name}, size {each.size:,}"[:90]: each.milliseconds for each in found[:5]}
    notes = {name: f"{len(found)} shapes searched, {over} above {TARGET_MS:.0f} ms" for name in list(times)[:1]}
    return related("the dearest decisions of specs that load", times, next(iter(times)), notes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("word", nargs="?", default="", help="only shapes whose name has this word")
    asked = parser.parse_args()
    for each in search(tuple(shape for shape in SHAPES if asked.word in shape.name)):
        print(f"{each.milliseconds:9.2f} ms  size {each.size:>9,}  {each.verdict:24} {each.shape.name}")
    sys.exit(0)
