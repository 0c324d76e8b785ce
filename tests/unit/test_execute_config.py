"""No spec compiles to a container with more than the spec says: CIS Docker Benchmark 1.6, section 5, and B11."""

from __future__ import annotations

import copy
import dataclasses
import json
import platform
from collections.abc import Mapping
from pathlib import Path

import execkit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import EnvironmentLacking, SandboxFailure, UsageError
from sandbox.execute import seccomp
from sandbox.execute.config import (
    HIGHEST_ID,
    LOWEST_ID,
    USER,
    ContainerConfig,
    Placement,
    compile_config,
    render,
    verify_effects,
    verify_inspect,
)
from sandbox.ir import Json, NetworkGrant, Run, RunArgv, RunTool, Workspace

SMALL = st.integers(1, 10**6)
WORKSPACES = st.none() | st.builds(Workspace, st.sampled_from(["w", "../../etc", "/"]), st.sampled_from(["ro", "rw"]))
RUNS = st.builds(
    Run,
    what=st.sampled_from([RunTool("tools.python", "run_code"), RunArgv(("docker", "run", "--privileged"))]),
    image=st.none() | st.just("other@sha256:00"),
    workspace=WORKSPACES,
    network=st.sampled_from([(), (NetworkGrant("a.example", 443),), (NetworkGrant("10.0.0.1", 80, tls=False),)]),
    timeout_ms=SMALL,
    memory=st.integers(2**25, 2**40),
    millicpus=st.integers(10, 64_000),
    pids=st.integers(4, 10**6),
    output=SMALL,
    files=st.integers(16, 10**6),
    file_size=SMALL,
    tmpfs=st.integers(4096, 2**40),
)


def compiled(run: Run) -> ContainerConfig:
    tool = execkit.tool_of("tool", run)
    return compile_config(execkit.contract_of(tool), tool)


def placement(config: ContainerConfig) -> Placement:
    workspace = None if config.workspace == "none" else Path("/views/1")
    broker = Path("/brokers/1") if config.network else None
    return Placement("sha256:1", Path("/snapshots/1"), workspace, (("sandbox.call", "x"),), broker=broker)


PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY")
NAMES = {"PATH", "HOME", "TMPDIR", "LANG", "WORKSPACE", *PROXIES}


@given(RUNS)
def test_every_container_that_can_be_compiled_satisfies_the_benchmark(run: Run) -> None:
    config = compiled(run)
    body = render(config, placement(config))
    host = body["HostConfig"]
    security = dict(option.split("=", 1) for option in host["SecurityOpt"] if "=" in option)
    assert json.loads(security["seccomp"])["defaultAction"] == "SCMP_ACT_ERRNO"  # 5.2, 5.21
    assert "no-new-privileges" in host["SecurityOpt"]  # 5.25
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], [])  # 5.3
    assert host["Privileged"] is False  # 5.4
    sources = {mount["Source"] for mount in host["Mounts"]}
    assert sources <= {
        "/snapshots/1",
        "/views/1",
        "/brokers/1",
    }  # 5.5, 5.31: nothing of the host's own
    assert host["PortBindings"] == {} and host["PublishAllPorts"] is False  # 5.7, 5.8  # noqa: PT018
    assert host["NetworkMode"] == "none"  # 5.9, 5.29
    assert host["Memory"] == host["MemorySwap"] == run.memory  # 5.10
    assert host["NanoCpus"] == run.millicpus * 1_000_000  # 5.11
    assert host["ReadonlyRootfs"] is True  # 5.12
    assert host["RestartPolicy"]["Name"] == "no"  # 5.14
    assert (host["PidMode"], host["IpcMode"], host["UTSMode"], host["UsernsMode"]) == (
        "",
        "none",
        "",
        "",
    )  # 5.15-17, 5.30
    assert host["Devices"] == host["DeviceRequests"] == host["DeviceCgroupRules"] == []  # 5.17
    assert {limit["Name"]: limit["Hard"] for limit in host["Ulimits"]}["core"] == 0  # 5.18
    assert all(mount["BindOptions"]["Propagation"] == "rprivate" for mount in host["Mounts"])  # 5.19
    assert host["CgroupParent"] == ""  # 5.24
    assert host["PidsLimit"] == run.pids  # 5.28
    user, group = body["User"].split(":")
    assert LOWEST_ID <= int(user) <= HIGHEST_ID and LOWEST_ID <= int(group) <= HIGHEST_ID  # noqa: PT018
    assert body["Env"] == [line for line in body["Env"] if line.partition("=")[0] in NAMES]
    assert ("/brokers/1" in sources) == bool(run.network)
    writable = [mount["Target"] for mount in host["Mounts"] if not mount["ReadOnly"]]
    assert writable == (["/workspace"] if run.workspace is not None and run.workspace.mode == "rw" else [])


