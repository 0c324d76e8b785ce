"""Unit: what Podman is asked for, and what a runtime was given, compared with that item by item."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from sandbox.errors import SandboxFailure
from sandbox.execute.config import COMMAND, ContainerConfig, Placement
from sandbox.execute.podman import Podman
from sandbox.execute.podman_words import NAMESPACES, specification, verify_given
from sandbox.execute.seccomp import profile

CONFIG = ContainerConfig("rw", 2**27, 500, 64, 256, 2**20, 2**24, 2**16, 5_000, network=True)
PLACEMENT = Placement("sha256:1", Path("/source"), Path("/view"), (("sandbox.call", "x"),), broker=Path("/sockets"))
CONTAINER = "c0ffee"
OWN = f"/run/containers/storage/overlay-containers/{CONTAINER}/userdata"
Given = dict[str, object]


def given() -> Given:
    """As Podman 4.3.1 writes it for runc, shortened."""
    asked = specification(CONFIG, PLACEMENT, "name")
    own = ["bind", "rprivate", "ro", "nosuid", "noexec", "nodev"]
    profiled = profile(loopback=True)
    return {
        "process": {
            "user": {"uid": 61_000, "gid": 61_000, "umask": 18, "additionalGids": [61_000]},
            "args": [*COMMAND, "60"],
            "env": [
                *("TERM=xterm", "container=podman", "HOSTNAME=sandbox", "OF_IMAGE=1"),
                *(f"{name}={value}" for name, value in asked["env"].items()),
            ],
            "cwd": "/workspace",
            "capabilities": {},
            "rlimits": [
                {"type": f"RLIMIT_{each['type'].upper()}", "soft": each["soft"], "hard": each["hard"]}
                for each in asked["r_limits"]
            ],
            "noNewPrivileges": True,
            "oomScoreAdj": 500,
        },
        "root": {"path": "/somewhere", "readonly": True},
        "hostname": "sandbox",
        "annotations": {
            "io.container.manager": "libpod",
            "io.kubernetes.cri-o.Created": "2026-11-28T14:19:41Z",
            "io.podman.annotations.init": "FALSE",
            "org.opencontainers.image.stopSignal": "15",
        },
        "mounts": [
            *copy.deepcopy(asked["mounts"]),
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "noexec"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "ro"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
            {"destination": "/run/.containerenv", "type": "bind", "source": f"{OWN}/.containerenv", "options": own},
            {"destination": "/etc/hostname", "type": "bind", "source": f"{OWN}/hostname", "options": own},
        ],
        "linux": {
            "namespaces": [{"type": each} for each in reversed(NAMESPACES)],
            "sysctl": {"net.ipv4.ping_group_range": "0 0"},
            "resources": {"devices": [{"allow": False, "access": "rwm"}], **asked["resource_limits"]},
            "maskedPaths": [
                "/proc/acpi",
                "/proc/kcore",
                "/proc/keys",
                "/proc/timer_list",
                "/proc/scsi",
                "/sys/firmware",
            ],
            "readonlyPaths": ["/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            "seccomp": {
                **profiled,
                "syscalls": [
                    {**each, "args": [{k: v for k, v in arg.items() if v or k == "value"} for arg in each["args"]]}
                    if "args" in each
                    else each
                    for each in profiled["syscalls"]
                ],
            },
        },
    }


def verify(found: Given, config: ContainerConfig = CONFIG) -> None:
    verify_given(config, PLACEMENT, found, CONTAINER, ["OF_IMAGE=1"])


def test_what_was_asked_for_is_accepted() -> None:
    verify(given())


def test_nothing_that_could_be_wider_is_left_to_a_default() -> None:
    asked = specification(CONFIG, PLACEMENT, "name")
    assert (asked["privileged"], asked["cap_drop"], asked["cap_add"]) == (False, ["all"], [])
    assert (asked["netns"], asked["ipcns"]) == ({"nsmode": "none"}, {"nsmode": "none"})
    assert (asked["no_new_privileges"], asked["read_only_filesystem"]) == (True, True)
    assert Path(str(asked["seccomp_profile_path"])).stat().st_mode & 0o022 == 0
    assert [each["destination"] for each in asked["mounts"]] == ["/tmp", "/sandbox", "/workspace", "/broker"]
    assert asked["image"] == "1"


def changed(*path: str | int, to: object) -> Callable[[Given], None]:
    def change(found: Given) -> None:
        target: object = found
        for step in path[:-1]:
            target = target[step]  # type: ignore[index]  # as the path says
        target[path[-1]] = to  # type: ignore[index]  # as above

    return change


def added(*path: str | int, item: object) -> Callable[[Given], None]:
    def change(found: Given) -> None:
        target: object = found
        for step in path:
            target = target[step]  # type: ignore[index]  # as above
        target.append(item)  # type: ignore[attr-defined]  # a list

    return change


def absent(*path: str) -> Callable[[Given], None]:
    def change(found: Given) -> None:
        target: object = found
        for step in path[:-1]:
            target = target[step]  # type: ignore[index]  # as above
        del target[path[-1]]  # type: ignore[attr-defined]  # as above

    return change


BIND = {"destination": "/host", "type": "bind", "source": "/", "options": ["ro"]}
DIFFERENCES: dict[str, tuple[Callable[[Given], None], str]] = {
    "no process": (absent("process"), "process should be"),
    "root": (changed("process", "user", "uid", to=0), "user should be"),
    "a group": (changed("process", "user", "additionalGids", to=[61_000, 0]), "groups should be"),
    "another program": (changed("process", "args", to=["/bin/sh"]), "program should be"),
    "another folder": (changed("process", "cwd", to="/"), "working directory"),
    "a terminal": (changed("process", "terminal", to=True), "terminal should be"),
    "a capability": (changed("process", "capabilities", to={"bounding": ["CAP_KILL"]}), "capabilities should be"),
    "new privileges": (absent("process", "noNewPrivileges"), "noNewPrivileges should be"),
    "no variable": (changed("process", "env", to=[]), "environment should be"),
    "a variable of the engine's": (added("process", "env", item="LD_PRELOAD=/workspace/x.so"), "variable `LD_PRELOAD`"),
    "a variable twice": (added("process", "env", item="PATH=/workspace"), "variable `PATH`"),
    "no limits": (changed("process", "rlimits", to=[]), "limits should be"),
    "another limit": (changed("process", "rlimits", 0, "hard", to=2**20), "limits should be"),
    "the score": (changed("process", "oomScoreAdj", to=-500), "oomScoreAdj should be"),
    "a writable root": (changed("root", "readonly", to=False), "read-only root should be"),
    "a hook": (changed("hooks", to={"prestart": [{"path": "/bin/x"}]}), "hooks should be"),
    "a word to the runtime": (
        changed("annotations", "run.oci.seccomp_bpf_data", to="eA=="),
        "annotation `run.oci.seccomp_bpf_data` should be `absent`",
    ),
    "a word to the host's services": (
        changed("annotations", "org.systemd.property.TasksMax", to="1"),
        "annotation `org.systemd.property.TasksMax` should be `absent`",
    ),
    "a personality": (changed("linux", "personality", to={"domain": "LINUX32"}), "personality should be"),
    "shared mounts": (changed("linux", "rootfsPropagation", to="rshared"), "rootfsPropagation should be"),
    "the host's processes": (changed("linux", "namespaces", to=[{"type": "mount"}]), "name spaces should be"),
    "another's network": (
        changed("linux", "namespaces", 4, to={"type": "network", "path": "/proc/1/ns/net"}),
        "name spaces should be",
    ),
    "a user name space": (added("linux", "namespaces", item={"type": "user"}), "name spaces should be"),
    "a device": (changed("linux", "devices", to=[{"path": "/dev/kvm"}]), "devices should be"),
    "a device rule": (
        added("linux", "resources", "devices", item={"allow": True, "access": "rwm"}),
        "device rules should be",
    ),
    "a kernel setting": (changed("linux", "sysctl", to={"kernel.shm_rmid_forced": "0"}), "sysctl should be"),
    "a wider setting": (changed("linux", "sysctl", "net.ipv4.ping_group_range", to="0 99999"), "sysctl should be"),
    "nothing masked": (changed("linux", "maskedPaths", to=["/proc/kcore"]), "masks should be"),
    "the kernel's settings to be written": (absent("linux", "readonlyPaths"), "read-only folders should be"),
    "more memory": (changed("linux", "resources", "memory", "limit", to=2**40), "resources should be"),
    "swap": (changed("linux", "resources", "memory", "swap", to=-1), "resources should be"),
    "more processes": (changed("linux", "resources", "pids", "limit", to=-1), "resources should be"),
    "huge pages": (changed("linux", "resources", "hugepageLimits", to=[1]), "resources should be"),
    "no list of system calls": (absent("linux", "seccomp"), "seccomp should be"),
    "another default": (changed("linux", "seccomp", "defaultAction", to="SCMP_ACT_ALLOW"), "system calls should be"),
    "another call": (
        added("linux", "seccomp", "syscalls", item={"names": ["ptrace"], "action": "SCMP_ACT_ALLOW"}),
        "system calls should be",
    ),
    "another entry": (added("linux", "seccomp", "architectures", item="SCMP_ARCH_X86"), "system calls should be"),
    "the host's files": (added("mounts", item=BIND), "mount `/host`"),
    "scratch of its own": (
        added("mounts", item={"destination": "/run", "type": "tmpfs", "options": []}),
        "mount `/run` should be `absent`",
    ),
    "shared memory": (
        added("mounts", item={"destination": "/dev/shm", "type": "tmpfs", "options": []}),  # not ours
        "mount `/dev/shm` should be `absent`",
    ),
    "another folder of the host's": (changed("mounts", 1, "source", to="/etc"), "mount `/sandbox`"),
    "a source that can be written": (changed("mounts", 1, "options", to=["rw", "bind"]), "mount `/sandbox`"),
    "scratch with programs": (changed("mounts", 0, "options", to=["nosuid", "nodev"]), "mount `/tmp`"),
    "scratch without end": (changed("mounts", 0, "options", to=["nosuid", "nodev", "noexec"]), "mount `/tmp`"),
    "scratch with programs after all": (added("mounts", 0, "options", item="exec"), "mount `/tmp`"),
    "what is mounted beneath a folder": (added("mounts", 2, "options", item="rbind"), "mount `/workspace`"),
    "a folder that is shared": (added("mounts", 2, "options", item="rshared"), "mount `/workspace`"),
    "a folder with set-id programs": (changed("mounts", 2, "options", to=["rw", "bind"]), "mount `/workspace`"),
    "a folder that is no folder of ours": (changed("mounts", 2, "type", to="overlay"), "mount `/workspace`"),
    "a host's file for a name file": (changed("mounts", -1, "source", to="/etc/shadow"), "mount `/etc/hostname`"),
    "another container's name file": (
        changed("mounts", -1, "source", to=f"{OWN.replace(CONTAINER, 'bad')}/hostname"),
        "mount `/etc/hostname`",
    ),
    "all of the host for the marker": (changed("mounts", -2, "source", to="/"), "mount `/run/.containerenv`"),
    "the kernel's objects to be written": (changed("mounts", 6, "options", to=["nosuid"]), "mount `/sys`"),
    "a name file that can be written": (changed("mounts", -1, "options", to=["rw"]), "mount `/etc/hostname`"),
    "the host's processes as files": (changed("mounts", 4, "type", to="bind"), "mount `/proc`"),
    "no workspace": (lambda found: found["mounts"].pop(2), "mounts that are not there"),  # type: ignore[attr-defined]  # a list
    "mounts that are none": (changed("mounts", to="all"), "mounts should be"),
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_one_difference_is_refused(what: str) -> None:
    change, match = DIFFERENCES[what]
    found = given()
    change(found)
    with pytest.raises(SandboxFailure, match=match) as refused:
        verify(found)
    assert refused.value.reason_code == "sandbox_failure.configuration"


def test_a_workspace_to_be_read_is_not_written() -> None:
    with pytest.raises(SandboxFailure, match="mount `/workspace`"):
        verify(given(), replace(CONFIG, workspace="ro"))


def test_the_file_by_which_programs_know_podman_is_not_counted() -> None:
    podman = Podman(None, "", "")  # type: ignore[arg-type]  # nothing is asked of it
    marker = ["/run/.containerenv", "ext4", "ro", False]
    assert podman.seen({"mounts": [marker, ["/", "overlay", "ro", False]]}) == {
        "mounts": [["/", "overlay", "ro", False]]
    }
    assert podman.seen({"mounts": None}) == {"mounts": None}
    with pytest.raises(SandboxFailure, match="not writable"):
        podman.seen({"mounts": [[*marker[:-1], True]]})


def test_an_engine_s_words_make_no_container() -> None:
    with pytest.raises(SandboxFailure, match="no container of an engine's words"):
        Podman(None, "", "").create({}, "x")  # type: ignore[arg-type]  # as above


VALUE = "hunter2"


def test_what_a_variable_says_is_not_told() -> None:
    found = given()
    added("process", "env", item=f"TOKEN={VALUE}")(found)
    with pytest.raises(SandboxFailure) as refused:
        verify(found)
    assert VALUE not in str(refused.value)


def test_a_check_of_an_image_s_own_is_never_run() -> None:
    """It would be a program that Podman adds to a running container, time and again."""
    assert specification(CONFIG, PLACEMENT, "name")["healthconfig"] == {"Test": ["NONE"]}


TOLD: dict[str, object] = {
    "Image": "1",
    "Config": {"Labels": {"sandbox.call": "x"}, "Healthcheck": {"Test": ["NONE"]}},
    "HostConfig": {"LogConfig": {"Type": "none"}},
}


class Telling(Podman):
    """Podman, with an account of a container that is given here."""

    told: ClassVar[dict[str, object]] = {}

    def inspect(self, container: str) -> dict[str, object]:
        return self.told

    def image(self, reference: str) -> dict[str, object]:
        return {"Config": {"Env": ["OF_IMAGE=1"]}}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (changed("Config", "Healthcheck", to={"Test": ["CMD", "x"]}), "check of its health should be"),
        (changed("HostConfig", "LogConfig", "Type", to="journald"), "log should be `none`"),
        (changed("Config", "Labels", to={"sandbox.call": "y"}), "label `sandbox.call`"),
        (changed("Image", to="2"), "Image should be"),
        (lambda _: None, ""),
        (absent("Config", "Healthcheck"), ""),
    ],
)
def test_what_the_configuration_does_not_have_is_read_in_podman_s_account(
    change: Callable[[Given], None], match: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / CONTAINER / "userdata" / "config.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(given()))
    told = {**copy.deepcopy(TOLD), "OCIConfigPath": str(place)}
    change(told)
    monkeypatch.setattr(Telling, "told", told)
    podman = Telling(None, "", "")  # type: ignore[arg-type]  # nothing is asked of it
    if not match:
        podman.verify(CONFIG, PLACEMENT, CONTAINER)
        return
    with pytest.raises(SandboxFailure, match=match):
        podman.verify(CONFIG, PLACEMENT, CONTAINER)
