"""CIS Docker Benchmark 1.6, section 5, on one container: each recommendation by its title, and whether it holds.

A recommendation is a list of conditions over an account of the container, which is either what the engine was asked
for or what it says of what it made. Conditions are written with comparisons only, so that they can be evaluated with
numbers, and proved about with terms in their place (`sandbox.prove.configurations`).
What cannot be decided from an account is listed with the reason, and never counted as held.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from sandbox.execute.config import COMMAND
from sandbox.execute.confinement import Kernel, is_container_label, is_profile
from sandbox.ir import Json

NAME: Final = "CIS Docker Benchmark 1.6, section 5"

SENSITIVE: Final = (
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/sys",
    "/usr",
    "/bin",
    "/sbin",
    "/root",
    "/home",
)
"""Folders of the host that no container is given, nor anything in them, nor `/` itself."""

_SENSITIVE: Final = tuple(f"{folder}/" for folder in SENSITIVE)

Condition: TypeAlias = "bool | object"
"""A truth value, or a term that is one where numbers are terms."""

Verdict: TypeAlias = Literal["holds", "fails", "not applicable", "not decided"]


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of a container. `private` is the folder of ours in which everything lies that it is given."""

    config: Mapping[str, Json]
    host: Mapping[str, Json]
    mounts: Sequence[Mapping[str, Json]]
    private: str
    profile: str = ""
    label: str = ""
    ran_inside: bool = False

    @classmethod
    def of_request(cls, body: Mapping[str, Json], private: str) -> Account:
        """What an engine is asked for: the body of a create request."""
        host = _mapping(body.get("HostConfig"))
        return cls(body, host, _mappings(host.get("Mounts")), private)

    @classmethod
    def of_inspect(cls, inspect: Mapping[str, Json], private: str) -> Account:
        """What an engine says of a container that it made."""
        mounts = tuple(
            {
                "Source": mount.get("Source"),
                "Target": mount.get("Destination"),
                "Type": mount.get("Type"),
                **_options(mount),
            }
            for mount in _mappings(inspect.get("Mounts"))
        )
        return cls(
            _mapping(inspect.get("Config")),
            _mapping(inspect.get("HostConfig")),
            mounts,
            private,
            profile=str(inspect.get("AppArmorProfile") or ""),
            label=str(inspect.get("ProcessLabel") or ""),
            ran_inside=bool(inspect.get("ExecIDs")),
        )


@dataclass(frozen=True, slots=True)
class Item:
    """One recommendation. `decide` gives its conditions; where it is None, `why` says why it is not decided."""

    title: str
    decide: Callable[[Account], tuple[Condition, ...]] | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """One recommendation and what became of it."""

    title: str
    verdict: Verdict
    why: str = ""


def judge(account: Account, kernel: Kernel) -> tuple[Judged, ...]:
    """Every recommendation on a container that was made."""
    return tuple(_judge(item, account, kernel) for item in ITEMS)


def _judge(item: Item, account: Account, kernel: Kernel) -> Judged:
    if item.title == APPARMOR:
        if not kernel.apparmor:
            return Judged(item.title, "not applicable", "this kernel has no AppArmor, whatever the engine says")
        return _held(item, is_profile(account.profile))
    if item.title == SELINUX:
        if not kernel.selinux:
            return Judged(item.title, "not applicable", "this kernel has no SELinux")
        return _held(item, is_container_label(account.label))
    if item.decide is None:
        return Judged(item.title, "not decided", item.why)
    return _held(item, all(condition is True for condition in item.decide(account)))


def _held(item: Item, held: bool) -> Judged:  # noqa: FBT001  # what was found
    return Judged(item.title, "holds" if held else "fails", item.why)


# --- the recommendations ---------------------------------------------------------------------------------


def _nothing(value: object) -> bool:
    """Whether the engine has nothing under a key, however it writes that."""
    return value is None or value is False or value in ("", [], {})


def _capabilities(account: Account) -> tuple[Condition, ...]:
    return (account.host.get("CapDrop") == ["ALL"], _nothing(account.host.get("CapAdd")))


def _privileged(account: Account) -> tuple[Condition, ...]:
    return (_nothing(account.host.get("Privileged")),)


