"""The container engine, as far as it is used: create, inspect, attach, start, pause, kill, remove. Nothing else.

No exec into a container, no copying in or out of one: data travels on the attached stream only. Every
request has a timeout, none is repeated. The engine must be on this machine, for folders are mounted.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from sandbox.errors import EnvironmentLacking, SandboxFailure
from sandbox.execute.config import ContainerConfig, Placement, render, verify_inspect
from sandbox.execute.confinement import Kernel, Wall, options_of, verify_account, verify_inside, walls_of
from sandbox.ir import Json

if TYPE_CHECKING:
    import docker

REQUEST_TIMEOUT_S: Final = 60
"""For one request to the engine; on a busy machine a start takes seconds, a minute means that it hangs."""

PAUSE_TIMEOUT_S: Final = 2
"""For the engine to notice that a container goes on, or is frozen, before it is told the opposite."""

PAUSE_POLL_S: Final = 0.005

CONNECT_TIMEOUT_S: Final = 20
"""For the first answer of an engine that is there: one that is busy, or Podman, takes seconds to tell about itself."""

LOCAL_SCHEME: Final = "unix://"

HOW_TO_GET: Final = (
    "no container engine answers: `make setup` installs and starts one (or: apt-get install docker.io, then start "
    "dockerd); `sandbox doctor` shows what is missing"
)

_ATTACH: Final = (
    "POST {path}?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
    "Content-Length: 0\r\n\r\n"
)
"""By hand: the client library's way keeps a second owner of the connection, which then closes it late or never."""

_ANSWER_LIMIT: Final = 16 * 1024
"""Bytes of the head of an HTTP answer."""

_CONFLICT: Final = 409
"""The engine's answer where a removal is under way already."""

PODMAN: Final = "Podman Engine"
"""What Podman calls itself among the components of its version."""

_UNREADABLE: Final = (KeyError, TypeError, ValueError, AttributeError, RecursionError)
"""What an answer of another shape than it should have leads to."""

_REMAPPED: Final = re.compile(r"/(\d+)\.(\d+)/?$")

