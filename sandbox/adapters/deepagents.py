"""Deep Agents: a backend whose files and commands are calls of the spec's tools, and agents that have no other way.

Every operation of the backend is a call of the spec's tool of that name, for the agent, its sub-agents and what the
framework does by itself (offloading, memory, skills) alike. It runs in the tool's container or, where the spec says
`run: {host: REASON}`, in a backend of yours, after the permit.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Final, NoReturn, TypeVar

from deepagents import create_deep_agent
from deepagents.backends.protocol import (
    BackendProtocol,
    DeleteResult,
    EditResult,
    ExecuteResponse,
    FileDownloadResponse,
    FileUploadResponse,
    GlobResult,
    GrepResult,
    LsResult,
    ReadResult,
    SandboxBackendProtocol,
    WriteResult,
)
from deepagents.middleware.filesystem import FilesystemMiddleware
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from sandbox.adapters.front import Front, refuse_unseen, stand_in
from sandbox.adapters.langchain import wrap
from sandbox.adapters.origins import said_origins
from sandbox.adapters.telling import Answer
from sandbox.errors import Denied, UsageError
from sandbox.gate import Gate
from sandbox.host import HostFunction
from sandbox.ir import RunHost
from sandbox.session import SessionSource, current

_T = TypeVar("_T")

METHODS: Final = {
    "ls": "ls",
    "read_file": "read",
    "write_file": "write",
    "edit_file": "edit",
    "delete": "delete",
    "glob": "glob",
    "grep": "grep",
    "execute": "execute",
}
"""The spec's tool of each operation, named as the model knows it, and the backend's method."""
TRANSFERS: Final = ("upload_file", "download_file")
"""Operations of the framework's own (skills, memory, offloaded media); `content` is base64."""
REQUIRED: Final = "read_file"
"""What the framework insists on showing to the model; where the spec does not have it, every call of it is denied."""
DEFAULTS: Final = {"offset": 0, "limit": 2000, "replace_all": False}
"""What an operation leaves unsaid: left out where the spec's tool has no such argument."""


class BackendFailed(Exception):
    """The backend behind the gate could not do what was permitted."""


class SandboxedBackend(BackendProtocol):
    """Files behind the gate. The async methods are the protocol's own: they run these in a thread."""

    def __init__(self, calls: _Calls) -> None:
        self.__calls = calls

    def ls(self, path: str) -> LsResult:
        """Call `ls`."""
        return self.__calls.take(LsResult, "ls", path=path)

    def read(self, file_path: str, offset: int = 0, limit: int = 2000) -> ReadResult:
        """Call `read_file`."""
        return self.__calls.take(ReadResult, "read_file", file_path=file_path, offset=offset, limit=limit)

    def write(self, file_path: str, content: str) -> WriteResult:
        """Call `write_file`."""
        return self.__calls.take(WriteResult, "write_file", file_path=file_path, content=content)

    def edit(self, file_path: str, old_string: str, new_string: str, replace_all: bool = False) -> EditResult:  # noqa: FBT001, FBT002  # the protocol's
        """Call `edit_file`."""
        said = {"file_path": file_path, "old_string": old_string, "new_string": new_string, "replace_all": replace_all}
        return self.__calls.take(EditResult, "edit_file", **said)

    def delete(self, file_path: str) -> DeleteResult:
        """Call `delete`."""
        return self.__calls.take(DeleteResult, "delete", file_path=file_path)

    def glob(self, pattern: str, path: str | None = None) -> GlobResult:
        """Call `glob`."""
        return self.__calls.take(GlobResult, "glob", pattern=pattern, path=path)

    def grep(
        self, pattern: str, path: str | None = None, glob: str | None = None, *, max_count: int | None = None
    ) -> GrepResult:
        """Call `grep`."""
        return self.__calls.take(GrepResult, "grep", pattern=pattern, path=path, glob=glob, max_count=max_count)

    def upload_files(self, files: list[tuple[str, bytes]]) -> list[FileUploadResponse]:
        """Call `upload_file` for each."""
        return [self.__upload(path, content) for path, content in files]

    def download_files(self, paths: list[str]) -> list[FileDownloadResponse]:
        """Call `download_file` for each."""
        return [self.__download(path) for path in paths]

    def __upload(self, path: str, content: bytes) -> FileUploadResponse:
        answer = self.__calls.answer("upload_file", path=path, content=base64.b64encode(content).decode())
        return FileUploadResponse(path, answer.text if answer.is_error else None)

    def __download(self, path: str) -> FileDownloadResponse:
        answer = self.__calls.answer("download_file", path=path)
        content = answer.result.get("content") if isinstance(answer.result, dict) else None
        if answer.is_error or not isinstance(content, str):
            return FileDownloadResponse(path, None, answer.text if answer.is_error else "permission_denied")
        try:
            return FileDownloadResponse(path, base64.b64decode(content, validate=True))
        except (binascii.Error, ValueError):
            return FileDownloadResponse(path, None, "the tool's `content` is not base64")

    def _take_command(self, command: str, timeout: int | None) -> ExecuteResponse:
        answer = self.__calls.answer("execute", command=command, timeout=timeout)
        if isinstance(answer.result, dict) and "output" in answer.result and not answer.is_error:
            return _built(ExecuteResponse, answer.result)
        return ExecuteResponse(answer.text, 1 if answer.is_error else 0)

    def __copy__(self) -> SandboxedBackend:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> SandboxedBackend:
        return self

    def __reduce__(self) -> NoReturn:
        message = "a backend behind a gate cannot be pickled; wrap it where it is needed"
        raise TypeError(message)


