"""What every adapter must keep, run against each with the framework's own loop and a scripted model.

A `Driver` is all that a framework brings: its tools for a gate, and a run of its agent in which the model makes the
given calls, turn by turn. What the suite counts is what reaches the execution edge.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import FunctionType, NoneType
from typing import Protocol

import pytest
from gatekit import PAYMENTS, STRANGER, TRUSTED, SpyRunner, kinds, open_gate, payment

from sandbox.adapters.schema import arguments_schema
from sandbox.call import Outcome
from sandbox.errors import EnvironmentLacking, UsageError
from sandbox.gate import Gate

HOST = PAYMENTS.replace("run:  {tool: tools.payments:send_money, timeout: 10s}", 'run: {host: "a session"}')
ORIGINS = """\
sandbox: 1
name: payments
tools:
  send_money:
    args:
      recipient: {type: string, pattern: "[A-Z]{2}[0-9A-Z]{13,32}"}
      amount:    {type: decimal, scale: 2, min: 0.01, max: 1000000}
    rules: [{id: users, allow: "'user' in origin(args.recipient)"}]
    run:  {tool: tools.payments:send_money, timeout: 10s}
"""
HERE = Path(__file__).resolve().parent
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RECORDED = Path(__file__).resolve().parents[1] / "adversarial" / "hostile_agent.jsonl"


@dataclass(frozen=True)
class Made:
    """One call that the model makes: a tool's name and its arguments, as the model's own text."""

    arguments: str
    name: str = "send_money"


@dataclass(frozen=True)
class Heard:
    """What the model was told of one call; `is_error` None where the framework has no such mark."""

    text: str
    is_error: bool | None = None


class Driver(Protocol):
    """One framework."""

    ways: Sequence[str]
    """How a run can be made: `sync`, `async`, `stream`."""
    keeps_text: bool
    """Whether the adapter gets the arguments as the model's text; else the framework's own JSON reader is before it."""

    # `by_closures`, where it is so: closures of the adapter hold what the gate runs, beside the gate
    # `refuses_first`, where there is one: with which words the framework itself refuses an unknown argument

    def tools(self, gate: Gate, given: Sequence[object] | None = None) -> list[object]:
        """The adapter's `wrap`."""
        ...

    def run(self, tools: Sequence[object], turns: Sequence[Sequence[Made]], way: str) -> list[Heard]:
        """An agent's run in which the model makes these calls; what it was told of each, in their order."""
        ...

    def own_tool(self, function: Callable[..., object], name: str) -> object:
        """The framework's own tool around a function."""
        ...

    def shown_schema(self, tool: object) -> dict[str, object]:
        """The schema of the arguments that the model is shown."""
        ...

    def unseen(self) -> Sequence[tuple[object, str]]:
        """Tools that no gate can see, and a part of the refusal's text for each."""
        ...


def made(recipient: object = None, amount: object = "10.00", **more: object) -> Made:
    return Made(json.dumps({"recipient": recipient or TRUSTED[0], "amount": amount, **more}))


