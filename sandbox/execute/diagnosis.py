"""What an engine and its kernel are worth for our containers, judged from what both say; pure but for its files.

What the engine says it enforces and what the kernel has are told apart: an engine takes an option for AppArmor on a
kernel without it, and says so in its own account too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sandbox.execute.config import GVISOR_NETWORK_RUNTIME, GVISOR_RUNTIME
from sandbox.execute.confinement import Kernel, options_of
from sandbox.execute.gvisor import HOST_SOCKETS, HOW_TO_GET, HOW_TO_GET_NETWORK, NO_SOCKETS, socket_words
from sandbox.execute.known_holes import Component, holes_of, is_repacked
from sandbox.ir import Json


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `ok` None: worth knowing, and nothing fails for want of it; `risk`: and worth changing."""

    name: str
    ok: bool | None
    found: str
    remedy: str = ""
    risk: bool = False


LIMITS: Final = {
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "CpuCfsQuota": "processor time",
    "PidsLimit": "processes",
}
"""What a container's limits rest on, by the engine's own account."""

_COMPONENTS: Final[tuple[tuple[Component, str], ...]] = (("engine", "Engine"), ("runc", "runc"))


def diagnose(info: Mapping[str, Json], version: Mapping[str, Json], kernel: Kernel) -> tuple[Finding, ...]:
    """Everything that the engine's `info` and `version` tell, in the order in which it matters."""
    return (
        *_holes(version),
        *_place(info),
        _groups(info),
        *_limits(info),
        _seccomp(info),
        _apparmor(info, kernel),
        _selinux(info, kernel),
        _names(info),
        Finding("runtimes", None, ", ".join(sorted(_mapping(info.get("Runtimes"))))),
        _gvisor(info),
        _gvisor_network(info),
    )


# --- private -------------------------------------------------------------------------------------------


def _holes(version: Mapping[str, Json]) -> tuple[Finding, ...]:
    parts = {
        str(_mapping(part).get("Name")): str(_mapping(part).get("Version")) for part in _list(version, "Components")
    }
    return tuple(_holes_in(component, parts.get(name, "")) for component, name in _COMPONENTS)


def _holes_in(component: Component, text: str) -> Finding:
    found = tuple(holes_of(component, text))
    name = f"known holes: {component}"
    if not found:
        return Finding(name, ok=True, found=f"{text}: none that this version of the sandbox knows of")
    ids = ", ".join(hole.id for hole in found)
    if not text:
        return Finding(name, None, f"its version is not told; could be {ids}", "ask the engine's host", risk=True)
    if is_repacked(text):
        package = {"engine": "docker.io", "runc": "runc"}[component]
        remedy = (
            f"ask your distribution whether it mended them in this package: `apt changelog {package}`, or its tracker"
        )
        return Finding(name, None, f"{text}: by its numbers {ids}", remedy, risk=True)
    remedy = f"upgrade {component}; until then: {'; '.join(dict.fromkeys(hole.here for hole in found))}"
    return Finding(name, None, f"{text}: {ids}", remedy, risk=True)


def _place(info: Mapping[str, Json]) -> tuple[Finding, ...]:
    """What the engine is, where that changes what can be promised."""
    found = []
    if "docker desktop" in str(info.get("OperatingSystem", "")).lower():
        remedy = (
            "Docker Desktop runs containers in a virtual machine, which has none of our folders: use an engine here"
        )
        found.append(Finding("engine's place", ok=False, found="Docker Desktop", remedy=remedy))
    if "rootless" in options_of(info):
        words = "rootless: who leaves a container has your rights, not root's"
        remedy = "a workspace needs the right to mount a tmpfs, and a limit one to delegated cgroups: see below"
        found.append(Finding("engine's rights", None, words, remedy))
    elif "userns" in options_of(info):
        words = "root, with user name spaces: who leaves a container is nobody here"
        found.append(Finding("engine's rights", ok=True, found=words))
    else:
        words = "root, without user name spaces: user 61000 in a container is user 61000 outside"
        found.append(Finding("engine's rights", None, words))
    return tuple(found)


def _groups(info: Mapping[str, Json]) -> Finding:
    driver, version = info.get("CgroupDriver"), str(info.get("CgroupVersion") or "1")
    if driver in {None, "", "none"}:
        remedy = (
            "without cgroups every limit is ignored, and no call runs: start dockerd as root, or delegate cgroup v2"
        )
        return Finding("cgroups", ok=False, found="none", remedy=remedy)
    return Finding("cgroups", ok=True, found=f"{driver}, version {version}")


