"""The program that is PID 1 in the container: reports what it sees, receives one call, runs it, answers, ends.

It imports the standard library only; the host reads it as text and never runs it. The tool runs in a forked
child, the worker, that was forked before the call (and with it the key) arrived, holds none of this
process's descriptors and cannot read its memory. What the worker says arrives in pipes of its own and is
wrapped in frames that only this process can sign. Frames are described in `protocol`.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import hmac
import json
import os
import resource
import select
import signal
import stat
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from collections.abc import Callable
    from typing import NoReturn

SOURCE_FOLDER = "/sandbox/source"
BROKER_FOLDER = "/broker"
FRONT = "/sandbox/front.py"
FRONT_PLACE = ("127.0.0.1", 3128)
FRONT_LISTENER = 3  # the descriptor that the front expects it at
FRONT_LINE = 64  # programs that wait there
FETCHING = "/sandbox/fetching.py"
PROBED_LIMITS = ("RLIMIT_CORE", "RLIMIT_NOFILE", "RLIMIT_FSIZE")
OOM_FILES = ("/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events")
LABEL_FILES = {
    "apparmor": ("/proc/self/attr/apparmor/current", "/proc/self/attr/current"),
    "selinux": ("/proc/self/attr/current",),
}
LIMIT_FILES = {
    "memory": ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"),
    "swap": ("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", "/sys/fs/cgroup/memory.swap.max"),
    "cpu": ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu.max"),
    "pids": ("/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max"),
}

HEADER = struct.Struct(">IBI32s")  # payload size, kind, number, HMAC-SHA256 over the first nine bytes and the payload
SIGNED = struct.Struct(">IBI")
CALL_HEADER = struct.Struct(">I")
HELLO, STDOUT, STDERR, END = 1, 2, 3, 4

CALL_LIMIT = 32 * 1024 * 1024  # a call of 4 MiB may grow when its characters are escaped
CHUNK = 64 * 1024  # what is read from a pipe at once
FIRST_FREE = 12  # above the standard streams and the four pipes
REASON_LIMIT = 2_000  # characters of an exception that travel
CALL_READ_S = 10  # for the rest of a call whose size has come
GRACE_MS = 5_000  # the host kills at the deadline; this is for a host that cannot
REAP_MS = 250  # how often orphans are collected while the call runs
LOOK_MS = 10  # how often the worker is looked at where the kernel does not tell of its end

PR_SET_DUMPABLE = 4
PR_GET_DUMPABLE = 3
PR_GET_NO_NEW_PRIVS = 39


def main() -> NoReturn:
    """Hello, one call, its frames, the end."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a handled signal could be sent to PID 1 from inside
    if os.path.isdir(BROKER_FOLDER):  # noqa: PTH112  # pathlib costs a start 10 ms
        start_front()
    worker = Worker(libc)
    signer = Signer()
    signer.send(HELLO, json.dumps(effects(libc)).encode())
    call = receive_call(float(sys.argv[1]))
    signer.key = bytes.fromhex(str(call.pop("key")))
    if call["kind"] == "server":
        serve(worker, signer, call)
    else:
        supervise(worker, signer, call)
    os._exit(0)


class Signer:
    """Writes frames to the host. Before the key is there only the hello is sent, and nothing of the tool runs."""

    def __init__(self) -> None:
        self.key = b""
        self.number = 0

    def send(self, kind: int, payload: bytes) -> None:
        """One frame: header, then payload."""
        signed = SIGNED.pack(len(payload), kind, self.number)
        mac = hmac.new(self.key, signed + payload, hashlib.sha256).digest()
        write_all(1, signed + mac + payload)
        self.number += 1