class SandboxedShell(SandboxedBackend, SandboxBackendProtocol):
    """Files and commands behind the gate, where the spec has `execute`."""

    @property
    def id(self) -> str:
        """One name for all: which container a call gets is the gate's matter."""
        return "sandbox"

    def execute(self, command: str, *, timeout: int | None = None) -> ExecuteResponse:
        """Call `execute`."""
        return self._take_command(command, timeout)


def backend(gate: Gate, inner: BackendProtocol | None = None, *, session: SessionSource = None) -> SandboxedBackend:
    """A backend for the gate's spec, with `execute` where the spec has it.

    `inner` does what the spec marks `run: {host: ...}`, after the permit; it is not kept where nothing is. UsageError
    where something is and there is none, and for a backend that is wrapped already.
    """
    if isinstance(inner, SandboxedBackend):
        message = "this backend is wrapped already"
        raise UsageError(message)
    if inner is not None and not isinstance(inner, BackendProtocol):
        message = f"`{getattr(inner, '__name__', type(inner).__name__)}` is no backend of Deep Agents"
        raise UsageError(message)
    calls = _Calls(gate, session, {name: _front(gate, name, inner, session) for name in _operations(gate)})
    return SandboxedShell(calls) if gate.policy.tool("execute") is not None else SandboxedBackend(calls)


def deep_agent(
    gate: Gate,
    model: object,
    *,
    inner: BackendProtocol | None = None,
    tools: Sequence[object] | None = None,
    subagents: Sequence[Mapping[str, object]] = (),
    middleware: Sequence[object] = (),
    session: SessionSource = None,
    pause: bool = False,
    **more: object,
) -> Runnable[dict[str, object], dict[str, object]]:
    """`create_deep_agent` with the spec's tools, files and commands, and nothing else, for it and its sub-agents.

    `tools` and `pause` as for `langchain.wrap`; a sub-agent may have those of them that it names. Of files and commands
    that wait for a person the model is told so: in one step with a call the framework reads and writes some by itself,
    and a step that is resumed runs anew. UsageError for what no gate can see: sub-agents that are compiled already or
    run elsewhere, middleware that brings tools, another backend.
    """
    if "backend" in more:
        message = "`backend` is what the gate is in front of; give it as `inner`"
        raise UsageError(message)
    wrapped = wrap(gate, tools, session=session, pause=pause)
    held = {tool.name: tool for tool in wrapped if tool.name not in (*METHODS, *TRANSFERS)}
    behind = backend(gate, inner, session=session)
    files = [name for name in METHODS if name == REQUIRED or gate.policy.tool(name) is not None]
    _check_middleware(middleware)
    agents = [_subagent(each, held, behind, files) for each in subagents]
    made: Runnable[dict[str, object], dict[str, object]] = create_deep_agent(
        model,
        [*held.values()],
        backend=behind,
        middleware=[FilesystemMiddleware(backend=behind, tools=files), *middleware],
        subagents=agents,
        **more,
    )
    return made


# --- private -----------------------------------------------------------------------------------------


