"""What the host makes of a guest that is silent, talkative or hostile: a scripted engine with a scripted guest."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import execkit
import pytest
from test_execute_config import effects, inspected
from test_execute_engine import part
from test_execute_protocol import frame

from sandbox.call import Outcome
from sandbox.errors import EnvironmentLacking, UsageError
from sandbox.execute import cold, container, guest, source
from sandbox.execute.config import ContainerConfig, Placement, compile_config
from sandbox.execute.engine import Attachment, Ended, Engine
from sandbox.ir import Json, Workspace

Speech = Callable[[socket.socket], None]
TOOL = execkit.python_tool(output=1_000, timeout_ms=2_000, workspace=Workspace("w", "rw"))
CONFIG = compile_config(execkit.contract_of(TOOL), TOOL)
PLACEMENT = Placement("sha256:1", Path("/snapshots/1"), Path("/views/1"), (("sandbox.call", "x"),))


class Scripted(Engine):
    """An engine whose one container says what the test wants said."""

    def __init__(self, speech: Speech, *, ended: Ended | None = None, out_of_memory: bool = False) -> None:
        object.__setattr__(self, "speech", speech)
        object.__setattr__(self, "ended", ended)
        object.__setattr__(self, "out_of_memory", out_of_memory)
        object.__setattr__(self, "asked", [])
        object.__setattr__(self, "walls", frozenset())

    def create(self, body: Mapping[str, Json], name: str) -> str:
        self.asked.append("create")
        return name if body else ""

    def inspect(self, container: str) -> Mapping[str, Json]:
        return inspected(CONFIG) if container else {}

    def attach(self, container: str) -> Attachment:
        near, far = socket.socketpair()
        near.settimeout(0)
        thread = threading.Thread(target=self._speak, args=(far,))
        thread.start()
        self.asked.append(f"attach {bool(container)}")
        return Attachment(near)

    def _speak(self, far: socket.socket) -> None:
        with far, contextlib.suppress(OSError):
            self.speech(far)

    def start(self, container: str) -> None:
        self.asked.append(f"start {bool(container)}")

    def kill(self, container: str) -> None:
        self.asked.append(f"kill {bool(container)}")

    def wait(self, container: str) -> Ended:
        return self.ended if container else Ended(0, out_of_memory=False)

    def was_out_of_memory(self, container: str) -> bool:
        return self.out_of_memory and bool(container)

    def remove(self, container: str) -> None:
        self.asked.append(f"remove {bool(container)}")


def observed(engine: Scripted) -> Outcome:
    outcome = container.run_call(engine, CONFIG, PLACEMENT, execkit.call_of(TOOL, code=""), TOOL)
    assert engine.asked[-1] == "remove True"
    return outcome


def hello(config: ContainerConfig = CONFIG) -> bytes:
    return part(1, frame(guest.HELLO, 0, json.dumps(effects(config)).encode(), key=b""))


def key_of(far: socket.socket) -> bytes:
    (size,) = guest.CALL_HEADER.unpack(far.recv(4, socket.MSG_WAITALL))
    return bytes.fromhex(json.loads(far.recv(size, socket.MSG_WAITALL))["key"])


def answering(*frames: tuple[int, bytes]) -> Speech:
    def speech(far: socket.socket) -> None:
        far.sendall(hello())
        key = key_of(far)
        for number, (kind, payload) in enumerate(frames, start=1):
            far.sendall(part(1, frame(kind, number, payload, key)))
        far.recv(1)  # until the host closes

    return speech


def end(**said: object) -> tuple[int, bytes]:
    return guest.END, json.dumps({"oom_kills": 0, **said}).encode()


def saying(data: bytes) -> Speech:
    return lambda far: far.sendall(data)


def test_an_honest_guest_is_believed() -> None:
    outcome = observed(Scripted(answering((guest.STDOUT, b"o"), (guest.STDERR, b"e"), end(end="returned", result="1"))))
    assert (outcome.status, outcome.result, outcome.stdout, outcome.stderr) == ("ok", 1, "o", "e")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        part(1, b"hello!" * 20),
        part(1, frame(guest.END, 0, b"{}", key=b"")),
        hello() + part(1, frame(guest.END, 1, b"{}", key=b"")),
        part(1, frame(guest.HELLO, 0, b"nonsense", key=b"")),
        part(1, frame(guest.HELLO, 0, b"[]", key=b"")),
        part(1, frame(guest.HELLO, 0, b"[" * 100_000, key=b"")),
        part(1, frame(guest.HELLO, 0, b"{}", key=b"")),
    ],
)
def test_a_guest_that_does_not_say_hello_gets_no_call(said: bytes) -> None:
    outcome = observed(Scripted(saying(said), ended=Ended(1, out_of_memory=False)))
    assert outcome.status == "sandbox_failure"
    assert outcome.started


def test_a_runner_s_own_words_explain_its_failure_and_are_one_line() -> None:
    outcome = observed(Scripted(saying(part(2, b"Traceback\n\x1b[31mno python"))))
    assert outcome.reason.endswith("Traceback\\n\\x1b[31mno python")
    assert outcome.stderr == ""


def test_the_host_cuts_what_the_guest_should_have_cut() -> None:
    engine = Scripted(answering(*[(guest.STDOUT, b"x" * 600)] * 2, end(end="returned", result="1")))
    outcome = observed(engine)
    assert (outcome.status, outcome.reason_code, len(outcome.stdout)) == ("output_limit", "limit.output", 600)
    assert "kill True" in engine.asked


def test_silence_until_the_deadline_is_a_kill_and_a_timeout() -> None:
    engine = Scripted(answering((guest.STDOUT, b"begun")))
    outcome = observed(engine)
    assert (outcome.status, outcome.stdout) == ("timeout", "begun")
    assert "kill True" in engine.asked


def test_want_of_memory_is_judged_by_every_account() -> None:
    returned = end(end="returned", result="1")
    by_engine = observed(Scripted(answering(returned), out_of_memory=True))
    by_guest = observed(Scripted(answering(end(end="returned", result="1", oom_kills=1))))
    assert {by_engine.status, by_guest.status} == {"out_of_memory"}
    assert (by_engine.result, by_guest.result) == (None, None)


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        (Ended(137, out_of_memory=True), "out_of_memory"),
        (Ended(137, out_of_memory=False), "killed"),
        (Ended(1, out_of_memory=False), "sandbox_failure"),
        (Ended(0, out_of_memory=False), "sandbox_failure"),
    ],
)
def test_a_guest_that_is_gone_is_judged_by_how_it_ended(ended: Ended, status: str) -> None:
    def speech(far: socket.socket) -> None:
        far.sendall(hello())
        key_of(far)

    outcome = observed(Scripted(speech, ended=ended))
    assert (outcome.status, outcome.result) == (status, None)


def test_a_result_above_its_limit_is_a_limit() -> None:
    outcome = observed(Scripted(answering(end(end="result"))))
    assert (outcome.status, outcome.reason_code, outcome.truncated) == ("output_limit", "limit.result", False)


# --- the cold runner's own refusals ---------------------------------------------------------------------


class Present(Engine):
    """An engine that is there, has the image, and is never asked for more."""

    def __init__(self, *, gone: bool = False) -> None:
        object.__setattr__(self, "version", "scripted")
        object.__setattr__(self, "gone", gone)

    def image(self, reference: str) -> Mapping[str, Json]:
        if self.gone:
            message = "gone"
            raise container.SandboxFailure(message)
        return {"Id": f"sha256:{len(reference)}"}

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def beside(tmp_path: Path) -> str:
    """A spec beside a tool's module and a workspace."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "mine.py").write_text("")
    (tmp_path / "space").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    return str(tmp_path / "code" / "spec.yaml")


