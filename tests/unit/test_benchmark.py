"""CIS Docker Benchmark, section 5: proved of every configuration, shown on live containers, and able to fail."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import z3
from click.testing import CliRunner
from test_execute_config import NET, RW, compiled, inspected, placement

from sandbox.cli import doctor
from sandbox.cli.program import PROGRAM
from sandbox.execute import config as configured
from sandbox.execute.benchmark import APPARMOR, ITEMS, SELINUX, Account, Judged, judge
from sandbox.execute.config import ContainerConfig, render
from sandbox.execute.confinement import Kernel
from sandbox.execute.engine import Engine
from sandbox.ir import Json
from sandbox.prove import configurations
from sandbox.prove.configurations import NUMBERS, SHAPES, prove_configurations, ways_of

PLAIN = Kernel(apparmor=False, selinux=False)
WALLED = Kernel(apparmor=True, selinux=True)
DECIDED = [item.title for item in ITEMS if item.decide is not None]
QUESTIONS = len(SHAPES) * len(DECIDED)


# --- the proof


def test_every_configuration_that_can_be_compiled_satisfies_every_decidable_recommendation() -> None:
    found = prove_configurations()
    assert [each for each in found if not each.proved] == []
    assert {(each.title, each.shape) for each in found} == set(itertools.product(DECIDED, SHAPES))
    assert len(SHAPES) == 12


def test_the_ways_through_the_checks_are_all_numbers_that_are_not_refused() -> None:
    """Against the checks themselves, at the edges of each number."""
    good = {name: getattr(compiled(RW), name) for name in NUMBERS}
    shape = SHAPES[0]
    ways = tuple(ways_of(shape))
    for name in NUMBERS:
        edges = {
            0,
            1,
            3,
            4,
            9,
            10,
            15,
            16,
            999,
            1_000,
            4_095,
            4_096,
            65_535,
            65_536,
            2**25 - 1,
            2**25,
            2**26,
            2**26 + 1,
        }
        for value in sorted(edges | {-1, -(2**40), 2**40}):
            numbers = {**good, name: value}
            solver = z3.Solver()
            solver.add(z3.Or(*(z3.And(*way.taken) for way in ways)))
            solver.add(*(z3.Int(key) == number for key, number in numbers.items()))
            assert (solver.check() == z3.sat) is can_be_made(numbers), (name, value)


def can_be_made(numbers: dict[str, int]) -> bool:
    try:
        ContainerConfig(workspace="none", **numbers)
    except ValueError:
        return False
    return True


Weaken = Callable[[dict[str, Json], ContainerConfig], None]

FOR_SOME_NUMBERS: list[tuple[str, Weaken]] = [
    ("memory usage", lambda host, config: host.update(Memory=config.memory - 2**25, MemorySwap=config.memory - 2**25)),
    ("memory usage", lambda host, config: host.update(MemorySwap=config.memory + config.tmpfs)),
    ("CPU priority", lambda host, config: host.update(NanoCpus=config.millicpus - 10)),
    ("PIDs cgroup limit", lambda host, config: host.update(PidsLimit=config.pids - 4)),
    ("ulimit", lambda host, config: host["Ulimits"][0].update(Soft=config.files - 17, Hard=config.files - 17)),
    ("ulimit", lambda host, config: host["Ulimits"][0].update(Hard=config.files + config.pids)),
]
WEAKER: list[tuple[str, Weaken]] = [
    ("ulimit", lambda host, _: host.update(Ulimits=[])),
    ("privileged containers", lambda host, _: host.update(Privileged=True)),
    ("capabilities", lambda host, _: host.update(CapAdd=["NET_ADMIN"])),
    ("capabilities", lambda host, _: host.update(CapDrop=[])),
    ("sensitive host", lambda host, _: host.update(Binds=["/:/host"])),
    ("sensitive host", lambda host, _: host["Mounts"].append(mounted("/etc"))),
    ("sensitive host", lambda host, _: host["Mounts"].append(mounted("/private/../etc"))),
    ("sensitive host", lambda host, _: host["Mounts"].append(mounted("/private/x", "volume"))),
    ("Docker socket", lambda host, _: host["Mounts"].append(mounted("/run/docker.sock"))),
    ("propagation", lambda host, _: host["Mounts"][0]["BindOptions"].update(Propagation="rshared")),
    ("network namespace", lambda host, _: host.update(NetworkMode="host")),
    ("docker0", lambda host, _: host.update(NetworkMode="bridge")),
    ("privileged ports", lambda host, _: host.update(PortBindings={"22/tcp": [{"HostPort": "22"}]})),
    ("only needed ports", lambda host, _: host.update(PublishAllPorts=True)),
    ("read only", lambda host, _: host.update(ReadonlyRootfs=False)),
    ("restart policy", lambda host, _: host.update(RestartPolicy={"Name": "always"})),
    ("process namespace", lambda host, _: host.update(PidMode="host")),
    ("IPC namespace", lambda host, _: host.update(IpcMode="host")),
    ("UTS namespace", lambda host, _: host.update(UTSMode="host")),
    ("user namespaces", lambda host, _: host.update(UsernsMode="host")),
    ("host devices", lambda host, _: host.update(Devices=[{"PathOnHost": "/dev/kvm"}])),
    ("host devices", lambda host, _: host.update(DeviceRequests=[{"Count": -1}])),
    ("seccomp", lambda host, _: host.update(SecurityOpt=["no-new-privileges", "seccomp=unconfined"])),
    ("seccomp", lambda host, _: host.update(SecurityOpt=['seccomp={"defaultAction": "SCMP_ACT_ALLOW"}'])),
    ("additional privileges", lambda host, _: host.update(SecurityOpt=[])),
    ("cgroup usage", lambda host, _: host.update(CgroupParent="/")),
    ("cgroup usage", lambda host, _: host.update(CgroupnsMode="host")),
]  # fmt: skip


def mounted(source: str, kind: str = "bind") -> dict[str, Json]:
    return {"Type": kind, "Source": source, "Target": "/x"}


def refuted_by(weaken: Weaken, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Titles that are not proved any more."""

    def weaker(config: ContainerConfig, place: configured.Placement) -> dict[str, Json]:
        body = copy.deepcopy(render(config, place))
        weaken(body["HostConfig"], config)
        return body

    monkeypatch.setattr(configurations, "render", weaker)
    return {each.title for each in prove_configurations() if not each.proved}


