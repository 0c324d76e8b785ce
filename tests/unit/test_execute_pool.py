"""The pool on a staged engine: its containers say hello, answer one call, and die when they are told to."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import execkit
import pytest
from test_execute_config import effects
from test_execute_container import key_of
from test_execute_engine import part
from test_execute_protocol import frame

from sandbox.call import Outcome
from sandbox.errors import EnvironmentLacking, SandboxFailure, UsageError
from sandbox.execute import guest, pool
from sandbox.execute.config import compile_config
from sandbox.execute.engine import Attachment, Ended, Engine
from sandbox.execute.meter import Meter, Spread, spread
from sandbox.execute.pool import PoolRunner
from sandbox.execute.shelf import IDLE_S, LIFE_S
from sandbox.ir import Json, Run, RunHost, Workspace

TOOL = execkit.python_tool(timeout_ms=2_000)
CONTRACT = execkit.contract_of(TOOL)
CALL = execkit.call_of(TOOL, code="")
CONFIG = compile_config(CONTRACT, TOOL)
SOON = 10.0


class Stage(Engine):
    """Its containers are threads that answer a call with their own name."""

    def __init__(self) -> None:
        for name, value in {
            "version": "staged",
            "bodies": {},
            "first_ids": (0, 0),
            "walls": frozenset(),
            "image_asked": [],
            "ends": {},
            "removed": [],
            "actors": [],
            "create_fails": [],
            "remove_fails": [],
            "may_create": threading.Event(),
            "may_answer": threading.Event(),
            "asked_to_create": threading.Semaphore(0),
            "called": threading.Semaphore(0),
        }.items():
            object.__setattr__(self, name, value)
        self.may_create.set()
        self.may_answer.set()

    def image(self, reference: str) -> Mapping[str, Json]:
        self.image_asked.append(threading.current_thread())
        return {"Id": f"sha256:{len(reference)}"}

    def create(self, body: Mapping[str, Json], name: str) -> str:
        self.asked_to_create.release()
        assert self.may_create.wait(SOON)
        self.bodies[name] = body
        if self.create_fails:
            raise self.create_fails.pop()
        return name

    def inspect(self, container: str) -> Mapping[str, Json]:
        body = dict(self.bodies[container])
        host = body.pop("HostConfig")
        mounts = [
            {"Type": "bind", "Source": mount["Source"], "Destination": mount["Target"], "RW": not mount["ReadOnly"]}
            for mount in host["Mounts"]
        ]
        return {"Image": body.pop("Image"), "Config": body, "HostConfig": host, "Mounts": mounts}

    def attach(self, container: str) -> Attachment:
        near, self.ends[container] = socket.socketpair()
        near.settimeout(0)
        return Attachment(near)

    def start(self, container: str) -> None:
        seen = effects(CONFIG)
        mounts = [mount for mount in seen["mounts"] if mount[0] != "/workspace"]
        hello = json.dumps({**seen, "cwd": "/tmp", "mounts": mounts}).encode()
        self.ends[container].sendall(part(1, frame(guest.HELLO, 0, hello, key=b"")))
        actor = threading.Thread(target=self._act, args=(container, self.ends[container]))
        self.actors.append(actor)
        actor.start()

    def _act(self, container: str, far: socket.socket) -> None:
        with contextlib.suppress(OSError), far:
            if not far.recv(1, socket.MSG_PEEK):
                return
            key = key_of(far)
            self.called.release()
            assert self.may_answer.wait(SOON)
            end = {"end": "returned", "result": json.dumps(container), "oom_kills": 0}
            far.sendall(part(1, frame(guest.END, 1, json.dumps(end).encode(), key)))
            far.recv(1)

    def kill(self, container: str) -> None:
        """Its stream is closed soon."""

    def wait(self, container: str) -> Ended:
        return Ended(137, out_of_memory=False)

    def was_out_of_memory(self, container: str) -> bool:
        return False

    def remove(self, container: str) -> None:
        if self.remove_fails:
            raise self.remove_fails.pop()
        self.removed.append(container)

    def close(self) -> None:
        """Nothing is open."""


Opened = Callable[..., PoolRunner]


@pytest.fixture
def stage() -> Iterator[Stage]:
    """An engine of which nothing is left when the test ends."""
    staged = Stage()
    yield staged
    for actor in staged.actors:
        actor.join(SOON)
        assert not actor.is_alive()
    assert sorted(staged.removed) == sorted(staged.bodies)


@pytest.fixture
def opened(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Opens pools, and closes them when the test ends."""
    monkeypatch.setattr(pool, "snapshot", lambda _source: Path("/snapshots/1"))
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(PoolRunner(engine=stage, **settings))
        stage.may_create.set()
        stage.may_answer.set()