_OUR_NAME: Final = re.compile(r"/?sandbox-[0-9a-f]{16}")
_STREAM_HEADER: Final = struct.Struct(">BxxxL")
_STDOUT: Final = 1
_CHUNK: Final = 64 * 1024
_PART_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of one part of the attached stream; engines send at most 32 KiB at once."""

_DIAGNOSTICS_LIMIT: Final = 4_000
"""Bytes of the runner's own stderr that are kept to explain its failure."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a container ended. `exit_code` 137 is a kill; `out_of_memory` is the engine's own account."""

    exit_code: int
    out_of_memory: bool


@dataclass(slots=True)
class Attachment:
    """The attached stream of one container: what its first process reads and writes."""

    _socket: socket.socket
    _buffer: bytearray = field(default_factory=bytearray)
    diagnostics: bytearray = field(default_factory=bytearray)

    def send(self, data: bytes, deadline: float) -> None:
        """All of the bytes, by the deadline (`time.monotonic`).

        Raises:
            SandboxFailure: the container does not read, or is gone.
        """
        view = memoryview(data)
        while view:
            if not self._wait(deadline, select.POLLOUT):
                message = "the container did not take the call in time"
                raise SandboxFailure(message, "sandbox_failure.start")
            try:
                view = view[self._socket.send(view[:_CHUNK]) :]
            except OSError as error:
                message = "the container ended before it took the call"
                raise SandboxFailure(message, "sandbox_failure.start") from error

    def receive(self, deadline: float) -> bytes | Literal["late"] | None:
        """The next bytes of standard output; `late` at the deadline, None at the end of the stream."""
        while True:
            part = self._take_part()
            if part is not None:
                kind, data = part
                if kind == _STDOUT:
                    return data
                self.diagnostics += data[: _DIAGNOSTICS_LIMIT - len(self.diagnostics)]
                continue
            if not self._wait(deadline, select.POLLIN):
                return "late"
            try:
                data = self._socket.recv(_CHUNK)
            except OSError:
                return None
            if not data:
                return None
            self._buffer += data

    def is_silent(self) -> bool:
        """Whether the stream is open and nothing has come on it that was not read."""
        return not self._buffer and not self._wait(0.0, select.POLLIN)

    def close(self) -> None:
        """Closes the stream; the runner inside reads the end of its input and ends."""
        self._socket.close()

    def _wait(self, deadline: float, event: int) -> bool:
        poll = select.poll()
        poll.register(self._socket, event)
        return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))

    def _take_part(self) -> tuple[int, bytes] | None:
        if len(self._buffer) < _STREAM_HEADER.size:
            return None
        kind, size = _STREAM_HEADER.unpack_from(self._buffer)
        if size > _PART_LIMIT:
            message = "the engine sent a stream that is none"
            raise SandboxFailure(message, "sandbox_failure.engine")
        end = _STREAM_HEADER.size + size
        if len(self._buffer) < end:
            return None
        data = bytes(self._buffer[_STREAM_HEADER.size : end])
        del self._buffer[:end]
        return kind, data


@dataclass(frozen=True, slots=True)
class Engine:
    """A connection to the engine on this machine."""

    client: docker.APIClient
    version: str
    socket_path: str
    runtimes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The runtimes that the engine knows, by name, each with its own arguments."""
    first_ids: tuple[int, int] = (0, 0)
    """The user and group on this host that are user 0 and group 0 in a container."""
    is_podman: bool = False
    """Podman, which understands an engine's words and has others of its own: see `podman.connect`."""
    walls: frozenset[Wall] = frozenset()
    """What confines every container, as the engine says and the kernel has."""

    @classmethod
    def connect(cls) -> Engine:
        """The engine that `DOCKER_HOST`, else the usual socket, names.

        Raises:
            EnvironmentLacking: none answers, it is not on this machine, or it enforces no limits.
        """
        import docker  # noqa: PLC0415  # 120 ms that only those pay who run something
        from docker.errors import DockerException  # noqa: PLC0415  # as above

        url = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        if not url.startswith(LOCAL_SCHEME):
            message = (
                f"the engine `{url}` is not on this machine, so it cannot mount a tool's module; unset DOCKER_HOST"
            )
            raise EnvironmentLacking(message, "environment.engine")
        path = url.partition("://")[2]
        try:
            _knock(path)
            client = docker.APIClient(base_url=url, version="auto", timeout=CONNECT_TIMEOUT_S)
            info = dict(client.info().items())
            components = [dict(each) for each in client.version().get("Components") or ()]
        except (DockerException, OSError, *_UNREADABLE) as error:
            raise EnvironmentLacking(HOW_TO_GET, "environment.engine") from error
        if info.get("CgroupDriver") in {None, "", "none"}:
            client.close()
            message = "the engine has no cgroup driver, so it would ignore every limit; run dockerd as root"
            raise EnvironmentLacking(message, "environment.engine")
        is_podman = any(each.get("Name") == PODMAN for each in components)
        try:
            first_ids = (0, 0) if is_podman else _first_ids(info)
        except EnvironmentLacking:
            client.close()
            raise
        client.timeout = REQUEST_TIMEOUT_S
        version = f"{info.get('ServerVersion', '?')}, {info.get('DefaultRuntime', '?')}"
        walls = walls_of(options_of(info), Kernel.this())
        return cls(client, version, path, _runtimes(info.get("Runtimes")), first_ids, is_podman, walls)

    def close(self) -> None:
        """Closes the connections to the engine."""
        self.client.close()

    def account(self) -> tuple[Mapping[str, Json], Mapping[str, Json]]:
        """What the engine tells about itself now, and about its version."""
        with engine_errors("tell about itself"):
            return dict(self.client.info().items()), dict(self.client.version().items())

    def image(self, reference: str) -> Mapping[str, Json] | None:
        """The engine's account of an image that it has, or None; nothing is ever pulled."""
        from docker.errors import ImageNotFound  # noqa: PLC0415  # as above

        with engine_errors("inspect the image"):
            try:
                found: Mapping[str, Json] = self.client.inspect_image(reference)  # type: ignore[no-untyped-call]  # its stubs have no types here
            except ImageNotFound:
                return None
            return dict(found.items())

    def load(self, archive: Path) -> None:
        """Loads an image archive that we made ourselves."""
        with engine_errors("load the image"), archive.open("rb") as file:
            for line in self.client.load_image(file, quiet=True):  # type: ignore[no-untyped-call]  # as above
                if "error" in line:
                    raise SandboxFailure(str(line["error"])[:500], "sandbox_failure.engine")

    def make(self, config: ContainerConfig, placement: Placement, name: str) -> str:
        """A new container of this configuration, not started; its id."""
        return self.create(render(config, placement), name)

    def verify(self, config: ContainerConfig, placement: Placement, container: str) -> None:
        """Returns if the engine's own account of a created container is what was asked for; SandboxFailure if not."""
        told = self.inspect(container)
        verify_inspect(config, placement, told)
        verify_account(self.walls, told.get("AppArmorProfile"), told.get("ProcessLabel"))

    def seen(self, effects: Mapping[str, Json]) -> Mapping[str, Json]:
        """What is seen from inside, in the words in which it is compared; SandboxFailure for what never can be."""
        return effects

    def verify_confined(self, config: ContainerConfig, effects: Mapping[str, Json]) -> None:
        """Returns if what is seen from inside is confined as the engine says; SandboxFailure if not.

        gVisor's own process is no container's to either: none is asked for it.
        """
        if config.isolation == "container":
            verify_inside(self.walls, effects.get("labels"))

    def create(self, body: Mapping[str, Json], name: str) -> str:
        """A new container, not started; its id."""
        with engine_errors("create a container"):
            created = self.client.create_container_from_config(dict(body), name)  # type: ignore[no-untyped-call]  # as above
            return str(created["Id"])

    def inspect(self, container: str) -> Mapping[str, Json]:
        """The engine's own account of a container."""
        with engine_errors("inspect the container"):
            found: Mapping[str, Json] = self.client.inspect_container(container)
            return dict(found.items())

    def attach(self, container: str) -> Attachment:
        """The stream of a container that was not started yet, so that nothing of it is missed."""
        return self.attach_at(f"/v{self.client.api_version}/containers/{container}/attach")

    def attach_at(self, path: str) -> Attachment:
        """The stream behind this path of the engine's."""
        with engine_errors("attach to the container"):
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.settimeout(CONNECT_TIMEOUT_S)
                connection.connect(self.socket_path)
                connection.sendall(_ATTACH.format(path=path).encode())
                attachment = Attachment(connection, _after_upgrade(connection))
                connection.settimeout(0)
            except BaseException:
                connection.close()
                raise
            return attachment

    def start(self, container: str) -> None:
        """Starts a created container."""
        with engine_errors("start the container"):
            self.client.start(container)

    def pause(self, container: str) -> None:
        """Freezes every process of the container: until it goes on, nothing in there changes anything."""
        with engine_errors("pause the container"):
            _insist(lambda: self.client.pause(container))

    def unpause(self, container: str) -> None:
        """Lets a paused container go on."""
        with engine_errors("unpause the container"):
            _insist(lambda: self.client.unpause(container))

    def kill(self, container: str) -> None:
        """Kills every process of the container; one that has ended already is left as it is."""
        from docker.errors import APIError  # noqa: PLC0415  # as above

        with engine_errors("kill the container"), contextlib.suppress(APIError):
            self.client.kill(container, "SIGKILL")

    def wait(self, container: str) -> Ended:
        """Waits until the container has ended, and tells how."""
        with engine_errors("wait for the container"):
            self.client.wait(container, timeout=REQUEST_TIMEOUT_S)
            state = self.client.inspect_container(container)["State"]
            return Ended(int(state["ExitCode"]), bool(state["OOMKilled"]))

    def process(self, container: str) -> int:
        """The process on this host that a started container is, or that is its sandbox."""
        with engine_errors("inspect the container"):
            return int(self.client.inspect_container(container)["State"]["Pid"])

    def was_out_of_memory(self, container: str) -> bool:
        """Whether the engine saw a process of the container being killed for want of memory."""
        with engine_errors("inspect the container"):
            return bool(self.client.inspect_container(container)["State"]["OOMKilled"])

    def remove(self, container: str) -> None:
        """Removes the container, running or not, and its anonymous volumes; one that is gone is no error."""
        from docker.errors import APIError, NotFound  # noqa: PLC0415  # as above

        with engine_errors("remove the container"), contextlib.suppress(NotFound):
            try:
                self.client.remove_container(container, v=True, force=True)
            except APIError as error:
                if error.status_code != _CONFLICT:
                    raise
                self.client.wait(container, timeout=REQUEST_TIMEOUT_S, condition="removed")  # someone else removes it

    def labelled(self, label: str) -> tuple[tuple[str, Mapping[str, str]], ...]:
        """Every container of our making, running or not, that has the label: id and labels.

        One with another name is not: an image that was made of a container of ours gives its labels to others.
        """
        with engine_errors("list containers"):
            found = self.client.containers(all=True, filters={"label": [label]})
            return tuple((str(item["Id"]), dict(item["Labels"])) for item in found if is_ours(item["Names"]))


