"""Children of the prover: each begins anew, none outlives the run, and none is taken for another process."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from forkkit import SERVE, SOLVER, begun
from prover_specs import Le, allow, always, boolean, contract, number, state, then, tool, variable

from sandbox.prove import nursery
from sandbox.prove.crew import Crew
from sandbox.prove.findings import GaveUp, Holds
from sandbox.prove.nursery import Nursery
from sandbox.prove.worker import Order

SENT = variable("sent")
SPEC = contract((tool("pay", (), (allow(boolean(value=True)),), then(SENT, number(3))),), SENT)
ORDER = Order(SPEC, always(Le(state(SENT), number(3))), (), (), "z3", 60.0, None, "t")


def ended(handle: int, seconds: float = 20.0) -> bool:
    """Whether the process that a descriptor stands for has ended; waits for it."""
    return select.select([handle], [], [], seconds)[0] == [handle]


def test_orders_are_carried_out_the_same_whatever_came_before() -> None:
    with Crew() as workers:
        first = workers.carry_out(ORDER)
        workers.carry_out(replace(ORDER, subject=always(Le(state(SENT), number(2)))))
        again = workers.carry_out(ORDER)
    with Crew() as workers:
        alone = workers.carry_out(ORDER)
    assert {(each.finding, each.spent, each.rests_on) for each in (first, again, alone)} == {
        (Holds(), first.spent, first.rests_on)
    }


def test_a_child_that_is_dismissed_is_gone_and_reaped() -> None:
    children = Nursery()
    child = children.child()
    watched = os.pidfd_open(child.pid)
    children.bury(child)
    assert ended(watched)
    children.close()
    os.close(watched)


def test_a_child_ends_by_itself_when_its_pipes_do() -> None:
    children = Nursery()
    child = children.child()
    watched = os.pidfd_open(child.pid)
    child.stdin.close()
    assert ended(watched)
    os.close(watched)
    children.bury(child)
    children.close()


def test_a_process_that_was_killed_is_started_anew() -> None:
    children = Nursery()
    first = children.child()
    process = children._process
    assert process is not None
    process.kill()
    process.wait()
    second = children.child()
    assert children._process is not process
    for child in (first, second):
        children.bury(child)
    children.close()


def test_what_becomes_of_children_is_told_though_whoever_started_the_prover_asked_not_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked_not = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)"  # a started program inherits it
    program = f"{asked_not}; import runpy; runpy.run_module('sandbox.prove.nursery', run_name='__main__')"
    monkeypatch.setattr(nursery, "PROGRAM", ("-c", program))
    children = Nursery()
    first = children.child()
    watched = os.dup(first.handle)
    children.bury(first)
    assert ended(watched)
    second = children.child()
    children.bury(second)
    children.close()
    os.close(watched)


def test_a_process_that_dies_while_it_is_asked_has_proved_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nursery, "PROGRAM", ("-c", "pass"))
    with Crew() as workers:
        assert isinstance(workers.carry_out(ORDER).finding, GaveUp)


def test_a_process_that_answers_oddly_has_proved_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = "import socket; s = socket.socket(fileno=0); s.recv(9); s.sendall(bytes(4)); s.recv(9)"
    monkeypatch.setattr(nursery, "PROGRAM", ("-c", answers))
    with Crew() as workers:
        assert workers.carry_out(ORDER).finding == GaveUp("the prover's process failed: Fault")


def test_the_process_that_forks_has_one_thread_and_no_context_of_z3() -> None:
    # A fork copies locks that another thread holds, and what a context has learnt is no beginning.
    told = (
        "import os, z3; from sandbox.prove import attempt, nursery, recheck, second, worker; "
        "print(len(os.listdir('/proc/self/task')), z3.z3._main_ctx)"
    )
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, check=True).stdout == b"1 None\n"


def test_a_child_holds_nothing_but_its_own_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    work = "worker.serve = lambda: (os.write(1, b'.'), os.read(0, 1))"
    monkeypatch.setattr(
        nursery, "PROGRAM", ("-c", f"import os; from sandbox.prove import nursery, worker; {work}; nursery.serve()")
    )
    children = Nursery()
    first, second = children.child(), children.child()
    assert second.stdout.read(1) == b"."
    held = [str(each.readlink()) for each in Path(f"/proc/{second.pid}/fd").iterdir()]
    ours = {f"pipe:[{os.fstat(pipe.fileno()).st_ino}]" for pipe in (second.stdin, second.stdout)}
    assert set(held) == {*ours, "/dev/null"}
    for child in (first, second):
        children.bury(child)
    children.close()


def test_a_child_that_died_leaves_nothing_when_the_next_is_born() -> None:
    children = Nursery()
    first = children.child()
    death = os.dup(first.handle)
    children.bury(first)
    select.select([death], [], [])  # killed is not dead yet
    os.close(death)
    second = children.child()
    third = children.child()
    process = children._process
    assert process is not None
    born = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert {int(pid) for pid in born} >= {second.pid, third.pid}
    assert str(first.pid) not in born
    for child in (second, third):
        children.bury(child)
    children.close()


def test_the_end_of_the_process_that_forks_is_the_end_of_its_children() -> None:
    children = Nursery()
    child = children.child()
    children.close()
    assert ended(child.handle, 0.0)
    children.bury(child)


def test_a_request_without_pipes_makes_no_child() -> None:
    # With the socket of the forking process for its stdin, a child would take what is meant for others.
    children = Nursery()
    children.bury(children.child())
    process, ours = children._process, children._socket
    assert process is not None
    assert ours is not None
    ours.sendall(b"f")
    assert ours.recv(1) == b""
    assert process.wait(20) != 0
    children.close()


def test_an_order_that_needs_more_memory_than_it_may_has_proved_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    forks = (
        "from sandbox.prove import nursery, worker; worker.MAX_MEMORY = 64 * 1024 * 1024; "
        "worker.order_from_json = lambda _: bytearray(10**9); nursery.serve()"
    )
    monkeypatch.setattr(nursery, "PROGRAM", ("-c", forks))
    with Crew() as workers:
        assert workers.carry_out(ORDER).finding == GaveUp("the prover's process failed: EOFError")


def test_a_child_that_nobody_is_left_to_kill_ends_by_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    forks = (
        "from sandbox.prove import nursery, worker; worker.SPARE_CPU_S = 0; "
        "worker.carried_out = lambda _: any(iter(lambda: False, True)); nursery.serve()"
    )
    monkeypatch.setattr(nursery, "PROGRAM", ("-c", forks))
    with Crew() as workers:
        reply = workers.carry_out(replace(ORDER, seconds=1.0))
    assert reply.finding == GaveUp("the prover's process failed: EOFError")


PARENT = """
import sys
sys.path.insert(0, {tests!r})
from test_nursery import ORDER
from sandbox.prove.nursery import Nursery
children = Nursery()
child = children.child()
print(children._process.pid, child.pid, flush=True)
sys.stdin.read()
"""


def test_nothing_outlives_a_parent_that_is_killed() -> None:
    program = PARENT.format(tests=str(Path(__file__).parent))
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    watched = [os.pidfd_open(int(pid)) for pid in parent.stdout.readline().split()]
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    assert all(ended(handle) for handle in watched)
    for handle in watched:
        os.close(handle)


def test_what_lends_children_to_tests_keeps_to_its_program() -> None:
    """Else a solver's child would be a prover's, once the process that forks was killed."""
    lent = begun(SOLVER)
    try:
        lent._process.kill()
        lent._process.wait()
        lent.bury(lent.child())
        assert lent._process.args[2:] == ["-c", SOLVER + SERVE]
    finally:
        lent.close()