def run(runner: PoolRunner, **changed: object) -> Outcome:
    return runner.run(execkit.permit_for(runner, CONTRACT, TOOL, CALL, **changed), CONTRACT, TOOL, 0)


def until(runner: PoolRunner, holds: Callable[[pool.PoolStats], bool]) -> pool.PoolStats:
    """Waits for the pool to come into a state; the lock's own event tells when to look again."""
    with runner._changed:
        assert runner._changed.wait_for(lambda: holds(runner.stats()), SOON), runner.stats()
        return runner.stats()


def failure(code: str = "sandbox_failure.engine") -> SandboxFailure:
    return SandboxFailure("the engine failed", code)


# --- a call -----------------------------------------------------------------------------------------


def test_every_call_has_a_container_of_its_own_and_all_are_removed(opened: Opened, stage: Stage) -> None:
    runner = opened(size=3)
    runner.warm(CONTRACT)
    with ThreadPoolExecutor(8) as callers:
        outcomes = list(callers.map(lambda _: run(runner), range(24)))
    assert {outcome.status for outcome in outcomes} == {"ok"}
    assert len({outcome.result for outcome in outcomes}) == 24
    runner.close()
    stats = runner.stats()
    assert (stats.waiting, stats.making, stats.running, stats.queued) == (0, 0, 0, 0)
    assert stats.made == stats.destroyed == len(stage.bodies)
    assert stats.wait.count == stats.service.count == 24


def test_a_warm_call_asks_the_engine_for_nothing_but_its_end(opened: Opened, stage: Stage) -> None:
    runner = opened(size=1)
    runner.warm(CONTRACT)
    asked = [each for each in stage.image_asked if each is threading.current_thread()]
    permit = execkit.permit_for(runner, CONTRACT, TOOL, CALL)
    assert runner.run(permit, CONTRACT, TOOL, 0).status == "ok"
    assert asked == [each for each in stage.image_asked if each is threading.current_thread()]
    stage.image_asked.clear()
    other = replace(permit, image_digest="0" * 64)
    assert runner.run(other, CONTRACT, TOOL, 0).reason_code == "permit.changed"
    assert stage.image_asked


def test_what_an_image_s_name_stands_for_is_asked_again_soon(opened: Opened, stage: Stage) -> None:
    runner = opened(size=1)
    runner.warm(CONTRACT)
    before = runner.prepare(CONTRACT, TOOL).image_digest
    object.__setattr__(stage, "image", lambda _name: {"Id": "sha256:moved"})
    with runner._changed:
        runner._images = {name: (image, at - pool.IMAGE_S) for name, (image, at) in runner._images.items()}
    assert (before, runner.prepare(CONTRACT, TOOL).image_digest) == ("32", "moved")
    assert run(runner).status == "ok"
    assert {body["Image"] for body in stage.bodies.values()} >= {"sha256:32", "sha256:moved"}


def test_an_image_that_is_gone_is_missed_by_the_next_call_after_one_was_made(opened: Opened, stage: Stage) -> None:
    runner = opened(size=1)
    runner.warm(CONTRACT)
    object.__setattr__(stage, "image", lambda _name: None)
    assert run(runner).status == "ok"
    until(runner, lambda stats: stats.made == 2)
    with pytest.raises(EnvironmentLacking):
        runner.prepare(CONTRACT, TOOL)


def test_a_container_that_waits_is_told_for_how_long_and_whose_it_is(opened: Opened, stage: Stage) -> None:
    opened(size=1).warm(CONTRACT)
    (body,) = stage.bodies.values()
    assert body["Cmd"][-1] == str(LIFE_S + pool.SPARE_S)
    assert (body["Labels"]["sandbox.call"], body["Labels"]["sandbox.owner.pid"]) == ("pool", str(os.getpid()))


@pytest.mark.parametrize("how", ["died", "spoke", "wrote to its stderr"])
def test_a_container_that_is_not_as_it_was_is_never_used(how: str, opened: Opened, stage: Stage) -> None:
    runner = opened(size=1)
    runner.warm(CONTRACT)
    ((name, far),) = stage.ends.items()
    if how == "died":
        far.shutdown(socket.SHUT_RDWR)
    else:
        far.sendall(part(1 if how == "spoke" else 2, b"x"))
    outcome = run(runner)
    assert outcome.status == "ok"
    assert outcome.result != name
    assert runner.stats().died == 1


