"""The system calls a container may make: an allow-list for one architecture, everything else is EPERM.

Narrower than the engines' default profiles: no sockets but AF_UNIX (so no AF_VSOCK, which `network none`
does not close), no ptrace or process_vm, no io_uring, bpf, userfaultfd, memfd (a file to execute that no
mount option covers), no keyrings, no handles, no mounts, no new namespaces, no changes of identity.
No `sync`, which would make the whole host write; no limits but one's own, for the runner has the same user.
The i386 entry (`int 0x80`) and the x32 numbers end the process. Two numbers are beyond every filter: kernels from 6.14
on ask none about `uretprobe` and `uprobe`, which do nothing when a program makes them.
`clone3` answers ENOSYS, so that libc falls back to `clone`, whose flags can be judged.

A container with a broker may make stream sockets of AF_INET too, over TCP alone: there is only `lo` in its network,
where the front for ordinary programs listens.
"""

from __future__ import annotations

import platform
from typing import Final

from sandbox.errors import EnvironmentLacking
from sandbox.ir import Json

AF_UNIX: Final = 1
AF_INET: Final = 2
SOCK_STREAM: Final = 1
SOCK_FLAGS: Final = 0x80800
"""SOCK_CLOEXEC and SOCK_NONBLOCK, which may be added to a kind of socket."""

IPPROTO_TCP: Final = 6
ANY_PROTOCOL: Final = 0
_ALL_BITS: Final = 2**64 - 1
NAMESPACE_FLAGS: Final = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""

EPERM: Final = 1
ENOSYS: Final = 38

ARCHITECTURES: Final = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}

_FILES: Final = (
    "access faccessat faccessat2 chdir fchdir getcwd chmod fchmod fchmodat chown fchown fchownat lchown close "
    "close_range copy_file_range creat dup dup2 dup3 fadvise64 fallocate fcntl fdatasync fgetxattr flistxattr flock "
    "fstat fstatfs fsync ftruncate getdents getdents64 getxattr inotify_add_watch inotify_init inotify_init1 "
    "inotify_rm_watch ioctl lgetxattr link linkat listxattr llistxattr lseek lstat mkdir mkdirat newfstatat open "
    "openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat "
    "readv rename renameat renameat2 rmdir sendfile splice stat statfs statx symlink symlinkat sync_file_range "
    "tee truncate umask unlink unlinkat utime utimensat utimes futimesat write writev"
)
_MEMORY: Final = "brk madvise membarrier mincore mlock mlock2 mmap mprotect mremap msync munlock munmap rseq"
_PROCESSES: Final = (
    "arch_prctl capget execve exit exit_group fork vfork futex get_robust_list set_robust_list getcpu getegid "
    "geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority getresgid getresuid getrlimit getrusage "
    "getsid gettid getuid kill pidfd_open pidfd_send_signal prctl restart_syscall rt_sigaction "
    "rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait sched_getaffinity "
    "sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler "
    "sched_setaffinity sched_yield set_tid_address setpgid setpriority setrlimit setsid sigaltstack tgkill tkill "
    "uname wait4 waitid"
)
_TIME_AND_WAITING: Final = (
    "alarm clock_getres clock_gettime clock_nanosleep epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 "
    "epoll_wait eventfd eventfd2 getitimer setitimer gettimeofday nanosleep pause poll ppoll pselect6 select "
    "signalfd signalfd4 sysinfo time timer_create timer_delete timer_getoverrun timer_gettime timer_settime "
    "timerfd_create timerfd_gettime timerfd_settime times getrandom"
)
_SOCKETS: Final = (
    "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg "
    "sendmsg sendto setsockopt shutdown"
)
ALLOWED: Final = tuple(sorted(f"{_FILES} {_MEMORY} {_PROCESSES} {_TIME_AND_WAITING} {_SOCKETS}".split()))

GVISOR_NAMES: Final = ("pselect",)
"""What older releases of gVisor call some of these; they leave out names that they do not know."""


def profile(*, loopback: bool = False, gvisor: bool = False) -> dict[str, Json]:
    """The profile for this machine, in the engine's JSON; with `loopback`, TCP over AF_INET too.

    For gVisor, whose older releases answer EPERM whatever a profile says, which libc takes for a refusal to start a
    thread, `clone3` is let through: the name spaces that it could make are gVisor's own, and no kernel's.

    Raises:
        EnvironmentLacking: the machine's architecture has no list yet.
    """
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        message = f"containers are built for {' and '.join(ARCHITECTURES)}; this machine is `{machine}`"
        raise EnvironmentLacking(message, "environment.architecture")
    allow = "SCMP_ACT_ALLOW"
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": [ARCHITECTURES[machine]],
        "syscalls": [
            {"names": [*ALLOWED, *(GVISOR_NAMES if gvisor else ())], "action": allow},
            {"names": ["clone"], "action": allow, "args": [_masked(0, NAMESPACE_FLAGS)]},
            {"names": ["clone3"], "action": allow} if gvisor else _unknown("clone3"),
            {"names": ["prlimit64"], "action": allow, "args": [_equal(0, 0)]},
            {"names": ["socket", "socketpair"], "action": allow, "args": [_equal(0, AF_UNIX)]},
            *([_tcp(protocol) for protocol in (ANY_PROTOCOL, IPPROTO_TCP)] if loopback else []),
        ],
    }


def _unknown(name: str) -> dict[str, Json]:
    return {"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS}


def _tcp(protocol: int) -> dict[str, Json]:
    """`socket` for a stream of AF_INET; no other protocol (MPTCP, SCTP) has that shape."""
    stream = {**_masked(1, _ALL_BITS ^ SOCK_FLAGS), "valueTwo": SOCK_STREAM}
    return {
        "names": ["socket"],
        "action": "SCMP_ACT_ALLOW",
        "args": [_equal(0, AF_INET), stream, _equal(2, protocol)],
    }


def _masked(index: int, mask: int) -> dict[str, Json]:
    return {"index": index, "value": mask, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}


def _equal(index: int, value: int) -> dict[str, Json]:
    return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}
