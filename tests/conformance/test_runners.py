"""The contract of a runner: one suite, called with each of them."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
from collections.abc import Callable

import execkit
import pytest

from sandbox.call import Outcome
from sandbox.errors import EnvironmentLacking, UsageError
from sandbox.execute.cold import ColdRunner
from sandbox.execute.engine import Engine
from sandbox.execute.fake import FakeRunner
from sandbox.execute.pool import PoolRunner
from sandbox.execute.runner import Runner
from sandbox.ir import (
    Argument,
    Credential,
    DecimalType,
    DurationType,
    EmailType,
    ListType,
    NetworkGrant,
    RecordType,
    Run,
    RunHost,
    RunTool,
    ShellType,
    TimestampType,
)

ABSENT = Credential("authorization", "", "env", "SANDBOX_TEST_VARIABLE_THAT_IS_NOT_SET")
Case = Callable[[Runner], None]


def a_program_s_result_and_output_are_the_outcome_s(runner: Runner) -> None:
    outcome = execkit.run_program(runner, "print('said'); result = {'list': [1, 2.5, None, True, 'ä']}")
    assert outcome.status == "ok"
    assert outcome.reason_code == "ok"
    assert outcome.result == {"list": [1, 2.5, None, True, "ä"]}
    assert outcome.stdout == "said\n"
    assert outcome.started


def an_exception_is_an_error_with_its_text(runner: Runner) -> None:
    outcome = execkit.run_program(runner, "raise ValueError('no\\x1b[31m\\nway')")
    assert (outcome.status, outcome.reason_code) == ("error", "tool.error")
    assert outcome.reason == "ValueError: no\\x1b[31m\\nway"
    assert outcome.result is None


def a_result_that_is_no_json_is_an_error(runner: Runner) -> None:
    for code in ("result = object()", "result = float('nan')", "result = b''", "result = '\\ud800'"):
        outcome = execkit.run_program(runner, code)
        assert (outcome.status, outcome.reason_code) == ("error", "tool.error"), code


def a_result_that_is_too_large_is_a_limit(runner: Runner) -> None:
    outcome = execkit.run_program(runner, "result = 'x' * 20_000", output=10_000)
    assert (outcome.status, outcome.reason_code) == ("output_limit", "limit.result")
    assert outcome.result is None


def a_result_that_is_nested_too_deeply_is_an_error(runner: Runner) -> None:
    outcome = execkit.run_program(runner, "result = []\nfor _ in range(50): result = [result]")
    assert (outcome.status, outcome.reason_code) == ("error", "tool.error")
    assert "nested" in outcome.reason


def output_above_the_limit_is_a_limit(runner: Runner) -> None:
    outcome = execkit.run_program(runner, "print('x' * 20_000)", output=10_000)
    assert (outcome.status, outcome.reason_code) == ("output_limit", "limit.output")


def decimals_arrive_as_decimal_alone_and_in_lists(runner: Runner) -> None:
    two = DecimalType(2, None, None)
    tool = execkit.tool_of(
        "types_of",
        Run(RunTool("typed", "types_of")),
        Argument("one", two),
        Argument("many", ListType(two, 0, 5, unique=False)),
        Argument("text", execkit.TEXT),
    )
    outcome = execkit.run_tool(runner, tool, file=_spec_beside_typed(), one="1.50", many=["2.00"], text="3.00")
    assert outcome.result == ["Decimal('1.50')", "[Decimal('2.00')]", "'3.00'"]


def the_field_s_own_types_arrive_as_python_s(runner: Runner) -> None:
    event = RecordType(
        (Argument("at", TimestampType()), Argument("lasts", DurationType()), Argument("by", EmailType()))
    )
    tool = execkit.tool_of(
        "types_of",
        Run(RunTool("typed", "types_of")),
        Argument("one", TimestampType()),
        Argument("many", ListType(event, 0, 5, unique=False)),
        Argument("text", ShellType(80)),
    )
    at = "2026-01-31T09:30:00.250Z"
    outcome = execkit.run_tool(
        runner,
        tool,
        file=_spec_beside_typed(),
        one=at,
        many=[{"at": at, "lasts": "-1.500s", "by": "a@b.org"}],
        text=[["git", "log"], "|", ["wc"]],
    )
    instant = "datetime.datetime(2026, 1, 31, 9, 30, 0, 250000, tzinfo=datetime.timezone.utc)"
    length = "datetime.timedelta(days=-1, seconds=86398, microseconds=500000)"
    assert outcome.result == [
        instant,
        f"[{{'at': {instant}, 'lasts': {length}, 'by': 'a@b.org'}}]",
        "[['git', 'log'], '|', ['wc']]",
    ]


def a_permit_for_something_else_starts_nothing(runner: Runner) -> None:
    tool = execkit.python_tool()
    contract = execkit.contract_of(tool)
    call = execkit.call_of(tool, code="print('ran')")
    for name in ("contract_digest", "run_digest", "image_digest", "source_digest"):
        permit = execkit.permit_for(runner, contract, tool, call, **{name: "0" * 64})
        _assert_not_started(runner.run(permit, contract, tool, 0), "permit.changed")


def a_call_that_was_edited_after_the_permit_starts_nothing(runner: Runner) -> None:
    tool = execkit.python_tool()
    contract = execkit.contract_of(tool)
    call = execkit.call_of(tool, code="print('ran')")
    edited = dataclasses.replace(call, canonical=call.canonical.replace("ran", "ran elsewhere"))
    permit = execkit.permit_for(runner, contract, tool, edited)
    _assert_not_started(runner.run(permit, contract, tool, 0), "permit.changed")


def an_expired_permit_starts_nothing(runner: Runner) -> None:
    tool = execkit.python_tool()
    contract = execkit.contract_of(tool)
    permit = execkit.permit_for(runner, contract, tool, execkit.call_of(tool, code=""), expires_at_ms=1_000)
    _assert_not_started(runner.run(permit, contract, tool, 1_000), "permit.expired")


def a_permit_for_another_run_of_the_same_tool_starts_nothing(runner: Runner) -> None:
    permitted, wider = execkit.python_tool(), execkit.python_tool(memory=2**30)
    call = execkit.call_of(permitted, code="")
    permit = execkit.permit_for(runner, execkit.contract_of(permitted), permitted, call)
    _assert_not_started(runner.run(permit, execkit.contract_of(wider), wider, 0), "permit.changed")


def what_cannot_be_had_is_said_before_anything_starts(runner: Runner) -> None:
    for tool in (
        execkit.python_tool(network=(NetworkGrant("a.example", 443, credential=ABSENT),)),
        execkit.python_tool(min_isolation="vm"),
    ):
        with pytest.raises(EnvironmentLacking):
            runner.prepare(execkit.contract_of(tool), tool)


def what_runs_on_the_host_or_not_at_all_is_refused(runner: Runner) -> None:
    for run in (None, Run(RunHost("the user's own session"))):
        tool = execkit.tool_of("elsewhere", run)
        with pytest.raises(UsageError):
            runner.prepare(execkit.contract_of(tool), tool)


def limits_too_small_to_start_anything_are_refused(runner: Runner) -> None:
    for run in ({"memory": 1024}, {"pids": 1}, {"output": 0}, {"output": 2**40}, {"timeout_ms": 0}):
        tool = execkit.python_tool(**run)
        with pytest.raises(UsageError):
            runner.prepare(execkit.contract_of(tool), tool)


CASES: tuple[Case, ...] = (
    a_program_s_result_and_output_are_the_outcome_s,
    an_exception_is_an_error_with_its_text,
    a_result_that_is_no_json_is_an_error,
    a_result_that_is_too_large_is_a_limit,
    a_result_that_is_nested_too_deeply_is_an_error,
    output_above_the_limit_is_a_limit,
    decimals_arrive_as_decimal_alone_and_in_lists,
    the_field_s_own_types_arrive_as_python_s,
    a_permit_for_something_else_starts_nothing,
    a_call_that_was_edited_after_the_permit_starts_nothing,
    an_expired_permit_starts_nothing,
    a_permit_for_another_run_of_the_same_tool_starts_nothing,
    what_cannot_be_had_is_said_before_anything_starts,
    what_runs_on_the_host_or_not_at_all_is_refused,
    limits_too_small_to_start_anything_are_refused,
)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)


@each_case
def test_the_fake_keeps_the_contract(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(execkit.PROJECT / "tests" / "conformance"))
    typed = importlib.import_module("typed")
    program = importlib.import_module("tools.python")
    case(FakeRunner({"run_code": program.run_code, "types_of": typed.types_of}))


def test_the_fake_isolates_nothing() -> None:
    tool = execkit.python_tool(min_isolation="gvisor")
    with pytest.raises(EnvironmentLacking, match="nothing is isolated here"):
        FakeRunner({}).prepare(execkit.contract_of(tool), tool)


@pytest.mark.containers
def test_without_gvisor_a_tool_that_demands_it_does_not_run() -> None:
    tool = execkit.python_tool(min_isolation="gvisor")
    with contextlib.closing(Engine.connect()) as engine:
        plain = dataclasses.replace(engine, runtimes={"runc": ()})
        for runner in (ColdRunner(plain), ColdRunner(plain, isolation="gvisor"), PoolRunner(engine=plain)):
            with pytest.raises(EnvironmentLacking) as refused:
                runner.prepare(execkit.contract_of(tool), tool)
            assert str(refused.value) == (
                "tool `run_code` demands min_isolation `gvisor`, and the engine has no runtime `runsc`: register "
                "gVisor in the engine's daemon.json as `runsc`, with `--oci-seccomp` among its `runtimeArgs` "
                "(`apt-get install runsc`; docs/isolation.md)"
            )


@pytest.mark.containers
@each_case
def test_a_cold_container_keeps_the_contract(case: Case) -> None:
    with contextlib.closing(ColdRunner()) as runner:
        case(runner)


@pytest.mark.containers
@each_case
def test_a_pooled_container_keeps_the_contract(case: Case) -> None:
    with PoolRunner(size=1) as runner:
        case(runner)


def _assert_not_started(outcome: Outcome, code: str) -> None:
    assert (outcome.status, outcome.reason_code, outcome.started) == ("sandbox_failure", code, False)
    assert outcome.stdout == ""


def _spec_beside_typed() -> str:
    return str(execkit.PROJECT / "tests" / "conformance" / "typed.yaml")