@given(RUNS, RUNS)
def test_equal_digests_mean_equal_requests(one: Run, other: Run) -> None:
    first, second = compiled(one), compiled(other)
    assert (first.digest == second.digest) == (first == second)


@pytest.mark.parametrize("field", ["user", "group"])
@pytest.mark.parametrize("value", [0, 999, 65_536, 2**31])
def test_no_configuration_is_root_s_or_unmappable(field: str, value: int) -> None:
    config = compiled(Run(RunTool("tools.python", "run_code")))
    with pytest.raises(ValueError, match="between"):
        dataclasses.replace(config, **{field: value})


def test_a_configuration_has_no_field_for_what_it_cannot_be() -> None:
    names = {field.name for field in dataclasses.fields(ContainerConfig)}
    numbers = {"memory", "millicpus", "pids", "files", "file_size", "tmpfs", "output", "timeout_ms", "user", "group"}
    assert names == {"workspace", "network", "isolation", *numbers}


def test_limits_too_small_are_a_usage_error_that_names_the_tool() -> None:
    with pytest.raises(UsageError, match=r"`run` of tool `tool`.*memory must be at least"):
        compiled(Run(RunTool("m", "f"), memory=1))


def test_a_workspace_that_was_not_prepared_renders_nothing() -> None:
    config = compiled(Run(RunTool("m", "f"), workspace=Workspace("w", "rw")))
    with pytest.raises(SandboxFailure):
        render(config, dataclasses.replace(placement(config), workspace=None))
    granted = compiled(NET)
    with pytest.raises(SandboxFailure):
        render(granted, dataclasses.replace(placement(granted), broker=None))


# --- what the engine says -----------------------------------------------------------------------------


def inspected(config: ContainerConfig) -> dict[str, Json]:
    """An engine's account of exactly what was asked, in its own way of writing absence."""
    body = render(config, placement(config))
    host = body.pop("HostConfig")
    mounts = [
        {"Type": "bind", "Source": mount["Source"], "Destination": mount["Target"], "RW": not mount["ReadOnly"]}
        for mount in host["Mounts"]
    ]
    said = {name: None if value in ("", [], {}) else value for name, value in host.items()}
    return {"Image": body.pop("Image"), "Config": body, "HostConfig": said, "Mounts": mounts}


RW = Run(RunTool("tools.python", "run_code"), workspace=Workspace("w", "rw"))
NET = Run(RunTool("tools.python", "run_code"), network=(NetworkGrant("a.example", 443),))


def test_an_account_that_is_as_asked_is_accepted() -> None:
    for run in (RW, NET, dataclasses.replace(RW, network=NET.network), Run(RunArgv(("x",)))):
        config = compiled(run)
        verify_inspect(config, placement(config), inspected(config))


WIDER = {
    "Privileged": True,
    "CapAdd": ["NET_ADMIN"],
    "CapDrop": [],
    "Devices": [{"PathOnHost": "/dev/kvm"}],
    "Binds": ["/:/host"],
    "NetworkMode": "bridge",
    "PidMode": "host",
    "IpcMode": "private",
    "UTSMode": "host",
    "UsernsMode": "host",
    "CgroupnsMode": "host",
    "ReadonlyRootfs": False,
    "SecurityOpt": ["no-new-privileges"],
    "Memory": 0,
    "MemorySwap": -1,
    "NanoCpus": 0,
    "PidsLimit": None,
    "Ulimits": None,
    "Tmpfs": {"/tmp": "rw"},
    "LogConfig": {"Type": "json-file", "Config": {}},
    "ExtraHosts": ["a:1.2.3.4"],
    "Dns": ["8.8.8.8"],
    "GroupAdd": ["0"],
    "VolumesFrom": ["other"],
    "Sysctls": {"net.ipv4.ip_forward": "1"},
    "OomKillDisable": True,
    "RestartPolicy": {"Name": "always"},
    "AutoRemove": True,
}


@pytest.mark.parametrize("name", WIDER)
def test_an_account_that_differs_in_one_setting_is_refused(name: str) -> None:
    config = compiled(RW)
    account = inspected(config)
    account["HostConfig"][name] = WIDER[name]
    with pytest.raises(SandboxFailure, match=name):
        verify_inspect(config, placement(config), account)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("User", ""),
        ("Env", []),
        ("Cmd", ["sh"]),
        ("Entrypoint", ["/init"]),
        ("WorkingDir", "/proc"),
        ("Labels", {}),
        ("Tty", True),
    ],
)
def test_an_account_with_another_program_or_user_is_refused(name: str, value: Json) -> None:
    config = compiled(RW)
    account = inspected(config)
    account["Config"][name] = value
    with pytest.raises(SandboxFailure, match=name):
        verify_inspect(config, placement(config), account)


