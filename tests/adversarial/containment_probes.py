"""Programs that try to get out, as text: each leaves in `result` what it managed to do."""

from __future__ import annotations

SYSTEM_CALLS = """
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    value = libc.syscall(ctypes.c_long(number), *arguments)
    return "done" if value >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")
def sock(*kind):
    try:
        socket.socket(*kind).close()
        return "done"
    except OSError as error:
        return errno.errorcode.get(error.errno, "?")
zero = ctypes.c_long(0)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
result = {
    "unix": sock(socket.AF_UNIX, socket.SOCK_STREAM),
    "inet": sock(socket.AF_INET, socket.SOCK_STREAM),
    "inet6": sock(socket.AF_INET6, socket.SOCK_DGRAM),
    "vsock": sock(socket.AF_VSOCK, socket.SOCK_STREAM),
    "netlink": sock(socket.AF_NETLINK, socket.SOCK_RAW),
    "packet": sock(socket.AF_PACKET, socket.SOCK_RAW),
    "alg": sock(socket.AF_ALG, socket.SOCK_SEQPACKET),
    "clone_newuser": call(56, ctypes.c_long(0x10000000 | 17), zero, zero, zero, zero),
    "clone3": call(435, ctypes.create_string_buffer(88), ctypes.c_long(88)),
    "unshare": call(272, ctypes.c_long(0x10000000)),
    "setns": call(308, zero, zero),
    "ptrace": call(101, ctypes.c_long(16), ctypes.c_long(1), zero, zero),
    "process_vm_readv": call(310, ctypes.c_long(1), zero, zero, zero, zero, zero),
    "pidfd_getfd": call(438, zero, zero, zero),
    "io_uring_setup": call(425, ctypes.c_long(1), ctypes.create_string_buffer(256)),
    "memfd_create": call(319, b"x", zero),
    "memfd_secret": call(447, zero),
    "bpf": call(321, zero, zero, zero),
    "userfaultfd": call(323, zero),
    "keyctl": call(250, zero, zero, zero, zero, zero),
    "add_key": call(248, b"user", b"x", b"x", ctypes.c_long(1), ctypes.c_long(-4)),
    "perf_event_open": call(298, zero, zero, zero, zero, zero),
    "mount": call(165, b"none", b"/tmp", b"tmpfs", zero, zero),
    "open_by_handle_at": call(304, zero, zero, zero),
    "mknod_device": call(133, b"/tmp/device", ctypes.c_long(0o020666), ctypes.c_long(0x0103)),
    "limits of the runner": call(302, ctypes.c_long(1), ctypes.c_long(9), zero, ctypes.create_string_buffer(16)),
    "chroot": call(161, b"/tmp"),
    "setuid": call(105, zero),
    "kexec_load": call(246, zero, zero, zero, zero),
    "personality": call(135, ctypes.c_long(0x0040000)),
}
result["no_new_privileges"] = status["NoNewPrivs"].strip()
"""

INSIDE = """
import os, resource, signal, socket
def attempt(action):
    try:
        return repr(action())
    except BaseException as error:
        return type(error).__name__
def write(path):
    with open(path, "ab") as file:
        file.write(b"x")
    return "written"
def program():
    with open("/tmp/program", "wb") as file:
        file.write(open("/usr/bin/python3.11", "rb").read())
    os.chmod("/tmp/program", 0o755)
    pid = os.posix_spawn("/tmp/program", ["program", "-c", ""], {})
    return os.waitpid(pid, 0)
result = {
    "mem": attempt(lambda: open("/proc/1/mem", "rb").read(1)),
    "maps": attempt(lambda: open("/proc/1/maps").read()),
    "environ": attempt(lambda: open("/proc/1/environ").read()),
    "fds": attempt(lambda: os.listdir("/proc/1/fd")),
    "stdout of the runner": attempt(lambda: write("/proc/1/fd/1")),
    "root of the runner": attempt(lambda: os.listdir("/proc/1/root")),
    "kill": [attempt(lambda s=s: os.kill(1, s)) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)],
    "own descriptors": sorted(int(n) for n in os.listdir("/proc/self/fd")),
    "stdin": attempt(lambda: os.read(0, 10)),
    "written": {path: attempt(lambda path=path: write(path)) for path in (
        "/sandbox/guest.py", "/sandbox/source/tools/python.py", "/etc/passwd", "/usr/bin/python3.11", "/x", "/dev/x",
        "/etc/hosts", "/etc/resolv.conf", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger",
        "/sys/kernel/uevent_helper", "/proc/1/oom_score_adj", "/workspace/x", "/var/x", "/dev/shm/x")},
    "run from tmp": attempt(program),
    "resolve": attempt(lambda: socket.getaddrinfo("example.com", 443)),
    "connect": attempt(lambda: socket.create_connection(("169.254.169.254", 80), 1)),
    "engine": attempt(lambda: socket.socket(socket.AF_UNIX).connect("/var/run/docker.sock")),
    "interfaces": sorted(os.listdir("/sys/class/net")),
    "environment": dict(os.environ),
    "shells": [p for p in ("/bin/sh", "/bin/bash", "/usr/bin/sh", "/bin/busybox") if os.path.exists(p)],
    "own limits": attempt(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))),
    "processes": sorted(int(n) for n in os.listdir("/proc") if n.isdigit()),
    "user": [os.getresuid(), os.getresgid(), os.getgroups()],
}
"""

