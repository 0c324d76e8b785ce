"""From paths to a report: load, attempt each property in a process of its own, replay, compare with the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias, assert_never

from sandbox.cache import Cache
from sandbox.decide import EnginePair, Evaluator
from sandbox.engines import SolverWorker
from sandbox.errors import EnginesDisagree, SandboxError, UsageError
from sandbox.ir import VERDICTS, Contract, Property
from sandbox.prove import certificate, ledger
from sandbox.prove.bounded import hindered_by
from sandbox.prove.certificate import Certified
from sandbox.prove.coverage import Coverage, coverage
from sandbox.prove.crew import Crew, Reply
from sandbox.prove.findings import Disputed, Empty, GaveUp, Holds, Shown, SolverChoice, Unreachable
from sandbox.prove.ledger import Difference, Entry
from sandbox.prove.mending import Means, mends
from sandbox.prove.replay import Differs
from sandbox.prove.replay_beside import played
from sandbox.prove.report import LedgerStatus, PropertyReport, Report
from sandbox.prove.saved import Memory
from sandbox.prove.share import Shard
from sandbox.prove.tighten import Setting
from sandbox.prove.verdicts import Moves, Proved, Refuted, Replayed, Unknown, Vacuous, Verdict, invariant_of, name_of
from sandbox.prove.worker import Order

DEFAULT_TIMEOUT_S: Final = 60.0
"""Per property. A property of a payments spec takes under a second; one that takes a minute wants another wording."""

WHOLE: Final = Shard(1, 1)

MAX_JOBS: Final = 64
"""Children at once; each is a process with a solver in it."""


@dataclass(frozen=True, slots=True)
class ProveOptions:
    """How to prove. `solver` is who must be convinced; `timeout_s` is per property; `emit_dir` gets SMT-LIB files.

    With `locked` a folder without a ledger differs from it: CI says so, and a spec with `require_proofs` always does.
    With a `shard` only its share is proved and compared; with a `cache` nothing that was decided before, unless what
    is found is to be written down (`update`, `emit_dir`) or held against what is (`locked`). With `mend`, what would
    make a refuted property hold is looked for as well.
    """

    solver: SolverChoice = "z3"
    jobs: int = 1
    timeout_s: float = DEFAULT_TIMEOUT_S
    emit_dir: Path | None = None
    update: bool = False
    locked: bool = False
    shard: Shard = WHOLE
    cache: Cache | None = None
    mend: bool = False

    @property
    def from_nothing(self) -> bool:
        """Whether nothing is believed that was found before."""
        return self.cache is None or self.update or self.locked or self.emit_dir is not None


@dataclass(frozen=True, slots=True)
class Batch:
    """The properties of one file about one spec. `file` is where the file is, as it was named.

    `ceilings` are what the spec extends, the nearest first: what is possible has to be so under them, too.
    """

    file: Path
    contract: Contract
    properties: tuple[Property, ...]
    ceilings: tuple[Contract, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    batch: Batch
    subject: Property


_Verdicts: TypeAlias = dict[_Task, PropertyReport]
OnStart: TypeAlias = Callable[[Property, int], None]
OnResult: TypeAlias = Callable[[PropertyReport], None]


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told: of each property when it is begun, with how many there are, and when it is decided."""

    started: OnStart = lambda _subject, _count: None
    decided: OnResult = lambda _report: None


def prove_paths(paths: Sequence[str | Path], options: ProveOptions | None = None, watch: Watch | None = None) -> Report:
    """Prove every property of the given files and folders, and tell `watch` of each.

    Raises UsageError `nothing_to_prove` where there is no property; PropertyError and SpecError for what does not
    load; EnginesDisagree where two solvers contradict each other. Whatever else goes wrong is the verdict `Unknown`.
    """
    from sandbox.compile import load_properties  # noqa: PLC0415 - the parsers load only where files are read

    sets = (each for path in paths for each in load_properties(path))
    return prove_batches([Batch(Path(s.file), s.contract, s.properties, s.ceilings) for s in sets], options, watch)