def new_name() -> str:
    """A name that no container has: it is removed by it, also if its creation was interrupted."""
    return f"sandbox-{secrets.token_hex(8)}"


def is_ours(names: Iterable[str]) -> bool:
    """Whether one of a container's names is as `new_name` makes them."""
    return any(_OUR_NAME.fullmatch(name) for name in names)


def _runtimes(listed: Json) -> dict[str, tuple[str, ...]]:
    told = listed.items() if isinstance(listed, dict) else ()
    found = {name: each.get("runtimeArgs") if isinstance(each, dict) else None for name, each in told}
    return {name: tuple(map(str, words)) if isinstance(words, list) else () for name, words in found.items()}


def _first_ids(info: Mapping[str, Json]) -> tuple[int, int]:
    """With user name spaces an engine names its own folder by them, and tells them in no other way."""
    options = info.get("SecurityOptions")
    remapped = isinstance(options, list) and any(str(each).startswith("name=userns") for each in options)
    found = _REMAPPED.search(str(info.get("DockerRootDir", "")))
    if not remapped:
        return 0, 0
    if found is None:
        message = (
            "the engine uses user name spaces and does not tell which, so a workspace could be nobody's; use "
            "`--userns-remap` of dockerd"
        )
        raise EnvironmentLacking(message, "environment.engine")
    return int(found[1]), int(found[2])


