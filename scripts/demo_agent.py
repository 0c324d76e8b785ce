"""The demo's third part: every recorded output goes through the real gate, and what may run runs in a container."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Self

from demo_recording import ROOT, Emitted
from demo_screen import WIDTH, clipped, part

from sandbox import Gate
from sandbox.approve import Approval, ApprovalRequest, Refused
from sandbox.call import Outcome
from sandbox.errors import Refusal, SandboxError
from sandbox.execute.cold import ColdRunner
from sandbox.ir import Contract

SPECS = ("payments", "files", "python")
WORKBENCH = ROOT / "tests" / "adversarial" / "workbench.yaml"
HEAD = f"   # {'what the model emitted':38} gate  {'reason':22} why, or what the container did"
AFTER_PERSON = {"refuses": "approval.refused", "absent": "approval.needed"}


class Ann:
    """A scripted person: says what she was last told to say, and only about the call that she is shown."""

    def __init__(self) -> None:
        """She refuses until told otherwise."""
        self.agrees = False

    def review(self, request: ApprovalRequest) -> Approval | Refused:
        """Her answer."""
        if not self.agrees:
            return Refused("ann", "I did not order this")
        return Approval(request.call.digest, "ann", request.expires_at_ms)


@dataclass(frozen=True)
class Seen:
    """What came of one output: the gate's last word, and what the container did, if there was one."""

    verdict: str
    reason_code: str
    reason: str
    outcome: Outcome | None = None
    approved_by: tuple[str, ...] = ()


class Stage:
    """Copies of the specs, workspaces and state in our own folder; for each spec a gate with Ann, one without."""

    def __init__(self, folder: Path) -> None:
        """Nothing is opened before `with`."""
        self.folder = folder
        self.ann = Ann()
        self._stack = ExitStack()
        self._gates: dict[tuple[str, bool], Gate] = {}

    def __enter__(self) -> Self:
        self._lay_out()
        runner = ColdRunner()
        for spec in (*SPECS, "workbench"):
            for attended in (True, False):
                file = self.folder / "specs" / f"{spec}.yaml"
                approver = self.ann if attended else None
                gate = Gate.open(file, state=self.state_url(spec), runner=runner, approver=approver)
                self._gates[spec, attended] = self._stack.enter_context(gate)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def state_url(self, spec: str) -> str:
        """Where a spec's budgets are kept."""
        return f"sqlite:///{self.folder / 'state' / spec / 'state.db'}"

    def record(self, spec: str) -> Path:
        """The hash-chained record of a spec."""
        return self.folder / "state" / spec / "state.audit.jsonl"

    def workspace(self, spec: str) -> Path:
        """The folder that a spec's containers see a copy of."""
        return self.folder / "workspaces" / spec

    def contract(self, spec: str) -> Contract:
        """The compiled spec."""
        return self._gates[spec, True].contract

    def play(self, emitted: Emitted) -> Seen:
        """One output, the whole way."""
        gate = self._gates[emitted.spec, emitted.person != "absent"]
        self.ann.agrees = emitted.person == "approves"
        try:
            result = gate.attempt(emitted.raw)
        except Refusal as refusal:
            return Seen(refusal.decision.verdict, refusal.decision.reason_code, refusal.decision.reason)
        except SandboxError as error:
            return Seen("fault", error.reason_code, str(error))
        decision = result.decision
        return Seen(decision.verdict, decision.reason_code, decision.reason, result.outcome, result.receipt.approved_by)

    def _lay_out(self) -> None:
        specs = self.folder / "specs"
        specs.mkdir()
        for spec in SPECS:
            shutil.copy(ROOT / "specs" / f"{spec}.yaml", specs)
        shutil.copy(WORKBENCH, specs)
        for spec in (*SPECS, "workbench"):
            self.workspace(spec).mkdir(parents=True)
            (self.folder / "state" / spec).mkdir(parents=True)
        files = self.workspace("files")
        for name, content in {
            "public/index.txt": "welcome\n",
            "notes/todo.txt": "buy milk\n",
            "secret.txt": "the launch code\n",
            ".git/config": "[core]\n",
        }.items():
            (files / name).parent.mkdir(exist_ok=True)
            (files / name).write_text(content)
        (files / "notes" / "escape").symlink_to("/etc")


def show_agent(stage: Stage, recording: Sequence[Emitted]) -> tuple[list[Seen], list[str]]:
    """Plays the whole recording, a screen for each of its parts; what was seen, and what was not as expected."""
    seen: list[Seen] = []
    unmet: list[str] = []
    for number, (title, group) in enumerate(groupby(recording, key=lambda emitted: emitted.part)):
        rows = [HEAD]
        for emitted in group:
            found = stage.play(emitted)
            seen.append(found)
            wrong = list(_differences(emitted, found))
            unmet += [f"call {len(seen)} ({emitted.about}): {each}" for each in wrong]
            rows.append(_row(len(seen), emitted, found, mark="!" if wrong else " "))
        part(f"3{'abcdefgh'[number]} A hostile agent - {title}", [[row] for row in rows])
    return seen, unmet


def _differences(emitted: Emitted, seen: Seen) -> Iterator[str]:
    """Everything in which what was seen is not what was expected."""
    wanted = AFTER_PERSON.get(emitted.person, emitted.reason_code)
    if seen.reason_code != wanted:
        yield f"`{wanted}` was expected, not `{seen.reason_code}`: {seen.reason}"
    if emitted.person != "refuses" and seen.verdict != emitted.verdict:
        yield f"verdict `{emitted.verdict}` was expected, not `{seen.verdict}`"
    outcome = seen.outcome
    if outcome is None:
        if emitted.status:
            yield f"it should have run and ended `{emitted.status}`"
        return
    if (outcome.status, outcome.reason_code) != (emitted.status, emitted.outcome):
        wanted = emitted.outcome or "no run"
        yield f"`{wanted}` was expected, not `{outcome.status}` `{outcome.reason_code}`: {outcome.reason}"
    if emitted.result is not ... and outcome.result != emitted.result:
        yield f"result {json.dumps(emitted.result)} was expected, not {json.dumps(outcome.result)}"
    changes = tuple(change.path for change in outcome.changes)
    if emitted.changes is not None and changes != emitted.changes:
        yield f"changes {emitted.changes} were expected, not {changes}"


def _row(number: int, emitted: Emitted, seen: Seen, mark: str) -> str:
    outcome = seen.outcome
    code = f"approved by {', '.join(seen.approved_by)}" if seen.approved_by else seen.reason_code
    head = f"{mark}{number:3} {clipped(emitted.about, 38)} {seen.verdict:5} {clipped(code, 22)}"
    if outcome is None:
        return f"{head} {clipped(seen.reason, WIDTH - 73)}".rstrip()
    told = json.dumps(outcome.result) if outcome.status == "ok" else outcome.reason
    status = outcome.status if outcome.status == "ok" else outcome.reason_code
    return f"{head} {clipped(f'{status} {outcome.duration_ms} ms: {told}', WIDTH - 73)}".rstrip()
