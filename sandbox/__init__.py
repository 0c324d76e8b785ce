"""A formally verified tool-calling sandbox for AI agents.

What users hold on to is here, and loaded when it is first touched: `import sandbox` loads no solver and no engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sandbox.approve import Approval, ApprovalRequest, Approver, Given, Refused, ScriptedApprover, TerminalApprover
    from sandbox.call import Decision, Outcome, Receipt, Result
    from sandbox.decorator import sandboxed
    from sandbox.errors import (
        ApprovalNeeded,
        AuthorError,
        Denied,
        EnginesDisagree,
        EnvironmentLacking,
        Fault,
        PropertyError,
        RecordBroken,
        Refusal,
        SandboxError,
        SandboxFailure,
        SpecError,
        ToolError,
        UsageError,
    )
    from sandbox.fetching import Fetched, FetchError, fetch
    from sandbox.gate import Gate

__all__ = [
    "Approval",
    "ApprovalNeeded",
    "ApprovalRequest",
    "Approver",
    "AuthorError",
    "Decision",
    "Denied",
    "EnginesDisagree",
    "EnvironmentLacking",
    "Fault",
    "FetchError",
    "Fetched",
    "Gate",
    "Given",
    "Outcome",
    "PropertyError",
    "Receipt",
    "RecordBroken",
    "Refusal",
    "Refused",
    "Result",
    "SandboxError",
    "SandboxFailure",
    "ScriptedApprover",
    "SpecError",
    "TerminalApprover",
    "ToolError",
    "UsageError",
    "fetch",
    "sandboxed",
]

_HOMES: Final = {
    "approve": ("Approval", "ApprovalRequest", "Approver", "Given", "Refused", "ScriptedApprover", "TerminalApprover"),
    "call": ("Decision", "Outcome", "Receipt", "Result"),
    "decorator": ("sandboxed",),
    "fetching": ("FetchError", "Fetched", "fetch"),
    "gate": ("Gate",),
}
"""Where an exported name lives, if not in `errors`."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        message = f"module `sandbox` has no attribute `{name}`"
        raise AttributeError(message)
    home = next((module for module, names in _HOMES.items() if name in names), "errors")
    return getattr(import_module(f"sandbox.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
