"""The program that is PID 1, function by function, in this process; in containers it is tested by the attacks."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from sandbox.execute import guest, protocol


class Exited(BaseException):
    """The process would have ended here."""


@pytest.fixture
def stdin() -> Iterator[int]:
    """The far end of a pipe that is this process's standard input."""
    reading, writing = os.pipe()
    saved = os.dup(0)
    os.dup2(reading, 0)
    os.close(reading)
    try:
        yield writing
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        with contextlib.suppress(OSError):
            os.close(writing)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> bytearray:
    """What is written to the host."""
    written = bytearray()
    monkeypatch.setattr(guest, "write_all", lambda _descriptor, data: written.extend(data))
    monkeypatch.setattr(os, "_exit", exited)
    return written


def exited(code: int) -> None:
    raise Exited(code)


def supervised(program: str, sent: bytearray, **call: object) -> tuple[bytes, bytes, dict[str, object]]:
    """Runs a program as the worker; its stdout and stderr as the host gets them, and the end."""
    (call_read, call_write), (out, out_write), (err, err_write), (result, result_write) = (os.pipe() for _ in range(4))
    command = [sys.executable, "-c", f"import os, sys; result = {result_write}\n{program}"]
    with subprocess.Popen(
        command, stdin=call_read, stdout=out_write, stderr=err_write, pass_fds=[result_write]
    ) as child:
        for descriptor in (call_read, out_write, err_write, result_write):
            os.close(descriptor)
        worker = SimpleNamespace(pid=child.pid, call=call_write, stdout=out, stderr=err, result=result)
        signer = guest.Signer()
        signer.key = b"key"
        try:
            guest.supervise(worker, signer, {"output": 1000, "timeout_ms": 60_000, **call})
        finally:
            child.kill()
            for descriptor in (out, err, result):
                os.close(descriptor)
            with contextlib.suppress(OSError):
                os.close(call_write)
    frames = protocol.FrameReader(1000, b"key").feed(bytes(sent))
    text = [b"".join(frame.payload for frame in frames if frame.kind == kind) for kind in (guest.STDOUT, guest.STDERR)]
    return text[0], text[1], json.loads(frames[-1].payload)


pytestmark = pytest.mark.usefixtures("stdin")


def test_the_worker_is_fed_heard_and_believed_about_itself(sent: bytearray) -> None:
    program = "call = sys.stdin.read(); print(len(call)); print('e', file=sys.stderr); os.write(result, b'=[1]')"
    padding = "x" * 300_000
    out, err, end = supervised(program, sent, padding=padding)
    assert int(out) > 300_000
    assert err == b"e\n"
    assert (end["end"], end["result"]) == ("returned", "[1]")


def test_the_worker_s_own_end_is_told(sent: bytearray) -> None:
    assert supervised("os.write(result, b'!no'); sys.exit(1)", sent)[2]["end"] == "raised"


def test_a_worker_that_ends_without_a_word_is_told_by_its_status(sent: bytearray) -> None:
    assert supervised("os.kill(os.getpid(), 9)", sent)[2]["exit"] == -9


def test_output_and_results_beyond_the_limit_end_the_call(sent: bytearray) -> None:
    out, _, end = supervised("while True: print('x' * 500)", sent)
    assert (len(out), end["end"]) == (1000, "output")
    sent.clear()
    assert supervised("os.write(result, b'=' + b'1' * 50_000)\nwhile True: pass", sent)[2]["end"] == "result"
    sent.clear()
    assert supervised("os.write(result, b'=' + b'1' * 1_001)", sent)[2]["end"] == "result"


def test_past_its_deadline_or_without_its_host_everything_ends(sent: bytearray, stdin: int) -> None:
    with pytest.raises(Exited):
        supervised("while True: pass", sent, timeout_ms=-guest.GRACE_MS - 1)
    os.close(stdin)
    with pytest.raises(Exited):
        supervised("while True: pass", sent)


def test_a_call_is_received_whole_or_not_at_all(stdin: int, sent: bytearray) -> None:
    body = json.dumps({"key": "00", "x": 1}).encode()
    os.write(stdin, guest.CALL_HEADER.pack(len(body)) + body)
    assert guest.receive_call(60) == {"key": "00", "x": 1}
    os.write(stdin, guest.CALL_HEADER.pack(guest.CALL_LIMIT + 1))
    with pytest.raises(SystemExit):
        guest.receive_call(60)
    with pytest.raises(Exited):
        guest.read_exactly(1, time.monotonic() - 1)
    os.write(stdin, b"\0\0")
    os.close(stdin)
    with pytest.raises(Exited):
        guest.receive_call(60)
    assert sent == b""


def test_frames_are_signed_and_numbered(sent: bytearray) -> None:
    signer = guest.Signer()
    signer.send(guest.HELLO, b"h")
    signer.key = b"k"
    signer.send(guest.STDOUT, b"o")
    size, kind, number, mac = guest.HEADER.unpack(sent[-guest.HEADER.size - 1 : -1])
    assert (size, kind, number) == (1, guest.STDOUT, 1)
    assert mac == hmac.new(b"k", guest.SIGNED.pack(1, guest.STDOUT, 1) + b"o", hashlib.sha256).digest()