def prove_batches(batches: Iterable[Batch], options: ProveOptions | None = None, watch: Watch | None = None) -> Report:
    """As `prove_paths`, of what has been loaded. A batch that is named twice is proved once."""
    options = options or ProveOptions()
    _check(options)
    once = tuple({(batch.file.resolve(), batch.contract): batch for batch in batches}.values())
    tasks = tuple(_Task(batch, subject) for batch in once for subject in batch.properties)
    if not tasks:
        message = "there is no property to prove: write one under `properties:` in a property file, and name that file"
        raise UsageError(message, "nothing_to_prove")
    if options.emit_dir is not None:
        certificate.prepare(options.emit_dir)
    own = options.shard.of(tasks)
    if not own:
        message = (
            f"share {options.shard.number} has no property: there are {len(tasks)}; ask for no more shares than that"
        )
        raise UsageError(message, "nothing_to_prove")
    reports = _decided(once, _needed(tasks, own), options, watch or Watch())
    if options.emit_dir is not None:
        certificate.write(options.emit_dir, (_certified(task, reports) for task in tasks), options.solver)
    statuses, differences = _compared(once, tasks, own, reports, options)
    covered = tuple(_coverage(contract, tasks, reports) for contract in _contracts(once))
    return Report(tuple(reports[task] for task in own), covered, statuses, differences)


def _needed(tasks: tuple[_Task, ...], own: tuple[_Task, ...]) -> tuple[_Task, ...]:
    """The tasks of a share, and the `always` that they may rest on."""
    resting = {id(task.batch) for task in own if task.subject.kind != "always"}
    mine = {id(task) for task in own}
    return tuple(t for t in tasks if id(t) in mine or (t.subject.kind == "always" and id(t.batch) in resting))


def _check(options: ProveOptions) -> None:
    if not 1 <= options.jobs <= MAX_JOBS:
        message = f"`--jobs {options.jobs}`: between 1 and {MAX_JOBS} are possible"
        raise UsageError(message)
    if not 0 < options.timeout_s < float("inf"):
        message = f"`--timeout {options.timeout_s:g}`: a positive number of seconds is meant"
        raise UsageError(message)
    if options.shard != WHOLE and (options.update or options.emit_dir is not None):
        message = "`--shard` proves a share: a ledger (`--update`) and a certificate (`--emit`) are of the whole"
        raise UsageError(message)


# --- deciding ----------------------------------------------------------------------------------------


def _decided(batches: tuple[Batch, ...], tasks: tuple[_Task, ...], options: ProveOptions, watch: Watch) -> _Verdicts:
    """First every `always`; what is proved of them is what the others may assume."""
    reports: _Verdicts = {}
    with ExitStack() as stack:
        crew = stack.enter_context(Crew())
        memory = Memory(crew, None if options.from_nothing else options.cache)
        pool = stack.enter_context(ThreadPoolExecutor(options.jobs))
        engines = {id(batch): _engines(batch.contract, stack) for batch in batches}

        def carried_out(order: Order) -> Reply:
            watch.started(order.subject, len(tasks))
            return memory.carry_out(order)

        for wave in ("always", "others"):
            chosen = [
                (n, task) for n, task in enumerate(tasks, 1) if (task.subject.kind == "always") == (wave == "always")
            ]
            orders = [_order(task, _others(task, reports), options, number) for number, task in chosen]
            try:
                for (_, task), reply in zip(chosen, pool.map(carried_out, orders), strict=True):
                    pair = EnginePair(Evaluator(task.batch.contract), None) if reply.cached else engines[id(task.batch)]
                    reports[task] = _mended(_report(task, reply, pair, options), task, reports, memory, options)
                    watch.decided(reports[task])
            except BaseException:
                crew.leave()  # else the pool would wait for children that nobody wants any more
                raise
    return reports


def _engines(contract: Contract, stack: ExitStack) -> EnginePair:
    return EnginePair(Evaluator(contract), stack.enter_context(SolverWorker(contract)), always_ask=True)


def _others(task: _Task, reports: Mapping[_Task, PropertyReport]) -> tuple[Property, ...]:
    """For an `always`, the candidates to be proved with it; for the others, the invariants that are proved."""
    if task.subject.kind == "always":
        return tuple(p for p in task.batch.properties if p.kind == "always" and p != task.subject)
    return _invariants(task, reports)