def _host_folders(account: Account) -> tuple[Condition, ...]:
    given = [str(mount.get("Source")) for mount in account.mounts if mount.get("Type") != "tmpfs"]
    return (
        _nothing(account.host.get("Binds")),
        _nothing(account.host.get("VolumesFrom")),
        all(mount.get("Type") in {"bind", "tmpfs"} for mount in account.mounts),
        all(source.startswith(f"{account.private}/") and "/../" not in f"{source}/" for source in given),
        not any(source == "/" or f"{source}/".startswith(_SENSITIVE) for source in given),
    )


def _no_daemon(account: Account) -> tuple[Condition, ...]:
    words = account.config.get("Cmd")
    program = list(words)[: len(COMMAND)] if isinstance(words, list) else words
    return (_nothing(account.config.get("Entrypoint")), program == list(COMMAND))


def _no_ports(account: Account) -> tuple[Condition, ...]:
    return (_nothing(account.host.get("PortBindings")), _nothing(account.host.get("PublishAllPorts")))


def _own_network(account: Account) -> tuple[Condition, ...]:
    return (account.host.get("NetworkMode") == "none",)


def _memory(account: Account) -> tuple[Condition, ...]:
    memory, swap = account.host.get("Memory"), account.host.get("MemorySwap")
    return (_above(memory, 0), memory == swap, _nothing(account.host.get("OomKillDisable")))


def _processors(account: Account) -> tuple[Condition, ...]:
    return (_above(account.host.get("NanoCpus"), 0),)


def _read_only(account: Account) -> tuple[Condition, ...]:
    return (account.host.get("ReadonlyRootfs") is True,)


def _restart(account: Account) -> tuple[Condition, ...]:
    return (_mapping(account.host.get("RestartPolicy")).get("Name") in {"no", ""},)


def _own_processes(account: Account) -> tuple[Condition, ...]:
    return (_nothing(account.host.get("PidMode")),)


def _own_ipc(account: Account) -> tuple[Condition, ...]:
    return (account.host.get("IpcMode") in {"none", "private"},)


def _no_devices(account: Account) -> tuple[Condition, ...]:
    return tuple(_nothing(account.host.get(key)) for key in ("Devices", "DeviceRequests", "DeviceCgroupRules"))


def _limits(account: Account) -> tuple[Condition, ...]:
    limits = {str(each.get("Name")): each for each in _mappings(account.host.get("Ulimits"))}
    return (
        {"nofile", "fsize", "core"} <= limits.keys(),
        *(_above(each.get("Hard"), -1) for each in limits.values()),
        *(each.get("Soft") == each.get("Hard") for each in limits.values()),
    )


def _propagation(account: Account) -> tuple[Condition, ...]:
    return tuple(
        _mapping(mount.get("BindOptions")).get("Propagation") in {"rprivate", "private"}
        for mount in account.mounts
        if mount.get("Type") == "bind"
    )


def _own_name(account: Account) -> tuple[Condition, ...]:
    return (_nothing(account.host.get("UTSMode")),)


def _system_calls(account: Account) -> tuple[Condition, ...]:
    given = [str(option) for option in _texts(account.host.get("SecurityOpt")) if str(option).startswith("seccomp=")]
    text = given[0].removeprefix("seccomp=") if len(given) == 1 else ""
    try:
        profile = json.loads(text)
    except ValueError:
        return (False,)
    return (isinstance(profile, dict) and profile.get("defaultAction") == "SCMP_ACT_ERRNO",)


def _no_exec(account: Account) -> tuple[Condition, ...]:
    return (not account.ran_inside,)


def _own_cgroup(account: Account) -> tuple[Condition, ...]:
    return (_nothing(account.host.get("CgroupParent")), account.host.get("CgroupnsMode") == "private")


def _no_new_privileges(account: Account) -> tuple[Condition, ...]:
    options = _texts(account.host.get("SecurityOpt"))
    return ("no-new-privileges" in options or "no-new-privileges:true" in options,)


def _processes(account: Account) -> tuple[Condition, ...]:
    return (_above(account.host.get("PidsLimit"), 0),)


