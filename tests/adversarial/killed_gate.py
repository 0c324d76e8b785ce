"""A program for `test_killed.py`: takes one call the whole way, again and again, each time killed one step later.

Usage: killed_gate.py FOLDER WHAT. In FOLDER/N the process was killed at step N; the last line printed is how many there
are. WHAT is `ok` or `never`, for what comes of the call, or `recover-ok` or `recover-never`: there the call was killed
right before its outcome would have been recorded, and what is killed is the opening of the next gate. `respec` kills
the opening of a gate on another version of the spec.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from gatekit import OK, PAYMENTS, STRANGER, SpyRunner, digest_of, open_gate, payment, spec_file

from sandbox.approve import ScriptedApprover
from sandbox.audit import AuditLog, Record
from sandbox.call import Outcome, Permit
from sandbox.ir import Json
from sandbox.state import Transaction

STEPS = (
    (AuditLog, "append"),
    (Transaction, "load"),
    (Transaction, "save"),
    (Transaction, "reserve"),
    (Transaction, "advance"),
    (Transaction, "note_ending"),
    (Transaction, "forget_ending"),
    (Transaction, "end"),
    (ScriptedApprover, "review"),
    (SpyRunner, "prepare"),
    (SpyRunner, "run"),
)
RESPEC = "respec"
NEVER = Outcome("sandbox_failure", "sandbox_failure.engine", "no engine answered", started=False)
OUTCOMES = {"ok": OK, "never": NEVER}
NEWER = PAYMENTS.replace("owner: payments-team", "owner: another-team")


class Countdown:
    """Kills this process, as the kernel would, when it has been reached for the n-th time."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def reach(self) -> None:
        self._left -= 1
        if self._left == 0:
            die()

    def around(self, function: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object, **kwargs: object) -> object:
            self.reach()
            answer = function(*args, **kwargs)
            self.reach()
            return answer

        return counted


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def count_down(steps: int) -> None:
    countdown = Countdown(steps)
    for owner, name in STEPS:
        setattr(owner, name, countdown.around(getattr(owner, name)))


def go(folder: Path, outcome: Outcome, steps: int | None) -> None:
    def effect(_: Permit) -> Outcome:
        if outcome.started:
            with (folder / "effects").open("a") as file:
                file.write("paid\n")
        return outcome

    gate = open_gate(folder, runner=SpyRunner(effect), approver=ScriptedApprover("ann"))
    if steps is None:
        die_before_the_outcome()
    else:
        count_down(steps)
    gate.attempt(payment(STRANGER))
    gate.close()


def die_before_the_outcome() -> None:
    append = AuditLog.append

    def dying(log: AuditLog, kind: str, body: Mapping[str, Json]) -> Record:
        if kind in {"outcome", "cancelled"}:
            die()
        return append(log, kind, body)

    AuditLog.append = dying  # type: ignore[method-assign]


def recover(folder: Path, steps: int, text: str) -> None:
    count_down(steps)
    open_gate(folder, text=text).close()


def in_a_child(work: Callable[[], None]) -> int:
    """0, or minus the signal that it was killed by."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(root: Path, what: str) -> None:
    digest_of(spec_file(root))  # what is imported before the fork is imported once
    outcome = OUTCOMES[what.removeprefix("recover-")] if what != RESPEC else OK
    text = NEWER if what == RESPEC else PAYMENTS
    left = root / "left"
    if what == RESPEC:
        in_a_child(lambda: open_gate(left).close())
    elif what not in OUTCOMES and in_a_child(lambda: go(left, outcome, None)) != -signal.SIGKILL:
        sys.exit("it was not killed")
    for steps in range(1, 200):
        folder = root / str(steps)
        if what not in OUTCOMES:
            shutil.copytree(left, folder)
        code = in_a_child(lambda: go(folder, outcome, steps) if what in OUTCOMES else recover(folder, steps, text))  # noqa: B023
        if code != -signal.SIGKILL:
            print(steps - 1 if code == 0 else -1)  # noqa: T201
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