class Worker:
    """The forked child and the near ends of its pipes."""

    def __init__(self, libc: ctypes.CDLL) -> None:
        call_read, self.call = os.pipe()
        self.stdout, out_write = os.pipe()
        self.stderr, err_write = os.pipe()
        self.result, result_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # an ordinary process again; it has never held the key
            enter_worker(call_read, out_write, err_write, result_write)
        for descriptor in (call_read, out_write, err_write, result_write):
            os.close(descriptor)


def start_front() -> None:
    """Starts the front for programs that know no socket but a proxy's; it listens before anything of the tool runs."""
    import socket  # noqa: PLC0415  # only where there is a broker

    listener = socket.create_server(FRONT_PLACE, backlog=FRONT_LINE)
    null = [(os.POSIX_SPAWN_OPEN, standard, "/dev/null", os.O_RDWR, 0) for standard in range(3)]
    os.set_inheritable(listener.fileno(), True)  # noqa: FBT003  # where it has the front's number already
    actions = [*null, (os.POSIX_SPAWN_DUP2, listener.fileno(), FRONT_LISTENER)]
    words = [sys.executable, "-I", "-S", "-B", FRONT]
    os.posix_spawn(sys.executable, words, os.environ, file_actions=actions)
    listener.close()


# --- what is seen from inside --------------------------------------------------------------------------


def effects(libc: ctypes.CDLL) -> dict[str, object]:
    """What this process finds itself confined to; the host compares it with what it asked for."""
    return {
        "pid": os.getpid(),
        "uid": os.getresuid(),
        "gid": os.getresgid(),
        "groups": os.getgroups(),
        "cwd": os.getcwd(),  # noqa: PTH109  # pathlib costs a start 10 ms
        "environment": sorted(os.environ),
        "status": process_status(),
        "no_new_privs": libc.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
        "kernel": os.uname()[2:4],
        "dumpable": libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0),
        "interfaces": sorted(os.listdir("/sys/class/net")),  # noqa: PTH208  # as above
        "mounts": mounts(),
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in PROBED_LIMITS},
        "cgroup": {name: first_readable(files) for name, files in LIMIT_FILES.items()},
        "labels": {name: first_readable(files) for name, files in LABEL_FILES.items()},
    }