def test_an_account_with_other_mounts_or_image_is_refused() -> None:
    config = compiled(RW)
    for change in (
        {"Mounts": [{"Type": "bind", "Destination": "/host", "RW": True}]},
        {"Mounts": []},
        {"Mounts": [{**mount, "RW": True} for mount in inspected(config)["Mounts"]]},
        {"Mounts": [{**mount, "Source": "/"} for mount in inspected(config)["Mounts"]]},
        {"Image": "sha256:2"},
        {"HostConfig": None},
        {"Config": "x"},
    ):
        with pytest.raises(SandboxFailure):
            verify_inspect(config, placement(config), {**inspected(config), **change})


def test_the_broker_s_socket_is_mounted_read_only_where_it_is_granted_and_nowhere_else() -> None:
    granted, without = compiled(NET), compiled(dataclasses.replace(NET, network=()))
    account = inspected(granted)
    for mounts in (account["Mounts"][:1], [account["Mounts"][0], {**account["Mounts"][1], "RW": True}]):
        with pytest.raises(SandboxFailure, match="Mounts"):
            verify_inspect(granted, placement(granted), {**account, "Mounts": mounts})
    with pytest.raises(SandboxFailure, match="Mounts"):
        verify_inspect(without, placement(without), {**inspected(without), "Mounts": account["Mounts"]})
    seen = {**effects(granted), "cwd": "/tmp", "environment": ["HOME", "LANG", "PATH", "TMPDIR", *PROXIES]}
    mounts = [mount for mount in seen["mounts"] if mount[0] != "/workspace"]
    with pytest.raises(SandboxFailure, match="no /broker"):
        verify_effects(granted, {**seen, "mounts": mounts})
    verify_effects(granted, {**seen, "mounts": [*mounts, ["/broker", "tmpfs", "ro", False]]})
    for config, target, writable in ((granted, "/broker", True), (without, "/broker", False)):
        with pytest.raises(SandboxFailure, match="/broker"):
            verify_effects(config, {**seen, "mounts": [*mounts, [target, "tmpfs", "rw", writable]]})


# --- what is seen from inside --------------------------------------------------------------------------


def effects(config: ContainerConfig) -> dict[str, Json]:
    return {
        "pid": 1,
        "uid": [USER] * 3,
        "gid": [USER] * 3,
        "groups": [],
        "cwd": "/workspace",
        "environment": ["HOME", "HOSTNAME", "LANG", "PATH", "TMPDIR", "WORKSPACE"],
        "status": {
            **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16),
            "NoNewPrivs": "1",
            "Seccomp": "2",
        },
        "dumpable": 0,
        "interfaces": ["lo"],
        "mounts": [
            ["/", "overlay", "ro,relatime", False],
            ["/proc", "proc", "rw,nosuid", False],
            ["/dev", "tmpfs", "rw,nosuid", False],
            ["/sys/firmware", "tmpfs", "ro", False],
            ["/dev/mqueue", "mqueue", "rw", True],
            ["/tmp", "tmpfs", "rw,nosuid,nodev,noexec", True],
            ["/sandbox", "ext4", "ro", False],
            ["/workspace", "tmpfs", "rw,nosuid,nodev,noexec", True],
            ["/etc/hosts", "ext4", "rw", False],
        ],
        "limits": {"RLIMIT_CORE": [0, 0], "RLIMIT_NOFILE": [1024, 1024], "RLIMIT_FSIZE": [config.file_size] * 2},
        "cgroup": {"memory": str(config.memory), "swap": "0", "pids": str(config.pids), "cpu": "100000 100000"},
    }


def test_effects_that_are_as_asked_are_accepted() -> None:
    verify_effects(compiled(RW), effects(compiled(RW)))


WIDER_EFFECTS = [
    (("status", "CapEff"), "00000000a80425fb"),
    (("status", "CapBnd"), "0000000000000400"),
    (("status", "NoNewPrivs"), "0"),
    (("status", "Seccomp"), "0"),
    (("status",), None),
    (("uid",), [0, 0, 0]),
    (("gid",), [USER, 0, USER]),
    (("groups",), [0]),
    (("cwd",), "/proc/self/fd/8"),
    (("dumpable",), 1),
    (("pid",), 7),
    (("interfaces",), ["eth0", "lo"]),
    (("environment",), []),
    (("mounts", 0), ["/", "overlay", "rw", True]),
    (("mounts", 5), ["/tmp", "tmpfs", "rw", True]),
    (("mounts", 6), ["/host", "ext4", "ro", False]),
    (("mounts", 6), ["/sandbox", "ext4", "rw", True]),
    (("mounts", 8), ["/etc/hosts", "ext4", "rw", True]),
    (("mounts", 8), "nothing"),
    (("mounts", 3), ["/run", "tmpfs", "ro", False]),
    (("mounts", 3), ["/device", "tmpfs", "ro", False]),
    (("mounts",), []),
    (("limits", "RLIMIT_CORE"), [-1, -1]),
    (("limits", "RLIMIT_NOFILE"), [1024, 4096]),
    (("limits",), 3),
    (("cgroup", "memory"), "9223372036854771712"),
    (("cgroup", "pids"), "max"),
    (("cgroup", "pids"), ""),
    (("cgroup", "cpu"), "-1"),
    (("cgroup", "cpu"), "max 100000"),
    (("cgroup", "swap"), "max"),
]