def _own_users(account: Account) -> tuple[Condition, ...]:
    return (_nothing(account.host.get("UsernsMode")),)


def _no_engine_socket(account: Account) -> tuple[Condition, ...]:
    return tuple("docker.sock" not in str(mount.get("Source")) for mount in account.mounts)


APPARMOR: Final = "Ensure that, if applicable, an AppArmor Profile is enabled"
SELINUX: Final = "Ensure that, if applicable, SELinux security options are set"
_NO_PORTS: Final = "it has no network, so no port can be reached"

ITEMS: Final = (
    Item("Ensure swarm mode is not Enabled, if not needed", why="of the engine: `sandbox doctor` tells"),
    Item(APPARMOR),
    Item(SELINUX, why="labels are the engine's to set; we ask for none, and turn none off"),
    Item("Ensure that Linux kernel capabilities are restricted within containers", _capabilities),
    Item("Ensure that privileged containers are not used", _privileged),
    Item("Ensure sensitive host system directories are not mounted on containers", _host_folders),
    Item("Ensure sshd is not run within containers", _no_daemon, "the only program is our own"),
    Item("Ensure privileged ports are not mapped within containers", _no_ports, _NO_PORTS),
    Item("Ensure that only needed ports are open on the container", _no_ports, _NO_PORTS),
    Item("Ensure that the host's network namespace is not shared", _own_network),
    Item("Ensure that the memory usage for containers is limited", _memory),
    Item("Ensure that CPU priority is set appropriately on containers", _processors, "a quota, not a share"),
    Item("Ensure that the container's root filesystem is mounted as read only", _read_only),
    Item("Ensure that incoming container traffic is bound to a specific host interface", _no_ports, _NO_PORTS),
    Item("Ensure that the 'on-failure' container restart policy is set to '5'", _restart, "it is never restarted"),
    Item("Ensure that the host's process namespace is not shared", _own_processes),
    Item("Ensure that the host's IPC namespace is not shared", _own_ipc),
    Item("Ensure that host devices are not directly exposed to containers", _no_devices),
    Item("Ensure that the default ulimit is overwritten at runtime if needed", _limits),
    Item("Ensure mount propagation mode is not set to shared", _propagation),
    Item("Ensure that the host's UTS namespace is not shared", _own_name),
    Item("Ensure the default seccomp profile is not Disabled", _system_calls, "our own list, which allows less"),
    Item("Ensure that docker exec commands are not used with the privileged option", _no_exec, "none are used"),
    Item("Ensure that docker exec commands are not used with the user=root option", _no_exec, "none are used"),
    Item("Ensure that cgroup usage is confirmed", _own_cgroup, "and its limits are read from inside before each call"),
    Item("Ensure that the container is restricted from acquiring additional privileges", _no_new_privileges),
    Item(
        "Ensure that container health is checked at runtime",
        why="it lives for one call: a handshake before it, a deadline over it, no probe in it",
    ),
    Item(
        "Ensure that Docker commands always make use of the latest version of their image",
        why="an image is named by digest and never pulled; which is the latest is not asked",
    ),
    Item("Ensure that the PIDs cgroup limit is used", _processes),
    Item("Ensure that Docker's default bridge 'docker0' is not used", _own_network),
    Item("Ensure that the host's user namespaces are not shared", _own_users, "the engine's own setting is used"),
    Item("Ensure that the Docker socket is not mounted inside any containers", _no_engine_socket),
)


def _above(value: object, bound: int) -> Condition:
    """Whether a number, or a term in its place, is above a bound; what is no number is not."""
    if value is None or isinstance(value, bool | str | list | dict):
        return False
    return value > bound  # type: ignore[operator]  # an int, or a term that compares like one


def _options(mount: Mapping[str, Json]) -> dict[str, Json]:
    return {"ReadOnly": not mount.get("RW"), "BindOptions": {"Propagation": mount.get("Propagation")}}


def _texts(value: object) -> list[Json]:
    return list(value) if isinstance(value, list) else []


def _mapping(value: object) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> tuple[Mapping[str, Json], ...]:
    return tuple(_mapping(each) for each in value) if isinstance(value, list) else ()
