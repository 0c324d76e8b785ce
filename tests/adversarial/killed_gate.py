"""A program for `test_killed.py`: takes one call the whole way, again and again, each time killed one step later.

Usage: killed_gate.py FOLDER. In FOLDER/N the process was killed at step N; the last line printed is how many there are.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from gatekit import OK, STRANGER, SpyRunner, digest_of, open_gate, payment, spec_file

from sandbox.approve import ScriptedApprover
from sandbox.audit import AuditLog
from sandbox.call import Outcome, Permit
from sandbox.state import Transaction

STEPS = (
    (AuditLog, "append"),
    (Transaction, "load"),
    (Transaction, "save"),
    (Transaction, "reserve"),
    (Transaction, "advance"),
    (Transaction, "end"),
    (ScriptedApprover, "review"),
    (SpyRunner, "prepare"),
    (SpyRunner, "run"),
)


class Countdown:
    """Kills this process, as the kernel would, when it has been reached for the n-th time."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def reach(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object, **kwargs: object) -> object:
            self.reach()
            answer = function(*args, **kwargs)
            self.reach()
            return answer

        return counted


def go(folder: Path, steps: int) -> None:
    def effect(_: Permit) -> Outcome:
        with (folder / "effects").open("a") as file:
            file.write("paid\n")
        return OK

    gate = open_gate(folder, runner=SpyRunner(effect), approver=ScriptedApprover("ann"))
    countdown = Countdown(steps)
    for owner, name in STEPS:
        setattr(owner, name, countdown.around(getattr(owner, name)))
    gate.call(payment(STRANGER))


def main(root: Path) -> None:
    digest_of(spec_file(root))  # what is imported before the fork is imported once
    for steps in range(1, 200):
        folder = root / str(steps)
        child = os.fork()
        if child == 0:
            go(folder, steps)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            print(steps - 1 if os.waitstatus_to_exitcode(status) == 0 else -1)  # noqa: T201
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
