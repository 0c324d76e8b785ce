"""The runner's side of the broker: a process and a folder with its socket, for one container and no longer.

The socket is made here and only inherited by the process, so that it is there before the container is, needs no right
of the process, and refuses connections from the moment that the process is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import IO, Final

from sandbox.call import Asked, Outcome
from sandbox.errors import SandboxError, SandboxFailure
from sandbox.execute.broker.credentials import read_secrets
from sandbox.execute.broker.journal import read_journal
from sandbox.execute.folders import private_folder
from sandbox.execute.owner import Owner, owner_of_folder
from sandbox.ir import Contract, NetworkGrant, Run, to_json

SOCKET: Final = "socket"
"""The only name in the folder."""

FOLDER_MODE: Final = 0o711
SOCKET_MODE: Final = 0o666
"""For the container's user, who sees this folder alone; on the host it lies inside one that only we may enter."""

BACKLOG: Final = 64
"""Connections that wait while the broker starts, or is busy with as many as it takes."""

START_TIMEOUT_S: Final = 60
"""For the broker's process to be ready; a tenth of a second as a rule."""

FINISH_TIMEOUT_S: Final = 5
"""For the process to put the last requests on record and end by itself; half a second at most as a rule."""

_INHERITED: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "RES_OPTIONS")
"""Of the environment: whose certificates this host trusts, and how it asks for names."""


class NoLease:
    """What a call without a network grant has, or one whose broker cannot be started: `failure` says why."""

    folder: Path | None = None

    def __init__(self, failure: Outcome | None = None) -> None:
        self.failure = failure

    def await_ready(self) -> None:
        """Nothing is waited for."""

    def settle(self, outcome: Outcome) -> Outcome:
        """The outcome as it is."""
        return outcome


@dataclass(slots=True)
class Lease:
    """A broker's process while it is ours. `folder` is what the container gets; `kept` is one that stays after it."""

    folder: Path
    _process: subprocess.Popen[bytes]
    _journal: int
    kept: bool = False
    failure: None = None

    def await_ready(self) -> None:
        """Returns when the process takes requests; raises SandboxFailure if it does not."""
        deadline = time.monotonic() + START_TIMEOUT_S
        output = _pipe(self._process.stdout)
        poll = select.poll()
        poll.register(output, select.POLLIN)
        said = output.read(len(_READY)) if poll.poll((deadline - time.monotonic()) * 1000) else b""
        if said != _READY:
            message = "the network broker did not start"
            raise SandboxFailure(message, "sandbox_failure.broker")

    def settle(self, outcome: Outcome) -> Outcome:
        """The outcome with every request of the call; a failure, if the broker had died before the call ended."""
        died = self._process.poll() is not None
        _close_quietly(_pipe(self._process.stdin))
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(FINISH_TIMEOUT_S)
        self.stop()
        outcome = replace(outcome, requests=self.requests())
        if died and outcome.status == "ok":
            reason = f"the network broker ended early, with {self._process.returncode}"
            return replace(
                outcome, status="sandbox_failure", reason_code="sandbox_failure.broker", reason=reason, result=None
            )
        return outcome

    def requests(self) -> tuple[Asked, ...]:
        """What is on record so far."""
        return read_journal(self._journal)

    def stop(self) -> None:
        """Kills the process and waits for its end; a second time does nothing."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Stops the process and removes its folder, unless that is kept."""
        with contextlib.ExitStack() as stack:
            if not self.kept:
                stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            stack.callback(os.close, self._journal)
            stack.callback(_pipe(self._process.stdout).close)
            stack.callback(_close_quietly, _pipe(self._process.stdin))
            stack.callback(self.stop)


@contextlib.contextmanager
def broker_for(contract: Contract, run: Run, folder: Path | None = None) -> Iterator[Lease | NoLease]:
    """The broker of one call, if its tool is granted any host; gone when the context ends.

    `folder` is that of a container which outlives the call: between two calls nobody listens there.
    """
    if not run.network:
        yield NoLease()
        return
    try:
        lease = open_lease(run.network, read_secrets(contract, run.network), folder)
    except SandboxError as error:
        code = error.reason_code if isinstance(error, SandboxFailure) else "sandbox_failure.broker"
        yield NoLease(Outcome("sandbox_failure", code, str(error), started=False))
        return
    with contextlib.closing(lease):
        yield lease


def new_folder() -> Path:
    """An empty folder for the socket of a container that outlives its calls; whoever asked for it removes it."""
    return _folder()


def open_lease(grants: Sequence[NetworkGrant], secrets: Sequence[str | None], given: Path | None = None) -> Lease:
    """A broker that is starting, in a folder of its own or in a `given` one; `close` it, whatever happens.

    Raises:
        SandboxFailure: its process or folder cannot be made.
    """
    policy = {"grants": to_json(tuple(grants)), "secrets": list(secrets)}
    try:
        with contextlib.ExitStack() as stack:
            folder = _folder() if given is None else given
            if given is None:
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
            journal = os.memfd_create("sandbox-network", os.MFD_CLOEXEC)
            stack.callback(os.close, journal)
            with _listener(folder) as listener:
                process = _spawn(listener.fileno(), journal)
            lease = Lease(folder, process, journal, kept=given is not None)
            stack.pop_all()
            stack.callback(lease.close)
            pipe = _pipe(process.stdin)
            pipe.write(json.dumps(policy).encode() + b"\n")
            pipe.flush()
            stack.pop_all()
            return lease
    except OSError as error:
        message = f"the network broker cannot be started: {error}"
        raise SandboxFailure(message, "sandbox_failure.broker") from error


def drop_abandoned_leases() -> None:
    """Removes the folders whose owners are gone; their processes ended with their input."""
    for folder in private_folder("brokers").iterdir():
        owner = owner_of_folder(folder.name)
        if owner is not None and owner.is_gone():
            shutil.rmtree(folder, ignore_errors=True)


# --- private -------------------------------------------------------------------------------------------

_READY: Final = b"ready\n"


def _folder() -> Path:
    folder = private_folder("brokers") / f"{Owner.claiming().name}.{token_hex(8)}"
    folder.mkdir()
    folder.chmod(FOLDER_MODE)
    return folder


@contextlib.contextmanager
def _listener(folder: Path) -> Iterator[socket.socket]:
    """The listening socket; named through a descriptor, for a path may be longer than a socket's name."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            (folder / SOCKET).unlink(missing_ok=True)
            listener.bind(f"/proc/self/fd/{descriptor}/{SOCKET}")
            (folder / SOCKET).chmod(SOCKET_MODE)
            listener.listen(BACKLOG)
            yield listener
    finally:
        os.close(descriptor)


def _spawn(listener: int, journal: int) -> subprocess.Popen[bytes]:
    """The process, with an environment of its own: it needs nothing of what the gate's may hold."""
    package_root = str(Path(__file__).resolve().parents[3])
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    path = os.pathsep.join([package_root, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-P", "-m", "sandbox.execute.broker.server", str(listener), str(journal)]
    return subprocess.Popen(  # noqa: S603  # our own interpreter, a module of this package
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": path, "LOCALDOMAIN": ".", "PATH": os.defpath, **inherited},
        pass_fds=(listener, journal),
        bufsize=0,
        start_new_session=True,
    )


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        message = "the network broker has no pipe"
        raise SandboxFailure(message, "sandbox_failure.broker")
    return pipe


def _close_quietly(pipe: IO[bytes]) -> None:
    with contextlib.suppress(OSError):
        pipe.close()