def _invariants(task: _Task, reports: Mapping[_Task, PropertyReport]) -> tuple[Property, ...]:
    return tuple(
        other.subject
        for other, report in reports.items()
        if other.batch == task.batch and other.subject.kind == "always" and isinstance(report.verdict, Proved)
    )


def _order(task: _Task, others: tuple[Property, ...], options: ProveOptions, number: int) -> Order:
    return Order(
        contract=task.batch.contract,
        subject=task.subject,
        others=tuple(each.condition for each in others),
        ids=tuple(each.id for each in others),
        choice=options.solver,
        seconds=options.timeout_s,
        emit=None if options.emit_dir is None else str(options.emit_dir.resolve()),
        prefix=f"{number:03}-{task.batch.contract.name}-{task.subject.id}",
    )


def _report(task: _Task, reply: Reply, engines: EnginePair, options: ProveOptions) -> PropertyReport:
    verdict = verdict_on(task.batch.contract, engines, task.subject, reply, ceilings=task.batch.ceilings)
    return PropertyReport(
        spec=task.batch.contract.name,
        file=str(task.batch.file),
        subject=task.subject,
        verdict=verdict,
        solvers=("z3", "cvc5") if options.solver == "both" or invariant_of(verdict) else (options.solver,),
        rlimit=reply.spent,
        duration_ms=reply.duration_ms,
        rests_on=reply.rests_on,
        obligations=reply.obligations,
        cached=reply.cached,
        contract=task.batch.contract,
    )


def _mended(
    report: PropertyReport, task: _Task, reports: Mapping[_Task, PropertyReport], memory: Memory, options: ProveOptions
) -> PropertyReport:
    """The report, with what would mend a refuted property."""
    if not options.mend or not isinstance(report.verdict, Refuted):
        return report
    always = tuple(p for p in task.batch.properties if p.kind == "always" and p != task.subject)
    held = frozenset(each.id for each in _invariants(task, reports))
    setting = Setting(task.batch.contract, task.subject, always, held)
    means = Means(memory.carry_out, options.solver, options.timeout_s)
    return replace(report, mends=mends(setting, report.verdict, means))


def _certified(task: _Task, reports: _Verdicts) -> Certified:
    assumed = tuple(each.id for each in _others(task, reports))
    batch = task.batch
    own = reports[task]
    return Certified(batch.contract, task.subject, batch.properties, batch.file, assumed, own, ceilings=batch.ceilings)


def verdict_on(
    contract: Contract,
    engines: EnginePair,
    subject: Property,
    reply: Reply,
    *,
    ceilings: tuple[Contract, ...] = (),
) -> Verdict:
    """The verdict that follows from a finding; what is shown by a sequence follows from its replay only."""
    match reply.finding:
        case Holds(note=note, invariant=invariant) if subject.kind != "possible":
            return Proved(note, invariant=invariant)
        case Unreachable(invariant=invariant) if subject.kind == "possible":
            return Refuted("no sequence of calls leads to a call that meets it", invariant=invariant)
        case Shown(moves=moves):
            return _shown(contract, engines, subject, moves, ceilings)
        case Empty(reason=reason):
            return Vacuous(reason)
        case GaveUp(reason=reason):
            return Unknown(reason)
        case Disputed(reason=reason):
            raise EnginesDisagree(reason)
        case Holds() | Unreachable():
            return Unknown("the finding does not fit the kind of property")
        case _:
            assert_never(reply.finding)


def _shown(
    contract: Contract, engines: EnginePair, subject: Property, moves: Moves, ceilings: tuple[Contract, ...]
) -> Verdict:
    try:
        shown = played(contract, engines, subject, moves)
        hindered = hindered_by(contract, ceilings, subject, shown) if subject.kind == "possible" else ""
    except (SandboxError, KeyError, TypeError, ValueError) as error:
        return Unknown(f"the sequence that was found could not be replayed: {type(error).__name__}")
    match shown:
        case Replayed() if hindered:
            return Unknown(f"the sequence that was found does not run under what the spec extends: {hindered}")
        case Replayed() if subject.kind == "possible":
            return Proved(witness=shown)
        case Replayed():
            return Refuted(_how(subject, shown), shown)
        case Differs(reason=reason):
            return Unknown(f"the sequence that was found does not replay: {reason}")
        case _:
            assert_never(shown)


