"""The configuration of a container: what a spec's `run` becomes, and nothing that a call can widen.

A `ContainerConfig` has no field for privileges, host name spaces, devices, capabilities, a writable root,
or a mount of the author's choice; `render` writes their absence out, and `verify_inspect` and
`verify_effects` compare it with what the engine says and with what is seen from inside.
Numbers follow CIS Docker Benchmark 1.6, section 5.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NoReturn, TypeAlias

from sandbox.errors import SandboxFailure, UsageError
from sandbox.execute.seccomp import profile
from sandbox.ir import Contract, Json, Run, RunHost, Tool

USER: Final = 61_000
"""The user and group of every call: above 1000, below the 65535 that user name spaces map, and no one's on the host."""

LOWEST_ID: Final = 1_000
HIGHEST_ID: Final = 65_535

SMALLEST_MEMORY: Final = 32 * 1024 * 1024
"""Bytes; with less the interpreter does not start, and the call would look like the tool's own failure."""

SMALLEST_PIDS: Final = 4
"""The runner, the tool, and the engine's own start of the process."""

LARGEST_OUTPUT: Final = 64 * 1024 * 1024
"""Bytes of output or result that the host will hold in memory for one call."""

PYTHON: Final = "/usr/bin/python3"
GUEST_FOLDER: Final = "/sandbox"
WORKSPACE_FOLDER: Final = "/workspace"
BROKER_FOLDER: Final = "/broker"
PROXY: Final = "http://127.0.0.1:3128"
"""Where the front inside listens, for programs that know no socket but a proxy's."""

SCRATCH_FOLDER: Final = "/tmp"  # noqa: S108  # a tmpfs of the container
COMMAND: Final = (PYTHON, "-I", "-S", "-B", "-X", "utf8", f"{GUEST_FOLDER}/guest.py")

CALL_WAIT_S: Final = 60
"""For the call, from the hello on; a container that has got none by then ends itself, should its host be stuck."""

GVISOR_RUNTIME: Final = "runsc"
"""By this name engines know gVisor; what stands behind it is looked at from inside."""

GVISOR_NETWORK_RUNTIME: Final = "runsc-network"
"""gVisor once more, for calls with a network grant: it alone may reach sockets that are mounted into a container."""

GVISOR_PROCESSES: Final = 64
GVISOR_SHARE: Final = 8
"""What gVisor needs of this host's processes, for itself and for each process in it."""

CPU_PERIOD_US: Final = 100_000
"""The period in which engines express a share of the processors."""

_RUNTIME_WRITABLE: Final = frozenset({"/dev/mqueue"})
"""Made by the runtime in the container's own ipc name space: gone with it."""