class AdapterSuite:
    """Subclass it, and give the fixture `driver`."""

    @pytest.fixture
    def runner(self) -> SpyRunner:
        return SpyRunner()

    @pytest.fixture
    def gate(self, tmp_path: Path, runner: SpyRunner) -> Iterator[Gate]:
        with open_gate(tmp_path, runner=runner) as opened:
            yield opened

    @pytest.fixture
    def driver(self) -> Driver:
        raise NotImplementedError

    # --- every way through the gate ------------------------------------------------------------------

    def test_every_way_of_running_an_agent_goes_through_the_gate(self, tmp_path: Path, driver: Driver) -> None:
        turns = [[made()], [made(amount="6000")], [made(STRANGER)], [made(amount="1e3")], [made(approved=True)]]
        for way in driver.ways:
            runner = SpyRunner()
            with open_gate(tmp_path / way, runner=runner) as gate:
                ran, denied, waits, malformed, extra = driver.run(driver.tools(gate), turns, way)
            assert json.loads(ran.text) == {"done": True}, way
            assert ran.is_error in {None, False}
            assert all(each.is_error in {None, True} for each in (denied, waits, malformed, extra))
            assert "denied (rule.deny)" in denied.text
            assert "over-limit" in denied.text
            assert '"1000.00"' in denied.text  # what would be allowed
            assert "waits for a person" in waits.text
            assert "parse." in malformed.text
            assert getattr(driver, "refuses_first", "parse.unknown_argument") in extra.text
            assert not any("Traceback" in each.text for each in (denied, waits, malformed, extra))
            assert len(runner.permits) == 1, way

    def test_parallel_calls_spend_one_budget(self, tmp_path: Path, driver: Driver) -> None:
        for way in driver.ways:
            runner = SpyRunner()
            with open_gate(tmp_path / way, runner=runner) as gate:
                heard = driver.run(driver.tools(gate), [[made(amount="1000") for _ in range(8)]], way)
            assert sorted("denied" in each.text for each in heard) == [False] * 5 + [True] * 3
            assert len(runner.permits) == 5, way

    def test_a_repeated_call_is_judged_again_each_time(self, tmp_path: Path, driver: Driver) -> None:
        runner = SpyRunner(lambda _: Outcome("timeout", "limit.time", "too slow", stderr="last line"))
        with open_gate(tmp_path, runner=runner) as gate:
            heard = driver.run(driver.tools(gate), [[made(amount="1000")] for _ in range(7)], driver.ways[0])
        assert ["last line" in each.text for each in heard] == [True] * 5 + [False] * 2
        assert len(runner.permits) == 5

    def test_a_name_that_no_tool_has_reaches_nothing(self, gate: Gate, runner: SpyRunner, driver: Driver) -> None:
        for name in ("send_money ", "Send_money", "balance", "send_money\u200b"):
            try:
                heard = driver.run(driver.tools(gate), [[Made(made().arguments, name)]], driver.ways[0])
            except Exception:  # noqa: BLE001, S112  # a framework may end the run
                continue
            assert all(each.is_error in {None, True} for each in heard)
            assert all("done" not in each.text for each in heard)
        assert runner.permits == []

    def test_a_failed_tool_shows_the_model_why(self, tmp_path: Path, driver: Driver) -> None:
        runner = SpyRunner(lambda _: Outcome("error", "tool.error", "ValueError: no", stderr="Traceback: no"))
        with open_gate(tmp_path, runner=runner) as gate:
            (heard,) = driver.run(driver.tools(gate), [[made()]], driver.ways[0])
        assert "the tool ended `error`: ValueError: no\nTraceback: no" in heard.text
        assert heard.is_error in {None, True}

    def test_a_missing_engine_never_reads_as_a_result(self, tmp_path: Path, driver: Driver) -> None:
        runner = SpyRunner(prepare_error=EnvironmentLacking("no engine"))
        with open_gate(tmp_path, runner=runner) as gate:
            try:
                (heard,) = driver.run(driver.tools(gate), [[made()]], driver.ways[0])
            except Exception as error:  # noqa: BLE001
                assert "no engine" in str(error) or isinstance(error, EnvironmentLacking)  # noqa: PT017
            else:
                assert heard.is_error in {None, True}
                assert "done" not in heard.text
        assert runner.permits == []

    # --- what the model writes -----------------------------------------------------------------------

    def test_what_the_hostile_agent_emits_reaches_the_edge_as_often_as_behind_the_bare_gate(
        self, tmp_path: Path, driver: Driver
    ) -> None:
        calls = list(recorded_calls(whole=driver.keeps_text))
        bare = SpyRunner()
        with open_gate(tmp_path / "bare", runner=bare) as gate:
            for each in calls:
                raw = f'{{"tool":"send_money","args":{each.arguments}}}'
                with contextlib.suppress(Exception):  # it is the count that matters
                    gate.attempt(raw.encode("utf-8", "surrogatepass"))
        runner = SpyRunner()
        with open_gate(tmp_path / "framework", runner=runner) as gate:
            tools = driver.tools(gate)
            for each in calls:
                with contextlib.suppress(Exception):  # a framework may refuse what it cannot read
                    driver.run(tools, [[each]], driver.ways[0])
        assert bare.permits
        assert [each.call.digest for each in runner.permits] == [each.call.digest for each in bare.permits]

    def test_duplicate_keys_never_run(self, gate: Gate, runner: SpyRunner, driver: Driver) -> None:
        if not driver.keeps_text:
            return
        text = made().arguments[:-1] + ', "amount": "20.00"}'
        (heard,) = driver.run(driver.tools(gate), [[Made(text)]], driver.ways[0])
        assert "parse.duplicate" in heard.text
        assert runner.permits == []

    def test_a_value_that_the_user_gave_is_known_and_another_is_not(self, tmp_path: Path, driver: Driver) -> None:
        runner = SpyRunner()
        with open_gate(tmp_path, text=ORIGINS, runner=runner) as gate:
            gate.learn({"recipient": TRUSTED[0]}, "user")
            known, unknown = driver.run(driver.tools(gate), [[made()], [made(STRANGER)]], driver.ways[0])
        assert ("done" in known.text, "denied" in unknown.text) == (True, True)
        assert len(runner.permits) == 1

    # --- nothing goes around -------------------------------------------------------------------------

    def test_of_a_container_tool_nothing_leads_to_the_raw_function(self, gate: Gate, driver: Driver) -> None:
        def send_money(recipient: str, amount: Decimal, note: str = "") -> str:
            """Sends money."""
            raise AssertionError

        (tool,) = driver.tools(gate, [driver.own_tool(send_money, "send_money")])
        assert not reaches(tool, send_money)

    def test_a_host_tool_runs_after_the_permit_and_nothing_but_the_gate_leads_to_it(
        self, tmp_path: Path, driver: Driver
    ) -> None:
        seen: list[str] = []

        def send_money(recipient: str, amount: Decimal, note: str = "") -> str:
            """Sends money."""
            seen.append(str(amount))
            return "sent"

        with open_gate(tmp_path, text=HOST) as gate:
            tools = driver.tools(gate, [driver.own_tool(send_money, "send_money")])
            ran, denied = driver.run(tools, [[made()], [made(amount="6000")]], driver.ways[0])
            assert not by_attribute(tools[0], send_money)
            assert getattr(driver, "by_closures", False) or not reaches(tools[0], send_money, but=Gate)
            assert reaches(tools[0], send_money)  # in the gate's own hands
        assert ("sent" in ran.text, "denied" in denied.text, seen) == (True, True, ["10.00"])

    def test_copies_still_go_through_the_gate_and_nothing_pickles(
        self, gate: Gate, runner: SpyRunner, driver: Driver
    ) -> None:
        (tool,) = driver.tools(gate)
        for copied in (copy.copy(tool), copy.deepcopy(tool)):
            (heard,) = driver.run([copied], [[made(amount="6000")]], driver.ways[0])
            assert "denied (rule.deny)" in heard.text
        with pytest.raises(Exception):  # noqa: B017, PT011  # each framework has its own
            pickle.dumps(tool)
        assert runner.permits == []

    def test_what_no_gate_can_see_is_refused_by_name(self, gate: Gate, driver: Driver) -> None:
        for tool, text in driver.unseen():
            with pytest.raises(UsageError, match=text):
                driver.tools(gate, [tool])

    def test_duplicates_strangers_and_wrapped_tools_are_refused(self, gate: Gate, driver: Driver) -> None:
        def send_money(recipient: str, amount: Decimal, note: str = "") -> str:
            """Sends money."""
            return ""

        own = driver.own_tool(send_money, "send_money")
        with pytest.raises(UsageError, match="given more than once: `send_money`"):
            driver.tools(gate, [own, own])
        with pytest.raises(UsageError, match="no such tool"):
            driver.tools(gate, [driver.own_tool(send_money, "nope")])
        with pytest.raises(UsageError, match="no `run` for it"):
            driver.tools(gate, [driver.own_tool(send_money, "balance")])
        with pytest.raises(UsageError, match="wrapped already"):
            driver.tools(gate, driver.tools(gate))
        with pytest.raises(UsageError):
            driver.tools(gate, [send_money])

    def test_the_model_is_shown_the_schema_of_the_spec(self, gate: Gate, driver: Driver) -> None:
        (tool,) = driver.tools(gate)
        declared = gate.contract.tool("send_money")
        assert driver.shown_schema(tool) == arguments_schema(declared)

    # --- a run that ends in the middle ---------------------------------------------------------------

    def test_a_cancelled_run_still_settles_and_is_on_record(self, tmp_path: Path, driver: Driver) -> None:
        if "async" not in driver.ways:
            return
        started, go_on = threading.Event(), threading.Event()

        def slow(_: object) -> Outcome:
            started.set()
            go_on.wait(30)
            return Outcome("ok", "ok", "", result=1)

        with open_gate(tmp_path, runner=SpyRunner(slow)) as gate:
            tools = driver.tools(gate)

            async def cancelled() -> None:
                task = asyncio.create_task(driver.start(tools, [[made()]]))
                assert await asyncio.to_thread(started.wait, 30)
                task.cancel()
                go_on.set()
                await asyncio.gather(task, return_exceptions=True)

            asyncio.run(cancelled())
        assert kinds(tmp_path)[-1] == "outcome"


