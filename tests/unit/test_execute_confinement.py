"""AppArmor and SELinux, with kernels and engines that have them as data: where they are said to be, they confine."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from faultkit import Between
from test_engine_calls import ANSWERS, INFO, LIBPOD, PODMAN_INFO, VERSION, asked
from test_execute_config import effects, inspected
from test_execute_container import CONFIG, Scripted, end, key_of, observed
from test_execute_engine import part
from test_execute_podman import CONFIG as PODMAN_CONFIG
from test_execute_podman import PLACEMENT as PODMAN_PLACEMENT
from test_execute_podman import given
from test_execute_protocol import frame

from sandbox.errors import SandboxFailure
from sandbox.execute import confinement, guest, podman
from sandbox.execute.confinement import Kernel, Wall, options_of, verify_account, verify_inside, walls_of
from sandbox.execute.engine import Engine
from sandbox.execute.podman import Podman
from sandbox.ir import Json

__all__ = ["asked"]  # a fixture

BOTH = Kernel(apparmor=True, selinux=True)
LABEL = "system_u:system_r:container_t:s0:c12,c345"
ENFORCED = "docker-default (enforce)"


@pytest.mark.parametrize(
    ("said", "kernel", "walls"),
    [
        ({"apparmor", "seccomp"}, BOTH, {"apparmor"}),
        ({"selinux"}, BOTH, {"selinux"}),
        ({"apparmor", "selinux"}, BOTH, {"apparmor", "selinux"}),
        ({"seccomp"}, BOTH, set()),
        ({"apparmor", "selinux"}, Kernel(apparmor=False, selinux=False), set()),
    ],
)
def test_what_is_expected_is_what_the_engine_says_and_the_kernel_has(
    said: set[str], kernel: Kernel, walls: set[Wall]
) -> None:
    assert walls_of(frozenset(said), kernel) == walls


@pytest.mark.parametrize(
    ("wall", "label"),
    [
        ("apparmor", ENFORCED),
        ("apparmor", f"{ENFORCED}\n"),
        ("apparmor", "containers-default-0.50.1 (enforce)"),
        ("apparmor", "strict (kill)"),
        ("selinux", f"{LABEL}\0"),
        ("selinux", "system_u:system_r:svirt_lxc_net_t:s0"),
    ],
)
def test_a_confined_process_is_accepted(wall: Wall, label: str) -> None:
    verify_inside(frozenset({wall}), {wall: label})


UNCONFINED = [
    ("apparmor", "unconfined"),
    ("apparmor", "unconfined (enforce)"),
    ("apparmor", "docker-default (complain)"),
    ("apparmor", "docker-default (unconfined)"),
    ("apparmor", "docker-default"),
    ("apparmor", ""),
    ("selinux", "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023"),
    ("selinux", "system_u:system_r:spc_t:s0"),
    ("selinux", "system_u:system_r:container_runtime_t:s0"),
    ("selinux", "container_t"),
    ("selinux", "kernel"),
    ("selinux", ""),
]


@pytest.mark.parametrize(("wall", "label"), UNCONFINED)
def test_a_process_that_nothing_confines_is_refused_where_something_should(wall: Wall, label: str) -> None:
    with pytest.raises(SandboxFailure, match=f"not as asked: {wall}, which the engine says it uses") as refused:
        verify_inside(frozenset({wall}), {wall: label})
    assert refused.value.reason_code == "sandbox_failure.configuration"
    verify_inside(frozenset(), {wall: label})


@pytest.mark.parametrize("labels", [None, [], {}, {"apparmor": None}, {"selinux": LABEL}])
def test_a_process_that_does_not_tell_is_taken_for_unconfined(labels: Json) -> None:
    with pytest.raises(SandboxFailure, match="apparmor"):
        verify_inside(frozenset({"apparmor"}), labels)


@pytest.mark.parametrize(
    ("profile", "label", "wrong"),
    [
        ("docker-default", LABEL, ""),
        ("", "", ""),  # told only once it has started, and read from inside then
        (None, None, ""),
        ("unconfined", LABEL, "apparmor"),
        ("docker-default", "system_u:system_r:spc_t:s0", "selinux"),
    ],
)
def test_an_engine_s_own_account_of_none_is_enough(profile: Json, label: Json, wrong: str) -> None:
    both: frozenset[Wall] = frozenset({"apparmor", "selinux"})
    if wrong:
        with pytest.raises(SandboxFailure, match=wrong):
            verify_account(both, profile, label)
    else:
        verify_account(both, profile, label)
    verify_account(frozenset(), profile, label)


# --- on the way of a container --------------------------------------------------------------------------


class Walled(Scripted):
    """An engine that says that it uses AppArmor, on a kernel that has it; `told` is its account of a container."""

    def __init__(self, speech: Callable[[socket.socket], None], told: Mapping[str, Json]) -> None:
        super().__init__(speech)
        object.__setattr__(self, "walls", frozenset({"apparmor"}))
        object.__setattr__(self, "told", told)

    def inspect(self, container: str) -> Mapping[str, Json]:
        return {**inspected(CONFIG), **self.told} if container else {}


def answering(label: str) -> Callable[[socket.socket], None]:
    def speech(far: socket.socket) -> None:
        said = json.dumps({**effects(CONFIG), "labels": {"apparmor": label}}).encode()
        far.sendall(part(1, frame(guest.HELLO, 0, said, key=b"")))
        key = key_of(far)
        kind, payload = end(end="returned", result="1")
        far.sendall(part(1, frame(kind, 1, payload, key)))
        far.recv(1)

    return speech


def test_a_container_gets_its_call_where_the_profile_is_enforced() -> None:
    assert observed(Walled(answering(ENFORCED), {"AppArmorProfile": ""})).status == "ok"


@pytest.mark.parametrize("label", ["unconfined", "docker-default (complain)", ""])
def test_a_container_that_runs_unconfined_gets_no_call(label: str) -> None:
    def silent(far: socket.socket) -> None:
        said = json.dumps({**effects(CONFIG), "labels": {"apparmor": label}}).encode()
        far.sendall(part(1, frame(guest.HELLO, 0, said, key=b"")))
        assert not far.recv(1), "it was given a call"

    outcome = observed(Walled(silent, {"AppArmorProfile": "docker-default"}))
    assert (outcome.status, outcome.reason_code) == ("sandbox_failure", "sandbox_failure.configuration")
    assert "apparmor" in outcome.reason


def test_a_container_that_its_engine_calls_unconfined_never_starts() -> None:
    engine = Walled(lambda _: None, {"AppArmorProfile": "unconfined"})
    outcome = observed(engine)
    assert (outcome.reason_code, outcome.started) == ("sandbox_failure.configuration", False)
    assert "start True" not in engine.asked


# --- what an engine says --------------------------------------------------------------------------------


@pytest.fixture
def walled_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"_APPARMOR": "Y\n", "_SELINUX": "1"}.items():
        place = tmp_path / name
        place.write_text(text)
        monkeypatch.setattr(confinement, name, place)


@pytest.mark.usefixtures("walled_kernel")
@pytest.mark.parametrize(
    ("options", "walls"),
    [
        (["name=apparmor", "name=seccomp,profile=builtin"], {"apparmor"}),
        (["name=selinux"], {"selinux"}),
        (["name=seccomp"], set()),
        (None, set()),
    ],
)
def test_an_engine_is_held_to_what_it_says_when_it_is_connected(
    options: Json, walls: set[Wall], asked: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, info = ANSWERS[INFO]
    monkeypatch.setitem(ANSWERS, INFO, (status, {**dict(info), "SecurityOptions": options}))  # type: ignore[call-overload]  # an object
    assert asked.path
    engine = Engine.connect()
    engine.close()
    assert engine.walls == walls
    assert options_of({"SecurityOptions": options}) >= walls


@pytest.mark.usefixtures("walled_kernel")
def test_podman_is_held_to_what_it_says(asked: Between, monkeypatch: pytest.MonkeyPatch) -> None:
    security = {"rootless": False, "apparmorEnabled": True, "selinuxEnabled": False}
    told = {**PODMAN_INFO, "host": {**PODMAN_INFO["host"], "security": security}}
    monkeypatch.setitem(ANSWERS, rf"{LIBPOD}info", (200, told))
    version = {"ApiVersion": "1.41", "Version": "4.3.1", "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}
    monkeypatch.setitem(ANSWERS, VERSION, (200, version))
    assert asked.path
    engine = podman.connect()
    engine.close()
    assert engine.walls == {"apparmor"}


@pytest.mark.parametrize(
    ("process", "wrong"),
    [
        ({"apparmorProfile": "containers-default-0.50.1"}, False),
        ({"apparmorProfile": "unconfined"}, True),
        ({}, False),  # what is not told is read from inside
    ],
)
def test_what_podman_gives_a_runtime_is_looked_at_before_it_starts(
    process: dict[str, Json], wrong: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = given()
    written["process"] = {**dict(written["process"]), **process}  # type: ignore[call-overload]  # an object
    place = tmp_path / "c0ffee" / "userdata" / "config.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(written))
    told = {
        "OCIConfigPath": str(place),
        "Image": "1",
        "Config": {"Labels": dict(PODMAN_PLACEMENT.labels)},
        "HostConfig": {"LogConfig": {"Type": "none"}},
    }
    monkeypatch.setattr(Podman, "inspect", lambda _self, _container: told)
    monkeypatch.setattr(Podman, "image", lambda _self, _reference: {"Config": {"Env": ["OF_IMAGE=1"]}})
    engine = Podman(None, "", "", walls=frozenset({"apparmor"}))  # type: ignore[arg-type]  # nobody is asked
    if wrong:
        with pytest.raises(SandboxFailure, match="apparmor"):
            engine.verify(PODMAN_CONFIG, PODMAN_PLACEMENT, "c0ffee")
    else:
        engine.verify(PODMAN_CONFIG, PODMAN_PLACEMENT, "c0ffee")
    with pytest.raises(SandboxFailure, match="configuration should be `that of `another``"):
        engine.verify(PODMAN_CONFIG, PODMAN_PLACEMENT, "another")
