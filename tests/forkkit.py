"""Processes that fork the package's children for many tests: to load what a child runs takes longer than most of it.

A child is the same as ever, a process of its own with pipes and limits of its own. How it is born, and that none
outlives its parent, is tested without this. It is not traced: it is killed as soon as it has answered, so that nothing
of what was traced in it has ever been kept.
"""

from __future__ import annotations

import os
import select
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

from sandbox import engines
from sandbox.prove import crew, nursery
from sandbox.prove.nursery import Child, Nursery

PROVER = "from sandbox.prove import attempt, nursery, recheck, worker\n"
SOLVER = (
    "from sandbox import engines, ground\nfrom sandbox.prove import nursery, worker\nworker.serve = engines.serve\n"
)
SERVE = "nursery.serve()\n"

Forks = Callable[[str], Nursery]


class Lent:
    """A nursery that stays when a crew leaves it; the crew has killed its children by then."""

    def __init__(self, lender: Nursery) -> None:
        self.child = lender.child
        self.bury = lender.bury

    def close(self) -> None:
        """Nothing: others need it."""


class Born:
    """A child, as much of a `subprocess.Popen` as the package looks at."""

    def __init__(self, child: Child) -> None:
        self.pid, self.stdin, self.stdout = child.pid, child.stdin, child.stdout
        self.kill = child.kill
        self._handle = child.handle
        self._ended = False

    def __del__(self) -> None:
        os.close(self._handle)

    def poll(self) -> int | None:
        """None while it runs."""
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end; its process reaps it."""
        self._ended = self._ended or bool(select.select([self._handle], [], [], timeout)[0])
        return 0 if self._ended else None


@pytest.fixture(scope="session")
def loaded() -> Iterator[Forks]:
    """What has loaded a program; each starts when it is first needed."""
    found: dict[str, Nursery] = {}
    lock = threading.Lock()

    def lender(program: str) -> Nursery:
        with lock:
            if program not in found:
                found[program] = begun(program)
            return found[program]

    yield lender
    for each in found.values():
        each.close()


class Kept(Nursery):
    """A nursery of this program, which it also loads where its process has ended and it starts another one."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def _start(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
            patch.setattr(nursery, "PROGRAM", ("-c", self._program + SERVE))
            super()._start()


def begun(program: str) -> Nursery:
    """A nursery that forks for this program: it has loaded it, and said so by a first child."""
    made = Kept(program)
    made.bury(made.child())
    return made


@pytest.fixture
def forked(loaded: Forks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every crew and every solver of the test is forked by a process that serves other tests too."""

    def spawn(module: str = "sandbox.engines") -> Born | subprocess.Popen[bytes]:
        return Born(loaded(SOLVER).child()) if module == "sandbox.engines" else before(module)

    before = engines.spawn
    monkeypatch.setattr(crew, "Nursery", lambda: Lent(loaded(PROVER)))
    monkeypatch.setattr(engines, "spawn", spawn)
