"""AppArmor and SELinux: whether a container is confined by what its engine says that it confines by.

We ask for no profile and no label of our own: they are the engine's to give, and none is turned off. Where the kernel
has one of the two and the engine says that it uses it, a process without is not as asked, whoever left it out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from sandbox.errors import SandboxFailure
from sandbox.ir import Json

Wall: TypeAlias = Literal["apparmor", "selinux"]

_APPARMOR: Final = Path("/sys/module/apparmor/parameters/enabled")
_SELINUX: Final = Path("/sys/fs/selinux/enforce")

_ENFORCED: Final = re.compile(r"(?P<profile>.+) \((enforce|kill)\)")
_UNCONFINED: Final = "unconfined"
CONTAINER_TYPES: Final = frozenset({"container_t", "svirt_lxc_net_t"})
"""The types that policies have for containers; others let a process do what the engine may."""
_TYPE: Final = 2
"""A label is user, role, type, and a level that may have colons of its own."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What this kernel has, as its files tell."""

    apparmor: bool
    selinux: bool

    @classmethod
    def this(cls) -> Kernel:
        """The one that we run on."""
        return cls(_says_yes(_APPARMOR), _SELINUX.exists())


def options_of(info: Mapping[str, Json]) -> frozenset[str]:
    """An engine's security options by name: `seccomp`, `apparmor`, `selinux`, `rootless`, `userns`, `cgroupns`."""
    listed = info.get("SecurityOptions")
    options = listed if isinstance(listed, list) else []
    return frozenset(str(option).removeprefix("name=").split(",")[0] for option in options)


def walls_of(said: frozenset[str], kernel: Kernel) -> frozenset[Wall]:
    """What confines every container: what the engine says, where the kernel has it."""
    found: set[Wall] = set()
    if kernel.apparmor and "apparmor" in said:
        found.add("apparmor")
    if kernel.selinux and "selinux" in said:
        found.add("selinux")
    return frozenset(found)


def is_profile(text: str) -> bool:
    """Whether this is a profile of AppArmor that confines, by an engine's account: a name without a mode."""
    return text not in {"", _UNCONFINED}


def is_enforced(text: str) -> bool:
    """Whether this is a profile that is enforced, by the kernel's account: a name and a mode."""
    found = _ENFORCED.fullmatch(text)
    return found is not None and found["profile"] != _UNCONFINED


def is_container_label(text: str) -> bool:
    """Whether this is a label of SELinux for a container's process."""
    parts = text.split(":")
    return len(parts) > _TYPE and parts[_TYPE] in CONTAINER_TYPES


def verify_inside(walls: frozenset[Wall], labels: Json) -> None:
    """Returns if a process is confined by its own account of itself; SandboxFailure, naming the wall, if not.

    `labels` has what the kernel tells of it: by AppArmor a profile and its mode, by SELinux a label.
    """
    told = labels if isinstance(labels, dict) else {}
    for wall, confines in (("apparmor", is_enforced), ("selinux", is_container_label)):
        found = str(told.get(wall, "")).strip("\0\n ")
        if wall in walls and not confines(found):
            _refuse(wall, found)


def verify_account(walls: frozenset[Wall], profile: Json, label: Json) -> None:
    """As `verify_inside`, by an engine's account of a container that did not start: where it tells already."""
    for wall, told, confines in (("apparmor", profile, is_profile), ("selinux", label, is_container_label)):
        if wall in walls and told and not confines(str(told)):
            _refuse(wall, str(told))


def _refuse(wall: Wall | str, found: str) -> None:
    message = (
        f"the container is not as asked: {wall}, which the engine says it uses, should confine it and it is "
        f"`{found[:200] or 'without'}`; `sandbox doctor` tells what the engine has"
    )
    raise SandboxFailure(message, "sandbox_failure.configuration")


def _says_yes(file: Path) -> bool:
    try:
        return file.read_text(encoding="ascii").strip() == "Y"
    except OSError:
        return False
