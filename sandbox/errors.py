"""Every exception of the package, rooted by whose fault it is.

::

    SandboxError
    ├── AuthorError          exit 2   the spec or the property file is wrong
    │   ├── SpecError
    │   └── PropertyError
    ├── UsageError           exit 2   an argument of the command or of the API is wrong
    ├── Refusal                       the gate did its work: the call does not run
    │   ├── Denied           exit 1
    │   └── ApprovalNeeded   exit 3
    ├── ToolError            exit 1   the tool ran and did not end `ok`
    ├── EnvironmentLacking   exit 4   engine, image or runtime is missing; says how to get it
    └── Fault                exit 5   ours: engines disagree, record broken, internal error
        ├── EnginesDisagree
        ├── RecordBroken
        └── SandboxFailure            the container machinery failed under a call

Each carries a stable `reason_code`. Nothing here is raised by `Gate.decide`, whatever the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from sandbox.call import Decision, Outcome


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where in a source text something stands: file, line and column, both counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a source text: a place, one line of what and what to do, the source line."""

    place: Place
    message: str
    source_line: str = ""

    def __str__(self) -> str:
        head = f"{self.place}: {self.message}"
        if not self.source_line:
            return head
        return f"{head}\n  {self.source_line}\n  {' ' * (self.place.column - 1)}^"


class SandboxError(Exception):
    """The root. `exit_code` is what the command line ends with."""

    exit_code: ClassVar[int] = 5
    reason_code: str = "internal"


class AuthorError(SandboxError):
    """A source text that an author wrote is wrong; `problems` is never empty."""

    exit_code = 2
    reason_code = "author"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class SpecError(AuthorError):
    """A spec is refused at load."""

    reason_code = "spec.invalid"


class PropertyError(AuthorError):
    """A property file is refused at load."""

    reason_code = "property.invalid"


class UsageError(SandboxError):
    """An argument given by the caller (never by the model) is wrong."""

    exit_code = 2
    reason_code = "usage"

    def __init__(self, message: str, reason_code: str = "usage") -> None:
        super().__init__(message)
        self.reason_code = reason_code


class Refusal(SandboxError):
    """The call does not run. `decision` says why, in words a model can be given."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.reason)
        self.decision = decision
        self.reason_code = decision.reason_code


class Denied(Refusal):
    """Raised by `Gate.call` when the call is denied, by a rule, by default, by a person, or by a fault."""

    exit_code = 1


class ApprovalNeeded(Refusal):
    """Raised by `Gate.call` when the call waits for a person and no approver is there."""

    exit_code = 3


class ToolError(SandboxError):
    """The tool ran and did not end `ok`; `outcome` is what is known."""

    exit_code = 1

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"the tool ended `{outcome.status}`: {outcome.reason}")
        self.outcome = outcome
        self.reason_code = outcome.reason_code


class EnvironmentLacking(SandboxError):
    """Something outside of the package is missing; the message says how to get it."""

    exit_code = 4

    def __init__(self, message: str, reason_code: str = "environment") -> None:
        super().__init__(message)
        self.reason_code = reason_code


class Fault(SandboxError):
    """An error of ours. Whatever was being decided is denied; whatever ran keeps its reservation."""

    exit_code = 5

    def __init__(self, message: str, reason_code: str = "fault.internal") -> None:
        super().__init__(message)
        self.reason_code = reason_code


class EnginesDisagree(Fault):
    """The evaluator and the solver do not give the same verdict or the same next state."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "fault.disagreement")


class RecordBroken(Fault):
    """The audit log's chain does not verify, or cannot be written."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(message, "audit.broken")


class SandboxFailure(Fault):
    """The machinery around a started container failed; never shown as the tool's own output."""

    exit_code = 1

    def __init__(self, message: str, reason_code: str = "sandbox_failure") -> None:
        super().__init__(message, reason_code)
