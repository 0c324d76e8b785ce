"""Everything that the engine is asked, and everything that can go wrong with each: what it does is never anyone else's.

The engine here, Docker's or Podman's, is scripted, and between it and us is the same socket as in `test_engine_faults`.
A method of `Engine`, or a request of one, that has no row fails.
"""

from __future__ import annotations

import ast
import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from faultkit import Between, Fault, Kind, between, read_message

from sandbox.cli.doctor import examine
from sandbox.errors import EnvironmentLacking, SandboxFailure
from sandbox.execute import engine as engines
from sandbox.execute import podman
from sandbox.execute.config import Placement, config_of
from sandbox.execute.engine import Engine
from sandbox.execute.podman import Podman
from sandbox.ir import Run, RunTool

# the engine's client library leaves a socket to the collector on which nobody answered
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PACKAGE = Path(engines.__file__).parents[1]
KINDS: tuple[Kind, ...] = ("refused", "error", "lost", "half", "gone", "slow", "lying")
STATE = {"State": {"ExitCode": 0, "OOMKilled": False, "Pid": 7}}
INSPECT = r"^GET /v1\.41/containers/x/json"
VERSION, INFO = r"^GET (/v1\.41)?/version", r"^GET /v1\.41/info"


@dataclass(frozen=True)
class Row:
    """A method of `Engine`, how it is used, and each request that it makes: the line, and what a false answer says.

    None where the answer's content is not read, so that there is nothing to lie about but `done`.
    """

    use: Callable[[Engine], object]
    asks: dict[str, object]
    believes: frozenset[Kind] = frozenset()
    """What else is no failure; the row says why."""