each_weaker = pytest.mark.parametrize(
    ("title", "weaken"), WEAKER, ids=lambda each: each if isinstance(each, str) else ""
)


@pytest.mark.parametrize(("title", "weaken"), FOR_SOME_NUMBERS, ids=lambda each: each if isinstance(each, str) else "")
def test_what_is_weaker_for_some_numbers_alone_is_not_proved(
    title: str, weaken: Weaken, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [title in each for each in refuted_by(weaken, monkeypatch)] == [True]


@each_weaker
def test_a_weaker_configuration_is_not_proved(title: str, weaken: Weaken, monkeypatch: pytest.MonkeyPatch) -> None:
    assert any(title in each for each in refuted_by(weaken, monkeypatch))


@each_weaker
def test_a_weaker_container_fails(title: str, weaken: Weaken) -> None:
    config = compiled(RW)
    account = inspected(config)
    account["HostConfig"] = copy.deepcopy(render(config, placement(config))["HostConfig"])
    weaken(account["HostConfig"], config)
    for mount in account["HostConfig"]["Mounts"][len(account["Mounts"]) :]:
        account["Mounts"].append({"Type": mount["Type"], "Source": mount["Source"], "Destination": "/x", "RW": False})
    account["Mounts"][0]["Propagation"] = account["HostConfig"]["Mounts"][0]["BindOptions"]["Propagation"]
    assert any(title in each.title for each in judged(account) if each.verdict == "fails")


@pytest.mark.parametrize("name", ["Cmd", "Entrypoint"])
def test_another_program_is_not_proved(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(config: ContainerConfig, place: configured.Placement) -> dict[str, Json]:
        return {**render(config, place), name: ["/usr/sbin/sshd"]}

    monkeypatch.setattr(configurations, "render", other)
    assert {each.title for each in prove_configurations() if not each.proved} == {
        "Ensure sshd is not run within containers"
    }


def test_a_rendering_that_looks_at_a_number_ends_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    def looking(config: ContainerConfig, place: configured.Placement) -> dict[str, Json]:
        return render(config, place) if config.memory > 2**30 else {}

    monkeypatch.setattr(configurations, "render", looking)
    with pytest.raises(z3.Z3Exception):
        prove_configurations()


def test_checks_that_refuse_everything_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configured, "HIGHEST_ID", 0)  # no configuration can be made at all
    found = prove_configurations()
    assert {each.proved for each in found} == {False}
    assert {each.counterexample for each in found} == {"no configuration of this shape can be made"}


def test_a_proof_that_cannot_be_had_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(z3.Solver, "check", lambda self, *_: z3.sat if len(self.assertions()) < 14 else z3.unknown)
    assert {each.proved for each in prove_configurations()} == {False}


# --- the table


def judged(account: dict[str, Json], kernel: Kernel = PLAIN) -> tuple[Judged, ...]:
    for mount in account["Mounts"]:
        mount.setdefault("Propagation", "rprivate")
    return judge(Account.of_inspect(account, ""), kernel)


def test_an_account_of_what_was_asked_holds_in_all_that_is_decided() -> None:
    for run in (RW, NET, dataclasses.replace(RW, network=NET.network)):
        found = judged(inspected(compiled(run)))
        assert {each.title for each in found if each.verdict == "holds"} == set(DECIDED)
        assert {each.title for each in found if each.verdict == "not applicable"} == {APPARMOR, SELINUX}
        assert all(each.why for each in found if each.verdict in {"not decided", "not applicable"})


def test_a_container_that_something_was_run_in_fails() -> None:
    found = judged({**inspected(compiled(RW)), "ExecIDs": ["abc"]})
    assert sum(each.verdict == "fails" for each in found) == 2


@pytest.mark.parametrize(("profile", "verdict"), [("docker-default", "holds"), ("unconfined", "fails"), ("", "fails")])
def test_apparmor_is_judged_where_the_kernel_has_it(profile: str, verdict: str) -> None:
    found = judged({**inspected(compiled(RW)), "AppArmorProfile": profile}, WALLED)
    assert [each.verdict for each in found if each.title == APPARMOR] == [verdict]
    assert [each.verdict for each in found if each.title == SELINUX] == ["fails"]
    said = judged({**inspected(compiled(RW)), "AppArmorProfile": profile})
    assert [each.verdict for each in said if each.title == APPARMOR] == ["not applicable"]


@pytest.mark.parametrize(
    ("label", "verdict"),
    [
        ("system_u:system_r:container_t:s0:c1,c2", "holds"),
        ("system_u:system_r:spc_t:s0", "fails"),
        ("unconfined_u:unconfined_r:unconfined_t:s0", "fails"),
    ],
)
def test_selinux_is_judged_where_the_kernel_has_it(label: str, verdict: str) -> None:
    found = judged({**inspected(compiled(RW)), "ProcessLabel": label}, WALLED)
    assert [each.verdict for each in found if each.title == SELINUX] == [verdict]


def test_an_empty_account_holds_nothing_that_has_to_be_said() -> None:
    found = {each.title: each.verdict for each in judge(Account.of_inspect({}, "/private"), PLAIN)}
    for title in (
        "capabilities",
        "memory usage",
        "CPU",
        "read only",
        "seccomp",
        "PIDs",
        "ulimit",
        "sshd",
        "network name",
    ):
        assert [verdict for each, verdict in found.items() if title in each][:1] == ["fails"], title


class Closed:
    """An engine that is only closed."""

    is_podman = False

    def close(self) -> None:
        """Nothing is open."""


def test_the_command_prints_the_table_and_fails_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "connect", Closed)
    table = (Judged("One", "holds", "so it is"), Judged("Two", "not decided", "who knows"))
    monkeypatch.setattr(doctor, "examine_container", lambda _engine, name: (name or "made", table))
    done = CliRunner().invoke(PROGRAM, ["doctor", "--cis"])
    assert (done.exit_code, done.stdout.splitlines()[1:]) == (
        0,
        [
            "holds           One (so it is)",
            "not decided     Two (who knows)",
            f"proved of every configuration that can be compiled: {QUESTIONS} of {QUESTIONS}",
        ],
    )
    monkeypatch.setattr(doctor, "examine_container", lambda _engine, name: (name, (*table, Judged("Three", "fails"))))
    done = CliRunner().invoke(PROGRAM, ["doctor", "--container", "one", "--json"])
    document = json.loads(done.stdout)
    assert (done.exit_code, document["container"], document["items"][2]) == (
        1,
        "one",
        {"title": "Three", "verdict": "fails", "why": ""},
    )
    assert document["every_configuration"] == {
        "questions": QUESTIONS,
        "proved": QUESTIONS,
        "unproved": [],
    }


