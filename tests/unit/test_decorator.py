"""`@sandboxed`: which functions it takes, what a call of them does, and that nothing leads to the raw function."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import inspect
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePosixPath
from types import FunctionType, ModuleType

import pytest
from gatekit import PAYMENTS, STRANGER, TRUSTED, SpyRunner, open_gate, spec_file

from sandbox import ir
from sandbox.call import Call
from sandbox.decorator import raw_call, sandboxed
from sandbox.errors import ApprovalNeeded, Denied, ToolError, UsageError
from sandbox.gate import Gate
from sandbox.handed import python_arguments
from sandbox.host import HostRunner

HOST = PAYMENTS.replace(
    "run:  {tool: tools.payments:send_money, timeout: 10s}", 'run: {host: "holds the session of the user"}'
)


@pytest.fixture
def runner() -> SpyRunner:
    return SpyRunner()


@pytest.fixture
def gate(tmp_path: Path, runner: SpyRunner) -> Iterator[Gate]:
    with open_gate(tmp_path, runner=runner) as opened:
        yield opened


@pytest.fixture
def host_gate(tmp_path: Path) -> Iterator[Gate]:
    with open_gate(tmp_path, text=HOST) as opened:
        yield opened


# --- calling -----------------------------------------------------------------------------------------


def test_a_decorated_stub_is_a_call_through_the_gate(gate: Gate, runner: SpyRunner) -> None:
    @sandboxed(gate)
    def send_money(recipient: str, amount: Decimal, note: str = "") -> dict[str, object]: ...

    assert send_money(TRUSTED[0], amount=Decimal("10.5")) == {"done": True}
    assert runner.calls == [{"tool": "send_money", "args": {"recipient": TRUSTED[0], "amount": "10.50"}}]
    with pytest.raises(Denied):
        send_money(TRUSTED[0], Decimal(6000))
    with pytest.raises(ApprovalNeeded):
        send_money(STRANGER, Decimal(1), note="x")
    with pytest.raises(TypeError):
        send_money(TRUSTED[0])


def test_a_decorated_coroutine_is_one_still(gate: Gate, runner: SpyRunner) -> None:
    @sandboxed(gate, tool="send_money")
    async def pay(recipient: str, amount: Decimal, note: str = "") -> dict[str, object]:
        """Pays."""

    assert inspect.iscoroutinefunction(pay)
    assert asyncio.run(pay(TRUSTED[0], 10)) == {"done": True}
    assert len(runner.permits) == 1


def test_a_path_opens_its_gate_at_the_first_call_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @sandboxed(spec_file(tmp_path))
    def send_money(recipient: str, amount: Decimal, note: str = "") -> dict[str, object]: ...

    assert not (tmp_path / ".sandbox").exists()
    opened: list[Gate] = []
    real = Gate.open
    monkeypatch.setattr(Gate, "open", lambda spec: opened.append(real(spec)) or opened[-1])
    for _ in range(2):
        with pytest.raises(Denied):
            send_money(TRUSTED[0], Decimal(6000))
    assert len(opened) == 1
    opened[0].close()


def test_the_front_looks_like_the_function(gate: Gate) -> None:
    @sandboxed(gate)
    def send_money(recipient: str, amount: Decimal, note: str = "") -> dict[str, object]:
        """Sends money."""

    assert (send_money.__name__, send_money.__doc__, send_money.__module__) == ("send_money", "Sends money.", __name__)
    assert list(inspect.signature(send_money).parameters) == ["recipient", "amount", "note"]


def test_python_values_become_a_raw_call() -> None:
    class Color(Enum):
        RED = "red"

    values = {"a": Decimal("1E+2"), "b": PurePosixPath("/x"), "c": Color.RED, "d": (1, Decimal("0.5")), "e": True}
    assert raw_call("t", values) == {
        "tool": "t",
        "args": {"a": "100", "b": "/x", "c": "red", "d": [1, "0.5"], "e": True},
    }
    instant = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    assert raw_call("t", {"a": instant, "b": timedelta(minutes=1), "c": {"d": Decimal("0.5")}})["args"] == {
        "a": "2026-01-31T09:30:00+00:00",
        "b": "60000ms",
        "c": {"d": "0.5"},
    }


def test_a_host_function_receives_python_values() -> None:
    record = ir.RecordType((ir.Argument("d", ir.DecimalType(1, None, None)), ir.Argument("u", ir.UrlType(("https",)))))
    types = {
        "when": ir.TimestampType(),
        "long": ir.DurationType(),
        "each": ir.ListType(ir.DecimalType(2, None, None), 0, 9, unique=False),
        "record": record,
        "argv": ir.ArgvType(9),
    }
    tool = ir.Tool("t", tuple(ir.Argument(name, type_) for name, type_ in types.items()), ())
    args = {
        "when": 1_769_851_800_000,
        "long": 1_500,
        "each": (5, 150),
        "record": {"d": 15, "u": {"host": "x"}},
        "argv": ("ls", "-l"),
    }
    shown = {
        "when": "2026-01-31T09:30:00.000Z",
        "long": "1.5s",
        "each": ["0.05", "1.50"],
        "record": {"d": "1.5", "u": "https://x/"},
        "argv": ["ls", "-l"],
    }
    assert python_arguments(Call("t", args, json.dumps({"args": shown, "tool": "t"}), ""), tool) == {
        "when": datetime(2026, 1, 31, 9, 30, tzinfo=UTC),
        "long": timedelta(seconds=1.5),
        "each": [Decimal("0.05"), Decimal("1.50")],
        "record": {"d": Decimal("1.5"), "u": "https://x/"},
        "argv": ["ls", "-l"],
    }


def test_an_argument_with_a_default_of_the_spec_is_optional_in_python(gate: Gate) -> None:
    from sandbox.decorator import _check_names

    tool = ir.Tool("t", (ir.Argument("n", ir.BoolType(), default="true"),), ())
    _check_names("f", inspect.signature(lambda n=True: n), tool)
    with pytest.raises(UsageError, match="needs a default"):
        _check_names("f", inspect.signature(lambda n: n), tool)


def test_the_sessions_facts_go_with_every_call(gate: Gate, runner: SpyRunner) -> None:
    people = iter([{"user": "ann"}, {"user": "bob"}, {"user": "bob"}])

    @sandboxed(gate, session=lambda: next(people))
    def send_money(recipient: str, amount: Decimal, note: str = "") -> dict[str, object]: ...

    for _ in range(3):
        send_money(TRUSTED[0], 1)
    ann, bob, again = (permit.session_digest for permit in runner.permits)
    assert ann != bob == again


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), 1j, object(), b"10", float("nan"), None])
def test_values_that_are_no_amount_are_denied(gate: Gate, value: object) -> None:
    @sandboxed(gate)
    def send_money(recipient: str, amount: Decimal, note: str = "") -> dict[str, object]: ...

    with pytest.raises(Denied):
        send_money(TRUSTED[0], value)


# --- what is refused at decoration -------------------------------------------------------------------


def body(recipient: str, amount: Decimal, note: str = "") -> object:
    return (recipient, amount, note)


def returns(recipient: str, amount: Decimal, note: str = "") -> object:
    return 7


def other(to: str, amount: Decimal) -> object: ...


def required(recipient: str, amount: Decimal, note: str) -> object: ...


def defaulted(recipient: str, amount: Decimal = Decimal(1), note: str = "") -> object: ...


def spread(*args: object) -> object: ...


def keywords(recipient: str, amount: Decimal, note: str = "", **more: object) -> object: ...


def positional(recipient: str, /, amount: Decimal, note: str = "") -> object: ...


def generator(recipient: str, amount: Decimal, note: str = "") -> Iterator[int]:
    yield 1


class Instance:
    def __call__(self, recipient: str, amount: Decimal, note: str = "") -> object: ...


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (body, "would never run"),
        (returns, "would never run"),
        (other, "unknown `to`; missing `note`, `recipient`"),
        (required, "`note` of `required` needs a default"),
        (defaulted, "`amount` of `defaulted` may have no default"),
        (spread, "named arguments only"),
        (keywords, "named arguments only"),
        (positional, "named arguments only"),
        (generator, "generator"),
        (Instance(), "plain functions"),
        (sandboxed, "plain functions|named arguments|unknown"),
    ],
)
def test_a_function_that_does_not_fit_is_refused(gate: Gate, function: object, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        sandboxed(gate, tool="send_money")(function)


def test_a_tool_that_the_spec_does_not_have_is_refused(gate: Gate) -> None:
    with pytest.raises(UsageError, match="no tool `body`"):
        sandboxed(gate)(body)


def test_a_body_for_a_tool_without_run_is_refused(gate: Gate) -> None:
    with pytest.raises(UsageError, match="runs nothing"):

        @sandboxed(gate)
        def balance() -> object:
            return 7


# --- the very function that the spec runs ------------------------------------------------------------

MODULE = '''
from decimal import Decimal
from sandbox.decorator import sandboxed
from registry import GATE, RAN

@sandboxed(GATE)
def send_money(recipient: str, amount: Decimal, note: str = "") -> dict:
    """Sends."""
    RAN.append(recipient)
    return {}
'''


@pytest.fixture
def registry(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("registry")
    module.GATE, module.RAN = gate, []
    monkeypatch.setitem(sys.modules, "registry", module)
    return module


def load(path: Path, text: str = MODULE) -> ModuleType:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("tools.payments", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_body_of_the_very_function_is_never_called_here(
    tmp_path: Path, registry: ModuleType, runner: SpyRunner
) -> None:
    module = load(tmp_path / "tools/payments.py")
    assert module.send_money(TRUSTED[0], Decimal(1)) == {"done": True}
    assert (registry.RAN, len(runner.permits)) == ([], 1)


def test_a_function_of_the_same_name_elsewhere_is_another(tmp_path: Path, registry: ModuleType) -> None:
    load(tmp_path / "tools/payments.py")
    with pytest.raises(UsageError, match="would never run"):
        load(tmp_path / "elsewhere/tools/payments.py")
    assert registry.RAN == []


# --- nothing leads to the raw function ---------------------------------------------------------------


def reachable(start: object, depth: int = 6) -> list[object]:
    """Everything that can be reached by attributes, closures and containers of our own objects."""
    seen: dict[int, object] = {}
    frontier = [start]
    for _ in range(depth):
        following: list[object] = []
        for each in frontier:
            if id(each) in seen or isinstance(each, ModuleType | type):
                continue
            seen[id(each)] = each
            if isinstance(each, FunctionType):
                following += [cell.cell_contents for cell in each.__closure__ or ()]
                following += [each.__dict__, each.__defaults__, each.__kwdefaults__, each.__annotations__]
            else:
                following += gc.get_referents(each)
        frontier = following
    return list(seen.values())


def test_no_attribute_closure_or_container_leads_to_a_container_tools_function(
    tmp_path: Path, registry: ModuleType
) -> None:
    front = load(tmp_path / "tools/payments.py").send_money
    assert not hasattr(front, "__wrapped__")
    assert inspect.unwrap(front) is front
    codes = {each.__code__ for each in reachable(front) if isinstance(each, FunctionType)}
    assert not [code for code in codes if code.co_filename.endswith("tools/payments.py")]


def test_the_raw_function_is_collected(tmp_path: Path, registry: ModuleType) -> None:
    module = load(tmp_path / "tools/payments.py")
    gc.collect()
    path = str(tmp_path / "tools/payments.py")
    left = [each for each in gc.get_objects() if isinstance(each, FunctionType) and each.__code__.co_filename == path]
    assert left == []
    assert module.send_money.__doc__ == "Sends."


# --- host callables ----------------------------------------------------------------------------------


def test_a_host_callable_runs_after_the_permit_and_says_so(host_gate: Gate) -> None:
    received: list[object] = []

    @sandboxed(host_gate)
    def send_money(recipient: str, amount: Decimal, note: str = "-") -> dict[str, object]:
        received.append((recipient, amount, note))
        return {"sent": str(amount)}

    assert send_money(TRUSTED[0], 10) == {"sent": "10.00"}
    assert received == [(TRUSTED[0], Decimal("10.00"), "-")]
    with pytest.raises(Denied):
        send_money(TRUSTED[0], 6000)
    with pytest.raises(ApprovalNeeded):
        send_money(STRANGER, 10)
    assert len(received) == 1
    result = host_gate.call({"tool": "send_money", "args": {"recipient": TRUSTED[0], "amount": 1}})
    assert (result.receipt.isolation, result.receipt.runtime, result.receipt.image_digest) == ("host", "host", "")
    assert len(result.receipt.source_digest) == 64


def test_an_async_host_callable_runs_too(host_gate: Gate) -> None:
    @sandboxed(host_gate)
    async def send_money(recipient: str, amount: Decimal, note: str = "-") -> str:
        await asyncio.sleep(0)
        return recipient

    assert asyncio.run(send_money(TRUSTED[0], 1)) == TRUSTED[0]


@pytest.mark.parametrize("answer", [object(), float("nan"), {"a": {1, 2}}, "x" * 300_000])
def test_a_result_that_is_no_json_within_limits_is_an_error(host_gate: Gate, answer: object) -> None:
    @sandboxed(host_gate)
    def send_money(recipient: str, amount: Decimal, note: str = "-") -> object:
        return answer

    with pytest.raises(ToolError) as error:
        send_money(TRUSTED[0], 1)
    assert error.value.reason_code == "limit.result"


def test_an_exception_of_a_host_callable_is_its_outcome(host_gate: Gate) -> None:
    @sandboxed(host_gate)
    def send_money(recipient: str, amount: Decimal, note: str = "-") -> object:
        message = "no \x1b[2Jfunds"
        raise ValueError(message)

    with pytest.raises(ToolError, match="ValueError: no"):
        send_money(TRUSTED[0], 1)


def test_a_host_tool_without_a_callable_runs_nothing(host_gate: Gate) -> None:
    with pytest.raises(UsageError, match="no callable is attached"):
        host_gate.call({"tool": "send_money", "args": {"recipient": TRUSTED[0], "amount": 1}})


def test_a_host_callable_is_attached_once_and_only_where_the_spec_says_so(gate: Gate, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing of it runs on the host"):
        gate.attach("send_money", body)
    with pytest.raises(UsageError, match="no tool"):
        gate.attach("nope", body)
    with open_gate(tmp_path / "host", text=HOST) as other_gate:
        other_gate.attach("send_money", body)
        with pytest.raises(UsageError, match="already"):
            other_gate.attach("send_money", body)


def test_the_host_is_no_stronger_isolation() -> None:
    run = ir.Run(ir.RunHost("a session"), min_isolation="gvisor")
    with pytest.raises(UsageError, match="min_isolation `gvisor`"):
        HostRunner().attach(ir.Tool("t", (), (), run=run), body)


def test_a_callable_that_has_no_source_has_no_digest_of_it(tmp_path: Path) -> None:
    with open_gate(tmp_path, text=HOST) as gate:
        gate.attach("send_money", lambda **_: len(_))
        gate._host._functions["send_money"] = type("Odd", (), {"__call__": lambda self, **_: 1})()
        result = gate.call({"tool": "send_money", "args": {"recipient": TRUSTED[0], "amount": 1}})
    assert (result.receipt.source_digest, result.receipt.isolation) == ("", "host")


def test_a_host_callable_given_by_path_waits_for_its_gate(tmp_path: Path) -> None:
    @sandboxed(spec_file(tmp_path, HOST))
    def send_money(recipient: str, amount: Decimal, note: str = "-") -> str:
        return "sent"

    assert send_money(TRUSTED[0], 1) == "sent"
    opener = inspect.getclosurevars(send_money).nonlocals["opener"]
    opener.gate().close()


# --- gates are not copied ----------------------------------------------------------------------------


def test_a_gate_is_neither_pickled_nor_copied(gate: Gate) -> None:
    import copy

    with pytest.raises(TypeError):
        pickle.dumps(gate)
    assert copy.deepcopy(gate) is gate
    assert copy.copy(gate) is gate


def test_the_example_of_a_plain_function_runs_asks_is_refused_and_is_short() -> None:
    example = Path(__file__).resolve().parents[2] / "examples" / "plain_clerk.py"
    done = subprocess.run([sys.executable, example], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert said == ["sent", "not run", "denied"]
    assert len(example.read_text(encoding="utf-8").splitlines()) < 40