class _Calls:
    """The operations as calls of the spec's tools."""

    __slots__ = ("__fronts", "__gate", "__session")

    def __init__(self, gate: Gate, session: SessionSource, held: Mapping[str, Front]) -> None:
        self.__gate = gate
        self.__session = session
        self.__fronts = dict(held)

    def take(self, kind: Callable[..., _T], name: str, **said: object) -> _T:
        """The operation's result, an error where the call did not do what was asked."""
        answer = self.answer(name, **said)
        return kind(error=answer.text) if answer.is_error else _built(kind, answer.result)

    def answer(self, name: str, **said: object) -> Answer:
        """What came of the call; one of a tool that the spec does not have is denied, and on record."""
        tool, front = self.__gate.policy.tool(name), self.__fronts.get(name)
        declared = {argument.name for argument in tool.arguments} if tool is not None else set()
        arguments = {key: value for key, value in said.items() if not _is_unsaid(key, value, declared)}
        if front is not None:
            return front.call(arguments)
        raw = {"tool": name, "args": arguments}
        origins = said_origins(self.__gate, self.__session, raw)
        try:
            self.__gate.call(raw, current(self.__session), origins=origins)
        except Denied as error:
            return Answer("denied", f"denied ({error.reason_code}): {error}. It did not run.")
        message = f"`{name}` is not here, and was not denied"
        raise UsageError(message)


def _is_unsaid(key: str, value: object, declared: set[str]) -> bool:
    return value is None or (key not in declared and key in DEFAULTS and value == DEFAULTS[key])


def _built(kind: Callable[..., _T], result: object) -> _T:
    """The protocol's result from the tool's JSON: an object with the fields of that class."""
    try:
        if isinstance(result, dict) and set(result) <= {each.name for each in fields(kind)}:  # type: ignore[arg-type]
            return kind(**result)
    except (TypeError, ValueError):
        pass
    return kind(error=f"the tool's result is no `{getattr(kind, '__name__', '?')}`, an object with its fields")


def _operations(gate: Gate) -> list[str]:
    """The operations that the spec has and can run."""
    named = ((name, gate.policy.tool(name)) for name in (*METHODS, *TRANSFERS))
    return [name for name, tool in named if tool is not None and tool.run is not None]


def _front(gate: Gate, name: str, inner: BackendProtocol | None, session: SessionSource) -> Front:
    tool = gate.policy.tool(name)
    if inner is None and tool is not None and tool.run is not None and isinstance(tool.run.what, RunHost):
        message = f"`{name}` runs on the host: give the backend that does it, as `inner`"
        raise UsageError(message)
    return stand_in(gate, name, "", session, lambda: _host(name, inner))


def _host(name: str, inner: BackendProtocol) -> HostFunction:
    """What the gate runs for an operation: the backend's own method, its result as JSON."""

    def upload(path: str, content: str) -> object:
        (answer,) = inner.upload_files([(path, base64.b64decode(content, validate=True))])
        return _sound(answer)

    def download(path: str) -> object:
        (answer,) = inner.download_files([path])
        _sound(answer)
        return {"content": base64.b64encode(answer.content or b"").decode()}

    def other(**arguments: object) -> object:
        return _sound(getattr(inner, METHODS[name])(**arguments))

    match name:
        case "upload_file":
            return upload
        case "download_file":
            return download
        case _:
            return other


def _sound(answer: object) -> dict[str, object]:
    """The fields that say something. Raises BackendFailed for an error."""
    said = {key: value for key, value in asdict(answer).items() if value is not None}  # type: ignore[call-overload]
    if "error" in said:
        message = str(said["error"])
        raise BackendFailed(message)
    return said


def _check_middleware(middleware: Sequence[object]) -> None:
    for each in middleware:
        if getattr(each, "tools", None):
            refuse_unseen(type(each).__name__, "brings tools of its own")


def _subagent(
    spec: Mapping[str, object], held: Mapping[str, BaseTool], behind: SandboxedBackend, files: list[str]
) -> dict[str, object]:
    """The sub-agent with the gate's backend, and of its tools those behind the gate."""
    name = str(spec.get("name", "?"))
    if "graph_id" in spec:
        refuse_unseen(name, "runs elsewhere")
    if "runnable" in spec:
        refuse_unseen(name, "is compiled already: its tools and files are its own")
    own = spec.get("middleware") or ()
    _check_middleware(own if isinstance(own, Sequence) else ())
    checked = {**spec, "middleware": [FilesystemMiddleware(backend=behind, tools=files), *own]}  # type: ignore[misc]
    if "tools" in spec:
        wanted = spec["tools"]
        names = [getattr(tool, "name", tool) for tool in wanted] if isinstance(wanted, Sequence) else [wanted]
        strange = [each for each in names if not isinstance(each, str) or each not in held]
        if strange:
            refuse_unseen(f"{strange[0]}", f"of the sub-agent `{name}` is no tool of the agent's")
        checked["tools"] = [held[str(each)] for each in names]
    return checked
