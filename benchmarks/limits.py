"""The limits that are promised: loading many rules, and a decision on a call of some size, beside pydantic.

The call has a path of 200 characters and a list of 20 addresses; its tool has 20 rules. `Arguments` says in pydantic's
own words what the arguments' types say, and what those rules say that it can say of one field: sizes, ranges, choices,
and as a pattern how a string begins or ends. The rest it is spared, and the evaluator is not; the evaluator is spared
the types, which `parse` has checked. Both get the call as Python objects, and only that is timed.
`Whole` says all twenty, by functions in Python where pydantic has no words of its own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from figures import Figure, related, repeat, timed
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from worst import busy_ms

from sandbox.call import Call
from sandbox.compile import load_contract
from sandbox.decide import Evaluator, decide
from sandbox.engines import close_engines, engine_pairs
from sandbox.ir import Contract
from sandbox.parse import parse_call
from sandbox.policy import Policy

RULES_EACH: Final = 10
TOOLS: Final = 100
CALLS: Final = 3_000
TURNS: Final = 60
BATCH: Final = 200
NAMED: Final = frozenset({"boss@bank.example", "board@bank.example", "all@bank.example"})
CHOICES: Final = ("report", "invoice")
FACTS: Final = {"now": 1_750_000_000_000}

TOOL: Final = r"""
  NAME:
    args:
      path: {type: path, under: /data}
      to: {type: list, items: {type: string, max_size: 64, pattern: "[a-z0-9.]+@[a-z.]+"}, max_size: 20}
      kind: {type: enum, values: [note, report, invoice]}
      copies: {type: int}
      subject: {type: string, max_size: 200}
      lang: {type: string, max_size: 8}
    rules:
      - {id: no_one, deny: "size(args.to) == 0"}
      - {id: secret, deny: "args.path.startsWith('/data/secret/')"}
      - {id: hidden, deny: "args.path.contains('/.')"}
      - {id: keys, deny: "args.path.endsWith('.key')"}
      - {id: certificates, deny: "args.path.endsWith('.pem')"}
      - {id: elsewhere, deny: "!args.path.startsWith('/data/')"}
      - {id: short, deny: "size(args.path) < 8"}
      - {id: outside, deny: "!args.to.all(t, t.endsWith('@bank.example'))"}
      - {id: two_names, deny: "args.to.exists(t, t in ['boss@bank.example', 'board@bank.example'])"}
      - {id: everybody, deny: "args.to.exists(t, t == 'all@bank.example')"}
      - {id: none_made, deny: "args.copies < 1"}
      - {id: too_many, deny: "args.copies > 50"}
      - {id: empty, deny: "args.subject == ''"}
      - {id: lines, deny: "args.subject.contains('\\n')"}
      - {id: wordy, deny: "size(args.subject) > 150"}
      - {id: languages, deny: "!(args.lang in ['en', 'de', 'fr', 'it'])"}
      - {id: invoices, ask: "args.kind == 'invoice' && args.copies > 5"}
      - {id: many, ask: "size(args.to) > 15 && args.copies > 20"}
      - {id: reports, allow: "args.kind in ['report', 'invoice'] && args.path.startsWith('/data/out/')"}
      - {id: notes, allow: "args.kind == 'note' && args.path.startsWith('/data/notes/')"}
"""
PATTERNED: Final = {
    "args.path.startsWith('/data/')": r"args.path.matches('^/data/[a-z0-9/._-]+$')",
    "size(args.subject) > 150": "!args.subject.matches('[a-z]')",
}
"""Two rules that become patterns."""

ARGUMENTS: Final = {
    "path": ("/data/out/" + "quarter-figures/" * 20)[:196] + ".csv",
    "to": [f"person.number{at}@bank.example" for at in range(20)],
    "kind": "report",
    "copies": 3,
    "subject": "the figures of the second quarter, as agreed",
    "lang": "en",
}


Address = Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9.]+@bank\.example$")]


class Arguments(BaseModel):
    """The types, and those of the rules that pydantic can say of a field."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    path: Annotated[str, Field(min_length=8, max_length=4_096, pattern=r"^/data/(out|notes)/[^\x00-\x1f\x7f-\x9f\\]*$")]
    to: Annotated[list[Address], Field(min_length=1, max_length=20)]
    kind: Literal["note", "report", "invoice"]
    copies: Annotated[int, Field(ge=1, le=50)]
    subject: Annotated[str, Field(min_length=1, max_length=150)]
    lang: Literal["en", "de", "fr", "it"]


class Whole(Arguments):
    """The rest of the rules too, as functions."""

    @field_validator("path")
    @classmethod
    def of_path(cls, path: str) -> str:
        """`secret`, `hidden`, `keys`, `certificates`."""
        if path.startswith("/data/secret/") or "/." in path or path.endswith((".key", ".pem")):
            raise ValueError(path)
        return path

    @field_validator("to")
    @classmethod
    def of_to(cls, addresses: list[str]) -> list[str]:
        """`two_names`, `everybody`."""
        if not NAMED.isdisjoint(addresses):
            raise ValueError(addresses)
        return addresses

    @field_validator("subject")
    @classmethod
    def of_subject(cls, subject: str) -> str:
        """`lines`."""
        if "\n" in subject:
            raise ValueError(subject)
        return subject

    @model_validator(mode="after")
    def together(self) -> Self:
        """`invoices`, `many`, `reports`, `notes`."""
        asks = (self.kind == "invoice" and self.copies > 5) or (len(self.to) > 15 and self.copies > 20)
        allows = self.kind in CHOICES and self.path.startswith("/data/out/")
        if asks or not (allows or (self.kind == "note" and self.path.startswith("/data/notes/"))):
            raise ValueError(self.kind)
        return self