def process_status() -> dict[str, str]:
    """The lines of /proc/self/status about privilege."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123  # pathlib costs a start 10 ms
        pairs = (line.partition(":") for line in file)
        return {key: value.strip() for key, _, value in pairs if key.startswith(("Cap", "NoNewPrivs", "Seccomp"))}


def mounts() -> list[list[object]]:
    """Every mount point: its path, file system, options, and whether this user can write in it."""
    found: list[list[object]] = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:  # noqa: PTH123  # as above
        for line in file:
            own, _, rest = line.partition(" - ")
            words = own.split(" ")
            found.append([words[4], rest.split(" ")[0], words[5], can_write(words[4])])
    return found


def can_write(path: str) -> bool:
    """Whether this user can write there; what the runtime covers with /dev/null does not count."""
    return os.access(path, os.W_OK) and not stat.S_ISCHR(os.stat(path).st_mode)  # noqa: PTH116  # as above


def first_readable(files: tuple[str, ...]) -> str:
    """The text of the first file that can be read, else ''."""
    for name in files:
        with contextlib.suppress(OSError), open(name, encoding="ascii") as file:  # noqa: PTH123  # as above
            return file.read(CHUNK).strip()
    return ""


def oom_kills() -> int:
    """How many processes of this container were killed for want of memory; -1 where the kernel does not tell."""
    lines = first_readable(OOM_FILES).splitlines()
    counts = [int(line.split()[1]) for line in lines if line.startswith("oom_kill ")]
    return sum(counts) if counts else -1


# --- the call ------------------------------------------------------------------------------------------


def receive_call(wait_s: float) -> dict[str, object]:
    """The one frame from the host; without it, or with a bad one, the process ends."""
    (size,) = CALL_HEADER.unpack(read_exactly(CALL_HEADER.size, time.monotonic() + wait_s))
    if size > CALL_LIMIT:
        sys.exit("the call is larger than a call can be")
    return dict(json.loads(read_exactly(size, time.monotonic() + CALL_READ_S)))


def serve(worker: Worker, signer: Signer, call: dict[str, object]) -> None:
    """For a server that lives for one session: the loop is a module of its own, beside this file."""
    os.close(worker.call)  # the worker, which has got no call, ends
    sys.path.insert(0, os.path.dirname(__file__))  # noqa: PTH120  # pathlib costs a start 10 ms
    import guest_server  # type: ignore[import-not-found]  # noqa: PLC0415  # it lies beside this file in the container

    words = [str(word) for word in list(call["argv"])]  # type: ignore[call-overload]  # a list of words, by `protocol`
    code = guest_server.serve(words, signer.send, collect)
    finish(signer, {"end": "exited", "exit": code})


def supervise(worker: Worker, signer: Signer, call: dict[str, object]) -> None:
    """Feeds the worker, passes its output on within the limit, and tells how it ended."""
    limit = int(str(call["output"]))
    deadline = time.monotonic() + (int(str(call["timeout_ms"])) + GRACE_MS) / 1000
    streams = {worker.stdout: STDOUT, worker.stderr: STDERR}
    result = bytearray()
    passed = 0
    status: int | None = None
    pending = memoryview(json.dumps(call).encode())
    for descriptor in (worker.call, worker.result, *streams):
        os.set_blocking(descriptor, False)
    ended = death_of(worker.pid)
    poll = select.poll()
    for descriptor in (0, *ended, worker.result, *streams):
        poll.register(descriptor, select.POLLIN)
    poll.register(worker.call, select.POLLOUT)

    while True:
        events = dict(poll.poll(REAP_MS if ended else LOOK_MS))
        if time.monotonic() > deadline or 0 in events:
            os._exit(1)  # past the deadline, or the host is gone: with PID 1 everything here ends
        if worker.call in events:
            pending = feed(poll, worker.call, pending)
        for descriptor, kind in streams.items():
            if descriptor in events:
                data = take(poll, descriptor)
                kept = data[: limit - passed]
                passed += len(kept)
                if kept:
                    signer.send(kind, kept)
                if len(kept) < len(data):
                    return finish(signer, {"end": "output"})
        if worker.result in events:
            result += take(poll, worker.result)
            if len(result) > max(limit, 4 * REASON_LIMIT) + 1:  # one byte says whether it returned or raised
                return finish(signer, {"end": "result"})
        if status is not None and not set(events) & {worker.result, *streams}:
            return finish(signer, verdict(bytes(result), status, limit))
        if status is None:  # only a poll after this one sees all that the worker wrote before it ended
            status = collect(worker.pid)


def death_of(pid: int) -> tuple[int, ...]:
    """A descriptor that tells of the end of a child; none where the kernel has no such thing, as gVisor's may not."""
    try:
        return (os.pidfd_open(pid),)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return ()


def feed(poll: select.poll, descriptor: int, pending: memoryview) -> memoryview:
    """Writes what the pipe takes; closes it at the end, or when the worker does not listen."""
    try:
        pending = pending[os.write(descriptor, pending[:CHUNK]) :]
    except BlockingIOError:
        return pending
    except OSError:
        pending = pending[:0]
    if not pending:
        poll.unregister(descriptor)
        os.close(descriptor)
    return pending


def take(poll: select.poll, descriptor: int) -> bytes:
    """What the pipe holds; an exhausted pipe is no longer watched."""
    try:
        data = os.read(descriptor, CHUNK)
    except BlockingIOError:
        return b""
    if not data:
        poll.unregister(descriptor)
    return data


def collect(worker: int) -> int | None:
    """Reaps every dead child and orphan; the worker's wait status if it was among them."""
    status = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, raw = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == worker:
                status = os.waitstatus_to_exitcode(raw)
    return status


