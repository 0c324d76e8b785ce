"""Stronger isolation: gVisor, a kernel of its own for every container, as a runtime that the engine knows as `runsc`.

What is granted is the same; what is seen from inside is told in gVisor's words, which `in_our_words` checks and puts
into a container's, so that one verification judges both. gVisor shows no cgroups inside; they are read on the host.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from sandbox.errors import EnvironmentLacking, SandboxFailure
from sandbox.execute.config import (
    GVISOR_NETWORK_RUNTIME,
    GVISOR_RUNTIME,
    SCRATCH_FOLDER,
    ContainerConfig,
    Isolation,
    gvisor_runtime,
)
from sandbox.execute.engine import Engine
from sandbox.ir import Json, Run

KERNEL: Final = "#1 SMP Sun Jan 10 15:06:54 PST 2016"
"""What `uname` says inside, in every release of gVisor: it is no kernel that anybody runs elsewhere any more."""

HOW_TO_GET: Final = (
    "register gVisor in the engine's daemon.json as `runsc`, with `--oci-seccomp` among its `runtimeArgs` "
    "(`apt-get install runsc`; docs/isolation.md)"
)

HOST_SOCKETS: Final = "--host-uds=open"
"""Lets a container connect to sockets that are mounted into it, of which a broker's is the only one, and make none."""

HOW_TO_GET_NETWORK: Final = (
    f"register gVisor a second time, as `{GVISOR_NETWORK_RUNTIME}`, with `--oci-seccomp` and `{HOST_SOCKETS}` among "
    "its `runtimeArgs` (docs/isolation.md)"
)

_SOCKET_WORDS: Final = re.compile(r"--?(fsgofer-)?host-uds")
NO_SOCKETS: Final = frozenset({"--host-uds=none"})
"""In a runtime's words. Of a word that stands twice the last counts, so that each has to be the right one."""

_CGROUPS: Final = Path("/sys/fs/cgroup")
_LIMITS: Final[Mapping[str, tuple[str, str, str]]] = {
    "memory": ("memory", "memory.limit_in_bytes", "memory.max"),
    "swap": ("memory", "memory.memsw.limit_in_bytes", "memory.swap.max"),
    "cpu": ("cpu", "cpu.cfs_quota_us", "cpu.max"),
    "pids": ("pids", "pids.max", "pids.max"),
}
"""By what the hello calls it: the controller and its file in version 1, and the file in version 2."""


def granted_isolation(run: Run, what: str, least: Isolation = "container") -> Isolation:
    """What a tool runs in: no less than it demands, and no less than `least`.

    Raises:
        EnvironmentLacking: it demands what this version cannot give; `what` names it.
    """
    match run.min_isolation:
        case "container":
            return least
        case "gvisor":
            return "gvisor"
        case "vm":
            message = f"{what} demands min_isolation `vm`; only `container` and `gvisor` are there yet"
            raise EnvironmentLacking(message, "environment.isolation")


def check_isolation(engine: Engine, isolation: Isolation, run: Run, what: str) -> None:
    """Returns if this engine can give it; EnvironmentLacking, saying how to get it, if not."""
    if isolation == "container":
        return
    if GVISOR_RUNTIME not in engine.runtimes:
        message = (
            f"{what} demands min_isolation `gvisor`, and the engine has no runtime `{GVISOR_RUNTIME}`: {HOW_TO_GET}"
        )
        raise EnvironmentLacking(message, "environment.isolation")
    if socket_words(engine.runtimes[GVISOR_RUNTIME]) - NO_SOCKETS:
        message = (
            f"{what} demands min_isolation `gvisor`, which reaches no socket of this host; take `--host-uds` from the "
            f"`runtimeArgs` of `{GVISOR_RUNTIME}` (docs/isolation.md)"
        )
        raise EnvironmentLacking(message, "environment.isolation")
    if run.network and socket_words(engine.runtimes.get(GVISOR_NETWORK_RUNTIME, ())) != {HOST_SOCKETS}:
        message = (
            f"{what} demands min_isolation `gvisor` and has a `network` grant, and the engine has no gVisor that "
            f"reaches the broker's socket: {HOW_TO_GET_NETWORK}"
        )
        raise EnvironmentLacking(message, "environment.isolation")


def socket_words(arguments: Sequence[str]) -> set[str]:
    """What a runtime's arguments say of sockets of the host's."""
    return {word for word in arguments if _SOCKET_WORDS.match(word)}


def runtime_of(engine: Engine, config: ContainerConfig) -> str:
    """Engine and runtime, for receipts."""
    if config.isolation == "container":
        return engine.version
    return f"{engine.version.rpartition(', ')[0]}, {gvisor_runtime(config)}"


def in_our_words(
    effects: Mapping[str, Json], pid: int, runtime: str = GVISOR_RUNTIME, container: str = ""
) -> Mapping[str, Json]:
    """The effects of a gVisor container as a container's; `pid` is its sandbox's process on the host.

    Raises:
        SandboxFailure: it is not gVisor's kernel that it runs on.
    """
    kernel = effects.get("kernel")
    if not (isinstance(kernel, list) and kernel[1:] == [KERNEL]) or kernel == list(os.uname()[2:4]):
        message = f"the runtime `{runtime}` is not gVisor: inside, the kernel is `{str(kernel)[:200]}`"
        raise SandboxFailure(message, "sandbox_failure.configuration")
    status = effects.get("status")
    mounts = effects.get("mounts")
    return {
        **effects,
        "status": {**_told(effects), **status} if isinstance(status, dict) else status,
        "mounts": [_mount(each) for each in mounts] if isinstance(mounts, list) else mounts,
        "cgroup": dict(limits_of(pid, container)),
    }


def limits_of(pid: int, container: str = "") -> Mapping[str, Json]:
    """The limits of the cgroups of a process on this host; '' for each that cannot be read, which no container has.

    So it is for cgroups that are not named by the container: the engine's word for which process that is may be old.
    """
    groups = {name: path for name, path in _groups(pid).items() if container in path}
    return {name: _limit(groups, *places) for name, places in _LIMITS.items()}


def _told(effects: Mapping[str, Json]) -> dict[str, Json]:
    """What gVisor's /proc has no line for: it knows no ambient capabilities, and of the other it tells by `prctl`."""
    return {"CapAmb": "0", "NoNewPrivs": str(effects.get("no_new_privs"))}


def _mount(mount: Json) -> Json:
    """The root by what it is made of elsewhere; and of the scratch folder what gVisor does everywhere.

    It has no set-id programs, as no process may gain privileges, and no devices but its own.
    """
    match mount:
        case ["/", "9p" | "gofer" | "lisafs", options, writable]:
            return ["/", "overlay", options, writable]
        case [str(target), str(kind), str(options), writable] if target == SCRATCH_FOLDER:
            return [target, kind, f"{options},nosuid,nodev", writable]
        case _:
            return mount


def _groups(pid: int) -> Mapping[str, str]:
    """Controller to path; version 2 has one path, under ''."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        _, names, path = line.split(":", 2)
        found.update(dict.fromkeys(names.split(","), path))
    return found


def _limit(groups: Mapping[str, str], controller: str, first: str, second: str) -> str:
    path = groups.get(controller)
    place = _CGROUPS / controller if path is not None else _CGROUPS
    path, name = (path, first) if path is not None else (groups.get("", "/"), second)
    if path in {None, "/"} or ".." in str(path):  # the root has no limits, and what lies above it is not ours
        return ""
    try:
        return (place / str(path).lstrip("/") / name).read_text(encoding="ascii").strip()
    except OSError:
        return ""