def figures() -> list[Figure]:
    """Every limit but the dearest decision, which `worst` searches for."""
    return [*loading(), *deciding(), *together()]


def spec(tools: int) -> str:
    """A spec of so many tools like the measured one, which is the last."""
    return "sandbox: 1\nname: limits\ntools:" + "".join(TOOL.replace("NAME", f"t{at}") for at in range(tools))


def loaded(text: str) -> Contract:
    """A spec's text as a contract."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "spec.yaml")
        path.write_text(text)
        return load_contract(path)


def rules(count: int, tools: int) -> str:
    """A spec of so many rules over so many tools: every rule another text."""
    text = "sandbox: 1\nname: many\ntools:\n"
    for tool in range(tools):
        text += f"  t{tool}:\n    args: {{a: {{type: string, max_size: 100}}, n: {{type: int}}}}\n    rules:\n"
        for at in range(count // tools):
            kind = ("deny", "ask", "allow")[at % 3]
            text += f"      - {{id: r{at}, {kind}: \"args.a.startsWith('/d{tool}/{at}') && args.n < {tool + at}"
            text += f" || args.a.matches('^x{tool}-[a-z]*{at}$')\"}}\n"
    return text


MEASURED: Final = """
import resource, sys, time
import sandbox.compile
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6
before, started = resident(), time.process_time()
contract = sandbox.compile.load_contract(sys.argv[1])
print(time.process_time() - started, resident() - before)
"""


def loading() -> list[Figure]:
    """Processor time in which 1,000 rules over 100 tools load, and what they hold, in a process of their own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "spec.yaml")
        path.write_text(rules(RULES_EACH * TOOLS, TOOLS))
        ran = [
            subprocess.run([sys.executable, "-c", MEASURED, str(path)], capture_output=True, check=True, text=True)
            for _ in range(3)
        ]
    seconds, megabytes = min(tuple(float(each) for each in run.stdout.split()) for run in ran)
    note = f"(at most 2 s) {megabytes:.0f} MB above the import (at most 100)"
    return [Figure("limits: loading", "1,000 rules over 100 tools", seconds * 1000, note=note)]


def deciding() -> list[Figure]:
    """The evaluator on the parsed call, alone and among 100 tools, beside pydantic on the same objects."""
    alone, among = loaded(spec(1)), loaded(spec(TOOLS))
    text = spec(1)
    for rule, pattern in PATTERNED.items():
        text = text.replace(rule, pattern)
    one, many, patterned = Evaluator(alone), Evaluator(among), Evaluator(loaded(text))
    first, last = parsed("t0", alone), parsed(f"t{TOOLS - 1}", among)
    if one.claim(first, {}, FACTS).rule != "reports" or many.claim(last, {}, FACTS).rule != "reports":
        message = "the measured call is not let through by the last rules"
        raise SystemExit(message)
    times = interleaved({
        "pydantic, strict, on Python objects": lambda: Arguments.model_validate(ARGUMENTS),
        "the evaluator's 20 rules": lambda: one.claim(first, {}, FACTS),
        "the same in a spec of 100 such tools": lambda: many.claim(last, {}, FACTS),
        "the same, two of them patterns": lambda: patterned.claim(first, {}, FACTS),
        "pydantic, with functions for the other rules": lambda: Whole.model_validate(ARGUMENTS),
    })  # fmt: skip
    return related("limits: one parsed call", times, "pydantic, strict, on Python objects")


def interleaved(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Milliseconds of each call: the fastest of some batches, which take turns, for the neighbours' sake."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(TURNS):
        for name, call in calls.items():
            taken[name].append(timed(lambda call=call: repeat(call, BATCH)) / BATCH)  # type: ignore[misc]
    return {name: min(each) for name, each in taken.items()}


def together() -> list[Figure]:
    """Both engines on the parsed call, as often as tells how slow the slowest are.

    A clock on the wall, and processor time of both processes: a busy neighbour makes the first of them late, above all
    at the slowest.
    """
    contract = loaded(spec(1))
    policy = Policy.of(contract)
    pairs = engine_pairs(policy)
    pair, call = pairs[contract.name], parsed("t0", contract)
    taken: dict[str, list[float]] = {"": [], ", of processors": []}
    for _ in range(CALLS):
        spent, started = busy_ms(pairs), time.perf_counter()
        verdict = decide(pair, call, {}, FACTS).decision.verdict
        ended = time.perf_counter()
        taken[""].append((ended - started) * 1000)
        taken[", of processors"].append(busy_ms(pairs) - spent)
        if verdict != "allow":
            message = "the engines do not agree on what is measured"
            raise SystemExit(message)
    close_engines(pairs)
    found = []
    for clock, each in taken.items():
        hundredths = statistics.quantiles(each, n=100)
        found.append(Figure("limits: both engines", f"p50{clock}", hundredths[49], note="(at most 1 ms)"))
        found.append(Figure("limits: both engines", f"p99{clock}", hundredths[98], note="(at most 2 ms)"))
    return found


def parsed(tool: str, contract: Contract) -> Call:
    """The measured call of a tool."""
    call = parse_call(json.dumps({"tool": tool, "args": ARGUMENTS}).encode(), contract)
    if not isinstance(call, Call):
        raise SystemExit(call.reason)
    return call
