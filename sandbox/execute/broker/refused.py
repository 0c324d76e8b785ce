"""Why a request is not passed on, or its answer is not: what the container is told and the record says."""

from __future__ import annotations

from enum import Enum


class Why(Enum):
    """Every reason: its code, and the status of HTTP that goes with it."""

    MALFORMED = ("network.malformed", 400)
    NOT_GRANTED = ("network.not_granted", 403)
    ADDRESS = ("network.address", 403)
    METHOD = ("network.method", 405)
    REQUEST_SIZE = ("network.request_size", 413)
    INTERNAL = ("network.internal", 500)
    NAME = ("network.name", 502)
    UNREACHABLE = ("network.unreachable", 502)
    TLS = ("network.tls", 502)
    ANSWER = ("network.answer", 502)
    ANSWER_SIZE = ("network.answer_size", 502)
    CREDENTIAL = ("network.credential", 502)
    RECORD = ("network.record", 503)
    LATE = ("network.late", 504)

    @property
    def code(self) -> str:
        """The reason code."""
        return self.value[0]

    @property
    def status(self) -> int:
        """The status that the container sees."""
        return self.value[1]


class Refused(Exception):
    """A request ends here. `reason` is one line for the tool's author; it never holds a secret."""

    def __init__(self, why: Why, reason: str) -> None:
        super().__init__(reason)
        self.why = why
        self.reason = reason
