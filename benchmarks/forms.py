"""What a proof about paths, URLs and domains costs, and a sequence of four calls; beside them, other forms of the same.

The other form is one formula for all rules, with strings as word equations (`str.prefixof` and the like): what an
encoder writes that follows the rules word for word. It has as long as `OTHER_S`; `unknown` is what it says then.
Times are of this process's own processor time, to which a busy neighbour adds nothing.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import z3
from figures import Figure, related

from sandbox.compile import load_properties
from sandbox.compile.properties import PropertySet
from sandbox.ir import Property
from sandbox.prove.attempt import attempt, by_tool
from sandbox.prove.findings import Shown
from sandbox.prove.obligations import Ground, cases, meets, tool_of
from sandbox.prove.solve import Desk

OTHER_S = 5.0
RUNS = 5
SECONDS = 60.0

RULES = {
    "path": (
        "{type: path, under: /workspace}",
        "args.a.matches(r'/\\.git(/|$)')",
        "args.a.startsWith('/workspace/public/') || args.a.startsWith('/workspace/notes/')",
        "!args.a.startsWith('/workspace/')",
    ),
    "path, and a repository in it": (
        "{type: path, under: /workspace}",
        "args.a.matches(r'/\\.git(/|$)')",
        "args.a.startsWith('/workspace/public/') || args.a.startsWith('/workspace/notes/')",
        "args.a.contains('/.git/') || !args.a.startsWith('/workspace/')",
    ),
    "url": (
        "{type: url, schemes: [https]}",
        "args.a.port != 443",
        "args.a.host == 'example.com' && args.a.path.startsWith('/v1/')",
        "args.a.host != 'example.com' || !args.a.path.startsWith('/v1/')",
    ),
    "domain": (
        "{type: url, schemes: [https]}",
        "args.a.host.startsWith('internal.')",
        "args.a.host == 'example.com' || args.a.host.endsWith('.example.com')",
        "args.a.host != 'example.com' && !args.a.host.endsWith('.example.com')",
    ),
    "domain, and one that looks like it": (
        "{type: url, schemes: [https]}",
        "args.a.host.startsWith('internal.')",
        "args.a.host == 'example.com' || args.a.host.endsWith('.example.com')",
        "!args.a.host.endsWith('example.com') || args.a.host.endsWith('evilexample.com')",
    ),
}

SEQUENCE = """\
sandbox: 1
name: sums
state: {sent: {type: int, initial: 0}}
tools:
  pay:
    args: {to: {type: string, pattern: "[A-Z]{2}[0-9]{4,12}"}, note: {type: string, max_size: 40}}
    rules:
      - {id: note, deny: "args.note.contains('urgent')"}
      - {id: few, deny: state.sent > 3}
      - {id: ours, allow: "args.to.startsWith('DE')"}
    then: {sent: state.sent + 1}
