"""A runner that isolates nothing: for tests of what surrounds it. No spec can select it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from typing import Final, Literal

from sandbox import ir
from sandbox.call import Call, Outcome, Permit
from sandbox.errors import EnvironmentLacking, SandboxError
from sandbox.execute.broker.credentials import read_secrets
from sandbox.execute.cold import check_permit, granted_run, not_started
from sandbox.execute.config import compile_config
from sandbox.execute.protocol import one_line, read_result
from sandbox.execute.runner import ChangeJudge, Prepared
from sandbox.handed import python_arguments
from sandbox.ir import Contract, Json, Run, Tool

RUNTIME: Final = "fake: nothing is isolated"

Function = Callable[..., object]


class FakeRunner:
    """Calls the function given for each tool, in this process. Keeps the contract of `Runner` in all else."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._functions = dict(functions)

    def prepare(self, contract: Contract, tool: Tool) -> Prepared:
        """Digests that change when the tool's `run` does. Raises as `Runner.prepare` says."""
        compile_config(contract, tool)
        run = granted_run(tool)
        if run.min_isolation != "container":
            message = f"tool `{tool.name}` demands min_isolation `{run.min_isolation}`, and nothing is isolated here"
            raise EnvironmentLacking(message, "environment.isolation")
        read_secrets(contract, run.network)
        nothing = hashlib.sha256(RUNTIME.encode()).hexdigest()
        return Prepared(ir.digest(run), nothing, nothing, RUNTIME)

    def run(
        self, permit: Permit, contract: Contract, tool: Tool, now_ms: int, judge: ChangeJudge | None = None
    ) -> Outcome:
        """Calls the function with the canonical arguments; what it prints and returns is bounded as in a container."""
        _ = judge  # there is no workspace
        try:
            check_permit(permit, self.prepare(contract, tool), contract, tool, now_ms)
            run = granted_run(tool)
        except SandboxError as error:
            return not_started(error)
        return _call(self._functions[tool.name], permit.call, tool, run)


def _call(function: Function, call: Call, tool: Tool, run: Run) -> Outcome:
    stdout, stderr = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            value = function(**python_arguments(call, tool))
        text = json.dumps(value, allow_nan=False)
    except Exception as error:  # noqa: BLE001  # whatever a tool raises is its outcome
        return _ended("error", "tool.error", one_line(f"{type(error).__name__}: {error}"), stdout, stderr)
    if len(text) > run.output:
        reason = f"the call's result is larger than {run.output} bytes"
        return _ended("output_limit", "limit.result", reason, stdout, stderr)
    if len(stdout.getvalue()) + len(stderr.getvalue()) > run.output:
        reason = f"the call's output is larger than {run.output} bytes"
        return _ended("output_limit", "limit.output", reason, stdout, stderr)
    try:
        return _ended("ok", "ok", "", stdout, stderr, read_result(text, run.output))
    except ValueError as error:
        reason = f"the result is not JSON as it should be: {error}"
        return _ended("error", "tool.error", reason, stdout, stderr)


def _ended(  # noqa: PLR0917  # an outcome is these six things
    status: Literal["ok", "error", "output_limit"],
    code: str,
    reason: str,
    stdout: io.StringIO,
    stderr: io.StringIO,
    result: Json = None,
) -> Outcome:
    exit_code = 0 if status == "ok" else None
    return Outcome(status, code, reason, result, stdout.getvalue(), stderr.getvalue(), exit_code=exit_code)
