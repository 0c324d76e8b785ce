"""What changes for calls when one version of a spec takes the place of another: newly allowed, asked or denied.

Every call of every tool, after every sequence of calls that both versions permit. A call that is shown was judged by
both, as the very same bytes, by the step that the gate takes; that there is none is a proof. What lies between is
unknown, and never the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from sandbox.decide import EnginePair, Evaluator
from sandbox.engines import SolverWorker
from sandbox.errors import SandboxError
from sandbox.ir import TRUE, VERDICTS, And, Const, Contract, EnumSort, Eq, Fact, Newly, Property, Tool
from sandbox.prove.beside import OLD, Beside, beside
from sandbox.prove.crew import Crew, Reply
from sandbox.prove.differences import differences
from sandbox.prove.findings import Shown
from sandbox.prove.replay_beside import replay_beside
from sandbox.prove.run import verdict_on
from sandbox.prove.verdicts import Proved, Refuted, Replayed, Unknown
from sandbox.prove.worker import Order

Change: TypeAlias = Literal["same", "changed", "added", "removed"]
KINDS: Final[tuple[Newly, ...]] = ("allowed", "asked", "denied")

DEFAULT_TIMEOUT_S: Final = 30.0
"""For one question about one tool."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a tool has calls that are newly what `newly` says.

    With a `witness` there is one; its `moves.start` is a state that is not known to be reached, if it has one. With a
    `reason` it was not decided. With neither there is none, by proof.
    """

    newly: Newly
    witness: Replayed | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ToolDiff:
    """One tool of either version."""

    tool: str
    change: Change
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Diff:
    """All tools, and what else differs and is not looked at: `notes`, a line each. The names are as they were given."""

    old: str
    new: str
    tools: tuple[ToolDiff, ...]
    notes: tuple[str, ...]

    def shown(self, newly: Newly) -> tuple[str, ...]:
        """The tools that have such calls."""
        return tuple(
            t.tool for t in self.tools for each in t.answers if each.newly == newly and each.witness is not None
        )

    @property
    def undecided(self) -> bool:
        """Whether anything was left open."""
        return any(each.reason for tool in self.tools for each in tool.answers)

    @property
    def exit_code(self) -> int:
        """1 if anything is newly allowed, else 3 if anything is undecided, else 0."""
        return 1 if self.shown("allowed") else 3 if self.undecided else 0


@dataclass(frozen=True, slots=True)
class Options:
    """How many children at once, and how long each may take."""

    jobs: int = 1
    timeout_s: float = DEFAULT_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class _Question:
    tool: str
    newly: Newly


def diff(old: Contract, new: Contract, options: Options | None = None) -> Diff:
    """What the new version allows, asks and denies that the old one does not. `name` of both is what is told."""
    options = options or Options()
    old = replace(old, name=f"{old.name} (old)")
    specs = beside(new, (old,), OLD)
    names = list(dict.fromkeys(tool.name for each in (new, old) for tool in each.tools))
    questions = [each for name in names for each in _questions(specs, name, old, new)]
    with ExitStack() as stack:
        crew = stack.enter_context(Crew())
        pool = stack.enter_context(ThreadPoolExecutor(options.jobs))
        engines = [
            (each, EnginePair(Evaluator(each), stack.enter_context(SolverWorker(each)), always_ask=True))
            for each in (new, old)
        ]
        asker = _Asker(specs, new, old, tuple(engines), crew, options)
        try:
            answers = list(pool.map(asker.answer, questions))
        except BaseException:
            crew.leave()
            raise
    found = {(each.tool, each.newly): answer for each, answer in zip(questions, answers, strict=True)}
    tools = tuple(
        ToolDiff(name, _change(specs, name, old, new), tuple(found.get((name, k), Answer(k)) for k in KINDS))
        for name in names
    )
    return Diff(old.name, new.name, tools, tuple(differences(old, new)))


def _change(specs: Beside, name: str, old: Contract, new: Contract) -> Change:
    if old.tool(name) is None:
        return "added"
    if new.tool(name) is None:
        return "removed"
    return "same" if name in specs.judged and specs.judged[name].same else "changed"


def _questions(specs: Beside, name: str, old: Contract, new: Contract) -> Iterator[_Question]:
    """What has to be asked about a tool; what its rules cannot say at all is left out."""
    if _change(specs, name, old, new) == "same":
        return
    ours, theirs = new.tool(name), old.tool(name)
    if ours is not None and _has(ours, "allow"):
        yield _Question(name, "allowed")
    if ours is not None and _has(ours, "ask"):
        yield _Question(name, "asked")
    if theirs is not None and (_has(theirs, "allow") or _has(theirs, "ask")):
        yield _Question(name, "denied")


def _has(tool: Tool, kind: str) -> bool:
    return any(rule.kind == kind for rule in tool.rules)


@dataclass(frozen=True, slots=True)
class _Asker:
    specs: Beside
    new: Contract
    old: Contract
    engines: tuple[tuple[Contract, EnginePair], ...]
    crew: Crew
    options: Options

    def answer(self, question: _Question) -> Answer:
        """Asked of a child; where the tool cannot be compared, of calls of either version alone."""
        if question.tool in self.specs.unlike:
            return self._tried(question)
        subject = self._subject(question)
        reply = self._asked(self.new, subject)
        verdict = verdict_on(self.new, self.engines[0][1], subject, reply)
        match verdict:
            case Proved():
                return Answer(question.newly)
            case Refuted(counterexample=Replayed() as witness):
                return Answer(question.newly, witness)
            case Unknown(reason=reason):
                return Answer(question.newly, reason=reason)
            case _:
                return Answer(question.newly, reason="the finding does not fit the question")

    def _subject(self, question: _Question) -> Property:
        return Property(
            id=f"newly-{question.newly}",
            kind="within",
            condition=TRUE,
            tools=(question.tool,),
            text=f"newly {question.newly}",
            ceilings=(self.old,),
            newly=question.newly,
        )

    def _tried(self, question: _Question) -> Answer:
        """A call that one version permits, judged by both: it may show a difference, and never that there is none."""
        newly = question.newly
        judge = self.old if newly == "denied" else self.new
        wanted = ("allow", "ask") if newly == "denied" else ("allow",) if newly == "allowed" else ("ask",)
        for verdict in wanted:
            decision = EnumSort(VERDICTS)
            asked = Property(
                id=f"some-{verdict}",
                kind="possible",
                condition=And((Eq(Fact("decision", decision), Const(verdict, decision)),)),
                tools=(question.tool,),
                mentions_decision=True,
            )
            reply = self._asked(judge, asked)
            if isinstance(reply.finding, Shown):
                witness = self._replayed(question, reply)
                if witness is not None:
                    return Answer(newly, witness)
        reason = f"`{question.tool}` cannot be compared: {self.specs.unlike[question.tool]}"
        return Answer(newly, reason=reason)

    def _replayed(self, question: _Question, reply: Reply) -> Replayed | None:
        if not isinstance(reply.finding, Shown):
            return None
        try:
            played = replay_beside(self.engines, self._subject(question), reply.finding.moves, OLD)
        except (SandboxError, KeyError, TypeError, ValueError):
            return None
        return played if isinstance(played, Replayed) else None

    def _asked(self, contract: Contract, subject: Property) -> Reply:
        order = Order(
            contract=contract,
            subject=subject,
            others=(),
            ids=(),
            choice="z3",
            seconds=self.options.timeout_s,
            emit=None,
            prefix="",
        )
        return self.crew.carry_out(order)