"""


def figures() -> list[Figure]:
    """Each kind of rule, ours and the other form; then the sequence."""
    found: list[Figure] = []
    for name in RULES:
        ours, note = _ours(name)
        other, said = _other(name)
        words = f"{name}: words"
        found += related("forms", {name: ours, words: other}, name, {name: note, words: said})
    return [*found, _sequence()]


def _loaded(spec: str, proofs: str) -> tuple[PropertySet, Property]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "spec.yaml").write_text(spec)
        (Path(folder) / "proofs.yaml").write_text(f"proves: spec.yaml\nproperties:\n  - {proofs}\n")
        (each,) = load_properties(Path(folder) / "proofs.yaml")
    return each, each.properties[0]


def _ours(name: str) -> tuple[float, str]:
    """Milliseconds for the dearest of the rules, the median of some runs: making the query, and deciding it."""
    declared, deny, allow, never = RULES[name]
    rules = f'[{{id: no, deny: "{deny}"}}, {{id: yes, allow: "{allow}"}}]'.replace("\\", "\\\\")
    spec = f"sandbox: 1\nname: one\ntools:\n  use:\n    args: {{a: {declared}}}\n    rules: {rules}\n"
    each, subject = _loaded(spec, f'{{id: it, never: "{never}"}}')
    times: list[list[float]] = []
    answers: set[str] = set()
    for _ in range(RUNS):
        ground, desk = Ground(each.contract, z3.Context()), Desk("z3", time.monotonic() + SECONDS)
        (condition,) = by_tool(each.contract, subject).values()
        spent = []
        for case in cases(tool_of(each.contract, "use")):
            if case.verdict == "deny":
                continue
            began = time.process_time()
            answers.add(type(desk.prove(meets(ground, case, condition))).__name__.lower())
            spent.append((time.process_time() - began) * 1000)
        times.append(spent)
    return max(statistics.median(each) for each in zip(*times, strict=True)), ", ".join(sorted(answers))


def _other(name: str) -> tuple[float, str]:
    """The obligation as one formula with word equations: `unsat` proves the property."""
    solver = z3.Solver()
    solver.set("timeout", int(OTHER_S * 1000))
    solver.add(*WORDS[name]())
    began = time.process_time()
    answer = solver.check()
    return (time.process_time() - began) * 1000, str(answer)


def _path_words(*, repository: bool = False) -> list[z3.BoolRef]:
    path, segment, rest = (z3.String(each) for each in ("path", "segment", "rest"))
    git = z3.Or(z3.Contains(path, "/.git/"), z3.SuffixOf("/.git", path))
    allowed = z3.Or(z3.PrefixOf("/workspace/public/", path), z3.PrefixOf("/workspace/notes/", path))
    canonical = [z3.Not(z3.Contains(path, part)) for part in ("//", "/./", "/../", "\\", "\0")]
    split = z3.Or(path == z3.Concat("/", segment), path == z3.Concat("/", segment, "/", rest))
    outside = z3.Not(z3.PrefixOf("/workspace/", path))
    wrong = z3.Or(z3.Contains(path, "/.git/"), outside) if repository else outside
    return [split, *canonical, z3.Not(git), allowed, wrong]


def _url_words() -> list[z3.BoolRef]:
    url, host, path = z3.String("url"), z3.String("host"), z3.String("path")
    whole = z3.Or(url == z3.Concat("https://", host, path), url == z3.Concat("https://", host, ":443", path))
    shaped = [z3.PrefixOf("/", path), *(z3.Not(z3.Contains(host, part)) for part in ("/", ":", "@", "?", "#"))]
    allowed = z3.And(host == "example.com", z3.PrefixOf("/v1/", path))
    wrong = z3.Or(z3.Not(z3.PrefixOf("https://example.com", url)), z3.Not(z3.Contains(url, "/v1/")))
    return [whole, *shaped, allowed, wrong]


def _domain_words(*, like: bool = False) -> list[z3.BoolRef]:
    url, host, path, label = (z3.String(each) for each in ("url", "host", "path", "label"))
    whole = url == z3.Concat("https://", host, path)
    shaped = [z3.PrefixOf("/", path), *(z3.Not(z3.Contains(host, part)) for part in ("/", ":", "@", "?", "#"))]
    allowed = z3.Or(host == "example.com", host == z3.Concat(label, ".example.com"))
    other = z3.And(host != "example.com", z3.Not(z3.SuffixOf(".example.com", host)))
    alike = z3.Or(z3.Not(z3.SuffixOf("example.com", host)), z3.SuffixOf("evilexample.com", host))
    wrong = alike if like else other
    return [whole, *shaped, z3.Not(z3.PrefixOf("internal.", host)), allowed, wrong]


WORDS = {
    "path": _path_words,
    "path, and a repository in it": partial(_path_words, repository=True),
    "url": _url_words,
    "domain": _domain_words,
    "domain, and one that looks like it": partial(_domain_words, like=True),
}


def _sequence() -> Figure:
    each, subject = _loaded(SEQUENCE, "{id: three, always: state.sent <= 3}")
    began = time.process_time()
    found = attempt(each.contract, subject, (), Desk("z3", time.monotonic() + SECONDS))
    spent = (time.process_time() - began) * 1000
    note = f"{len(found.moves.calls)} calls" if isinstance(found, Shown) else type(found).__name__
    return Figure("forms", "a violating sequence with strings", spent, note=note)
