"""What `doctor` makes of an engine: known holes, limits that are not enforced, walls that are said and not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox.cli.program import PROGRAM
from sandbox.execute import confinement, diagnosis
from sandbox.execute.confinement import Kernel, options_of
from sandbox.execute.diagnosis import Finding, diagnose
from sandbox.execute.engine import Engine
from sandbox.execute.known_holes import HOLES, holes_of, is_repacked, parse_version

GOOD = {
    "CgroupDriver": "systemd",
    "CgroupVersion": "2",
    "MemoryLimit": True,
    "SwapLimit": True,
    "CpuCfsQuota": True,
    "PidsLimit": True,
    "OperatingSystem": "Debian GNU/Linux 12",
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"],
    "Swarm": {"LocalNodeState": "inactive"},
    "Runtimes": {"runc": {}, "runsc": {"path": "runsc", "runtimeArgs": ["--oci-seccomp"]}},
}
NEW = {"Components": [{"Name": "Engine", "Version": "29.5.1"}, {"Name": "runc", "Version": "1.3.3"}]}
BOTH = Kernel(apparmor=True, selinux=True)
NONE = Kernel(apparmor=False, selinux=False)


def finding(name: str, info: dict[str, object], version: object = NEW, kernel: Kernel = BOTH) -> Finding:
    (found,) = [each for each in diagnose(info, version, kernel) if each.name == name]
    return found


def test_an_engine_with_everything_has_nothing_to_change() -> None:
    found = diagnose(GOOD, NEW, Kernel(apparmor=True, selinux=False))
    assert not [each for each in found if each.ok is False or each.risk]


@pytest.mark.parametrize(
    ("component", "version", "ids"),
    [
        ("runc", "1.0.0-rc6", {"CVE-2024-21626", "CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}),
        ("runc", "0.1.1", {hole.id for hole in HOLES if hole.component == "runc"}),
        ("runc", "1.1.11", {"CVE-2024-21626", "CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}),
        ("runc", "1.1.12", {"CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}),
        ("runc", "1.2.7", {"CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}),
        ("runc", "1.2.8", set()),
        ("runc", "1.3.2", {"CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"}),
        ("runc", "1.3.3", set()),
        ("runc", "1.5.0", set()),
        ("engine", "18.6.1-ce", {hole.id for hole in HOLES if hole.component == "engine"}),
        ("engine", "23.0.10", {"CVE-2024-29018", "CVE-2026-41567", "CVE-2026-41568", "CVE-2026-42306"}),
        ("engine", "23.0.11", {"CVE-2026-41567", "CVE-2026-41568", "CVE-2026-42306"}),
        ("engine", "24.0.9", {"CVE-2024-29018", "CVE-2026-41567", "CVE-2026-41568", "CVE-2026-42306"}),
        ("engine", "25.0.5", {"CVE-2026-41567", "CVE-2026-41568", "CVE-2026-42306"}),
        ("engine", "29.5.0", {"CVE-2026-41567", "CVE-2026-41568", "CVE-2026-42306"}),
        ("engine", "29.5.1", set()),
        ("engine", "a version that is none", {hole.id for hole in HOLES if hole.component == "engine"}),
    ],
)
def test_versions_have_the_holes_that_were_mended_after_them(component: str, version: str, ids: set[str]) -> None:
    assert {hole.id for hole in holes_of(component, version)} == ids


def test_a_version_that_a_distribution_mends_is_a_question() -> None:
    debian = {"Components": [{"Name": "Engine", "Version": "20.10.24+dfsg1"}, {"Name": "runc", "Version": "1.1.5+ds1"}]}
    found = finding("known holes: runc", GOOD, debian)
    assert (found.ok, found.risk, "apt changelog runc" in found.remedy) == (None, True, True)
    assert "CVE-2024-21626" in found.found
    upstream = {"Components": [{"Name": "runc", "Version": "1.1.5"}]}
    assert finding("known holes: runc", GOOD, upstream).remedy.startswith("upgrade runc; until then: ")
    assert finding("known holes: engine", GOOD, upstream).found.startswith("its version is not told")
    assert finding("known holes: engine", GOOD, {}).risk
    assert is_repacked("1.6.20~ds1")
    assert is_repacked("1.1.12-0ubuntu2")
    assert not is_repacked("1.0.0-rc93")
    assert (parse_version("v2.3"), parse_version("x")) == ((2, 3, 0), None)


@pytest.mark.parametrize("key", ["MemoryLimit", "SwapLimit", "CpuCfsQuota", "PidsLimit"])
def test_a_limit_that_is_not_enforced_is_missing(key: str) -> None:
    for value in (False, None):
        lacking = [each for each in diagnose({**GOOD, key: value}, NEW, BOTH) if each.ok is False]
        assert [each.name for each in lacking] == [f"limit: {diagnosis.LIMITS[key]}"]
        assert lacking[0].remedy


@pytest.mark.parametrize("driver", ["none", "", None])
def test_an_engine_without_cgroups_is_missing_them(driver: str | None) -> None:
    assert finding("cgroups", {**GOOD, "CgroupDriver": driver}).ok is False


def test_cgroups_are_told_with_their_version() -> None:
    assert finding("cgroups", GOOD).found == "systemd, version 2"
    assert finding("cgroups", {**GOOD, "CgroupVersion": None}).found == "systemd, version 1"


def test_docker_desktop_and_rootless_engines_are_told_apart() -> None:
    assert finding("engine's place", {**GOOD, "OperatingSystem": "Docker Desktop"}).ok is False
    assert not [each for each in diagnose(GOOD, NEW, BOTH) if each.name == "engine's place"]
    for option, words in (
        ("name=rootless", "rootless"),
        ("name=userns", "with user name spaces"),
        ("x", "without user"),
    ):
        assert words in finding("engine's rights", {**GOOD, "SecurityOptions": [option]}).found


@pytest.mark.parametrize(
    ("said", "there", "ok", "risk"),
    [(True, True, True, False), (True, False, None, True), (False, True, None, True), (False, False, None, False)],
)
def test_apparmor_counts_where_kernel_and_engine_have_it(said: bool, there: bool, ok: bool | None, risk: bool) -> None:
    info = {**GOOD, "SecurityOptions": ["name=seccomp", *(["name=apparmor"] if said else [])]}
    found = finding("apparmor", info, kernel=Kernel(apparmor=there, selinux=False))
    assert (found.ok, found.risk) == (ok, risk)


def test_selinux_counts_where_kernel_and_engine_have_it() -> None:
    on = {**GOOD, "SecurityOptions": ["name=selinux", "name=seccomp"]}
    assert finding("selinux", on).ok is True
    assert finding("selinux", GOOD).risk
    assert not finding("selinux", on, kernel=NONE).risk


def test_without_seccomp_nothing_runs() -> None:
    assert finding("seccomp", {**GOOD, "SecurityOptions": None}).ok is False
    assert options_of({}) == frozenset()


def test_a_swarm_is_a_risk() -> None:
    assert finding("swarm", {**GOOD, "Swarm": {"LocalNodeState": "active"}}).risk


def test_the_kernel_is_asked_by_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "_APPARMOR", tmp_path / "enabled")
    monkeypatch.setattr(confinement, "_SELINUX", tmp_path / "enforce")
    assert Kernel.this() == NONE
    (tmp_path / "enabled").write_text("Y\n")
    (tmp_path / "enforce").write_text("1")
    assert Kernel.this() == BOTH
    (tmp_path / "enabled").write_text("N\n")
    assert not Kernel.this().apparmor


class Told(Engine):
    """An engine that says this of itself."""

    def __init__(self, info: dict[str, object]) -> None:
        told = {"info": lambda _: info, "version": lambda _: NEW, "inspect_image": lambda *_: {"Id": "sha256:0"}}
        client = type("Client", (), told)()
        object.__setattr__(self, "client", client)
        object.__setattr__(self, "version", "29.5.1, runc")
        object.__setattr__(self, "is_podman", False)

    def close(self) -> None:
        """Nothing is open."""


def test_doctor_says_what_is_wrong_and_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    info = {**GOOD, "PidsLimit": False, "Swarm": {"LocalNodeState": "active"}}
    monkeypatch.setattr(Engine, "connect", lambda: Told(info))
    done = CliRunner().invoke(PROGRAM, ["doctor"])
    assert done.exit_code == 4
    assert "missing  limit: processes: not enforced\n" in done.stdout
    assert "risk     swarm: active\n         `docker swarm leave`" in done.stdout
    document = json.loads(CliRunner().invoke(PROGRAM, ["doctor", "--json"]).stdout)
    levels = {each["name"]: (each["ok"], each["level"]) for each in document["findings"]}
    assert (levels["swarm"], levels["limit: processes"]) == ((None, "risk"), (False, "missing"))


def test_gvisor_is_there_is_not_or_lacks_what_calls_need() -> None:
    there = finding("gvisor", GOOD)
    assert (there.ok, there.found) == (True, "registered: runsc --oci-seccomp")
    absent = finding("gvisor", {**GOOD, "Runtimes": {"runc": {}}})
    assert (absent.ok, absent.risk) == (None, False)
    assert absent.found == "not registered: a tool with `min_isolation: gvisor` does not run"
    assert "apt-get install runsc" in absent.remedy
    for lacking in ({}, {"runtimeArgs": None}, {"runtimeArgs": ["--network=none"]}):
        found = finding("gvisor", {**GOOD, "Runtimes": {"runsc": lacking}})
        assert (found.ok, found.risk, found.found) == (
            None,
            True,
            "registered without `--oci-seccomp`: no call runs in it",
        )


def test_a_gvisor_that_reaches_the_broker_is_a_runtime_of_its_own() -> None:
    words = ["--oci-seccomp", "--host-uds=open"]
    there = finding("gvisor with a network", {**GOOD, "Runtimes": {"runsc-network": {"runtimeArgs": words}}})
    assert (there.ok, there.found) == (True, "registered: runsc --oci-seccomp --host-uds=open")
    absent = finding("gvisor with a network", GOOD)
    assert (absent.ok, absent.risk) == (None, False)
    assert absent.found.startswith("not registered: a tool with `min_isolation: gvisor` and a `network` grant")
    assert "--host-uds=open" in absent.remedy
    for wider in (["--host-uds=all"], ["--host-uds=open", "--host-uds=all"]):
        other = finding("gvisor with a network", {**GOOD, "Runtimes": {"runsc-network": {"runtimeArgs": wider}}})
        assert (other.ok, other.found.partition(":")[0]) == (None, "registered without `--host-uds=open`, or with more")


def test_a_gvisor_for_all_calls_reaches_no_socket_of_the_host() -> None:
    words = ["--oci-seccomp", "--host-uds=open"]
    found = finding("gvisor", {**GOOD, "Runtimes": {"runsc": {"runtimeArgs": words}}})
    assert (found.ok, found.risk, found.found.partition(",")[0]) == (None, True, "registered with `--host-uds`")