def _how(subject: Property, played: Replayed) -> str:
    """One line of why a property is refuted, naming the rule that let the last call through."""
    count = len(played.moves.calls)
    if not played.decisions:
        return "it is false of the initial state" if subject.kind == "always" else "it is false"
    last = played.decisions[-1]
    by = f"rule `{last.rule}`" if last.rule else "no rule"
    calls = "1 call" if count == 1 else f"{count} calls"
    if played.beside:
        other = min(played.beside, key=lambda each: VERDICTS.index(each.decision.verdict))
        by = f"{by}, where `{other.spec}` says `{other.decision.verdict}`"
    return f"{calls}, the last with verdict `{last.verdict}` by {by}"


# --- comparing ---------------------------------------------------------------------------------------


def _compared(
    batches: tuple[Batch, ...],
    tasks: tuple[_Task, ...],
    own: tuple[_Task, ...],
    reports: _Verdicts,
    options: ProveOptions,
) -> tuple[tuple[tuple[str, LedgerStatus], ...], tuple[Difference, ...]]:
    """Each folder's ledger beside what was found; with `update`, written anew. Of a share, its own entries only."""
    statuses: list[tuple[str, LedgerStatus]] = []
    differences: list[Difference] = []
    for folder in dict.fromkeys(batch.file.parent for batch in batches):
        found = _entries(folder, own, reports)
        files = {batch.file.name for batch in batches if batch.file.parent == folder}
        recorded = ledger.read_ledger(folder)
        if options.update:
            ledger.write_ledger(folder, ledger.merged(recorded or {}, found, files, folder))
            statuses.append((str(folder), "updated"))
        elif recorded is None:
            statuses.append((str(folder), "absent"))
            differences += [_no_ledger(folder)] if options.locked or _demanded(batches, folder) else []
        else:
            mine = _share_of(recorded, tasks, own, options)
            drift = ledger.differences(mine, found, files, folder)
            differences += drift
            statuses.append((str(folder), "differs" if drift else "current"))
    return tuple(statuses), tuple(differences)


def _share_of(
    recorded: Mapping[str, Entry], tasks: tuple[_Task, ...], own: tuple[_Task, ...], options: ProveOptions
) -> dict[str, Entry]:
    """The entries that this run answers for: its own properties', and, in the first share, those of none."""
    keys = {ledger.key_of(task.batch.file, task.batch.contract, task.subject): task in own for task in tasks}
    return {key: entry for key, entry in recorded.items() if keys.get(key, options.shard.is_first)}


def _demanded(batches: tuple[Batch, ...], folder: Path) -> bool:
    return any(batch.file.parent == folder and batch.contract.require_proofs is not None for batch in batches)


def _no_ledger(folder: Path) -> Difference:
    return Difference(str(folder), "missing", f"there is none in `{folder}`")


def _entries(folder: Path, own: tuple[_Task, ...], reports: _Verdicts) -> dict[str, Entry]:
    return {
        ledger.key_of(task.batch.file, task.batch.contract, task.subject): Entry(
            ledger.digest_of(task.batch.contract, task.subject, task.batch.properties, task.batch.ceilings),
            task.subject.kind,
            name_of(reports[task].verdict),
            () if task.subject.kind == "always" else tuple(p.id for p in _invariants(task, reports)),
            invariant_of(reports[task].verdict),
        )
        for task in own
        if task.batch.file.parent == folder
    }


def _contracts(batches: tuple[Batch, ...]) -> tuple[Contract, ...]:
    return tuple(dict.fromkeys(batch.contract for batch in batches))


def _coverage(contract: Contract, tasks: tuple[_Task, ...], reports: _Verdicts) -> Coverage:
    judged = [
        (t.subject, t in reports and isinstance(reports[t].verdict, Proved))
        for t in tasks
        if t.batch.contract == contract
    ]
    return coverage(contract, judged)