def test_what_is_not_proved_is_told_with_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "connect", Closed)
    monkeypatch.setattr(doctor, "examine_container", lambda _engine, _name: ("made", ()))

    def weaker(config: ContainerConfig, place: configured.Placement) -> dict[str, Json]:
        body = render(config, place)
        body["HostConfig"]["PidsLimit"] = config.pids - 4
        return body

    monkeypatch.setattr(configurations, "render", weaker)
    done = CliRunner().invoke(PROGRAM, ["doctor", "--cis"])
    assert done.exit_code == 1
    assert "not proved      Ensure that the PIDs cgroup limit is used (workspace none, no network): [" in done.stdout
    assert "pids = 4" in done.stdout


@pytest.mark.containers
def test_a_live_container_of_ours_holds_and_a_tutorial_s_does_not(engine: object, tmp_path: Path) -> None:
    made = CliRunner().invoke(PROGRAM, ["doctor", "--cis", "--json"])
    verdicts = [item["verdict"] for item in json.loads(made.stdout)["items"]]
    assert made.exit_code == 0, made.stdout
    assert verdicts.count("holds") >= len(DECIDED)
    loose = engine.containers.create(
        engine.images.list()[0].id, ["/usr/bin/python3"], volumes={str(tmp_path): {"bind": "/x"}}
    )
    try:
        done = CliRunner().invoke(PROGRAM, ["doctor", "--cis", "--container", loose.name, "--json"])
        fails = [item["title"] for item in json.loads(done.stdout)["items"] if item["verdict"] == "fails"]
        assert done.exit_code == 1
        assert len(fails) > 8, fails
    finally:
        loose.remove(force=True)
