"""Whether a certificate is one of a spec: digests, every obligation made anew from the spec, every file read again.

What is taken from the certificate are hints only: which file has which obligation, in which form, and the calls of a
sequence. Everything that it claims is made again from them and from the spec, and must be the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from sandbox import ir
from sandbox.compile import PropertySet, load_contract, load_properties
from sandbox.decide import EnginePair, Evaluator
from sandbox.engines import SolverWorker
from sandbox.errors import Fault, UsageError
from sandbox.ir import Contract, Json, Property
from sandbox.prove.certificate import MANIFEST, Certified, entry_of
from sandbox.prove.crew import Crew, Reply
from sandbox.prove.findings import GaveUp, Shown, SolverChoice
from sandbox.prove.manifest import NoManifest, faults_of, obligations_in, read_manifest
from sandbox.prove.record import Obligation
from sandbox.prove.report import PropertyReport, moves_from_json
from sandbox.prove.run import verdict_on
from sandbox.prove.verdicts import Unknown, Verdict, VerdictName, name_of
from sandbox.prove.worker import Order

Status: TypeAlias = Literal["verified", "undecided", "mismatch"]


@dataclass(frozen=True, slots=True)
class Checked:
    """One property. `verdict` is what was found to be shown; `reasons` say why it is not verified."""

    spec: str
    id: str
    verdict: VerdictName
    status: Status
    obligations: int = 0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of a certificate. `problems` are about the whole of it, `digest` is of its manifest."""

    digest: str
    properties: tuple[Checked, ...]
    problems: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """1 if anything is not as claimed, or is refuted or vacuous; else 3 if it is not decided; else 0."""
        if self.problems or not self.properties or any(each.status == "mismatch" for each in self.properties):
            return 1
        if any(each.verdict in {"refuted", "vacuous"} for each in self.properties):
            return 1
        return 0 if all((each.status, each.verdict) == ("verified", "proved") for each in self.properties) else 3


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """Who reads the files, for how many seconds a property, and how many at once.

    `properties` are files and folders that the certificate has to cover; by default those that it names.
    """

    solver: SolverChoice = "z3"
    jobs: int = 1
    timeout_s: float = 120.0
    properties: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Task:
    """One property, the certificate's entry for it (None if it has none), and its obligations."""

    set: PropertySet
    subject: Property
    entry: Mapping[str, Json] | None
    known: tuple[Obligation, ...] = ()


@dataclass(slots=True)
class _Bench:
    """What is shared while properties are checked, in the order in which they rest on one another.

    By property file and spec: the `always` that are shown, and where one of them was not decided.
    """

    folder: Path
    options: VerifyOptions
    crew: Crew
    engines: Mapping[str, EnginePair]
    proved: dict[tuple[str, str], list[Property]] = field(default_factory=dict)
    open: set[tuple[str, str]] = field(default_factory=set)


def verify(folder: Path, specs: Sequence[Path], options: VerifyOptions | None = None) -> Verification:
    """What of the certificate in the folder is true of these specs.

    Raises UsageError where there is no certificate; SpecError and PropertyError for files that do not load.
    """
    options = options or VerifyOptions()
    manifest = read_manifest(folder)
    if isinstance(manifest, NoManifest):
        return Verification(manifest.digest, (), (f"`{MANIFEST}` is no manifest",))
    entries = manifest.entries
    contracts = [load_contract(spec) for spec in specs]
    tasks, missing = _tasks(entries, contracts, options)
    checked = tuple(_checked(folder, tasks, options))
    named = {str(entry.get("spec")) for entry in entries}
    left_out = tuple(sorted(named - {contract.name for contract in contracts}))
    return Verification(manifest.digest, checked, (*faults_of(folder, manifest), *missing), left_out)


# --- the properties ----------------------------------------------------------------------------------


def _tasks(
    entries: Sequence[Mapping[str, Json]], contracts: Sequence[Contract], options: VerifyOptions
) -> tuple[tuple[_Task, ...], tuple[str, ...]]:
    """Every property of the specs in the files that count, with its entry; and entries that are of none."""
    tasks: list[_Task] = []
    problems: list[str] = []
    for contract in contracts:
        own = _own(entries, contract)
        for each in _sets(own, contract, options):
            found = [_task(each, subject, own, contract) for subject in each.properties]
            tasks += found
        taken = [task.entry for task in tasks]
        problems += [
            f"`{entry.get('id')}` is no property of `{contract.name}` in `{entry.get('file')}`"
            for entry in own
            if not any(entry is one for one in taken)
        ]
        problems += [] if own else [f"it has nothing about `{contract.name}`"]
    return tuple(tasks), tuple(problems)


def _own(entries: Sequence[Mapping[str, Json]], contract: Contract) -> list[Mapping[str, Json]]:
    """The entries about a contract; where none has its digest, those about one of its name."""
    digest = ir.digest(contract)
    exact = [entry for entry in entries if entry.get("contract") == digest]
    return exact or [entry for entry in entries if entry.get("spec") == contract.name]


def _sets(own: Sequence[Mapping[str, Json]], contract: Contract, options: VerifyOptions) -> Iterator[PropertySet]:
    folder = Path(contract.file).parent
    named = dict.fromkeys(str(entry.get("file")) for entry in own)
    places = options.properties or tuple(folder / name for name in named)
    for place in places:
        try:
            sets = load_properties(place)
        except UsageError:
            continue  # its entries are then of no property
        yield from (each for each in sets if os.path.realpath(each.contract.file) == os.path.realpath(contract.file))


def _task(each: PropertySet, subject: Property, own: Sequence[Mapping[str, Json]], contract: Contract) -> _Task:
    name = os.path.relpath(each.file, Path(contract.file).parent)
    entry = next((one for one in own if one.get("file") == name and one.get("id") == subject.id), None)
    return _Task(each, subject, entry, () if entry is None else obligations_in(entry))