def test_a_container_that_dies_during_the_call_is_our_failure_and_not_used_again(opened: Opened, stage: Stage) -> None:
    runner = opened(size=1)
    runner.warm(CONTRACT)
    stage.may_answer.clear()
    ((name, far),) = stage.ends.items()
    with ThreadPoolExecutor(1) as callers:
        calling = callers.submit(run, runner)
        assert stage.called.acquire(timeout=SOON)
        far.shutdown(socket.SHUT_RDWR)
        assert (calling.result().status, calling.result().started) == ("killed", True)
        stage.may_answer.set()
    assert run(runner).result not in {name, None}


def test_callers_are_served_in_the_order_in_which_they_came(opened: Opened, stage: Stage) -> None:
    runner = opened(size=1, fillers=1)
    stage.may_create.clear()
    order: list[int] = []
    take = runner._take

    def noted(*asked: object) -> object:
        found = take(*asked)
        order.append(int(threading.current_thread().name))
        return found

    runner._take = noted
    callers = [threading.Thread(target=run, args=(runner,), name=str(number)) for number in range(4)]
    for number, caller in enumerate(callers, start=1):
        caller.start()
        until(runner, lambda stats, number=number: stats.queued == number)
    stage.may_create.set()
    for caller in callers:
        caller.join(SOON)
    assert order == [0, 1, 2, 3]


def test_without_a_container_in_time_the_call_has_not_started(opened: Opened, stage: Stage) -> None:
    runner = opened(size=1, wait_s=0.01)
    stage.may_create.clear()
    outcome = run(runner)
    assert (outcome.reason_code, outcome.started) == ("sandbox_failure.pool_exhausted", False)
    assert "larger `size`" in outcome.reason
    assert runner.stats().exhausted == 1


def test_a_line_that_is_full_refuses_at_once(opened: Opened, stage: Stage) -> None:
    runner = opened(size=1, queue=1)
    stage.may_create.clear()
    with ThreadPoolExecutor(1) as callers:
        first = callers.submit(run, runner)
        until(runner, lambda stats: stats.queued == 1)
        assert run(runner).reason_code == "sandbox_failure.pool_exhausted"
        stage.may_create.set()
        assert first.result().status == "ok"


def test_a_call_that_finds_none_is_started_cold_where_that_was_asked_for(opened: Opened, stage: Stage) -> None:
    runner = opened(size=1, fillers=1, wait_s=0.01, when_exhausted="cold")
    stage.may_create.clear()
    create = stage.create

    def cold_only(body: Mapping[str, Json], name: str) -> str:
        if body["Labels"]["sandbox.call"] != "pool":
            stage.may_create.set()
        return create(body, name)

    object.__setattr__(stage, "create", cold_only)
    outcome = run(runner)
    assert outcome.status == "ok"
    assert stage.bodies[outcome.result]["Labels"]["sandbox.call"] == CALL.digest
    assert (runner.stats().cold, runner.stats().exhausted) == (1, 1)


def test_a_call_with_a_workspace_is_started_cold(opened: Opened, stage: Stage, tmp_path: Path) -> None:
    runner = opened()
    tool = execkit.files_tool("read", tmp_path)
    outcome = execkit.run_tool(runner, tool, path="/workspace/x")
    assert outcome.status == "sandbox_failure"  # the stage's containers see no workspace
    assert runner.stats().cold == 1
    assert runner.stats().made == 0
    (body,) = stage.bodies.values()
    assert "/workspace" in {mount["Target"] for mount in body["HostConfig"]["Mounts"]}


