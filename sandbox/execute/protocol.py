"""Frames between the host and the guest, and what the host believes of them.

Host to guest, once: size (4 bytes, big-endian) and JSON: the call and a random key of 32 bytes.
Guest to host: size (4), kind (1), number (4), HMAC-SHA256 (32) over those nine bytes and the payload; then
the payload. The first frame, hello, comes before the key and before anything of the tool runs; it is signed
with the empty key. Then stdout and stderr as they come, and one end.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from sandbox.call import Call
from sandbox.errors import SandboxFailure
from sandbox.ir import (
    ArgType,
    ArgWord,
    DecimalType,
    DurationType,
    Json,
    ListType,
    RecordType,
    RunArgv,
    RunHost,
    RunServer,
    RunTool,
    TimestampType,
    Tool,
)

HELLO: Final = 1
STDOUT: Final = 2
STDERR: Final = 3
END: Final = 4

_HEADER: Final = struct.Struct(">IBI32s")
_SIGNED: Final = struct.Struct(">IBI")
_CALL_HEADER: Final = struct.Struct(">I")

KEY_SIZE: Final = 32
INPUT_FRAME: Final = 64 * 1024
"""Bytes of a server's input in one frame."""

HELLO_LIMIT: Final = 256 * 1024
"""Bytes of the hello, which grows with the mounts; and of what an end adds to its result."""

RESULT_DEPTH: Final = 32
"""Nesting of a result, as of a call: what is read again by others must not exhaust their stack."""

REASON_LIMIT: Final = 2_000
"""Characters of an exception's text that are kept."""

Words: TypeAlias = list[str]


@dataclass(frozen=True, slots=True)
class Frame:
    """One authenticated message from the guest."""

    kind: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Returned:
    """The tool returned a value."""

    result: Json


@dataclass(frozen=True, slots=True)
class Raised:
    """The tool raised, exited, or returned what is no JSON."""

    reason: str
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class Exceeded:
    """The tool wrote, or returned, more than it may."""

    what: Literal["output", "result"]


Ending: TypeAlias = Returned | Raised | Exceeded


@dataclass(slots=True)
class FrameReader:
    """Takes bytes as they come, gives authenticated frames in order; anything else raises SandboxFailure."""

    output_limit: int
    key: bytes = b""
    _next: int = 0
    _buffer: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete."""
        self._buffer += data
        frames = []
        while (frame := self._take()) is not None:
            frames.append(frame)
        return frames

    def _take(self) -> Frame | None:
        if len(self._buffer) < _HEADER.size:
            return None
        size, kind, number, mac = _HEADER.unpack_from(self._buffer)
        if (
            size > HELLO_LIMIT + 6 * self.output_limit
            or number != self._next
            or kind not in {HELLO, STDOUT, STDERR, END}
        ):
            raise _forged()
        if len(self._buffer) < _HEADER.size + size:
            return None
        payload = bytes(self._buffer[_HEADER.size : _HEADER.size + size])
        del self._buffer[: _HEADER.size + size]
        expected = hmac.new(self.key, _SIGNED.pack(size, kind, number) + payload, hashlib.sha256).digest()
        if not hmac.compare_digest(mac, expected):
            raise _forged()
        self._next += 1
        return Frame(kind, payload)


def call_frame(call: Call, tool: Tool, key: bytes) -> bytes:
    """The one frame that the guest is sent: what runs, with which canonical arguments, within which limits."""
    body = json.dumps({"key": key.hex(), **call_message(call, tool)}, ensure_ascii=True).encode()
    return _CALL_HEADER.pack(len(body)) + body


def server_frame(words: Words, key: bytes) -> bytes:
    """The one frame that the guest is sent where it starts a server: the program's words. What follows is its input."""
    body = json.dumps({"key": key.hex(), "kind": "server", "argv": words}, ensure_ascii=True).encode()
    return _CALL_HEADER.pack(len(body)) + body


def input_frames(data: bytes) -> bytes:
    """Bytes for the server's standard input, in frames as the guest takes them."""
    parts = (data[start : start + INPUT_FRAME] for start in range(0, len(data), INPUT_FRAME))
    return b"".join(_CALL_HEADER.pack(len(part)) + part for part in parts)


def call_message(call: Call, tool: Tool) -> dict[str, Json]:
    """What the worker is told, without the key."""
    if tool.run is None or isinstance(tool.run.what, RunHost | RunServer):
        message = f"`{tool.name}` does not run in a container"
        raise SandboxFailure(message)
    arguments = canonical_arguments(call)
    limits: dict[str, Json] = {"output": tool.run.output, "timeout_ms": tool.run.timeout_ms}
    match tool.run.what:
        case RunTool(module=module, function=function):
            kinds: dict[str, Json] = {argument.name: kind_of(argument.type) for argument in tool.arguments}
            what: dict[str, Json] = {"module": module, "function": function, "args": arguments, "kinds": kinds}
            return {"kind": "tool", **what, **limits}
        case RunArgv() as argv:
            words: list[Json] = list(argv_words(argv, arguments))
            return {"kind": "argv", "argv": words, **limits}