ROWS: dict[str, Row] = {
    "account": Row(lambda engine: engine.account(), {INFO: [], VERSION: "x"}),
    "image": Row(lambda engine: engine.image("x"), {r"^GET /v1\.41/images/x/json": []}),
    "load": Row(lambda engine: engine.load(Path(__file__)), {r"^POST /v1\.41/images/load": {"error": "no space"}}),
    "create": Row(lambda engine: engine.create({}, "x"), {r"^POST /v1\.41/containers/create\?name=x": {}}),
    "inspect": Row(lambda engine: engine.inspect("x"), {INSPECT: []}),
    "attach": Row(lambda engine: engine.attach("x").close(), {r"^POST /v1\.41/containers/x/attach": None}),
    "start": Row(lambda engine: engine.start("x"), {r"^POST /v1\.41/containers/x/start": None}),
    "pause": Row(lambda engine: engine.pause("x"), {r"^POST /v1\.41/containers/x/pause": None}),
    "unpause": Row(lambda engine: engine.unpause("x"), {r"^POST /v1\.41/containers/x/unpause": None}),
    "kill": Row(
        lambda engine: engine.kill("x"),
        {r"^POST /v1\.41/containers/x/kill": None},
        frozenset({"error"}),  # `no` says that nothing runs; and it ends itself at its deadline
    ),
    "wait": Row(lambda engine: engine.wait("x"), {r"^POST /v1\.41/containers/x/wait": None, INSPECT: {}}),
    "process": Row(lambda engine: engine.process("x"), {INSPECT: {"State": {"Pid": "none"}}}),
    "was_out_of_memory": Row(lambda engine: engine.was_out_of_memory("x"), {INSPECT: {"State": None}}),
    "remove": Row(lambda engine: engine.remove("x"), {r"^DELETE /v1\.41/containers/x": None}),
    "labelled": Row(lambda engine: engine.labelled("x"), {r"^GET /v1\.41/containers/json": [{"Id": "x"}]}),
}
LIBPOD = r"/v4\.0\.0/libpod/"
OF_ONE = rf"^GET {LIBPOD}containers/x/json"
CONFIG = config_of(Run(RunTool("a", "b")), "it")
PLACEMENT = Placement("sha256:1", Path("/source"), None, ())
PODMAN_ROWS: dict[str, Row] = {
    "image": Row(lambda engine: engine.image("x"), {rf"^GET {LIBPOD}images/x/json": []}),
    "load": Row(lambda engine: engine.load(Path(__file__)), {rf"^POST {LIBPOD}images/load": None}),
    "make": Row(
        lambda engine: engine.make(CONFIG, PLACEMENT, "x"),
        {rf"^POST {LIBPOD}containers/create": {}, rf"^POST {LIBPOD}containers/x/init": None},
    ),
    "inspect": Row(lambda engine: engine.inspect("x"), {OF_ONE: []}),
    "attach": Row(lambda engine: engine.attach("x").close(), {rf"^POST {LIBPOD}containers/x/attach": None}),
    "start": Row(lambda engine: engine.start("x"), {rf"^POST {LIBPOD}containers/x/start": None}),
    "pause": Row(lambda engine: engine.pause("x"), {rf"^POST {LIBPOD}containers/x/pause": None}),
    "unpause": Row(lambda engine: engine.unpause("x"), {rf"^POST {LIBPOD}containers/x/unpause": None}),
    "kill": Row(lambda engine: engine.kill("x"), {rf"^POST {LIBPOD}containers/x/kill": None}, frozenset({"error"})),
    "wait": Row(lambda engine: engine.wait("x"), {rf"^POST {LIBPOD}containers/x/wait": None, OF_ONE: {}}),
    "process": Row(lambda engine: engine.process("x"), {OF_ONE: {"State": {"Pid": "none"}}}),
    "was_out_of_memory": Row(lambda engine: engine.was_out_of_memory("x"), {OF_ONE: {"State": None}}),
    "remove": Row(lambda engine: engine.remove("x"), {rf"^DELETE {LIBPOD}containers/x": [{"Err": "device busy"}]}),
    "labelled": Row(lambda engine: engine.labelled("x"), {rf"^GET {LIBPOD}containers/json": [{"Id": "x"}]}),
}
PODMAN_INFO = {
    "host": {"security": {"rootless": False}, "cgroupManager": "cgroupfs", "ociRuntime": {"name": "runc"}},
    "version": {"Version": "4.3.1"},
}
ANSWERS: dict[str, tuple[int, object]] = {
    rf"{LIBPOD}info": (200, PODMAN_INFO),
    rf"{LIBPOD}images/load": (200, {"Names": ["x"]}),
    rf"{LIBPOD}images/x/json": (200, {"Id": "x"}),
    rf"^DELETE {LIBPOD}": (200, [{"Id": "x"}]),
    rf"{LIBPOD}containers/x/wait": (200, 0),
    VERSION: (200, {"ApiVersion": "1.41", "Version": "20", "Components": []}),
    INFO: (
        200,
        {"CgroupDriver": "cgroupfs", "ServerVersion": "20", "DefaultRuntime": "runc", "Runtimes": {"runc": {}}},
    ),
    r"/images/load": (200, {"stream": "Loaded"}),
    r"/create": (201, {"Id": "x"}),
    r"/containers/json": (200, []),
    r"/json": (200, STATE),
    r"/wait": (200, {"StatusCode": 0}),
    r"/attach": (101, None),
    r"": (204, None),
}


