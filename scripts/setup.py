"""Makes all that the project needs to run: environment, container engine, default image, workspaces of the specs.

Run by `make setup` through `scripts/setup`. Does only what is missing, says what each step took, and is done in
well under a second where nothing is. Exits 4 where the machine lacks what it cannot bring, and says how to get it.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
NOTES = ROOT / ".setup"  # logs, and what was done last; ignored by git
LOCK = ROOT / "requirements.lock"
DEFAULT_SOCKET = "/var/run/docker.sock"
DAEMON_LOG = Path("/var/log/sandbox-dockerd.log")
RECIPE = ROOT / "sandbox" / "execute" / "image.py"

WORKSPACES = tuple(ROOT / "workspaces" / name for name in ("payments", "files/public", "files/notes"))
ENGINE_PACKAGES = ("docker.io", "iptables", "ca-certificates")
IMAGE_PACKAGES = ("mmdebstrap",)

EXIT_LACKING = 4  # the environment lacks something; the same code as everywhere in `sandbox`
PING_SECONDS = 5.0  # one answer of a running engine
START_SECONDS = 90.0  # first start of a daemon on a slow disk; two seconds are usual
TAIL_LINES = 15  # enough of a log to see why


class LackingError(Exception):
    """The machine lacks something that this script cannot or may not bring; the message says what to do."""


@dataclass(frozen=True)
class Engine:
    """The Docker engine behind a socket of this machine."""

    socket: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Engine:
        """Reads `DOCKER_HOST`. Raises LackingError where it names another machine: folders could not be mounted."""
        host = environment.get("DOCKER_HOST") or f"unix://{DEFAULT_SOCKET}"
        if not host.startswith("unix://"):
            message = f"DOCKER_HOST=`{host}` is not on this machine: unset it, or name a socket here (unix:///path)"
            raise LackingError(message)
        return cls(host.removeprefix("unix://"))

    def answers(self) -> bool:
        """Whether an engine is there. Raises LackingError where it is and this user may not use it."""
        return self.status("/_ping") == http.client.OK

    def has_image(self, identity: str) -> bool:
        """Whether the engine still has the image with this id."""
        return self.status(f"/images/{identity}/json") == http.client.OK

    def status(self, path: str) -> int | None:
        """The HTTP status that the engine's socket answers for a GET, None where nobody answers."""
        connection = http.client.HTTPConnection("localhost", timeout=PING_SECONDS)
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(PING_SECONDS)
            try:
                link.connect(self.socket)
                connection.sock = link
                connection.request("GET", path)
                return connection.getresponse().status
            except PermissionError as error:
                message = (
                    f"the engine's socket `{self.socket}` is not open to this user: add the user to its group"
                    " (sudo usermod -aG docker $USER, then log in again), or run as root"
                )
                raise LackingError(message) from error
            except (OSError, http.client.HTTPException):
                return None


def main() -> int:
    """Runs the steps in order; returns the exit code."""
    try:
        engine = Engine.from_environment(os.environ)
        with alone():
            report("environment", make_environment)
            report("engine", lambda: find_engine(engine))
            report("image", lambda: build_image(engine))
            report("workspaces", make_workspaces)
    except LackingError as error:
        print(f"setup: {error}", file=sys.stderr)
        return EXIT_LACKING
    return 0


def report(name: str, step: Callable[[], str]) -> None:
    """Runs one step and prints what it did and how long that took."""
    started = time.monotonic()
    outcome = step()
    print(f"setup: {name:<12} {outcome:<60} {time.monotonic() - started:6.2f} s", flush=True)


