"""B1: every system call of every entry into the kernel, one by one, from inside: those on our list run, no other does.

Each is made in a process of its own with arguments that mean nothing, so that what is allowed fails for another
reason than not being permitted.
"""

from __future__ import annotations

import contextlib
import json
import platform
from collections.abc import Mapping

import containment_probes as probes
import docker
import execkit
import pytest
import syscalls_x86_64 as calls

from sandbox.call import Outcome
from sandbox.execute import seccomp
from sandbox.execute.cold import ColdRunner
from sandbox.execute.image import default_tag
from sandbox.ir import NetworkGrant

pytestmark = pytest.mark.containers

PROGRAM = probes.EVERY_CALL.replace("HIGHEST", str(calls.HIGHEST))
JUDGED_BY_ARGUMENT = {"clone", "prlimit64", "socket", "socketpair"}
BESIDE_EVERY_FILTER = {"335": "SIGILL", "336": "ENXIO"}
"""`uretprobe` and `uprobe`: kernels from 6.14 on ask no filter about them, and let only themselves make them."""

NEW = 440
"""Numbers that runtimes of some years ago know."""

KILLED = "SIGSYS"
"""By the filter: another architecture's entry is nothing that a program could do by mistake."""


@pytest.fixture(scope="module")
def outcomes() -> dict[bool, Outcome]:
    """Of a container without a broker, and of one with."""
    network = (NetworkGrant("a.example", 443),)
    with contextlib.closing(ColdRunner()) as runner:
        limits = {"timeout_ms": 120_000, "output": 1024 * 1024}
        return {
            granted: execkit.run_program(runner, PROGRAM, network=network if granted else (), **limits)
            for granted in (False, True)
        }


def seen(outcomes: Mapping[bool, Outcome], entry: str, *, network: bool = False) -> dict[str, str]:
    outcome = outcomes[network]
    assert outcome.status == "ok", outcome
    return outcome.result[entry]


def test_this_machine_has_the_entries_that_are_tried() -> None:
    assert platform.machine() == "x86_64", "the list for this architecture is not tried call by call yet"


def test_every_name_on_the_list_is_a_call_of_this_kernel() -> None:
    assert set(seccomp.ALLOWED) - calls.NUMBERS.keys() == set()


@pytest.mark.parametrize("network", [False, True])
def test_what_is_not_on_the_list_is_not_permitted(outcomes: dict[bool, Outcome], network: bool) -> None:
    names = {str(number): name for name, number in calls.NUMBERS.items()}
    listed = set(seccomp.ALLOWED)
    found = seen(outcomes, "x86_64", network=network)
    told = {names.get(number, number): said for number, said in found.items()}
    others = {name: said for name, said in told.items() if name not in listed | JUDGED_BY_ARGUMENT}
    for number, outcome in BESIDE_EVERY_FILTER.items():
        assert others.pop(number) in {outcome, "EPERM", "ENOSYS"}
    # a runtime answers ENOSYS for what is newer than every name that it knows; that is no execution either
    assert set(others.values()) <= {"EPERM", "ENOSYS"}, others
    known = {name for name in others if name in calls.NUMBERS and calls.NUMBERS[name] < NEW}
    assert {name for name in known if others[name] == "ENOSYS"} == {"clone3"}
    assert len(found) == calls.HIGHEST + 3


def test_what_is_on_the_list_reaches_the_kernel(outcomes: dict[bool, Outcome]) -> None:
    found = seen(outcomes, "x86_64")
    refused = {name for name in seccomp.ALLOWED if found[str(calls.NUMBERS[name])] in {"EPERM", KILLED}}
    assert refused == set()


@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("entry", ["i386", "x32"])
def test_no_other_entry_into_the_kernel_is_open(outcomes: dict[bool, Outcome], entry: str, network: bool) -> None:
    found = seen(outcomes, entry, network=network)
    assert set(found.values()) <= {KILLED, "SIGSEGV", "EPERM", "ENOSYS"}, {
        number: said for number, said in found.items() if said not in {KILLED, "SIGSEGV", "EPERM", "ENOSYS"}
    }
    assert len(found) >= 470


@pytest.mark.parametrize("network", [False, True])
def test_calls_that_are_judged_by_their_arguments_are_open_for_the_right_ones(
    outcomes: dict[bool, Outcome], network: bool
) -> None:
    found = seen(outcomes, "of others", network=network)
    assert found["prlimit64 of PID 1"] == "EPERM"
    assert found["prlimit64 of itself"] == "0"
    assert found["clone"] not in {"EPERM", KILLED}
    assert {said for name, said in found.items() if name.startswith("clone with")} == {"EPERM"}
    open_families = {name for name, said in found.items() if name.startswith("socket ") and said != "EPERM"}
    assert open_families == ({"socket 1", "socket 2"} if network else {"socket 1"})
    assert {name for name, said in found.items() if name.startswith("socketpair") and said != "EPERM"} == {
        "socketpair 1"
    }
    assert found["socket of many bits"] == "EPERM"  # what is compared is the whole register


def test_a_tutorial_s_container_lets_in_what_ours_does_not(engine: docker.DockerClient) -> None:
    code = f"import json\n{PROGRAM}\nprint(json.dumps(result))"
    output = engine.containers.run(
        default_tag(), ["/usr/bin/python3", "-c", code], remove=True, stderr=False, network_mode="none"
    )
    loose = json.loads(output[output.index(b"{") :])
    names = {str(number): name for name, number in calls.NUMBERS.items()}
    let_in = {names[number] for number, said in loose["x86_64"].items() if number in names and said != "EPERM"}
    assert {"ptrace", "io_uring_setup", "memfd_create"} & (let_in - set(seccomp.ALLOWED))
    assert loose["i386"]["20"].isdigit()  # getpid by the old entry, where the kernel has it