def _checked(folder: Path, tasks: tuple[_Task, ...], options: VerifyOptions) -> Iterator[Checked]:
    """First every `always`; what is shown of them is what the others may assume."""
    with ExitStack() as stack:
        crew = stack.enter_context(Crew())
        pool = stack.enter_context(ThreadPoolExecutor(options.jobs))
        contracts = {task.set.contract.file: task.set.contract for task in tasks}
        engines = {
            file: EnginePair(Evaluator(contract), stack.enter_context(SolverWorker(contract)), always_ask=True)
            for file, contract in contracts.items()
        }
        bench = _Bench(folder, options, crew, engines)
        found: dict[int, Checked] = {}
        for wave in (True, False):
            chosen = [(n, task) for n, task in enumerate(tasks) if (task.subject.kind == "always") == wave]
            others = [_others(bench, task) for _, task in chosen]
            try:
                results = list(pool.map(lambda task, known: _check(bench, task, known), (t for _, t in chosen), others))
            except BaseException:
                crew.leave()
                raise
            for (number, task), result in zip(chosen, results, strict=True):
                found[number] = result
                if wave and (result.status, result.verdict) == ("verified", "proved"):
                    bench.proved.setdefault(_file_of(task), []).append(task.subject)
                if wave and result.status == "undecided":
                    bench.open.add(_file_of(task))
        yield from (found[number] for number in range(len(tasks)))


def _file_of(task: _Task) -> tuple[str, str]:
    return task.set.file, task.set.contract.file


def _others(bench: _Bench, task: _Task) -> tuple[Property, ...]:
    """As in a proof: for an `always` the other ones of its file, for the rest those that were shown."""
    if task.subject.kind == "always":
        return tuple(p for p in task.set.properties if p.kind == "always" and p != task.subject)
    return tuple(bench.proved.get(_file_of(task), ()))


def _check(bench: _Bench, task: _Task, others: tuple[Property, ...]) -> Checked:
    contract, subject, entry = task.set.contract, task.subject, task.entry
    if entry is None:
        reason = "the certificate has no such property"
        return Checked(contract.name, subject.id, "unknown", "mismatch", 0, (reason,))
    reply, verdict = _found(bench, task, entry, others)
    report = PropertyReport(contract.name, task.set.file, subject, verdict, (), 0, 0, reply.rests_on, reply.obligations)
    assumed = tuple(each.id for each in others)
    own = task.set
    again = entry_of(
        Certified(contract, subject, own.properties, Path(own.file), assumed, report, ceilings=own.ceilings)
    )
    doubts = tuple(f"`{doubt.file}` {_DOUBTS[doubt.kind]}" for doubt in reply.doubts)
    if entry.get("verdict") == "unknown":
        again = {**entry, **{key: again[key] for key in _FIXED}}  # of what is not decided nothing else is claimed
    changed = tuple(
        f"`{key}` is not as claimed" for key in sorted({*again, *entry}) if again.get(key) != entry.get(key)
    )
    excused = not _FIXED & _keys(again, entry) and (
        entry.get("verdict") == "unknown"
        or any(doubt.kind == "undecided" for doubt in reply.doubts)
        or (subject.kind != "always" and _file_of(task) in bench.open)
    )
    status: Status = "undecided" if excused else "mismatch" if changed or doubts else "verified"
    return Checked(contract.name, subject.id, name_of(verdict), status, len(task.known), (*doubts, *changed))


def _found(
    bench: _Bench, task: _Task, entry: Mapping[str, Json], others: tuple[Property, ...]
) -> tuple[Reply, Verdict]:
    """What the files, or the replay of the sequence, show of a property."""
    if entry.get("verdict") == "unknown":
        return Reply(GaveUp("nothing is claimed"), 0, 0), Unknown("nothing is claimed")
    sequence = entry.get("sequence")
    shown = None if sequence is None else Reply(_shown(sequence), 0, 0)
    reply = shown or bench.crew.carry_out(_order(bench, task, others))
    own = task.set
    engines = bench.engines[own.contract.file]
    return reply, verdict_on(own.contract, engines, task.subject, reply, ceilings=own.ceilings)


def _invariant(entry: Mapping[str, Json] | None) -> tuple[str, ...]:
    """What the certificate says was found; it is a hint, and what follows from it is shown anew."""
    claimed = None if entry is None else entry.get("invariant")
    return tuple(str(text) for text in claimed) if isinstance(claimed, list) else ()


def _shown(sequence: Json) -> Shown | GaveUp:
    try:
        return Shown(moves_from_json(sequence))
    except (Fault, ValueError):
        return GaveUp("the sequence is none")


def _keys(one: Mapping[str, Json], other: Mapping[str, Json]) -> frozenset[str]:
    return frozenset(key for key in {*one, *other} if one.get(key) != other.get(key))


_FIXED: Final = frozenset({"contract", "property", "digest", "kind", "text", "why"})
"""What an entry says of spec and property, whatever the verdict."""

_DOUBTS: Final = {
    "missing": "is an obligation that no file has",
    "foreign": "is of no obligation of this property",
    "wrong": "is not answered as is claimed",
    "undecided": "was not decided in time",
}


def _order(bench: _Bench, task: _Task, others: tuple[Property, ...]) -> Order:
    return Order(
        contract=task.set.contract,
        subject=task.subject,
        others=tuple(each.condition for each in others),
        ids=tuple(each.id for each in others),
        choice=bench.options.solver,
        seconds=bench.options.timeout_s,
        emit=str(bench.folder.resolve()),
        prefix="",
        known=task.known,
        invariant=_invariant(task.entry),
    )
