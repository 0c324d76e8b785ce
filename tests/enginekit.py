"""An engine of a test's own: a second dockerd in a network name space of its own, which no other engine notices.

A second daemon in the same network name space would delete the bridge of the first one.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from sandbox.execute.image import default_tag

START_S = 60
WITHOUT_UNIFIED = 'if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; exec "$@"'
GVISOR_ARGUMENTS = ("--platform=ptrace", "--network=none", "--oci-seccomp")


@dataclass(frozen=True)
class OwnEngine:
    """Where it listens, and a connection to it."""

    url: str
    client: docker.APIClient
    folder: Path


@contextlib.contextmanager
def own_engine(
    *options: str, runtimes: dict[str, object] | None = None, words: tuple[str, ...] = ()
) -> Iterator[OwnEngine]:
    """A daemon with the default image, stopped in the end; whatever it needs and is not there fails the test.

    `words` are what starts the daemon, where that is not enough.
    """
    folder = Path(tempfile.mkdtemp(prefix="sandbox-engine-"))
    folder.chmod(0o711)  # with user name spaces the daemon's own folders are somebody else's
    url = f"unix://{folder}/docker.sock"
    settings = {"runtimes": runtimes or {}, "bridge": "none", "iptables": False, "ip-forward": False, "ip-masq": False}
    (folder / "daemon.json").write_text(json.dumps(settings))
    started = ["unshare", "--net", *words, "dockerd", "--config-file", str(folder / "daemon.json"), "--host", url]
    places = [f"--{name}={folder}/{name}" for name in ("data-root", "exec-root", "pidfile")]
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen([*started, *places, *options], stdout=log, stderr=log, start_new_session=True)
    try:
        client = _connected(daemon, url, folder)
        with contextlib.closing(client):
            _load_image(client)
            yield OwnEngine(url, client, folder)
    finally:
        daemon.terminate()
        daemon.wait(START_S)
        forget(folder)


def gvisor_engine() -> contextlib.AbstractContextManager[OwnEngine]:
    """An engine that knows gVisor as `runsc`, and for calls with a network grant as `runsc-network`."""
    path = shutil.which("runsc")
    if path is None:
        pytest.fail("there is no gVisor here: `apt-get install runsc`")
    return own_engine(
        runtimes={
            "runsc": {"path": path, "runtimeArgs": list(GVISOR_ARGUMENTS)},
            "runsc-network": {"path": path, "runtimeArgs": [*GVISOR_ARGUMENTS, "--host-uds=open"]},
        }
    )


def crun_engine() -> contextlib.AbstractContextManager[OwnEngine]:
    """An engine that runs everything by crun, which takes no cgroups of both versions: so it sees those of one."""
    path = shutil.which("crun")
    if path is None:
        pytest.fail("there is no crun here: `apt-get install crun`")
    words = ("unshare", "--mount", "--propagation", "slave", "sh", "-c", WITHOUT_UNIFIED, "sh")
    return own_engine("--default-runtime=crun", runtimes={"crun": {"path": path}}, words=words)


def _connected(daemon: subprocess.Popen[bytes], url: str, folder: Path) -> docker.APIClient:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and daemon.poll() is None:
        if _listens(folder / "docker.sock"):
            return docker.APIClient(base_url=url, version="auto", timeout=120)
        time.sleep(0.1)
    tail = (folder / "log").read_text(errors="replace")[-2_000:]
    pytest.fail(f"no engine of our own started: {tail}")


def await_socket(place: Path) -> None:
    """Returns when somebody answers there."""
    deadline = time.monotonic() + START_S
    while not _listens(place):
        assert time.monotonic() < deadline, f"nobody answers at {place}"
        time.sleep(0.05)


def _listens(place: Path) -> bool:
    """Whether somebody answers: the client library does not close a socket on which nobody does."""
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(place)) == 0


def _load_image(client: docker.APIClient) -> None:
    """The default image of the machine's engine, byte for byte: the same id."""
    with contextlib.closing(docker.APIClient(version="auto", timeout=120)) as source:
        for part in client.load_image(source.get_image(default_tag())):
            assert "error" not in part, part


def forget(folder: Path) -> None:
    """What a daemon that was stopped leaves mounted, and its folder."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if f" {folder}/" in line]
    for place in sorted(mounted, reverse=True):
        subprocess.run(["umount", "--lazy", place], check=False)
    shutil.rmtree(folder, ignore_errors=True)