def test_effects_say_what_is_seen() -> None:
    seen = json.loads(json.dumps(guest.effects(ctypes.CDLL(None))))
    assert seen["pid"] == os.getpid()
    assert seen["uid"] == list(os.getresuid())
    assert set(seen["status"]) >= {"CapEff", "CapBnd", "NoNewPrivs", "Seccomp"}
    assert "/proc" in [mount[0] for mount in seen["mounts"]]
    assert seen["limits"]["RLIMIT_NOFILE"]


def test_a_file_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "there").write_text(" 7\n")
    assert guest.first_readable((str(tmp_path / "absent"), str(tmp_path / "there"))) == "7"
    assert guest.first_readable((str(tmp_path / "absent"),)) == ""


def test_kills_for_want_of_memory_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    monkeypatch.setattr(guest, "OOM_FILES", (str(tmp_path / "control"),))
    assert guest.oom_kills() == 2


def test_orphans_are_reaped_with_the_worker() -> None:
    pids = [os.posix_spawn("/bin/true", ["true"], {}) for _ in range(2)]
    status = None
    while status is None:
        status = guest.collect(pids[0])
    assert status == 0


# --- what the worker does -----------------------------------------------------------------------------


MODULE = """
from decimal import Decimal
from sandbox import sandboxed, Denied, Gate

@sandboxed("spec.yaml")
def plain(**values):
    return {name: repr(value) for name, value in values.items()}

@sandboxed
async def later(x):
    return x

class Api:
    @staticmethod
    @sandboxed("spec.yaml", state=None)
    def method():
        raise Denied("no")

def leave():
    raise SystemExit(3)

constant = 7
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "guest_module.py").write_text(MODULE)
    monkeypatch.setattr(guest, "SOURCE_FOLDER", str(tmp_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "sandbox", sys.modules["sandbox"])
    monkeypatch.delitem(sys.modules, "guest_module", raising=False)
    return "guest_module"


def performed(module: str, function: str, **args: object) -> tuple[int, bytes]:
    kinds = {"amount": "decimal", "many": ["list", "decimal"], "text": None, "x": None}
    return guest.perform({"kind": "tool", "module": module, "function": function, "args": args, "kinds": kinds})


def test_a_function_gets_its_arguments_by_name_and_type(module: str) -> None:
    code, answer = performed(module, "plain", amount="1.50", many=["2.0"], text="1.50")
    expected = {"amount": "Decimal('1.50')", "many": "[Decimal('2.0')]", "text": "'1.50'"}
    assert (code, json.loads(answer[1:])) == (0, expected)


def test_a_call_that_does_not_say_what_its_arguments_are_runs_nothing(module: str) -> None:
    call = {"kind": "tool", "module": module, "function": "plain", "args": {"x": 1}}
    assert guest.perform({**call, "kinds": None})[1].startswith(b"!TypeError")
    assert guest.perform({**call, "kinds": {}})[1].startswith(b"!KeyError")
    assert guest.perform({**call, "kinds": {"x": None}, "args": None})[1].startswith(b"!TypeError")


def test_an_asynchronous_function_is_awaited(module: str) -> None:
    assert performed(module, "later", x=1) == (0, b"=1")


def test_what_a_function_raises_is_told_and_traced(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert performed(module, "Api.method") == (1, b"!Denied: no")
    trace = capsys.readouterr().err
    assert "in method" in trace
    assert "in perform" not in trace


def test_a_function_that_leaves_or_is_none_is_an_error(module: str) -> None:
    assert performed(module, "leave") == (1, b"!the tool ended itself with exit 3")
    assert performed(module, "constant")[1].startswith(b"!TypeError")
    assert performed(module, "absent")[1].startswith(b"!AttributeError")
    assert performed("no_such_module", "x")[1].startswith(b"!ModuleNotFoundError")


def test_inside_the_decorator_is_the_identity_and_other_names_are_exceptions() -> None:
    stub = guest.stub()

    def function() -> None:
        """Any."""

    assert stub.sandboxed(function) is function
    assert stub.sandboxed("spec.yaml")(function) is function
    assert stub.sandboxed(spec="spec.yaml")(function) is function
    assert issubclass(stub.Denied, Exception)
    with pytest.raises(AttributeError):
        _ = stub.__path__


def test_words_are_run_without_a_shell() -> None:
    assert guest.perform({"kind": "argv", "argv": ["/bin/true", "$(false)"]}) == (0, b"=null")
    assert guest.perform({"kind": "argv", "argv": ["/bin/false"]}) == (1, b"!the program ended with exit code 1")
    assert guest.perform({"kind": "argv", "argv": ["/no/such"]})[1].startswith(b"!FileNotFoundError")


def test_all_bytes_are_written() -> None:
    reading, writing = os.pipe()
    guest.write_all(writing, b"x" * 1000)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        assert file.read() == b"x" * 1000