def answer(line: str) -> bytes:
    status, body = next(found for pattern, found in ANSWERS.items() if re.search(pattern, line))
    text = b"" if body is None else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} x", "Content-Type: application/json", "Connection: close"]
    sized = [] if status in {101, 204} else [f"Content-Length: {len(text)}"]
    return "\r\n".join([*head, *sized]).encode() + b"\r\n\r\n" + text


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:
    """A scripted engine behind a socket on which things go wrong; patience is short."""
    for name, seconds in {"REQUEST_TIMEOUT_S": 0.3, "CONNECT_TIMEOUT_S": 0.3, "PAUSE_TIMEOUT_S": 0.1}.items():
        monkeypatch.setattr(engines, name, seconds)
    monkeypatch.setattr(podman, "REMOVE_TIMEOUT_S", 0.1)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "far.sock"))
    listener.listen(64)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    head, _ = read_message(connection)
                    connection.sendall(answer(head.split(b"\r\n")[0].decode()) if head else b"")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        with between(tmp_path, str(tmp_path / "far.sock")) as found:
            monkeypatch.setenv("DOCKER_HOST", f"unix://{found.path}")
            yield found
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def methods(file: str, name: str, reaching: set[str]) -> set[str]:
    """Those of a class that reach the engine, by what they mention."""
    tree = ast.parse((PACKAGE / "execute" / file).read_text())
    (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    return {
        each.name
        for each in found.body
        if isinstance(each, ast.FunctionDef)
        and any(isinstance(node, ast.Attribute) and node.attr in reaching for node in ast.walk(each))
    }


def test_every_method_has_a_row() -> None:
    found = methods("engine.py", "Engine", {"client", "socket_path", "attach_at"})
    assert found - {"close", "attach_at"} == ROWS.keys()
    of_podman = methods("podman.py", "Podman", {"client", "_ask", "_json", "attach_at"})
    assert of_podman - {"over", "_ask", "_json"} <= PODMAN_ROWS.keys()


def test_nobody_else_speaks_with_the_engine() -> None:
    for file in PACKAGE.rglob("*.py"):
        if file.name in {"engine.py", "podman.py"} and file.parent.name == "execute":
            continue
        tree = ast.parse(file.read_text())
        imported = {
            name
            for node in ast.walk(tree)
            for name in (
                [each.name for each in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert not {name for name in imported if name.partition(".")[0] in {"docker", "requests"}}, file
        spoken = {
            ast.unparse(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and re.search(r"engine(\(\))?\.(client|socket_path)$", ast.unparse(node))
        }
        assert spoken == set(), file


TABLES = {"an engine": ROWS, "Podman": PODMAN_ROWS}


def connected(table: str) -> contextlib.closing[Engine]:
    """To an engine that has the methods of this table."""
    with pytest.MonkeyPatch.context() as patched:
        if table == "Podman":
            patched.setitem(ANSWERS, VERSION, (200, {"ApiVersion": "1.41", "Components": [{"Name": "Podman Engine"}]}))
        engine = podman.connect()
    assert isinstance(engine, Podman) is (table == "Podman")
    return contextlib.closing(engine)


@pytest.mark.parametrize(("table", "name"), [(table, name) for table, rows in TABLES.items() for name in rows])
def test_a_row_has_every_request_of_its_method(table: str, name: str, asked: Between) -> None:
    row = TABLES[table][name]
    with connected(table) as engine:
        asked.asked.clear()
        row.use(engine)
    assert len(asked.asked) == len(row.asks)
    for pattern in row.asks:
        assert [line for line in asked.asked if re.search(pattern, line)], (pattern, asked.asked)


FAULTS = [
    (table, name, pattern, kind)
    for table, rows in TABLES.items()
    for name, row in rows.items()
    for pattern in row.asks
    for kind in KINDS
]


@pytest.mark.parametrize(("table", "name", "pattern", "kind"), FAULTS, ids=lambda each: each.lstrip("^"))
def test_whatever_goes_wrong_is_a_failure_of_the_engine(
    table: str, name: str, pattern: str, kind: Kind, asked: Between
) -> None:
    row = TABLES[table][name]
    with connected(table) as engine:
        asked.fault = Fault(kind, pattern, lambda _: json.dumps(row.asks[pattern]).encode())
        if kind in row.believes or (kind == "lying" and row.asks[pattern] is None):
            row.use(engine)
            assert asked.fault.hits > 0
            return
        with pytest.raises(SandboxFailure) as failed:
            row.use(engine)
    assert failed.value.reason_code == "sandbox_failure.engine"
    assert "\n" not in str(failed.value)
    assert asked.fault.hits > 0


DEEP = b"[" * 200_000 + b"]" * 200_000
READ = [
    (table, name, pattern)
    for table, name, pattern, kind in FAULTS
    if kind == "lying" and TABLES[table][name].asks[pattern] is not None
]


@pytest.mark.parametrize(("table", "name", "pattern"), READ, ids=lambda each: each.lstrip("^"))
def test_an_answer_without_a_bottom_is_a_failure_of_the_engine(
    table: str, name: str, pattern: str, asked: Between
) -> None:
    with connected(table) as engine:
        asked.fault = Fault("lying", pattern, lambda _: DEEP)
        with pytest.raises(SandboxFailure) as failed:
            TABLES[table][name].use(engine)
    assert failed.value.reason_code == "sandbox_failure.engine"


@pytest.mark.parametrize("pattern", [VERSION, INFO])
def test_an_engine_whose_first_answer_has_no_bottom_is_lacking(pattern: str, asked: Between) -> None:
    asked.fault = Fault("lying", pattern, lambda _: DEEP)
    with pytest.raises(EnvironmentLacking):
        podman.connect()


@pytest.mark.parametrize("kind", KINDS)
def test_podman_that_does_not_tell_about_itself_is_lacking(kind: Kind, asked: Between) -> None:
    asked.fault = Fault(kind, rf"^GET {LIBPOD}info", lambda _: b"[]")
    with pytest.raises(EnvironmentLacking, match="says that it is Podman, and does not speak as one"):
        connected("Podman")


@pytest.mark.parametrize(
    ("part", "said", "refusal"),
    [
        ("version", {"Version": "3.4.4"}, "Podman `3.4.4` is not known; from 4 on it is"),
        ("version", {"Version": "dev"}, "Podman `dev` is not known"),
        ("host", {**PODMAN_INFO["host"], "security": {"rootless": True}}, "Podman without root does not enforce"),
        ("host", {**PODMAN_INFO["host"], "security": {}}, "Podman without root does not enforce"),
        ("host", {**PODMAN_INFO["host"], "cgroupManager": "none"}, "Podman without root does not enforce"),
    ],
)
def test_podman_that_is_too_old_or_enforces_too_little_is_refused(
    part: str, said: object, refusal: str, asked: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ANSWERS, rf"{LIBPOD}info", (200, {**PODMAN_INFO, part: said}))
    with pytest.raises(EnvironmentLacking, match=refusal):
        connected("Podman")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pattern", [VERSION, INFO], ids=["version", "info"])
def test_an_engine_that_does_not_answer_as_one_is_lacking(pattern: str, kind: Kind, asked: Between) -> None:
    asked.fault = Fault(kind, pattern, lambda _: b"[]")
    with pytest.raises(EnvironmentLacking, match="no container engine answers"):
        Engine.connect()


def test_a_removal_that_is_under_way_and_does_not_end_is_a_failure(asked: Between) -> None:
    busy = dict(ANSWERS)
    with contextlib.closing(Engine.connect()) as engine, pytest.MonkeyPatch.context() as patched:
        patched.setitem(ANSWERS, r"", (409, {"message": "removal is already in progress"}))
        asked.fault = Fault("slow", r"^POST /v1\.41/containers/x/wait\?condition=removed")
        with pytest.raises(SandboxFailure, match="remove the container"):
            engine.remove("x")
    assert asked.fault.hits == 1
    assert busy == ANSWERS


def test_an_engine_that_fails_after_it_answered_is_a_finding(asked: Between, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: Engine) -> object:
        message = "the engine failed to tell about itself: x"
        raise SandboxFailure(message, "sandbox_failure.engine")

    monkeypatch.setattr(Engine, "account", failing)
    (found,) = [each for each in examine() if each.name == "engine"]
    assert (found.ok, found.remedy) == (False, "the engine failed to tell about itself: x")