@pytest.mark.parametrize("folder", ["..", ".", "mine.d"])
def test_a_workspace_that_holds_its_own_module_is_refused(beside: str, folder: str) -> None:
    run = execkit.Run(execkit.RunTool("mine", "f"), workspace=Workspace(folder, "rw"))
    tool = execkit.tool_of("t", run)
    expected = EnvironmentLacking if folder == "mine.d" else UsageError
    with pytest.raises(expected):
        cold.ColdRunner(Present()).prepare(execkit.contract_of(tool, beside), tool)


def test_an_engine_that_has_gone_is_lacking_and_not_a_failure() -> None:
    runner = cold.ColdRunner(Present(gone=True))
    tool = execkit.python_tool()
    with pytest.raises(EnvironmentLacking, match="no container engine answers"):
        runner.prepare(execkit.contract_of(tool), tool)
    runner.close()


def test_a_module_that_cannot_be_copied_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_source: source.ToolSource) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cold, "snapshot", full)
    outcome = execkit.run_tool(cold.ColdRunner(Present()), execkit.python_tool(), code="")
    assert (outcome.status, outcome.started) == ("sandbox_failure", False)
    assert "No space" in outcome.reason


def test_snapshots_that_nobody_uses_are_dropped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(source, "private_folder", lambda *_names: tmp_path)
    for name, age in (("old", source.SNAPSHOT_LIFE_S + 10), ("new", 10)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    source.drop_old_snapshots(1e9)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
