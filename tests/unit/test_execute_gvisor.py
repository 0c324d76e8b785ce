"""Unit: what gVisor shows is checked, and put into a container's words, before it is verified as a container is."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.errors import EnvironmentLacking, SandboxFailure
from sandbox.execute.config import ContainerConfig, Placement, processes_of, render, verify_effects, verify_inspect
from sandbox.execute.engine import Engine
from sandbox.execute.gvisor import KERNEL, check_isolation, granted_isolation, in_our_words, limits_of, runtime_of
from sandbox.execute.seccomp import profile
from sandbox.ir import Json, NetworkGrant, Run, RunTool

CONFIG = ContainerConfig("none", 2**27, 1000, 64, 256, 2**20, 2**24, 2**16, 5_000, isolation="gvisor")
RUN = Run(RunTool("a", "b"))


def shown(**changed: Json) -> dict[str, Json]:
    """As runsc 0.0~20221219 shows it."""
    capabilities = dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd"), "0" * 16)
    return {
        "pid": 1,
        "uid": [61_000] * 3,
        "gid": [61_000] * 3,
        "groups": [61_000],
        "cwd": "/tmp",
        "environment": ["HOME", "HOSTNAME", "LANG", "PATH", "TMPDIR"],
        "status": {**capabilities, "Seccomp": "2"},
        "no_new_privs": 1,
        "kernel": ["4.4.0", KERNEL],
        "dumpable": 0,
        "interfaces": ["lo"],
        "mounts": [
            ["/", "9p", "ro", False],
            ["/dev", "tmpfs", "rw", False],
            ["/sys", "sysfs", "ro,noexec", False],
            ["/tmp", "tmpfs", "rw,noexec", True],
            ["/proc", "proc", "rw,noexec", False],
            ["/dev/pts", "devpts", "rw,noexec", False],
            ["/sandbox", "9p", "ro", False],
            ["/etc/hostname", "9p", "ro", False],
        ],
        "limits": {"RLIMIT_CORE": [0, 0], "RLIMIT_NOFILE": [256, 256], "RLIMIT_FSIZE": [2**20] * 2},
        "cgroup": dict.fromkeys(("memory", "swap", "cpu", "pids"), ""),
        **changed,
    }


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cgroups, version 1, of a process 1 that is in `/docker/abc`."""
    limits = {
        "memory/docker/abc/memory.limit_in_bytes": CONFIG.memory,
        "memory/docker/abc/memory.memsw.limit_in_bytes": CONFIG.memory,
        "cpu/docker/abc/cpu.cfs_quota_us": 100_000,
        "pids/docker/abc/pids.max": processes_of(CONFIG),
    }
    for name, value in limits.items():
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{value}\n")
    monkeypatch.setattr("sandbox.execute.gvisor._CGROUPS", tmp_path)
    told = {"memory": "/docker/abc", "cpu": "/docker/abc", "cpuacct": "/docker/abc", "pids": "/docker/abc"}
    monkeypatch.setattr("sandbox.execute.gvisor._groups", lambda _: told)
    return tmp_path


def test_what_gvisor_shows_is_accepted(groups: Path) -> None:
    verify_effects(CONFIG, in_our_words(shown(), 1))


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"no_new_privs": 0}, "NoNewPrivs"),
        ({"no_new_privs": None}, "NoNewPrivs"),
        ({"status": {"Seccomp": "0"}}, "CapInh should be text|CapInh"),
        ({"status": None}, "status"),
        ({"mounts": [["/", "9p", "rw", True]]}, "mount `/`"),
        ({"mounts": [["/host", "9p", "ro", False]]}, "mount `/host`"),
        ({"mounts": [["/tmp", "tmpfs", "rw", True]]}, "noexec"),
        ({"mounts": None}, "mounts"),
        ({"interfaces": ["eth0"]}, "interfaces"),
        ({"kernel": list(os.uname()[2:4])}, "is not gVisor"),
        ({"kernel": ["4.4.0", "#1"]}, "is not gVisor"),
        ({"kernel": None}, "is not gVisor"),
        ({"kernel": KERNEL}, "is not gVisor"),
    ],
)
def test_what_is_not_as_asked_is_refused(groups: Path, changed: dict[str, Json], match: str) -> None:
    with pytest.raises(SandboxFailure, match=match):
        verify_effects(CONFIG, in_our_words(shown(**changed), 1))