def shows_all_three(example: str) -> None:
    """Run one of `examples/`: of its three calls one runs, one waits for a person, one is denied."""
    file = EXAMPLES / f"{example}.py"
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    ran, waits, denied = done.stdout.strip().splitlines()[-3:]
    assert ran == "sent: 20.50 to GB29NWBK60161331926819"
    assert waits.startswith("not run: it waits for a person")
    assert denied.startswith("denied (rule.deny): denied by rule `too-much`")
    assert len(file.read_text(encoding="utf-8").splitlines()) < 40


def elsewhere(module: str, folder: Path) -> dict[str, object]:
    """What `resume(folder)` of a test module returns, called in another process: what a paused run comes to there."""
    code = f"import json, sys, pathlib, {module} as m; print(json.dumps(m.resume(pathlib.Path(sys.argv[1]))))"
    places = [str(HERE), str(HERE.parent)]
    done = subprocess.run(
        [sys.executable, "-c", code, folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def runs_once_elsewhere(module: str, folder: Path) -> None:
    """A run that was stored in the folder goes on in another process, as Ann said; and in a third one never again."""
    first, again = elsewhere(module, folder), elsewhere(module, folder)
    assert ([json.loads(each) for each in first["told"]], first["by"]) == ([{"done": True}], [["ann"]])
    assert again["by"] == []
    assert "approval.used" in again["told"][0]


def recorded_calls(*, whole: bool) -> Iterator[Made]:
    """The recorded agent's calls of `send_money`; those whose arguments any JSON reader takes alike, unless `whole`."""
    for line in map(json.loads, RECORDED.read_text(encoding="ascii").splitlines()):
        raw = line["raw"]
        if line["spec"] != "payments" or not isinstance(raw, str):
            continue
        try:
            call = json.loads(raw.encode("latin-1"))
        except ValueError:
            if whole:
                yield Made(raw.encode("latin-1").decode("utf-8", "replace"))
            continue
        if isinstance(call, dict) and isinstance(call.get("args"), dict) and set(call) == {"tool", "args"}:
            text = json.dumps(call["args"])
            if json.loads(text) == call["args"] and raw.count('"amount"') == 1 and raw.count('"recipient"') == 1:
                yield Made(text)


def reaches(start: object, goal: object, but: type = NoneType) -> bool:
    """Whether references lead from one object to another, private ones and closures' cells too.

    Not counting modules, types, a function's globals, and what is behind an instance of `but`.
    """
    pending, seen = [start], {id(start)}
    while pending:
        each = pending.pop()
        if each is goal:
            return True
        if isinstance(each, FunctionType):
            following = [each.__closure__, each.__defaults__, each.__kwdefaults__, each.__dict__]
        elif isinstance(each, type(sys) | type | but):
            continue
        else:
            following = gc.get_referents(each)
        for found in following:
            if id(found) not in seen:
                seen.add(id(found))
                pending.append(found)
    return False


def by_attribute(start: object, goal: object, depth: int = 3) -> bool:
    """Whether public attributes lead to the goal: `.func`, `.fn`, `.coroutine`, `__wrapped__` and whatever else."""
    if start is goal:
        return True
    if depth == 0:
        return False
    names = [n for n in dir(start) if not n.startswith("_") or n == "__wrapped__"]
    for name in names:
        try:
            value = getattr(start, name)
        except Exception:  # noqa: BLE001, S112  # a property may raise
            continue
        if value is goal or (depth > 1 and not isinstance(value, type) and by_attribute(value, goal, depth - 1)):
            return True
    return False


def expect_payment() -> dict[str, object]:
    """The arguments of a payment that is allowed."""
    return payment()["args"]