def verdict(result: bytes, status: int, limit: int) -> dict[str, object]:
    """What the worker's own last words say; they are believed about the tool and about nothing else."""
    text = result[1:].decode("utf-8", "replace")
    if len(result) > limit + 1 and result[:1] == b"=":
        return {"end": "result"}
    if status == 0 and result[:1] == b"=":
        return {"end": "returned", "result": text}
    if result[:1] == b"!":
        return {"end": "raised", "reason": text[:REASON_LIMIT], "exit": status}
    return {"end": "exited", "exit": status}


def finish(signer: Signer, end: dict[str, object]) -> None:
    """The last frame."""
    signer.send(END, json.dumps({**end, "oom_kills": oom_kills()}).encode())


# --- the worker ----------------------------------------------------------------------------------------


def enter_worker(call: int, stdout: int, stderr: int, result: int) -> NoReturn:
    """In the child: holds its own pipes only, waits for the call, runs it, says what it returned."""
    null = os.open("/dev/null", os.O_RDONLY)
    call, result = (fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE) for descriptor in (call, result))
    for source, target in ((null, 0), (stdout, 1), (stderr, 2)):
        os.dup2(source, target)
    os.closerange(3, min(call, result))
    os.closerange(max(call, result) + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    os.setsid()
    preload()
    with open(call, "rb") as file:  # noqa: PTH123  # a descriptor, not a path
        text = file.read()
    if not text:
        os._exit(1)
    code, answer = perform(json.loads(text))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    with contextlib.suppress(OSError):
        write_all(result, answer)
    os._exit(code)


def preload() -> None:
    """Loads what most calls need of the standard library while the call is not there yet; nothing of the tool."""
    import datetime  # noqa: F401, ICN001, PLC0415  # in the worker alone, while PID 1 stays small
    import decimal  # noqa: F401, PLC0415  # as above
    import importlib  # noqa: F401, PLC0415  # as above
    import traceback  # noqa: F401, PLC0415  # as above
    import types  # noqa: F401, PLC0415  # as above


def perform(call: dict[str, object]) -> tuple[int, bytes]:
    """Runs the tool; the exit code and the bytes for the result pipe: `=` and JSON, or `!` and what went wrong."""
    try:
        if call["kind"] == "argv":
            return run_program(call)
        value = run_function(call)
        text = json.dumps(value, allow_nan=False, ensure_ascii=True)
    except SystemExit as stop:
        return 1, f"!the tool ended itself with exit {stop.code}".encode()
    except BaseException as error:  # noqa: BLE001  # whatever a tool raises is its outcome
        report(error)
        return 1, f"!{type(error).__name__}: {error}"[:REASON_LIMIT].encode("utf-8", "backslashreplace")
    return 0, b"=" + text.encode()


def run_function(call: dict[str, object]) -> object:
    """Imports the module from the mounted source and calls the function with the canonical arguments by name."""
    import importlib  # noqa: PLC0415  # loaded in the worker, while PID 1 stays small

    sys.path.insert(0, SOURCE_FOLDER)
    sys.modules["sandbox"] = stub()
    function: object = importlib.import_module(str(call["module"]))
    for name in str(call["function"]).split("."):
        function = getattr(function, name)
    arguments = call["args"]
    if not isinstance(arguments, dict) or not callable(function):
        message = "the function is not callable"
        raise TypeError(message)
    kinds = call["kinds"]
    if not isinstance(kinds, dict):
        message = "the call does not say what its arguments are"
        raise TypeError(message)
    value = function(**{name: convert(argument, kinds[name]) for name, argument in arguments.items()})
    if hasattr(value, "__await__"):
        import asyncio  # noqa: PLC0415  # 50 ms that only asynchronous tools pay

        return asyncio.run(awaited(value))
    return value


async def awaited(value: object) -> object:
    """The value of any awaitable."""
    return await value  # type: ignore[misc]  # checked by the caller


def convert(value: object, kind: object) -> object:
    """A canonical value as the function receives it, by the kind that `protocol` told."""
    if isinstance(kind, dict) and isinstance(value, dict):
        return {name: convert(value[name], kind[name]) for name in kind if name in value}
    if isinstance(kind, list) and isinstance(value, list):
        return [convert(item, kind[1]) for item in value]
    if kind == "decimal":
        from decimal import Decimal  # noqa: PLC0415  # loaded where it is needed

        return Decimal(str(value))
    if kind in {"timestamp", "duration"}:
        from datetime import datetime, timedelta  # noqa: PLC0415  # loaded where it is needed

        if kind == "timestamp":
            return datetime.fromisoformat(str(value))
        digits = str(value).removesuffix("s")
        return timedelta(milliseconds=int(digits.replace(".", "")) if "." in digits else 1000 * int(digits))
    return value


def stub() -> types.ModuleType:
    """What `import sandbox` finds in here: a decorator that changes nothing, `fetch`, and empty exception classes."""
    import types  # noqa: PLC0415  # loaded in the worker

    module = types.ModuleType("sandbox", "the tool's side of the sandbox: `sandboxed` changes nothing in here")
    module.__dict__["sandboxed"] = sandboxed
    module.__dict__["__getattr__"] = placeholder
    return module


def sandboxed(*arguments: object, **settings: object) -> object:
    """The identity, as `@sandboxed`, `@sandboxed(...)` or `sandboxed(spec)(function)`."""
    if len(arguments) == 1 and callable(arguments[0]) and not settings:
        return arguments[0]
    return identity


def identity(function: Callable[..., object]) -> Callable[..., object]:
    """The function itself."""
    return function


def placeholder(name: str) -> object:
    """An exception class of this name, so that `except Denied` can be written in a tool's module; `fetch` is real."""
    if name.startswith("__"):
        raise AttributeError(name)
    if name in {"fetch", "Fetched", "FetchError"}:
        return getattr(fetching(), name)
    return type(name, (Exception,), {})


def fetching() -> types.ModuleType:
    """The tool's side of the broker, loaded once."""
    from importlib.util import module_from_spec, spec_from_file_location  # noqa: PLC0415  # only for tools that ask

    name = "sandbox.fetching"
    if name not in sys.modules:
        spec = spec_from_file_location(name, FETCHING)
        if spec is None or spec.loader is None:
            raise ImportError(name)
        module = module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def run_program(call: dict[str, object]) -> tuple[int, bytes]:
    """Starts the words as a program, without a shell; its exit code decides, its output is the outcome's."""
    words = [str(word) for word in list(call["argv"])]  # type: ignore[call-overload]  # a list of words, by `protocol`
    pid = os.posix_spawnp(words[0], words, os.environ)
    _, raw = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(raw)
    if code == 0:
        return 0, b"=null"
    return 1, f"!the program ended with exit code {code}".encode()


def report(error: BaseException) -> None:
    """The traceback, as Python would print it, without the frames of this file."""
    import traceback  # noqa: PLC0415  # only where something was raised

    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    with contextlib.suppress(Exception):
        traceback.print_exception(type(error), error, trace)


# --- descriptors ---------------------------------------------------------------------------------------


def read_exactly(size: int, deadline: float) -> bytes:
    """`size` bytes of standard input; if it ends before, or they are late, so does the process."""
    data = bytearray()
    while len(data) < size:
        if not select.select([0], [], [], max(0.0, deadline - time.monotonic()))[0]:
            os._exit(1)  # no alarm: the kernel drops a signal that PID 1 does not handle
        part = os.read(0, min(CHUNK, size - len(data)))
        if not part:
            os._exit(1)
        data += part
    return bytes(data)


def write_all(descriptor: int, data: bytes) -> None:
    """All of the bytes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


if __name__ == "__main__":
    main()