@pytest.mark.parametrize(("path", "value"), WIDER_EFFECTS, ids=lambda each: str(each)[:40])
def test_effects_that_differ_in_one_thing_are_refused(path: tuple[str, ...], value: Json) -> None:
    config = compiled(RW)
    seen = copy.deepcopy(effects(config))
    target = seen
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    with pytest.raises(SandboxFailure):
        verify_effects(config, seen)


# --- system calls --------------------------------------------------------------------------------------


def test_the_profile_is_an_allow_list_of_one_architecture() -> None:
    profile = seccomp.profile()
    assert len(profile["architectures"]) == 1
    allowed = {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    ways_out = (
        "ptrace process_vm_readv process_vm_writev io_uring_setup memfd_create memfd_secret bpf userfaultfd keyctl "
        "add_key request_key mount umount2 pivot_root unshare setns chroot open_by_handle_at name_to_handle_at "
        "perf_event_open kexec_load init_module finit_module delete_module setuid setgid setgroups capset mknod "
        "mknodat pidfd_getfd clone3 personality reboot swapon syslog quotactl acct execveat mq_open shmget "
        "move_mount fsopen open_tree mount_setattr "
    )
    assert not allowed & set(ways_out.split())
    limited = [name for rule in profile["syscalls"] if rule.get("args") for name in rule["names"]]
    assert limited == ["clone", "prlimit64", "socket", "socketpair"]


def test_only_a_container_with_a_broker_may_speak_tcp_and_nothing_else() -> None:
    plain, loopback = seccomp.profile()["syscalls"], seccomp.profile(loopback=True)["syscalls"]
    assert loopback[: len(plain)] == plain
    added = loopback[len(plain) :]
    assert [rule["names"] for rule in added] == [["socket"]] * 2
    allowed = [
        (family, kind, protocol)
        for family in range(50)
        for kind in (*range(12), *(kind | flag for kind in range(12) for flag in (0x800, 0x80000, 0x80800, 0x100)))
        for protocol in (0, 1, 6, 17, 58, 132, 255, 262, 2**32)
        if any(all(holds(test, (family, kind, protocol)) for test in rule["args"]) for rule in added)
    ]
    kinds = {0x1, 0x801, 0x80001, 0x80801}
    assert set(allowed) == {(seccomp.AF_INET, kind, protocol) for kind in kinds for protocol in (0, 6)}
    for run, expected in ((NET, True), (RW, False)):
        option = render(compiled(run), placement(compiled(run)))["HostConfig"]["SecurityOpt"][1]
        assert (json.loads(option.removeprefix("seccomp=")) == seccomp.profile(loopback=True)) is expected


def holds(test: Mapping[str, Json], arguments: tuple[int, ...]) -> bool:
    """As the kernel compares an argument."""
    value = arguments[test["index"]]
    if test["op"] == "SCMP_CMP_MASKED_EQ":
        return value & test["value"] == test["valueTwo"]
    return value == test["value"]


def test_a_machine_without_a_list_gets_no_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(EnvironmentLacking, match="riscv64"):
        seccomp.profile()


def test_devices_of_the_host_are_those_that_every_container_has() -> None:
    config = compiled(RW)
    seen = effects(config)
    for target in ("/dev/null", "/dev/urandom", "/proc/keys", "/sys/firmware"):
        verify_effects(config, {**seen, "mounts": [*seen["mounts"], [target, "devtmpfs", "rw", False]]})
    for target in ("/dev/sda", "/dev/kvm", "/dev/mem", "/host", "/dev", "/"):
        with pytest.raises(SandboxFailure, match="should be `absent`"):
            verify_effects(config, {**seen, "mounts": [*seen["mounts"], [target, "devtmpfs", "rw", False]]})
    with pytest.raises(SandboxFailure, match="not writable"):
        verify_effects(config, {**seen, "mounts": [*seen["mounts"], ["/proc/keys", "devtmpfs", "rw", True]]})
