"""What a container is asked for in Podman's words, and what a runtime was given, compared with that item by item."""

from __future__ import annotations

import hashlib
import json
import os
import resource
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, NoReturn

from sandbox.errors import SandboxFailure
from sandbox.execute.config import (
    COMMAND,
    CPU_PERIOD_US,
    SCRATCH_FOLDER,
    WORKSPACE_FOLDER,
    ContainerConfig,
    Placement,
    bound_folders,
    environment_of,
    processes_of,
)
from sandbox.execute.folders import private_folder
from sandbox.execute.seccomp import profile
from sandbox.ir import Json

PROCESSES: Final = 16_384
"""Of all containers' user together, which is what this limit counts; a container's own is its cgroup's."""

OOM_SCORE: Final = 500
NAMESPACES: Final = ("cgroup", "ipc", "mount", "network", "pid", "uts")
MASKED: Final = frozenset(
    {"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"}
)
READ_ONLY: Final = frozenset({"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"})
KERNEL_FOLDERS: Final[Mapping[str, str]] = {
    "/proc": "proc",
    "/dev": "tmpfs",
    "/sys": "sysfs",
    "/dev/pts": "devpts",
    "/dev/mqueue": "mqueue",
    "/sys/fs/cgroup": "cgroup",
}
HARMLESS_SETTING: Final = ("net.ipv4.ping_group_range", "0 0")
"""Podman's own, in a network that has nothing but `lo`: which groups may ping there."""