@pytest.mark.parametrize(
    "name",
    ["memory/docker/abc/memory.limit_in_bytes", "cpu/docker/abc/cpu.cfs_quota_us", "pids/docker/abc/pids.max"],
)
@pytest.mark.parametrize("value", ["", "max", "9223372036854771712", "64"])
def test_a_limit_that_the_host_does_not_have_is_refused(groups: Path, name: str, value: str) -> None:
    (groups / name).write_text(value)
    with pytest.raises(SandboxFailure, match="limit should be"):
        verify_effects(CONFIG, in_our_words(shown(), 1))


def test_limits_of_a_container_that_says_what_it_likes_are_the_hosts(groups: Path) -> None:
    lies: Json = {"memory": str(2**40), "swap": "0", "cpu": "1", "pids": "1"}
    verify_effects(CONFIG, in_our_words(shown(cgroup=lies), 1))


def test_a_kernel_that_says_it_is_gvisors_and_is_the_hosts_own(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.uname", lambda: ("Linux", "host", "4.4.0", KERNEL, "x86_64"))
    with pytest.raises(SandboxFailure, match="is not gVisor"):
        in_our_words(shown(), 1)


def test_cgroups_of_version_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.execute.gvisor._CGROUPS", tmp_path)
    monkeypatch.setattr("sandbox.execute.gvisor._groups", lambda _: {"": "/system.slice/docker-abc.scope"})
    place = tmp_path / "system.slice/docker-abc.scope"
    place.mkdir(parents=True)
    written = {"memory.max": "5", "memory.swap.max": "0", "cpu.max": "100 200", "pids.max": "7"}
    for name, value in written.items():
        (place / name).write_text(f"{value}\n")
    assert limits_of(1) == {"memory": "5", "swap": "0", "cpu": "100 200", "pids": "7"}


@pytest.mark.parametrize("path", ["/", "/../host", "/docker/../.."])
def test_no_limits_are_read_at_the_root_or_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr("sandbox.execute.gvisor._CGROUPS", tmp_path)
    monkeypatch.setattr("sandbox.execute.gvisor._groups", lambda _: {"memory": path, "pids": path, "cpu": path})
    for name in ("memory/memory.limit_in_bytes", "pids/pids.max", "cpu/cpu.cfs_quota_us"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("5")
    assert set(limits_of(1).values()) == {""}


def test_limits_are_read_where_the_container_s_own_name_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine's word for which process it is may be old by now, and the number another's."""
    monkeypatch.setattr("sandbox.execute.gvisor._CGROUPS", tmp_path)
    monkeypatch.setattr("sandbox.execute.gvisor._groups", lambda _: {"pids": "/docker/abc", "memory": "/docker/abc"})
    (tmp_path / "pids/docker/abc").mkdir(parents=True)
    (tmp_path / "pids/docker/abc/pids.max").write_text("7\n")
    assert limits_of(1, "abc")["pids"] == "7"
    assert set(limits_of(1, "def").values()) == {""}


def test_our_own_groups_can_be_read_and_a_process_that_is_gone_has_none() -> None:
    assert set(limits_of(2**22 + 1).values()) == {""}
    assert limits_of(os.getpid()).keys() == {"memory", "swap", "cpu", "pids"}


def test_the_runtime_is_asked_for_and_compared() -> None:
    placement = Placement("sha256:1", Path("/source"), None, ())
    body = render(CONFIG, placement)
    host = body["HostConfig"]
    assert isinstance(host, dict)
    assert (host["Runtime"], host["PidsLimit"]) == ("runsc", 64 + 8 * 64)
    mounts: Json = [{"Destination": "/sandbox", "Type": "bind", "Source": "/source", "RW": False}]
    said: dict[str, Json] = {"Image": "sha256:1", "Config": body, "HostConfig": host, "Mounts": mounts}
    verify_inspect(CONFIG, placement, said)
    with pytest.raises(SandboxFailure, match=r"HostConfig\.Runtime"):
        verify_inspect(CONFIG, placement, {**said, "HostConfig": {**host, "Runtime": "runc"}})


def test_calls_with_a_grant_have_a_runtime_of_their_own() -> None:
    granted = replace(CONFIG, network=True)
    body = render(granted, Placement("sha256:1", Path("/source"), None, (), broker=Path("/broker")))
    host = body["HostConfig"]
    assert isinstance(host, dict)
    assert host["Runtime"] == "runsc-network"
    assert granted.digest != CONFIG.digest
    assert runtime_of(engine(), CONFIG) == "20, runsc"
    assert runtime_of(engine(), granted) == "20, runsc-network"
    assert runtime_of(engine(), replace(granted, isolation="container")) == "20, runc"
    with pytest.raises(SandboxFailure, match="the runtime `runsc-network` is not gVisor"):
        in_our_words(shown(kernel=None), 1, "runsc-network")


def engine(**runtimes: tuple[str, ...]) -> Engine:
    known = {name.replace("_", "-"): words for name, words in runtimes.items()}
    return Engine(None, "20, runc", "", known)  # type: ignore[arg-type]  # nothing is asked of it


GRANTED = replace(RUN, network=(NetworkGrant("a.example", 443),))


@pytest.mark.parametrize(
    ("run", "runtimes", "lacking"),
    [
        (RUN, {}, "no runtime `runsc`: register gVisor"),
        (GRANTED, {}, "no runtime `runsc`: register gVisor"),
        (GRANTED, {"runsc_network": ("--host-uds=open",)}, "no runtime `runsc`: register gVisor"),
        (GRANTED, {"runsc": (), "runsc_network": ()}, "register gVisor a second time, as `runsc-network`"),
        (GRANTED, {"runsc": (), "runsc_network": ("--host-uds=all",)}, "no gVisor that reaches the broker's socket"),
        (GRANTED, {"runsc": (), "runsc_network": ("--host-uds=create",)}, "no gVisor that reaches the broker's socket"),
        *(
            (GRANTED, {"runsc": (), "runsc_network": ("--host-uds=open", *wider)}, "no gVisor that reaches")
            for wider in (["--host-uds=all"], ["-host-uds=all"], ["--host-uds", "all"], ["--fsgofer-host-uds"])
        ),
        *(
            (run, {"runsc": wider, "runsc_network": ("--host-uds=open",)}, "reaches no socket of this host")
            for run in (RUN, GRANTED)
            for wider in (("--host-uds=open",), ("-host-uds=all",), ("--host-uds", "all"), ("--fsgofer-host-uds=true",))
        ),
        (RUN, {"runsc": ("--host-uds=none",)}, ""),
        (RUN, {"runsc": ()}, ""),
        (GRANTED, {"runsc": (), "runsc_network": ("--host-uds=open",)}, ""),
    ],
)
def test_what_the_engine_lacks_for_it_is_said(run: Run, runtimes: dict[str, tuple[str, ...]], lacking: str) -> None:
    check_isolation(engine(), "container", run, "`t`")
    if not lacking:
        check_isolation(engine(**runtimes), "gvisor", run, "`t`")
        return
    with pytest.raises(EnvironmentLacking) as refused:
        check_isolation(engine(**runtimes), "gvisor", run, "`t`")
    assert lacking in str(refused.value)
    assert refused.value.reason_code == "environment.isolation"


def test_isolation_is_a_floor() -> None:
    strong = Run(RunTool("a", "b"), min_isolation="gvisor")
    assert granted_isolation(RUN, "it") == "container"
    assert granted_isolation(RUN, "it", "gvisor") == "gvisor"
    assert granted_isolation(strong, "it") == "gvisor"
    with pytest.raises(EnvironmentLacking) as refused:
        granted_isolation(Run(RunTool("a", "b"), min_isolation="vm"), "tool `t`", "gvisor")
    assert str(refused.value) == ("tool `t` demands min_isolation `vm`; only `container` and `gvisor` are there yet")
    assert refused.value.reason_code == "environment.isolation"


def test_the_list_for_gvisor_is_the_same_but_for_names_and_clone3() -> None:
    plain, gvisor = profile(), profile(gvisor=True)
    assert isinstance(plain["syscalls"], list)
    assert isinstance(gvisor["syscalls"], list)
    assert gvisor["defaultAction"] == plain["defaultAction"] == "SCMP_ACT_ERRNO"
    differ = [(one, other) for one, other in zip(plain["syscalls"], gvisor["syscalls"], strict=True) if one != other]
    assert [set(other["names"]) - set(one["names"]) for one, other in differ] == [{"pselect"}, set()]
    assert differ[1][1] == {"names": ["clone3"], "action": "SCMP_ACT_ALLOW"}