FORGERY = """
import hashlib, hmac, json, os, struct, sys
header, signed = struct.Struct(">IBI32s"), struct.Struct(">IBI")
end = json.dumps({"end": "returned", "result": '"forged"', "oom_kills": 0}).encode()
for number in range(5):
    for key in (b"", b"\\0" * 32):
        head = signed.pack(len(end), 4, number)
        frame = head + hmac.new(key, head + end, hashlib.sha256).digest() + end
        for descriptor in range(64):
            if descriptor != 2:
                try:
                    os.write(descriptor, frame)
                except OSError:
                    pass
result = "honest"
"""

STUBBORN = """
import os, signal, sys, time
for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(name, signal.SIG_IGN)
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                pass
print("begun", flush=True)
while True:
    time.sleep(1)
"""

FORK_BOMB = """
import os
made = 0
try:
    while True:
        if os.fork() == 0:
            import time
            time.sleep(600)
        made += 1
except OSError as error:
    result = [made, type(error).__name__]
"""

FILLING = """
import errno, os
def fill(path):
    written = 0
    try:
        with open(path, "wb", buffering=0) as file:
            while True:
                written += file.write(b"x" * 65536)
    except OSError as error:
        return [written, errno.errorcode[error.errno]]
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
result = {"tmpfs": fill("/tmp/full")}
os.unlink("/tmp/full")
files = []
try:
    while True:
        files.append(open("/dev/null"))
except OSError as error:
    result["files"] = [len(files), errno.errorcode[error.errno]]
del files
"""

DETACHED_WRITER = """
import os, sys
if os.fork() == 0:
    os.setsid()
    while True:
        os.write(1, b"y" * 4096)
result = "done"
"""

FAMILIES = """
families = {}
for name, *kind in (
    ("inet6", 10, 1, 0), ("udp", 2, 2, 0), ("raw", 2, 3, 1), ("mptcp", 2, 1, 262), ("sctp", 2, 1, 132),
    ("vsock", 40, 1, 0), ("netlink", 16, 3, 0), ("packet", 17, 3, 0), ("alg", 38, 5, 0), ("smc", 43, 1, 0),
):
    try:
        socket.socket(*kind).close()
        families[name] = "done"
    except OSError as error:
        families[name] = type(error).__name__
"""

NETWORK = f"""
import errno, os, socket
def attempt(action):
    try:
        return repr(action())
    except OSError as error:
        return type(error).__name__
def code(action, *arguments):
    try:
        action(*arguments)
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]
def bind(path):
    with socket.socket(socket.AF_UNIX) as mine:
        mine.bind(path)
{FAMILIES}
result = {{
    "direct": attempt(lambda: socket.create_connection(("127.0.0.1", PORT), 2)),
    "outside": attempt(lambda: socket.create_connection(("93.184.216.34", 80), 2)),
    "names": attempt(lambda: socket.getaddrinfo("example.com", 443)),
    "families": families,
    "socket": {{
        "unlink": code(os.unlink, "/broker/socket"),
        "rename": code(os.rename, "/broker/socket", "/broker/other"),
        "create": code(bind, "/broker/mine"),
        "chmod": code(os.chmod, "/broker/socket", 0),
        "write": code(lambda: os.open("/broker/file", os.O_CREAT | os.O_WRONLY)),
    }},
    "names in /broker": attempt(lambda: os.listdir("/broker")),
    "interfaces": sorted(os.listdir("/sys/class/net")),
}}
"""

EVERY_CALL = r"""
import ctypes, errno, os, signal
libc = ctypes.CDLL(None, use_errno=True)

def forked(action):
    # what became of one call in a process of its own: a value, the name of an error, or of the signal that ended it
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        me = os.getpid()
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        told = action()
        if os.getpid() == me:
            os.write(writing, str(told).encode())
        os._exit(0)
    os.close(writing)
    said = os.read(reading, 100).decode()
    os.close(reading)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return said or "ended"

def call(number, *arguments):
    ctypes.set_errno(0)
    value = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(each) for each in arguments or (-1,) * 6))
    return value if value != -1 else errno.errorcode.get(ctypes.get_errno(), str(ctypes.get_errno()))

ENTRY = 0x40000000  # of x32: the same instruction, another table
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
page = libc.mmap(None, 4096, 7, 0x22, -1, 0)
# push rbx; mov eax, edi; mov ebx, esi; xor ecx, ecx; xor edx, edx; int 0x80; pop rbx; ret
code = bytes.fromhex("53 89f8 89f3 31c9 31d2 cd80 5b c3")
ctypes.memmove(page, code, len(code))
interrupt = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int)(page)

def old(number):
    value = interrupt(number, 0)
    return value if value >= 0 else errno.errorcode.get(-value, str(-value))

result = {
    "x86_64": {number: forked(lambda: call(number)) for number in [*range(HIGHEST + 1), 600, 1000]},
    "x32": {number: forked(lambda: call(ENTRY | number)) for number in range(0, 560)},
    "i386": {number: forked(lambda: old(number)) for number in range(0, 470)},
    "of others": {
        "prlimit64 of PID 1": forked(lambda: call(302, 1, 7, 0, 0)),
        "prlimit64 of itself": forked(lambda: call(302, 0, 7, 0, 0)),
        "clone": forked(lambda: call(56, 17, 0, 0, 0, 0)),
        **{
            f"clone with {flag:#x}": forked(lambda: call(56, 17 | flag, 0, 0, 0, 0))
            for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
        },
        **{f"socket {family}": forked(lambda: call(41, family, 1, 0)) for family in range(0, 47)},
        **{f"socketpair {family}": forked(lambda: call(53, family, 1, 0, 0)) for family in range(0, 47)},
        "socket of many bits": forked(lambda: call(41, (1 << 32) | 1, 1, 0)),
    },
}
"""
