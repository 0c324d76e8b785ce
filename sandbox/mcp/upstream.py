"""The gateway's side of the conversation with a real server: one request at a time, and nothing else is granted.

A server may be hostile. It is asked, and only then is it listened to; what it asks for itself is refused; an answer
to what was not asked, or one that cannot be read, ends the conversation. All of it is bounded by a deadline and by
the bytes and messages that one request may bring about.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn, Protocol

from sandbox.canonical import quoted
from sandbox.mcp.lines import TOO_LONG, Lines
from sandbox.mcp.pins import Definition, Listing, definition
from sandbox.mcp.wire import (
    HANDSHAKE_VERSIONS,
    META_CAPABILITIES,
    META_CLIENT,
    META_SERVER,
    META_VERSION,
    METHOD_NOT_FOUND,
    MODERN_VERSION,
    UNSUPPORTED_VERSION,
    Answer,
    ErrorObject,
    Malformed,
    Notification,
    Request,
    error_of,
    read_message,
    result_of,
    write_message,
)
from sandbox.strict_json import MAX_KEYS, JsonNumber, Tree, member

MAX_MESSAGES: Final = 1_000
"""Messages that a server may send until it has answered one request: progress, logging, and what it asks for."""
MAX_PAGES: Final = 32
"""Pages of one list."""
MAX_LISTED: Final = MAX_KEYS
"""Tools of one server, or prompts, or resources: what a pin file can hold."""
MAX_ID: Final = 2**53
"""What every reader of JSON keeps exactly."""
CLIENT_NAME: Final = "sandbox"
LIST_CHANGED: Final = frozenset(f"notifications/{kind}/list_changed" for kind in ("tools", "prompts", "resources"))


class Channel(Protocol):
    """The standard streams of a server."""

    def send(self, data: bytes, deadline: float) -> None:
        """All of the bytes, by the deadline (`time.monotonic`); SandboxFailure if it does not take them."""
        ...

    def receive(self, deadline: float) -> bytes | Literal["late"] | None:
        """What comes next; `late` at the deadline, None at the end."""
        ...


class ServerLost(Exception):
    """The conversation is over: the server ended, was late, or broke the protocol. The text says which."""

    def __init__(self, reason: str, reason_code: str) -> None:
        super().__init__(reason)
        self.reason_code = reason_code


class ServerRefused(Exception):
    """The server answered with an error."""

    def __init__(self, error: ErrorObject) -> None:
        super().__init__(error.message)
        self.code = error.code


@dataclass(slots=True)
class Upstream:
    """A conversation. Not thread-safe. `changed` says that the server has told of another list.

    `limit` bounds the bytes that come back for one request. Once ServerLost was raised nothing more can be asked.
    """

    _channel: Channel
    limit: int
    changed: bool = False
    server: str = ""
    _modern: bool = False
    _has: frozenset[str] = frozenset()
    _lines: Lines = field(default_factory=Lines)
    _waiting: list[bytes] = field(default_factory=list)

    def open(self, deadline: float) -> None:
        """Agrees with the server on a version. Raises ServerLost."""
        asked = {"protocolVersion": HANDSHAKE_VERSIONS[-1], "capabilities": {}, "clientInfo": _client()}
        try:
            result = self._ask("initialize", asked, deadline)
        except ServerRefused as refused:
            if refused.code not in {UNSUPPORTED_VERSION, METHOD_NOT_FOUND}:
                _break(f"the server refused to begin: {quoted(str(refused))}")
            self._discover(deadline)
            return
        match result:
            case {"protocolVersion": str() as version} if version <= HANDSHAKE_VERSIONS[-1]:
                self.server = _server_name(member(result, "serverInfo"))
                self._has = _capabilities(result)
            case _:
                _break("the server speaks no version of the protocol that is known here")
        self._send(write_message({"method": "notifications/initialized"}), deadline)

    def list_all(self, deadline: float, *, prompts: bool = False, resources: bool = False) -> Listing:
        """What the server lists now: tools, and what else is asked for; of a kind that it says it has not, nothing.

        All pages, but of resources no more than a pin file can hold. Raises ServerLost, also where a name stands twice.
        """
        self.changed = False
        prompts, resources = prompts and "prompts" in self._has, resources and "resources" in self._has
        return Listing(
            self._list("tools", "tools", "name", deadline),
            self._list("prompts", "prompts", "name", deadline) if prompts else {},
            self._list("resources", "resources", "uri", deadline) if resources else {},
            self._list("resources/templates", "resourceTemplates", "uriTemplate", deadline) if resources else {},
        )

    def ask(self, method: str, params: Mapping[str, object], deadline: float) -> Tree:
        """The result of a request, as the server gave it. Raises ServerRefused, ServerLost."""
        return self._ask(method, params, deadline)

    def drain(self) -> None:
        """Reads what has come unasked; raises ServerLost where it may not have."""
        seen = _Seen(self.limit)
        while True:
            while self._waiting:  # also what came behind the last answer
                if self._take(self._waiting.pop(0), seen, None, time.monotonic()) is not None:
                    raise _unasked()
            data = self._channel.receive(time.monotonic())
            if data is None:
                raise _gone()
            if data == "late":
                return
            seen.count(data)
            self._waiting += self._lines.feed(data)

    # --- private ---------------------------------------------------------------------------------

    def _list(self, kind: str, field_: str, key: str, deadline: float) -> dict[str, Definition]:
        found: dict[str, Definition] = {}
        cursor: Tree = None
        for _ in range(MAX_PAGES):
            params = {} if cursor is None else {"cursor": cursor}
            try:
                page = self._ask(f"{kind}/list", params, deadline)
            except ServerRefused as refused:
                if refused.code == METHOD_NOT_FOUND and kind != "tools":
                    return {}
                _break(f"the server does not list its {kind}: {quoted(str(refused))}")
            listed, cursor = member(page, field_), member(page, "nextCursor")
            for tree in listed if isinstance(listed, list) else [None]:
                if len(found) == MAX_LISTED and kind.startswith("resources"):
                    return found  # files, perhaps; what is not listed can be read all the same
                each = definition(tree, key)
                if each is None or each.name in found or len(found) >= MAX_LISTED:
                    _break(f"the server's list of {kind} cannot be used: one without a name, one twice, or too many")
                found[each.name] = each
            if cursor is None:
                return found
        message = f"the server's list of {kind} has more than {MAX_PAGES} pages"
        raise ServerLost(message, "mcp.protocol")

    def _discover(self, deadline: float) -> None:
        self._modern = True
        try:
            result = self._ask("server/discover", {}, deadline)
        except ServerRefused as refused:
            _break(f"the server refused to begin: {quoted(str(refused))}")
        match result:
            case {"supportedVersions": list() as versions} if MODERN_VERSION in versions:
                self.server = _server_name(member(member(result, "_meta"), META_SERVER))
                self._has = _capabilities(result)
            case _:
                _break("the server speaks no version of the protocol that is known here")

    def _ask(self, method: str, params: Mapping[str, object], deadline: float) -> Tree:
        id_ = JsonNumber(secrets.randbelow(MAX_ID))  # not to be guessed: an answer may not come before its question
        if self._modern:
            meta = {META_VERSION: MODERN_VERSION, META_CLIENT: _client(), META_CAPABILITIES: {}}
            params = {**params, "_meta": meta}
        self._send(write_message({"id": id_, "method": method, "params": params}), deadline)
        seen = _Seen(self.limit)
        while True:
            while self._waiting:
                answer = self._take(self._waiting.pop(0), seen, id_, deadline)
                if answer is not None:
                    return _result(answer)
            data = self._channel.receive(deadline)
            if data is None:
                raise _gone()
            if data == "late":
                message = "the server did not answer in time"
                raise ServerLost(message, "limit.time")
            seen.count(data)
            self._waiting += self._lines.feed(data)

    def _take(self, line: bytes, seen: _Seen, id_: str | None, deadline: float) -> Answer | None:
        """One line: the answer that is waited for, or None for what was dealt with."""
        seen.messages += 1
        if seen.messages > MAX_MESSAGES:
            message = f"the server sent more than {MAX_MESSAGES} messages for one request"
            raise ServerLost(message, "limit.output")
        if line == TOO_LONG:
            message = "the server sent a message that is larger than a message may be"
            raise ServerLost(message, "limit.result")
        if not line.lstrip().startswith((b"{", b"[")):
            return None  # not even meant as a message: some servers greet
        match read_message(line):
            case Answer(id=answered) as answer:
                if answered != id_ or type(answered) is not type(id_):
                    raise _unasked()
                return answer
            case Notification(method=method):
                self.changed = self.changed or method in LIST_CHANGED
            case Request(id=asked, method="ping"):
                self._send(result_of(asked, {}), deadline)
            case Request(id=asked):
                self._send(error_of(asked, METHOD_NOT_FOUND, "not granted"), deadline)
            case Malformed(message=reason):
                _break(f"the server sent what is no message: {reason}")
        return None

    def _send(self, data: bytes, deadline: float) -> None:
        self._channel.send(data, deadline)


@dataclass(slots=True)
class _Seen:
    """What has come for one request."""

    limit: int
    size: int = 0
    messages: int = 0

    def count(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self.limit:
            message = f"the server sent more than {self.limit} bytes for one request"
            raise ServerLost(message, "limit.output")


def _result(answer: Answer) -> Tree:
    if answer.error is not None:
        raise ServerRefused(answer.error)
    return answer.result


def _client() -> dict[str, object]:
    return {"name": CLIENT_NAME, "version": "1"}


def _capabilities(result: Tree) -> frozenset[str]:
    """What the server says that it has: some do not even refuse what they have not."""
    told = member(result, "capabilities")
    items = told.items() if isinstance(told, dict) else ()
    return frozenset(name for name, value in items if isinstance(value, dict))


def _server_name(info: Tree) -> str:
    match info:
        case {"name": str() as name, "version": str() as version}:
            return f"{name[:100]} {version[:100]}"
        case _:
            return ""


def _break(reason: str) -> NoReturn:
    raise ServerLost(reason, "mcp.protocol")


def _unasked() -> ServerLost:
    return ServerLost("the server answered what it was not asked", "mcp.protocol")


def _gone() -> ServerLost:
    return ServerLost("the server ended", "mcp.server_gone")