def _limits(info: Mapping[str, Json]) -> tuple[Finding, ...]:
    lacking = [words for key, words in LIMITS.items() if info.get(key) is not True]
    if not lacking:
        return (Finding("limits", ok=True, found=f"the engine enforces {', '.join(LIMITS.values())}"),)
    remedy = "boot with `cgroup_enable=memory swapaccount=1` or use cgroup v2; until then containers are refused"
    return tuple(Finding(f"limit: {words}", ok=False, found="not enforced", remedy=remedy) for words in lacking)


def _seccomp(info: Mapping[str, Json]) -> Finding:
    if "seccomp" in options_of(info):
        return Finding("seccomp", ok=True, found="on; our own list is given to each container")
    remedy = "use a kernel and an engine with seccomp: no call runs without a profile"
    return Finding("seccomp", ok=False, found="off", remedy=remedy)


def _apparmor(info: Mapping[str, Json], kernel: Kernel) -> Finding:
    said = "apparmor" in options_of(info)
    if said and kernel.apparmor:
        return Finding("apparmor", ok=True, found="on, in the kernel and in the engine")
    if said:
        return Finding("apparmor", None, "the engine says so, the kernel has none", "do not count on it", risk=True)
    if kernel.apparmor:
        remedy = "start dockerd with the package `apparmor` installed: its default profile is one more wall"
        return Finding("apparmor", None, "in the kernel, and not used by the engine", remedy, risk=True)
    return Finding("apparmor", None, "this kernel has none; nothing here relies on it")


def _selinux(info: Mapping[str, Json], kernel: Kernel) -> Finding:
    said = "selinux" in options_of(info)
    if said and kernel.selinux:
        remedy = "folders of ours that containers read need a label that they may: see the engine's documentation"
        return Finding("selinux", ok=True, found="on, in the kernel and in the engine", remedy=remedy)
    if kernel.selinux:
        remedy = "`selinux-enabled: true` in daemon.json is one more wall"
        return Finding("selinux", None, "in the kernel, and not used by the engine", remedy, risk=True)
    return Finding("selinux", None, "this kernel has none; nothing here relies on it")


def _names(info: Mapping[str, Json]) -> Finding:
    swarm = str(_mapping(info.get("Swarm")).get("LocalNodeState", "inactive"))
    if swarm in {"inactive", ""}:
        return Finding("swarm", ok=True, found="inactive")
    remedy = "`docker swarm leave`: other machines may order this engine about"
    return Finding("swarm", None, swarm, remedy, risk=True)


def _gvisor(info: Mapping[str, Json]) -> Finding:
    runtime = _mapping(info.get("Runtimes")).get(GVISOR_RUNTIME)
    if runtime is None:
        words = "not registered: a tool with `min_isolation: gvisor` does not run"
        return Finding("gvisor", None, words, HOW_TO_GET)
    arguments = _list(_mapping(runtime), "runtimeArgs")
    if "--oci-seccomp" not in arguments and "--oci-seccomp=true" not in arguments:
        words = "registered without `--oci-seccomp`: no call runs in it"
        return Finding("gvisor", None, words, HOW_TO_GET, risk=True)
    if socket_words([*map(str, arguments)]) - NO_SOCKETS:
        words = "registered with `--host-uds`, by which calls would reach sockets of this host: no call runs in it"
        return Finding("gvisor", None, words, HOW_TO_GET, risk=True)
    return Finding("gvisor", ok=True, found=f"registered: runsc {' '.join(map(str, arguments))}")


def _gvisor_network(info: Mapping[str, Json]) -> Finding:
    runtime = _mapping(info.get("Runtimes")).get(GVISOR_NETWORK_RUNTIME)
    words = [str(each) for each in _list(_mapping(runtime), "runtimeArgs")]
    if socket_words(words) == {HOST_SOCKETS}:
        return Finding("gvisor with a network", ok=True, found=f"registered: runsc {' '.join(words)}")
    lacking = "not registered" if runtime is None else f"registered without `{HOST_SOCKETS}`, or with more"
    found = f"{lacking}: a tool with `min_isolation: gvisor` and a `network` grant does not run"
    return Finding("gvisor with a network", None, found, HOW_TO_GET_NETWORK)


def _mapping(value: object) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _list(value: Mapping[str, Json], key: str) -> Sequence[Json]:
    found = value.get(key)
    return found if isinstance(found, list) else ()