def _knock(path: str) -> None:
    """Connects once: the client library does not close a socket on which nobody answers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(CONNECT_TIMEOUT_S)
        connection.connect(path)


def _after_upgrade(connection: socket.socket) -> bytearray:
    """Reads the head of the answer; what came behind it."""
    answer = bytearray()
    while b"\r\n\r\n" not in answer:
        data = connection.recv(_CHUNK)
        if not data or len(answer) > _ANSWER_LIMIT:
            message = "the engine closed the connection"
            raise ConnectionError(message)
        answer += data
    head, _, rest = answer.partition(b"\r\n\r\n")
    if not head.startswith((b"HTTP/1.1 101", b"HTTP/1.1 200")):
        raise ConnectionError(head.decode("utf-8", "replace"))
    return bytearray(rest)


def _insist(change: Callable[[], object]) -> None:
    """Asks again for as long as the engine confuses this change with the one before: it learns of both late.

    What it says it has done it has done; only its refusals may be out of date.
    """
    from docker.errors import APIError  # noqa: PLC0415  # as above

    deadline = time.monotonic() + PAUSE_TIMEOUT_S
    while True:
        try:
            change()
        except APIError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_POLL_S)
        else:
            return


@contextlib.contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Failures of the engine as ours, and answers that are none."""
    from docker.errors import DockerException  # noqa: PLC0415  # as above
    from requests.exceptions import RequestException  # noqa: PLC0415  # as above

    try:
        yield
    except (DockerException, RequestException, OSError, *_UNREADABLE) as error:
        what_it_is = f"{type(error).__name__}: " if isinstance(error, _UNREADABLE) else ""
        text = what_it_is + " ".join(str(error).split())[:500]
        message = f"the engine failed to {what}: {text}"
        raise SandboxFailure(message, "sandbox_failure.engine") from error