def canonical_arguments(call: Call) -> dict[str, Json]:
    """The arguments as the canonical text has them: the very bytes that were digested and shown."""
    arguments = json.loads(call.canonical)["args"]
    return dict(arguments)


def argv_words(argv: RunArgv, arguments: Mapping[str, Json]) -> Words:
    """The program's words: constants, and an argument's value as whole words; a list is spliced, an absent one dropped.

    Raises:
        SandboxFailure: no word is left.
    """
    words: Words = []
    for word in argv.words:
        match word:
            case ArgWord(argument=name):
                value = arguments.get(name, [])
                words.extend(_word(item) for item in (value if isinstance(value, list) else [value]))
            case str():
                words.append(word)
    if not words or not words[0]:
        message = "`run.argv` names no program for this call"
        raise SandboxFailure(message)
    return words


def read_ending(payload: bytes, output_limit: int) -> tuple[Ending, int]:
    """How the tool ended, and how many processes were killed for want of memory: -1 if the guest cannot tell.

    Raises:
        SandboxFailure: the guest said what it never says.
    """
    try:
        end = json.loads(payload)
        kills = int(end["oom_kills"])
        return _ending(end, output_limit), kills
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _forged() from error


def read_result(text: str, limit: int) -> Json:
    """A tool's result: JSON within size (bytes) and `RESULT_DEPTH`; no key twice, finite numbers, real characters.

    Raises:
        ValueError: with the reason, in words for the tool's author.
    """
    if len(text.encode("utf-8", "surrogatepass")) > limit:
        message = "the result is too large"
        raise ValueError(message)
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        message = "the result is nested too deeply"
        raise ValueError(message) from None
    _check(value, RESULT_DEPTH)
    return value  # type: ignore[no-any-return]  # json.loads is typed Any; the value was just checked


def one_line(text: str, limit: int = REASON_LIMIT) -> str:
    """The text as one printable line: what a terminal would act on is escaped, what is too long is cut."""
    line = "".join(character if character.isprintable() else _escape(character) for character in text[:limit])
    return line if len(line) <= limit else line[: limit - 1] + "…"


# --- private -------------------------------------------------------------------------------------------


def _ending(end: Mapping[str, Json], output_limit: int) -> Ending:
    match end:
        case {"end": "returned", "result": str(text)}:
            try:
                return Returned(read_result(text, output_limit))
            except ValueError as error:
                return Raised(one_line(f"the result is not JSON as it should be: {error}"), 0)
        case {"end": "raised", "reason": str(reason), "exit": int(code)}:
            return Raised(one_line(reason), code)
        case {"end": "exited", "exit": int(code)}:
            return Raised(_exit_text(code), code)
        case {"end": "output" | "result" as what}:
            return Exceeded(what)
        case _:
            raise ValueError(end)


def _exit_text(code: int) -> str:
    if code < 0:
        return f"the tool was ended by signal {-code}"
    return f"the tool ended with exit code {code} and returned nothing"


def kind_of(type_: ArgType) -> Json:
    """What the guest makes of a canonical value: a class by name, `["list", kind]`, a field's kind each, or nothing."""
    match type_:
        case DecimalType():
            return "decimal"
        case TimestampType():
            return "timestamp"
        case DurationType():
            return "duration"
        case ListType(items=items):
            return ["list", kind_of(items)]
        case RecordType(fields=parts):
            return {part.name: kind_of(part.type) for part in parts}
        case _:
            return None


def _word(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a key occurs twice"
        raise ValueError(message)
    return found


def _no_constant(text: str) -> Json:
    message = f"`{text}` is no number"
    raise ValueError(message)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        message = "a number is out of range"
        raise ValueError(message)
    return value


def _check(value: Json, depth: int) -> None:
    if depth < 0:
        message = f"it is nested more than {RESULT_DEPTH} deep"
        raise ValueError(message)
    match value:
        case str():
            value.encode()  # a lone surrogate is a ValueError
        case list():
            for item in value:
                _check(item, depth - 1)
        case dict():
            for key, item in value.items():
                key.encode()
                _check(item, depth - 1)
        case _:
            return


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def _forged() -> SandboxFailure:
    return SandboxFailure("the container sent what its runner does not send", "sandbox_failure.protocol")
