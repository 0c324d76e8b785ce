"""The values that flow from a model's bytes to a result: Call, Decision, Permit, Outcome, Receipt, Result.

All are frozen. A `Call` exists only as the product of `parse`; a `Permit` only as the product of a
decision whose reservation is committed; an `Outcome` only as the product of `execute`.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from sandbox.ir import Json

Value: TypeAlias = bool | int | str | tuple["Value", ...] | Mapping[str, "Value"] | AbstractSet[str]
"""A canonical value as rules see it.

Decimals are scaled integers, timestamps and durations milliseconds, paths, enums and text str, lists (argv, the
commands of a shell line) tuples; records, URLs and e-mail addresses read-only mappings that lack absent parts. Of the
state only: a set is a set, a map a mapping of the keys whose value is not `initial`.
"""

Origins: TypeAlias = Mapping[str, AbstractSet[str]]
"""What is known of where the values of a call's arguments come from: labels, by the name of the argument.

Of an argument that is not among them nothing is known: its labels are `NOTHING_KNOWN`.
"""

UNKNOWN: Final = "unknown"
NOTHING_KNOWN: Final = frozenset({UNKNOWN})

Verdict: TypeAlias = Literal["allow", "ask", "deny"]
RulingKind: TypeAlias = Literal["withhold", "redact", "pass"]
EngineVerdict: TypeAlias = Literal["allow", "ask", "deny", "fault"]
Status: TypeAlias = Literal["ok", "error", "timeout", "out_of_memory", "output_limit", "killed", "sandbox_failure"]
ProofsStatus: TypeAlias = Literal["current", "unproved", "stale", "missing", "none"]
Isolation: TypeAlias = Literal["container", "session", "host"]
"""A container of the call's own; one that lives for a client's session (a real MCP server); or none."""


@dataclass(frozen=True, slots=True, repr=False)
class Call:
    """A tool call, parsed once. `args` is read-only and lacks absent optionals.

    `canonical` is the JSON text (JCS) of `{"args": ..., "tool": ...}` that is digested and sent to the container.
    `digest` is its SHA-256 in hex; a keyed one where an argument is secret, for it stands in records. `masked` is the
    canonical text with a keyed digest in place of each secret value, None where nothing is secret. `plain_digest` is
    the SHA-256 that the permit is held against where `digest` is keyed; it is never shown and never written.
    `origins` is no part of what was said: the gate adds it before any engine judges, for the arguments of which a rule
    asks it.
    """

    tool: str
    args: Mapping[str, Value]
    canonical: str
    digest: str
    masked: str | None = None
    plain_digest: str = ""
    origins: Origins = field(default_factory=dict)

    @property
    def bound_digest(self) -> str:
        """The SHA-256 (hex) of the canonical bytes, made when they were parsed: what runs must have it."""
        return self.plain_digest or self.digest

    @property
    def shown(self) -> str:
        """What may be shown, logged and recorded of the call: all of it but the values of what is secret."""
        return self.canonical if self.masked is None else self.masked

    def told_origins(self) -> dict[str, tuple[str, ...]]:
        """The labels of each argument whose origins were judged, in order: for records and people."""
        return {name: tuple(sorted(labels)) for name, labels in sorted(self.origins.items())}

    def hidden(self) -> Call:
        """The call as whoever is shown it may have it: where something is secret, the masked text and no values."""
        return (
            self
            if self.masked is None
            else Call(self.tool, {}, self.masked, self.digest, self.masked, origins=self.origins)
        )

    def __repr__(self) -> str:
        return f"Call({self.shown})"


@dataclass(frozen=True, slots=True)
class Rejected:
    """What `parse` answers to bytes that are no call of this contract. `reason` is one printable line."""

    reason_code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Engines:
    """Each engine's own verdict; None where it was not asked."""

    evaluator: EngineVerdict | None = None
    solver: EngineVerdict | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The gate's verdict on one raw call, before any human.

    `rule` is the first in file order of the deciding kind ('' for the default and for what did not parse), `spec` the
    name of the spec that it stands in; `fired` is every rule that was true, as `spec/rule` where the gate has several
    specs. `call` is None for what did not parse.
    """

    verdict: Verdict
    reason_code: str
    reason: str
    rule: str = ""
    fired: tuple[str, ...] = ()
    call: Call | None = None
    engines: Engines = field(default_factory=Engines)
    approvers: int = 0
    expires_ms: int = 0
    spec: str = ""


@dataclass(frozen=True, slots=True)
class Permit:
    """The permission to run one call once. The only thing that `execute` accepts; it re-checks every field.

    Digests are SHA-256 in hex, times Unix milliseconds. `nonce` was written in the transaction that made the
    reservation and is consumed by the execution. `epoch` is the kill switch's at the time of the decision.
    `contract_digest` is that of the spec whose `run` runs, `contracts` the name and digest of every spec of the gate.
    """

    nonce: str
    call: Call
    contract_digest: str
    session_digest: str
    run_digest: str
    image_digest: str
    source_digest: str
    expires_at_ms: int
    epoch: int
    approved_by: tuple[str, ...] = ()
    contracts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One path in a workspace that a call changed. `path` is relative; `digest` is of the new content, if any."""

    path: str
    kind: Literal["added", "modified", "deleted"]
    type: Literal["file", "directory"]
    mode: int
    size: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that a call made of the network broker, whether or not it was passed on.

    `path` is cut and has no query; `digest` is SHA-256 (hex) of the whole path and query. `status` is the answer's,
    0 where there was none; `sent` and `received` are bytes of the bodies; `reason_code` is `ok` or `network.*`.
    """

    method: str
    host: str
    port: int
    path: str
    digest: str
    status: int
    sent: int
    received: int
    reason_code: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an execution. `result` is the tool's JSON; `started` whether a container had started.

    `reason_code` is `ok`, `tool.error`, `limit.*`, `changes.*` or
    `sandbox_failure.*`; `after.*` of a result that is withheld, however the call ended.
    """

    status: Status
    reason_code: str
    reason: str
    result: Json = None
    stdout: str = ""
    stderr: str = ""
    truncated: bool = False
    duration_ms: int = 0
    changes: tuple[Change, ...] = ()
    requests: tuple[Asked, ...] = ()
    started: bool = True
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Proofs:
    """How the properties of a spec stood by the ledger when its gate opened.

    `current`: all proved, of this very spec. `unproved`: one of them is not. `stale`: one is of another version of the
    spec, property or prover, or was removed. `missing`: one is not in the ledger. `none`: no property file is known.
    `digest` is over what the ledger says of them (SHA-256 in hex, '' for `none`).
    """

    status: ProofsStatus
    digest: str = ""


NO_PROOFS: Final = Proofs("none")


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of a result by the `after` rules, by which rule ('' for none) of which spec.

    `reason_code` is `after.withheld`, `after.type` or `after.fault` for what is withheld, else ''; `reason` is ours and
    the author's, and repeats nothing of the result.
    """

    kind: RulingKind
    spec: str
    rule: str = ""
    reason_code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was bound to what, for the record and for the caller. Digests are SHA-256 in hex.

    `contract_digest` is that of the spec whose `run` ran, `contracts` has the digest of every spec of the gate by name.
    `origins` has the labels that were judged, of each argument of which a rule asks any.
    """

    call_digest: str
    contract_digest: str
    run_digest: str
    image_digest: str
    source_digest: str
    isolation: Isolation
    runtime: str
    nonce: str
    record_sequence: int
    record_digest: str
    approved_by: tuple[str, ...] = ()
    proofs: Proofs = NO_PROOFS
    contracts: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What `Gate.call` returns for a call that ran and ended `ok`."""

    decision: Decision
    outcome: Outcome
    receipt: Receipt

    @property
    def value(self) -> Json:
        """The tool's own JSON result."""
        return self.outcome.result