@pytest.mark.parametrize("pooled", [True, False])
def test_a_failure_that_nobody_expected_is_never_taken_for_a_call_that_has_not_started(
    pooled: bool, opened: Opened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def failed(*_: object) -> Outcome:
        raise failure()

    runner = opened(size=1)
    monkeypatch.setattr(pool, "run_ready", failed)
    monkeypatch.setattr(runner._cold, "run", failed)
    tool = TOOL if pooled else execkit.python_tool(workspace=Workspace(str(tmp_path), "rw"))
    with pytest.raises(SandboxFailure):
        execkit.run_tool(runner, tool, code="")


def test_a_permit_that_expires_in_the_line_starts_nothing(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = opened(size=1)
    runner.warm(CONTRACT)
    monkeypatch.setattr(pool, "_later", lambda now_ms, _begun: now_ms + 1_000)
    outcome = run(runner, expires_at_ms=1_000)
    assert (outcome.reason_code, outcome.started) == ("permit.expired", False)
    until(runner, lambda stats: stats.destroyed == 1)


def test_an_interrupted_call_leaves_no_container(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = opened(size=1)
    runner.warm(CONTRACT)

    def interrupted(*_: object) -> Outcome:
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "run_ready", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(runner)
    assert until(runner, lambda stats: stats.destroyed == 1).running == 0


def test_an_interruption_before_the_call_leaves_no_container_either(opened: Opened) -> None:
    runner = opened(size=1)

    def interrupted(*_: object) -> Outcome:
        raise KeyboardInterrupt

    runner._use = interrupted
    with pytest.raises(KeyboardInterrupt):
        run(runner)
    assert runner.stats().running == 1
    # the fixture `stage` looks that closing removes it


# --- making them ------------------------------------------------------------------------------------


def test_a_failure_to_make_one_is_told_to_who_waits_and_is_tried_again(opened: Opened, stage: Stage) -> None:
    runner = opened(size=1, fillers=1)
    stage.create_fails.append(failure())
    outcome = run(runner)
    assert (outcome.reason_code, outcome.started) == ("sandbox_failure.engine", False)
    assert run(runner).status == "ok"
    assert runner.stats().failed == 1


def test_a_container_that_is_not_as_asked_never_waits(opened: Opened, stage: Stage) -> None:
    runner = opened(size=1, fillers=1)
    inspect = stage.inspect
    object.__setattr__(stage, "inspect", lambda name: {**inspect(name), "Image": "another"})
    with pytest.raises(SandboxFailure, match="not as asked") as refused:
        runner.warm(CONTRACT)
    assert refused.value.reason_code == "sandbox_failure.configuration"
    assert runner.stats().waiting == 0


def test_what_else_goes_wrong_ends_no_filler(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_source: object) -> Path:
        raise OSError(28, "No space left on device")

    runner = opened(size=1, fillers=1)
    monkeypatch.setattr(pool, "snapshot", full)
    outcome = run(runner)
    assert (outcome.reason_code, outcome.started) == ("sandbox_failure", False)
    assert "No space" in outcome.reason
    monkeypatch.setattr(pool, "snapshot", lambda _source: Path("/snapshots/1"))
    assert run(runner).status == "ok"


def test_what_is_lacking_keeps_its_code() -> None:
    assert pool._code(UsageError("no such module", "run.module")) == "sandbox_failure.run.module"


def test_warming_that_takes_too_long_says_so(opened: Opened, stage: Stage) -> None:
    stage.may_create.clear()
    with pytest.raises(SandboxFailure, match="not full after"):
        opened().warm(CONTRACT, timeout_s=0.01)


def test_no_more_are_made_while_many_wait_for_their_removal(
    opened: Opened, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "HEAP", 0)
    runner = opened(size=1, wait_s=0.05)
    assert run(runner).reason_code == "sandbox_failure.pool_exhausted"
    assert not stage.bodies


def test_what_has_waited_too_long_is_replaced(opened: Opened) -> None:
    runner = opened(size=2)
    runner.warm(CONTRACT)
    with runner._changed:
        (shelf,) = runner._shelves.values()
        old = shelf.waiting.popleft()
        shelf.waiting.appendleft(replace(old, made_at=old.made_at - LIFE_S))
        runner._changed.notify_all()
    stats = until(runner, lambda stats: stats.waiting == 2 and stats.destroyed == 1)
    assert (stats.aged, stats.died) == (1, 0)
    assert old.name not in {each.name for each in shelf.waiting}


def test_a_kind_that_nobody_asks_for_is_forgotten(opened: Opened) -> None:
    runner = opened(size=2)
    runner.warm(CONTRACT)
    with runner._changed:
        (shelf,) = runner._shelves.values()
        shelf.used_at -= IDLE_S
        runner._changed.notify_all()
    until(runner, lambda stats: stats.destroyed == 2)
    assert (runner._shelves, runner.stats().waiting) == ({}, 0)


def test_another_kind_has_containers_of_its_own(opened: Opened, stage: Stage) -> None:
    runner = opened(size=1)
    runner.warm(CONTRACT)
    other = execkit.python_tool(timeout_ms=2_500)
    outcome = execkit.run_tool(runner, other, code="")
    assert outcome.result != next(iter(stage.bodies))
    assert len(runner._shelves) == 2


# --- the end ----------------------------------------------------------------------------------------


def test_closing_waits_for_what_is_being_made_and_removes_it(opened: Opened, stage: Stage) -> None:
    runner = opened(size=2)
    stage.may_create.clear()
    with ThreadPoolExecutor(2) as threads:
        warming = threads.submit(runner.warm, CONTRACT)
        assert stage.asked_to_create.acquire(timeout=SOON)
        closing = threads.submit(runner.close)
        with pytest.raises(UsageError, match="closed"):
            warming.result(SOON)
        assert not closing.done()
        stage.may_create.set()
        closing.result(SOON)
    assert stage.bodies


def test_closing_waits_for_calls_that_run_and_refuses_those_that_wait(opened: Opened, stage: Stage) -> None:
    runner = opened(size=1, fillers=1)
    runner.warm(CONTRACT)
    stage.may_answer.clear()
    stage.may_create.clear()
    with ThreadPoolExecutor(3) as threads:
        running = threads.submit(run, runner)
        assert stage.called.acquire(timeout=SOON)
        waiting = threads.submit(run, runner)
        until(runner, lambda stats: stats.queued == 1)
        closing = threads.submit(runner.close)
        assert waiting.result(SOON).reason_code == "sandbox_failure.run.pool_closed"
        assert not closing.done()
        stage.may_answer.set()
        assert running.result(SOON).status == "ok"
        stage.may_create.set()
        closing.result(SOON)


def test_a_closed_pool_runs_nothing(opened: Opened) -> None:
    runner = opened()
    permit = execkit.permit_for(runner, CONTRACT, TOOL, CALL)
    runner.close()
    runner.close()
    outcome = runner.run(permit, CONTRACT, TOOL, 0)
    assert (outcome.reason_code, outcome.started) == ("sandbox_failure.run.pool_closed", False)
    with pytest.raises(UsageError, match="closed"):
        runner.prepare(CONTRACT, TOOL)


def test_a_pool_that_was_never_used_closes(stage: Stage) -> None:
    PoolRunner(engine=stage).close()


def test_a_forked_child_neither_uses_nor_closes_its_parent_s_pool(opened: Opened, stage: Stage) -> None:
    runner = opened(size=1)
    runner.warm(CONTRACT)
    runner._pid = os.getpid() + 1
    try:
        with pytest.raises(UsageError, match="after a fork"):
            runner.prepare(CONTRACT, TOOL)
        runner.close()
        assert not stage.removed
    finally:
        runner._pid = os.getpid()


def test_a_removal_that_fails_is_tried_again(opened: Opened, stage: Stage) -> None:
    runner = opened(size=1)
    stage.remove_fails.append(failure())
    assert run(runner).status == "ok"
    until(runner, lambda stats: stats.destroyed == 1)


def test_what_the_engine_does_not_remove_in_the_end_is_told(opened: Opened, stage: Stage) -> None:
    runner = opened(size=1)
    runner.warm(CONTRACT)
    stage.remove_fails.append(failure())
    (name,) = stage.bodies
    with pytest.raises(SandboxFailure, match=name):
        runner.close()
    stage.removed.append(name)  # said to be left, and by nobody removed


# --- settings and figures ---------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["size", "fillers", "queue"])
def test_a_pool_of_nothing_is_refused(setting: str) -> None:
    with pytest.raises(UsageError, match=f"`{setting}`"):
        PoolRunner(**{setting: 0})


def test_only_what_runs_in_a_container_without_a_workspace_is_pooled() -> None:
    assert pool.is_pooled(TOOL)
    assert not pool.is_pooled(execkit.tool_of("judged", None))
    assert not pool.is_pooled(execkit.python_tool(workspace=Workspace("w", "ro")))
    assert not pool.is_pooled(execkit.tool_of("mine", Run(RunHost("the user's own session"))))


def test_percentiles_are_times_that_were_taken() -> None:
    assert spread([]) == Spread(0, 0.0, 0.0, 0.0)
    assert spread([3.0]) == Spread(1, 3.0, 3.0, 3.0)
    assert spread([float(n) for n in range(100, 0, -1)]) == Spread(100, 50.0, 95.0, 99.0)


def test_the_refill_rate_is_that_of_all_fillers() -> None:
    meter = Meter()
    assert meter.refill_per_second(2) == 0.0
    meter.make_ms.extend((100.0, 300.0))
    assert meter.refill_per_second(2) == 10.0
