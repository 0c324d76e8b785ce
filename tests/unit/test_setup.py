from __future__ import annotations

import http.server
import importlib.util
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def setup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_script", ROOT / "scripts" / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["setup_script"] = module
    spec.loader.exec_module(module)
    return module


class Answers(http.server.BaseHTTPRequestHandler):
    """An engine that is alive and has one image."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path in {"/_ping", "/images/sha256:here/json"} else 404)
        self.end_headers()

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, *_: object) -> None:  # type: ignore[override]  # silent
        return


@pytest.fixture
def engine_socket(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "engine.sock"
    with socketserver.UnixStreamServer(str(path), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield path
        server.shutdown()
        thread.join()


def test_the_engine_is_asked_at_the_usual_socket_unless_the_environment_names_another(setup: ModuleType) -> None:
    assert setup.Engine.from_environment({}).socket == "/var/run/docker.sock"
    assert setup.Engine.from_environment({"DOCKER_HOST": ""}).socket == "/var/run/docker.sock"
    assert setup.Engine.from_environment({"DOCKER_HOST": "unix:///run/other.sock"}).socket == "/run/other.sock"


def test_an_engine_on_another_machine_is_refused(setup: ModuleType) -> None:
    with pytest.raises(setup.LackingError, match="is not on this machine: unset it"):
        setup.Engine.from_environment({"DOCKER_HOST": "tcp://10.0.0.1:2375"})


def test_an_engine_that_answers_is_found_and_one_that_is_not_there_is_not(
    setup: ModuleType, engine_socket: Path, tmp_path: Path
) -> None:
    assert setup.Engine(str(engine_socket)).answers()
    assert not setup.Engine(str(tmp_path / "nobody.sock")).answers()


def test_an_image_is_up_to_date_only_while_the_engine_has_it(setup: ModuleType, engine_socket: Path) -> None:
    assert setup.Engine(str(engine_socket)).has_image("sha256:here")
    assert not setup.Engine(str(engine_socket)).has_image("sha256:gone")


def test_a_pid_file_counts_only_while_its_process_runs_that_program(setup: ModuleType, tmp_path: Path) -> None:
    pid_file = tmp_path / "daemon.pid"
    assert not setup.is_process(pid_file, "dockerd")
    pid_file.write_text(f"{os.getpid()}\n")
    own = Path("/proc/self/comm").read_text().strip()
    assert setup.is_process(pid_file, own)
    assert not setup.is_process(pid_file, "dockerd")
    pid_file.write_text("no number")
    assert not setup.is_process(pid_file, "dockerd")


def test_a_digest_depends_on_every_part_and_on_where_parts_end(setup: ModuleType, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("ab")
    two.write_text("c")
    first = setup.digest_of(one, two, extra=("x",))
    one.write_text("a")
    two.write_text("bc")
    assert first != setup.digest_of(one, two, extra=("x",))
    assert setup.digest_of(one, extra=("x",)) != setup.digest_of(one, extra=("y",))


def test_a_command_that_fails_shows_the_end_of_its_log_and_the_remedy(setup: ModuleType, tmp_path: Path) -> None:
    program = "import sys; print('the reason', file=sys.stderr); sys.exit(3)"
    with pytest.raises(setup.LackingError, match=r"ended with 3; do this(.|\n)*the reason"):
        setup.logged_run([sys.executable, "-c", program], tmp_path / "log", "do this")


def test_without_an_engine_where_one_is_named_setup_exits_4_and_says_what_to_do(tmp_path: Path) -> None:
    environment = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/nobody.sock"}
    command = [sys.executable, ROOT / "scripts" / "setup.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "start it, or unset DOCKER_HOST" in done.stderr) == (4, True)


def test_without_a_python_setup_exits_4_and_says_what_to_do(tmp_path: Path) -> None:
    clone = tmp_path / "scripts"
    clone.mkdir()
    (clone / "setup").write_text((ROOT / "scripts" / "setup").read_text())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "dirname").symlink_to("/usr/bin/dirname")
    environment = {"PATH": str(tmp_path / "bin")}
    done = subprocess.run(["/bin/sh", clone / "setup"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "needs Python 3.11" in done.stderr) == (4, True)