@contextmanager
def alone() -> Iterator[None]:
    """Two set-ups of one checkout take turns."""
    NOTES.mkdir(exist_ok=True)
    with (NOTES / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# --- the environment


def make_environment() -> str:
    """Makes `.venv` from the lock, and the project in it, where either is not as the sources now say."""
    locked = digest_of(LOCK, extra=(sys.version, str(VENV)))
    described = digest_of(ROOT / "pyproject.toml", extra=(locked,))
    if read_note(VENV / "locked") != locked:
        install_locked()
        write_note(VENV / "locked", locked)
    elif read_note(VENV / "described") == described:
        return "up to date"
    install_project()
    write_note(VENV / "described", described)
    return f"made with Python {sys.version.split()[0]}"


def install_locked() -> None:
    """A fresh `.venv` with exactly what the lock names, each file checked against its digest."""
    try:
        venv.create(VENV, clear=True, symlinks=True, with_pip=True)
    except subprocess.CalledProcessError as error:  # Debian splits `ensurepip` off into a package of its own
        if not may_install():
            message = "this Python cannot make environments; install its `venv` (sudo apt-get install python3-venv)"
            raise LackingError(message) from error
        apt_install(("python3-venv",))
        venv.create(VENV, clear=True, symlinks=True, with_pip=True)
    pip("install", "--require-hashes", "--no-deps", "--only-binary=:all:", "-r", str(LOCK))


def install_project() -> None:
    """The project itself, editable, built with what the lock brought."""
    pip("install", "--no-deps", "--no-build-isolation", "--no-index", "-e", str(ROOT))


def pip(*arguments: str) -> None:
    """Runs pip of the environment with the machine's own configuration."""
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", *arguments]
    logged_run(command, NOTES / "pip.log", "see whether pip reaches a package index (pip config list), then run again")


# --- the engine


def find_engine(engine: Engine) -> str:
    """An engine that answers: the one at hand, else one that is installed and started here."""
    if engine.answers():
        return "running"
    if os.environ.get("DOCKER_HOST"):
        message = f"no engine answers at DOCKER_HOST=`{os.environ['DOCKER_HOST']}`: start it, or unset DOCKER_HOST"
        raise LackingError(message)
    did = "started"
    if shutil.which("dockerd") is None:
        if not may_install():
            raise LackingError(how_to_get(ENGINE_PACKAGES))
        apt_install(missing_packages())
        did = "installed and started"
    if os.geteuid() != 0:
        message = "a Docker engine is installed but does not run: sudo systemctl start docker (or sudo dockerd)"
        raise LackingError(message)
    start_daemon(engine)
    return f"{did}, log in {DAEMON_LOG}"


def start_daemon(engine: Engine) -> None:
    """Starts dockerd and waits for its answer.

    The second attempt is for machines that forbid packet filters: our containers have no network anyway.
    """
    if Path("/run/systemd/system").is_dir() and quiet_run(["systemctl", "start", "docker"]) and engine.answers():
        return
    if daemon_runs() and wait_for(engine, None):
        return
    for options in ((), ("--bridge=none", "--iptables=false")):
        forget_stale_pids()
        if wait_for(engine, spawn_daemon(options)):
            return
    message = f"dockerd did not start; its log {DAEMON_LOG} ends:\n{tail(DAEMON_LOG)}"
    raise LackingError(message)


def spawn_daemon(options: Sequence[str]) -> subprocess.Popen[bytes]:
    """The daemon, in a session of its own and with no descriptor of ours, so that no caller ever waits for it."""
    with DAEMON_LOG.open("ab") as log:
        return subprocess.Popen(
            ["dockerd", *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            close_fds=True,
            cwd="/",
        )


def wait_for(engine: Engine, daemon: subprocess.Popen[bytes] | None) -> bool:
    """Whether the engine answers before its deadline and before its daemon has ended."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if engine.answers():
            return True
        if not daemon_runs() if daemon is None else daemon.poll() is not None:
            return False
        time.sleep(0.1)
    if daemon is not None:
        daemon.terminate()
    return False


def daemon_runs() -> bool:
    """Whether the process that left its number in docker.pid is a living dockerd."""
    return is_process(Path("/var/run/docker.pid"), "dockerd")


def forget_stale_pids() -> None:
    """Removes pid files whose number now belongs to nobody or to another program, as after a restart of the machine."""
    for path, program in (
        (Path("/var/run/docker.pid"), "dockerd"),
        (Path("/var/run/docker/containerd/containerd.pid"), "containerd"),
    ):
        if path.exists() and not is_process(path, program):
            path.unlink()


def is_process(pid_file: Path, program: str) -> bool:
    """Whether the process numbered in the file runs this program."""
    try:
        number = int(pid_file.read_text().strip())
        return Path(f"/proc/{number}/comm").read_text().strip() == program
    except (OSError, ValueError):
        return False


# --- the image


def build_image(engine: Engine) -> str:
    """The default image, built where the engine does not have it or where its recipe has changed."""
    recipe = digest_of(RECIPE)
    note = NOTES / "image.json"
    known = json.loads(read_note(note) or "{}")
    if known.get("recipe") == recipe and engine.has_image(known["image"]):
        return "up to date"
    if shutil.which("mmdebstrap") is None and may_install():
        apt_install(IMAGE_PACKAGES)
    remedy = how_to_get(IMAGE_PACKAGES) if shutil.which("mmdebstrap") is None else "mend that, then again"
    command = [str(VENV / "bin" / "sandbox"), "image", "build", "--json"]
    image = json.loads(logged_run(command, NOTES / "image.log", remedy))
    write_note(note, json.dumps({"recipe": recipe, "image": image["image"]}))
    return f"{'built' if image['built'] else 'found'} {image['tag']}"


# --- the workspaces of the shipped specs


def make_workspaces() -> str:
    """The folders that the shipped specs let calls work in; a call never makes its own workspace."""
    missing = [folder for folder in WORKSPACES if not folder.is_dir()]
    for folder in missing:
        folder.mkdir(parents=True)
    index = ROOT / "workspaces" / "files" / "public" / "index.txt"
    if not index.exists():
        index.write_text("What is in here may be read by anybody.\n")
    return "made" if missing else "up to date"


# --- Debian packages


def may_install() -> bool:
    """Whether this user can install Debian packages here."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def missing_packages() -> tuple[str, ...]:
    """The packages that the later steps will need and whose programs are not here."""
    engine = ENGINE_PACKAGES if shutil.which("dockerd") is None else ()
    image = IMAGE_PACKAGES if shutil.which("mmdebstrap") is None else ()
    return engine + image


def apt_install(packages: Sequence[str]) -> None:
    """Installs packages without a question."""
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120"]
    remedy = f"mend apt (apt-get update), then: apt-get install {' '.join(packages)}"
    logged_run([*apt, "update"], NOTES / "apt.log", remedy)
    logged_run([*apt, "install", "-y", "--no-install-recommends", *packages], NOTES / "apt.log", remedy)


def how_to_get(packages: Sequence[str]) -> str:
    """What a user without root, or without Debian, does instead."""
    if shutil.which("apt-get") is not None:
        return f"`{packages[0]}` is missing and only root may install it: sudo apt-get install {' '.join(packages)}"
    return (
        f"`{packages[0]}` is missing and this is not Debian: install Docker Engine 20.10 or newer and mmdebstrap,"
        " or point DOCKER_HOST at an engine that has the default image"
    )


# --- processes and notes


def logged_run(command: Sequence[str], log: Path, remedy: str) -> str:
    """Runs a command, its errors in a log; returns its output, or raises LackingError with the log's end."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with log.open("wb") as sink:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=sink, env=environment, check=False
        )
        sink.write(done.stdout)
    if done.returncode:
        message = f"`{' '.join(command[:4])} ...` ended with {done.returncode}; {remedy}. {log} ends:\n{tail(log)}"
        raise LackingError(message)
    return done.stdout.decode()


def quiet_run(command: Sequence[str]) -> bool:
    """Whether a command ended well."""
    null = subprocess.DEVNULL
    return subprocess.run(command, stdin=null, stdout=null, stderr=null, check=False).returncode == 0


def tail(log: Path) -> str:
    """The last lines of a log."""
    lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    return "\n".join(f"  {line}" for line in lines)


def digest_of(*sources: Path, extra: Sequence[str] = ()) -> str:
    """One digest over the bytes of files and a few words."""
    digest = hashlib.sha256()
    for part in (*(source.read_bytes() for source in sources), *(word.encode() for word in extra)):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def read_note(path: Path) -> str | None:
    """What an earlier set-up noted, None where there was none."""
    try:
        return path.read_text()
    except OSError:
        return None


def write_note(path: Path, text: str) -> None:
    """Notes what was done, whole or not at all."""
    draft = path.with_suffix(".new")
    draft.write_text(text)
    draft.replace(path)


if __name__ == "__main__":
    sys.exit(main())