OWN_FILES: Final = frozenset({"/run/.containerenv", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"})
"""What Podman mounts of its own: empty, or its container's name; only to be read, from the container's own folder."""

OWN_VARIABLES: Final = frozenset({"container=podman", "container=oci", "TERM=xterm", "HOSTNAME=sandbox"})

OWN_ANNOTATIONS: Final = frozenset({"io.container.manager", "io.kubernetes.cri-o.Created"})
TOLD_ANNOTATIONS: Final = ("io.podman.annotations.", "org.opencontainers.image.", "com.docker.official-images.")
"""These only tell something. With others an image, or the engine's settings, gives orders to a runtime."""

OTHER_SETTINGS: Final = ("uidMappings", "gidMappings", "intelRdt", "personality", "rootfsPropagation", "timeOffsets")

WIDER: Final = frozenset(
    {"rbind", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable", "suid", "dev", "exec"}
)
"""Options of a mount that nothing here is asked for; of two that contradict each other a runtime takes the last."""


def specification(config: ContainerConfig, placement: Placement, name: str) -> dict[str, Json]:
    """The body of Podman's create request (libpod 4.0), complete: nothing is left to a default that could be wider."""
    private: dict[str, Json] = {"nsmode": "private"}
    return {
        "name": name,
        "image": placement.image.removeprefix("sha256:"),
        "entrypoint": [],
        "command": [*COMMAND, str(placement.wait_s)],
        "env": {each.partition("=")[0]: each.partition("=")[2] for each in environment_of(config)},
        "env_host": False,
        "httpproxy": False,
        "work_dir": _folder(config),
        "user": f"{config.user}:{config.group}",
        "groups": [],
        "labels": dict(placement.labels),
        "terminal": False,
        "stdin": True,
        "log_configuration": {"driver": "none"},
        "systemd": "false",
        "restart_policy": "no",
        "remove": False,
        "sdnotifyMode": "ignore",
        "init": False,
        "hostname": "sandbox",
        "use_image_hosts": True,
        "use_image_resolve_conf": True,
        "manage_password": False,
        "image_volume_mode": "ignore",
        "pidns": private,
        "utsns": private,
        "cgroupns": private,
        "ipcns": {"nsmode": "none"},
        "netns": {"nsmode": "none"},
        "userns": {"nsmode": "host"},
        "mounts": _mounts(config, placement),
        "devices": [],
        "volumes": [],
        "privileged": False,
        "cap_add": [],
        "cap_drop": ["all"],
        "no_new_privileges": True,
        "seccomp_policy": "default",
        "seccomp_profile_path": str(_profile_file(config)),
        "read_only_filesystem": True,
        "resource_limits": _resources(config),
        "r_limits": [
            {"type": kind.removeprefix("RLIMIT_").lower(), "soft": soft, "hard": soft}
            for kind, soft in _limits(config).items()
        ],
        "oom_score_adj": OOM_SCORE,
        "healthconfig": {"Test": ["NONE"]},
    }


def verify_told(placement: Placement, told: Mapping[str, Json]) -> None:
    """Of Podman's own account what stands in no configuration; SandboxFailure, naming what differs."""
    image, config = str(told.get("Image")), part(told, "Config")
    _equal("Image", placement.image, f"sha256:{image.removeprefix('sha256:')}")
    labels = part(config, "Labels")
    for name, value in placement.labels:
        _equal(f"label `{name}`", value, labels.get(name))
    _equal("log", "none", part(part(told, "HostConfig"), "LogConfig").get("Type"))
    if config.get("Healthcheck"):
        _equal("check of its health", ["NONE"], part(config, "Healthcheck").get("Test"))


def verify_given(
    config: ContainerConfig,
    placement: Placement,
    given: Mapping[str, Json],
    container: str,
    of_image: Collection[Json] = (),
) -> None:
    """Returns if a runtime's configuration is what was asked for; SandboxFailure, naming what differs, if not.

    `container` is its id, `of_image` the variables that its image brings.
    """
    process, linux = part(given, "process"), part(given, "linux")
    user = part(process, "user")
    _equal("user", [config.user, config.group], [user.get("uid"), user.get("gid")])
    _equal("groups", [], [each for each in _list(user, "additionalGids") if each != config.group])
    _equal("program", [*COMMAND, str(placement.wait_s)], process.get("args"))
    _equal("working directory", _folder(config), process.get("cwd"))
    _equal("terminal", "False", str(process.get("terminal", False)))
    _equal("capabilities", [], [each for each in part(process, "capabilities").values() if each])
    _equal("noNewPrivileges", "True", str(process.get("noNewPrivileges")))
    _equal("oomScoreAdj", OOM_SCORE, process.get("oomScoreAdj"))
    _equal("environment", [], [each for each in environment_of(config) if each not in _list(process, "env")])
    _verify_variables(config, _list(process, "env"), of_image)
    limits: dict[str, Json] = {
        str(each.get("type")): [each.get("soft"), each.get("hard")] for each in _objects(process, "rlimits")
    }
    _equal("limits", {kind: [size, size] for kind, size in _limits(config).items()}, limits)
    _equal("read-only root", "True", str(part(given, "root").get("readonly")))
    _equal("hooks", {}, given.get("hooks") or {})
    _equal("name spaces", [{"type": each} for each in NAMESPACES], _sorted(linux, "namespaces"))
    _equal("devices", [], _list(linux, "devices"))
    _equal("sysctl", {}, {each: value for each, value in _settings(linux) if (each, value) != HARMLESS_SETTING})
    _equal("masks", [], sorted(MASKED - set(map(str, _list(linux, "maskedPaths")))))
    _equal("read-only folders", [], sorted(READ_ONLY - set(map(str, _list(linux, "readonlyPaths")))))
    resources = dict(part(linux, "resources"))
    _equal("device rules", [{"allow": False, "access": "rwm"}], resources.pop("devices", None))
    _equal("resources", _resources(config), resources)
    _equal("system calls", _plain(_profile(config)), _plain(dict(part(linux, "seccomp"))))
    for name in OTHER_SETTINGS:
        _equal(name, "", linux.get(name) or "")
    for name in part(given, "annotations") if given.get("annotations") else ():
        if name not in OWN_ANNOTATIONS and not name.startswith(TOLD_ANNOTATIONS):
            refuse(f"annotation `{name[:80]}`", "absent", "there")
    _verify_mounts(config, placement, _objects(given, "mounts"), container)


def strange_variables(config: ContainerConfig, given: Mapping[str, Json]) -> bool:
    """Whether there are any that only the image could have brought."""
    return bool(set(map(str, _list(part(given, "process"), "env"))) - {*environment_of(config), *OWN_VARIABLES})


# --- private -------------------------------------------------------------------------------------------


def _folder(config: ContainerConfig) -> str:
    return SCRATCH_FOLDER if config.workspace == "none" else WORKSPACE_FOLDER


def _mounts(config: ContainerConfig, placement: Placement) -> list[Json]:
    options: list[Json] = ["rw", "noexec", "nosuid", "nodev", f"size={config.tmpfs}", "mode=1777", "notmpcopyup"]
    scratch: dict[str, Json] = {"destination": SCRATCH_FOLDER, "type": "tmpfs", "source": "tmpfs", "options": options}
    folders: list[Json] = [
        {
            "destination": target,
            "type": "bind",
            "source": str(source),
            "options": ["rw" if writable else "ro", "rprivate", "bind", "nosuid", "nodev"],
        }
        for target, source, writable in bound_folders(config, placement)
    ]
    return [scratch, *folders]


def _resources(config: ContainerConfig) -> dict[str, Json]:
    return {
        "memory": {"limit": config.memory, "swap": config.memory},
        "cpu": {"quota": config.millicpus * CPU_PERIOD_US // 1000, "period": CPU_PERIOD_US},
        "pids": {"limit": processes_of(config)},
    }


def _limits(config: ContainerConfig) -> dict[str, int]:
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    return {
        "RLIMIT_NOFILE": config.files,
        "RLIMIT_FSIZE": config.file_size,
        "RLIMIT_CORE": 0,
        "RLIMIT_NPROC": PROCESSES if processes == resource.RLIM_INFINITY else min(PROCESSES, processes),
    }


def _profile(config: ContainerConfig) -> dict[str, Json]:
    return profile(loopback=config.network)


def _profile_file(config: ContainerConfig) -> Path:
    """Where Podman reads our list of system calls: a file of this user alone, named by its content."""
    text = json.dumps(_profile(config), sort_keys=True).encode()
    place = private_folder("profiles") / f"{hashlib.sha256(text).hexdigest()}.json"
    if not place.exists():
        written = place.with_name(f"{place.name}.{os.getpid()}")
        written.write_bytes(text)
        written.replace(place)
    return place


def _verify_variables(config: ContainerConfig, variables: list[Json], of_image: Collection[Json]) -> None:
    """Ours and no other value of theirs, Podman's own and the image's. What a strange one says is not told."""
    asked = environment_of(config)
    ours = {each.partition("=")[0] for each in asked}
    for each in map(str, variables):
        name = each.partition("=")[0]
        if each not in asked and (name in ours or (each not in OWN_VARIABLES and each not in of_image)):
            refuse(f"variable `{name[:80]}`", "as asked" if name in ours else "absent", "something else")


def _verify_mounts(
    config: ContainerConfig, placement: Placement, mounts: list[Mapping[str, Json]], container: str
) -> None:
    folders = {target: (str(source), writable) for target, source, writable in bound_folders(config, placement)}
    missing = {*folders, SCRATCH_FOLDER}
    for mount in mounts:
        target, options = str(mount.get("destination")), set(map(str, _list(mount, "options")))
        missing.discard(target)
        what = f"mount `{target}`"
        if target in folders:
            source, writable = folders[target]
            _equal(what, ["bind", source, writable], [mount.get("type"), mount.get("source"), "ro" not in options])
            _verify_options(what, {"bind", "nosuid", "nodev"} | ({"rw"} if writable else {"ro"}), options)
        elif target == SCRATCH_FOLDER:
            _equal(what, "tmpfs", mount.get("type"))
            _verify_options(what, {"noexec", "nosuid", "nodev", f"size={config.tmpfs}"}, options)
        elif target in OWN_FILES:
            _equal(what, [container, "userdata", target.rpartition("/")[2]], str(mount.get("source")).split("/")[-3:])
            _verify_options(what, {"ro"}, options)
        elif target in KERNEL_FOLDERS:
            _equal(what, KERNEL_FOLDERS[target], mount.get("type"))
            _verify_options(what, {"ro"} if target.startswith("/sys") else set(), options - {"exec", "dev"})
        else:
            refuse(what, "absent", mount.get("type"))
    _equal("mounts that are not there", [], sorted(missing))


def _verify_options(what: str, asked: set[str], options: set[str]) -> None:
    _equal(what, [], sorted(asked - options))
    _equal(what, [], sorted(options & (WIDER | ({"rw"} if "ro" in asked else set()))))


def _plain(value: Json) -> Json:
    """Without what is nothing: names in order, numbers that are 0 and lists that are empty left out."""
    if isinstance(value, dict):
        return {
            key: _plain(each) for key, each in sorted(value.items()) if each not in (0, None, [], {}) or key == "value"
        }
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


def part(value: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    """The object of this name; SandboxFailure where there is none."""
    found = value.get(name)
    if not isinstance(found, dict):
        refuse(name, "an object", found)
    return found


def _list(value: Mapping[str, Json], name: str) -> list[Json]:
    found = value.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        refuse(name, "a list", found)
    return found


def _settings(linux: Mapping[str, Json]) -> list[tuple[str, Json]]:
    return list(part(linux, "sysctl").items()) if linux.get("sysctl") else []


def _objects(value: Mapping[str, Json], name: str) -> list[Mapping[str, Json]]:
    return [each if isinstance(each, dict) else {} for each in _list(value, name)]


def _sorted(value: Mapping[str, Json], name: str) -> list[Json]:
    return sorted((dict(each) for each in _objects(value, name)), key=str)


def _equal(what: str, asked: object, given: object) -> None:
    if asked != given:
        refuse(what, asked, given)


def refuse(what: str, asked: object, given: object) -> NoReturn:
    """SandboxFailure: a container is not as asked."""
    message = f"the container is not as asked: {what} should be `{str(asked)[:200]}` and is `{str(given)[:200]}`"
    raise SandboxFailure(message, "sandbox_failure.configuration")