_KERNEL_FILES: Final = frozenset({"proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "overlay"})
_MASKS: Final = ("/dev", "/proc/", "/sys/")
"""Where the runtime mounts a tmpfs of its own: for devices, and over what the kernel shows too much of."""

_DEVICES: Final = frozenset(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty"))
"""What every container has; with user name spaces the runtime may make none, and mounts the host's, also as masks."""

_NAME_FILES: Final = frozenset({"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"})

_NOTHING: Final[Mapping[str, Json]] = {
    "Privileged": False,
    "PublishAllPorts": False,
    "AutoRemove": False,
    "OomKillDisable": False,
    "Init": False,
    "CapAdd": [],
    "Devices": [],
    "DeviceRequests": [],
    "DeviceCgroupRules": [],
    "Binds": [],
    "VolumesFrom": [],
    "GroupAdd": [],
    "Links": [],
    "ExtraHosts": [],
    "Dns": [],
    "DnsOptions": [],
    "DnsSearch": [],
    "PortBindings": {},
    "Sysctls": {},
    "StorageOpt": {},
    "PidMode": "",
    "UTSMode": "",
    "UsernsMode": "",
    "CgroupParent": "",
    "VolumeDriver": "",
    "ContainerIDFile": "",
}
"""What a container never has; written out, so that no default of the engine can mean something else."""

WorkspaceMode: TypeAlias = Literal["none", "ro", "rw"]
Isolation: TypeAlias = Literal["container", "gvisor"]


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """All that distinguishes one container from another. Sizes in bytes, times in milliseconds.

    `network` is whether the socket of a broker is mounted; the container's own network is always `none`.
    `isolation` is what runs it: the engine's default runtime, or gVisor.
    """

    workspace: WorkspaceMode
    memory: int
    millicpus: int
    pids: int
    files: int
    file_size: int
    tmpfs: int
    output: int
    timeout_ms: int
    network: bool = False
    isolation: Isolation = "container"
    user: int = USER
    group: int = USER

    def __post_init__(self) -> None:
        for name in ("user", "group"):
            if not LOWEST_ID <= getattr(self, name) <= HIGHEST_ID:
                message = f"{name} must be between {LOWEST_ID} and {HIGHEST_ID}"
                raise ValueError(message)
        _at_least(self, memory=SMALLEST_MEMORY, pids=SMALLEST_PIDS, millicpus=10, files=16)
        _at_least(self, file_size=1, tmpfs=4096, output=1, timeout_ms=1)
        if self.output > LARGEST_OUTPUT:
            message = f"output must be at most {LARGEST_OUTPUT} bytes"
            raise ValueError(message)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over everything the engine is asked for, machine-dependent names left symbolic."""
        body = {"engine": render(self, _SYMBOLIC), "output": self.output, "timeout_ms": self.timeout_ms}
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Placement:
    """What ties a configuration to this machine and this call. `wait_s` is how long the container waits for it."""

    image: str
    source: Path
    workspace: Path | None
    labels: tuple[tuple[str, str], ...]
    wait_s: int = CALL_WAIT_S
    broker: Path | None = None


_SYMBOLIC: Final = Placement("IMAGE", Path("SOURCE"), Path("WORKSPACE"), (), broker=Path("BROKER"))


def compile_config(contract: Contract, tool: Tool) -> ContainerConfig:
    """The configuration that a tool's `run` stands for.

    Raises:
        UsageError: the tool has no `run`, runs on the host, or its limits are too small to start anything.
    """
    return config_of(_container_run(contract, tool), f"`run` of tool `{tool.name}` in {contract.file or contract.name}")


def config_of(run: Run, what: str) -> ContainerConfig:
    """The configuration for these grants; UsageError, naming `what`, where they are too small to start anything."""
    try:
        return ContainerConfig(
            workspace=run.workspace.mode if run.workspace is not None else "none",
            memory=run.memory,
            millicpus=run.millicpus,
            pids=run.pids,
            files=run.files,
            file_size=run.file_size,
            tmpfs=run.tmpfs,
            output=run.output,
            timeout_ms=run.timeout_ms,
            network=bool(run.network),
        )
    except ValueError as error:
        message = f"{what}: {error}"
        raise UsageError(message, "run.limits") from error


def render(config: ContainerConfig, placement: Placement) -> dict[str, Json]:
    """The body of the engine's create request (API 1.41), complete: nothing is left to a default."""
    return {
        "Image": placement.image,
        "Entrypoint": [],
        "Cmd": [*COMMAND, str(placement.wait_s)],
        "User": f"{config.user}:{config.group}",
        "WorkingDir": SCRATCH_FOLDER if config.workspace == "none" else WORKSPACE_FOLDER,
        "Env": [*environment_of(config)],
        "Hostname": "sandbox",
        "Domainname": "",
        "Labels": dict(placement.labels),
        "Tty": False,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "NetworkDisabled": True,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(config, placement),
    }


def processes_of(config: ContainerConfig) -> int:
    """How many processes and threads of this host the container may be; gVisor is some itself, and needs some for each.

    Measured: it begins with 47, and takes about six more for each process in it.
    """
    return config.pids if config.isolation == "container" else GVISOR_PROCESSES + GVISOR_SHARE * config.pids


def environment_of(config: ContainerConfig) -> list[str]:
    """The variables of a container, as `NAME=value`."""
    values = {"PATH": "/usr/bin:/bin", "HOME": SCRATCH_FOLDER, "TMPDIR": SCRATCH_FOLDER, "LANG": "C.UTF-8"}
    if config.workspace != "none":
        values["WORKSPACE"] = WORKSPACE_FOLDER
    if config.network:
        values |= dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"), PROXY)
    return [f"{name}={value}" for name, value in values.items()]


def bound_folders(config: ContainerConfig, placement: Placement) -> list[tuple[str, Path, bool]]:
    """What of this host is in a container: where, which folder, and whether it may be written."""
    folders: list[tuple[str, Path, bool]] = [(GUEST_FOLDER, placement.source, False)]
    if config.workspace != "none":
        if placement.workspace is None:
            message = "a workspace was granted and none was prepared"
            raise SandboxFailure(message)
        folders.append((WORKSPACE_FOLDER, placement.workspace, config.workspace == "rw"))
    if config.network:
        if placement.broker is None:
            message = "a network was granted and no broker was started"
            raise SandboxFailure(message)
        folders.append((BROKER_FOLDER, placement.broker, False))
    return folders


def gvisor_runtime(config: ContainerConfig) -> str:
    """The name under which the engine knows the gVisor that this configuration needs."""
    return GVISOR_NETWORK_RUNTIME if config.network else GVISOR_RUNTIME


def verify_inspect(config: ContainerConfig, placement: Placement, inspect: Mapping[str, Json]) -> None:
    """Returns if the engine's own account of a created container is what was asked for.

    Raises:
        SandboxFailure: it is not; names the first field that differs.
    """
    asked = render(config, placement)
    host = asked.pop("HostConfig")
    image = asked.pop("Image")
    labels, environment = asked.pop("Labels"), asked.pop("Env")
    said = _mapping(inspect.get("Config"), "Config")
    _equal("Image", image, inspect.get("Image"))
    _includes("Config.Labels", labels, said.get("Labels"))  # an image may have labels and variables of its own
    _includes("Config.Env", environment, said.get("Env"))
    _equal_fields(asked, said, "Config")
    if isinstance(host, dict):
        _equal_fields(host, _mapping(inspect.get("HostConfig"), "HostConfig"), "HostConfig")
    mounts = [
        (_text(mount, "Destination"), mount.get("Type"), mount.get("Source"), mount.get("RW"))
        for mount in _list(inspect.get("Mounts"))
    ]
    _equal("Mounts", _expected_mounts(config, placement), sorted(mounts, key=str))


def verify_effects(config: ContainerConfig, effects: Mapping[str, Json]) -> None:
    """Returns if what the runner sees from inside is what was asked for: an engine may echo what it does not enforce.

    Raises:
        SandboxFailure: it is not; names the first effect that differs.
    """
    status = _mapping(effects.get("status"), "status")
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        _equal(name, "", _text(status, name).strip("0"))
    _equal("NoNewPrivs", "1", status.get("NoNewPrivs"))
    _equal("Seccomp", "2", status.get("Seccomp"))
    _equal("pid", 1, effects.get("pid"))
    _equal("uid", [config.user] * 3, effects.get("uid"))
    _equal("gid", [config.group] * 3, effects.get("gid"))
    _equal("groups", [], [group for group in _plain_list(effects.get("groups")) if group != config.group])
    _equal("cwd", render(config, _SYMBOLIC)["WorkingDir"], effects.get("cwd"))
    _equal("dumpable", 0, effects.get("dumpable"))
    _equal("interfaces", [], [name for name in _plain_list(effects.get("interfaces")) if name not in _IDLE_INTERFACES])
    _includes("environment", _variable_names(config), effects.get("environment"))
    _verify_limits(config, effects)
    _verify_mounts(config, _plain_list(effects.get("mounts")))


# --- private -------------------------------------------------------------------------------------------

_IDLE_INTERFACES: Final = frozenset({"lo", "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0"})
"""The loop, and the devices that some kernels put into every new name space; none leads anywhere without NET_ADMIN."""


def _container_run(contract: Contract, tool: Tool) -> Run:
    place = contract.file or contract.name
    if tool.run is None:
        message = (
            f"tool `{tool.name}` in {place} has no `run`: it is judged, never run; add `run: {{tool: module:function}}`"
        )
        raise UsageError(message, "run.missing")
    if isinstance(tool.run.what, RunHost):
        message = f"tool `{tool.name}` in {place} runs on the host, not in a container"
        raise UsageError(message, "run.host")
    return tool.run


def _host_config(config: ContainerConfig, placement: Placement) -> dict[str, Json]:
    return {
        **_NOTHING,
        "NetworkMode": "none",
        "IpcMode": "none",
        "CgroupnsMode": "private",
        "Isolation": "",
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges", f"seccomp={_profile(config)}"],
        "Memory": config.memory,
        "MemorySwap": config.memory,
        "MemoryReservation": 0,
        "NanoCpus": config.millicpus * 1_000_000,
        "PidsLimit": processes_of(config),
        "OomScoreAdj": 500,
        "Ulimits": [
            _ulimit("nofile", config.files),
            _ulimit("fsize", config.file_size),
            _ulimit("core", 0),
        ],
        "Tmpfs": {SCRATCH_FOLDER: f"rw,noexec,nosuid,nodev,size={config.tmpfs},mode=1777"},
        "Mounts": _mounts(config, placement),
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        **({"Runtime": gvisor_runtime(config)} if config.isolation == "gvisor" else {}),
    }


def _profile(config: ContainerConfig) -> str:
    return json.dumps(profile(loopback=config.network, gvisor=config.isolation == "gvisor"), sort_keys=True)


def _variable_names(config: ContainerConfig) -> list[Json]:
    return [str(line).partition("=")[0] for line in environment_of(config)]


def _mounts(config: ContainerConfig, placement: Placement) -> list[Json]:
    folders = bound_folders(config, placement)
    return [_bind(source, target, read_only=not writable) for target, source, writable in folders]


def _expected_mounts(config: ContainerConfig, placement: Placement) -> list[tuple[str, Json, Json, Json]]:
    folders = bound_folders(config, placement)
    return sorted(((target, "bind", str(source), writable) for target, source, writable in folders), key=str)


def _bind(source: Path, target: str, *, read_only: bool) -> dict[str, Json]:
    options: dict[str, Json] = {"Propagation": "rprivate", "NonRecursive": True}
    return {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": read_only, "BindOptions": options}


def _ulimit(name: str, value: int) -> dict[str, Json]:
    return {"Name": name, "Soft": value, "Hard": value}


def _at_least(config: ContainerConfig, **limits: int) -> None:
    for name, smallest in limits.items():
        if getattr(config, name) < smallest:
            message = f"{name} must be at least {smallest}"
            raise ValueError(message)


def _verify_limits(config: ContainerConfig, effects: Mapping[str, Json]) -> None:
    limits = _mapping(effects.get("limits"), "limits")
    _equal("RLIMIT_CORE", [0, 0], limits.get("RLIMIT_CORE"))
    _equal("RLIMIT_NOFILE", [config.files] * 2, limits.get("RLIMIT_NOFILE"))
    _equal("RLIMIT_FSIZE", [config.file_size] * 2, limits.get("RLIMIT_FSIZE"))
    groups = _mapping(effects.get("cgroup"), "cgroup")
    page = 4096
    _equal("memory limit", config.memory // page * page, _number(groups, "memory"))
    _equal("pids limit", processes_of(config), _number(groups, "pids"))
    _equal("cpu limit", config.millicpus * CPU_PERIOD_US // 1000, _number(groups, "cpu"))
    if _text(groups, "swap") not in {str(config.memory // page * page), "0"}:  # cgroup v1 counts memory and swap
        _refuse("swap limit", 0, groups.get("swap"))


def _verify_mounts(config: ContainerConfig, mounts: Sequence[Json]) -> None:
    ours = {GUEST_FOLDER, SCRATCH_FOLDER} | ({WORKSPACE_FOLDER} if config.workspace != "none" else set())
    ours |= {BROKER_FOLDER} if config.network else set()
    may_write = _RUNTIME_WRITABLE | {SCRATCH_FOLDER} | ({WORKSPACE_FOLDER} if config.workspace == "rw" else set())
    missing = set(ours)
    for mount in mounts:
        match mount:
            case [str(target), str(kind), str(options), bool(writable)]:
                missing.discard(target)
                device = kind == "devtmpfs" and (target in _DEVICES or target.startswith(_MASKS[1:]))
                masked = kind == "tmpfs" and (target == _MASKS[0] or target.startswith(_MASKS[1:]))
                if target not in ours | _NAME_FILES and kind not in _KERNEL_FILES and not masked and not device:
                    _refuse(f"mount `{target}`", "absent", kind)
                if writable and target not in may_write:
                    _refuse(f"mount `{target}`", "not writable", options)
                if target == SCRATCH_FOLDER and not {"noexec", "nosuid", "nodev"} <= set(options.split(",")):
                    _refuse(f"mount `{target}`", "noexec,nosuid,nodev", options)
            case _:
                _refuse("mounts", "a list of mounts", mount)
    if missing:
        _refuse("mounts", "present", f"no {', '.join(sorted(missing))}")


def _equal_fields(asked: Mapping[str, Json], said: Mapping[str, Json], where: str) -> None:
    for name, value in asked.items():
        _equal(f"{where}.{name}", _normal(value), _normal(said.get(name)))


def _normal(value: Json) -> Json:
    """Engines write the absence of a list, text, number or flag as they please; options get their default value."""
    if value in (None, "", [], {}, False, 0):
        return None
    if isinstance(value, dict):
        return {key: _normal(item) for key, item in sorted(value.items()) if _normal(item) is not None}
    if isinstance(value, list):
        return [_normal(item) for item in value]
    return value


def _equal(what: str, asked: object, said: object) -> None:
    if asked != said:
        _refuse(what, asked, said)


def _includes(what: str, asked: Json, said: Json) -> None:
    """Whether every item of a list, or pair of an object, is there."""
    if isinstance(asked, dict) and isinstance(said, dict):
        _equal(what, asked, {name: said.get(name) for name in asked})
        return
    missing = [item for item in _plain_list(asked) if item not in _plain_list(said)]
    _equal(what, [], missing)


def _refuse(what: str, asked: object, said: object) -> NoReturn:
    message = f"the container is not as asked: {what} should be `{asked}` and is `{str(said)[:200]}`"
    raise SandboxFailure(message, "sandbox_failure.configuration")


def _mapping(value: Json, what: str) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        _refuse(what, "an object", value)
    return value


def _plain_list(value: Json) -> list[Json]:
    return list(value) if isinstance(value, list) else []


def _list(value: Json) -> list[Mapping[str, Json]]:
    return [_mapping(item, "Mounts") for item in _plain_list(value)]


def _text(value: Mapping[str, Json], name: str) -> str:
    found = value.get(name)
    if not isinstance(found, str):
        _refuse(name, "text", found)
    return found


def _number(value: Mapping[str, Json], name: str) -> int:
    text = _text(value, name).partition(" ")[0]  # cgroup v2 writes quota and period
    if not text.isascii() or not text.isdigit():
        _refuse(f"{name} limit", "a number", text or "unreadable")
    return int(text)
