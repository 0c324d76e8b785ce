"""The engine's edge without an engine: the attached stream, who it connects to, and whose failures are whose."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import execkit
import pytest
import requests
from docker.errors import APIError, ImageNotFound, NotFound

from sandbox.errors import EnvironmentLacking, SandboxFailure
from sandbox.execute import image
from sandbox.execute import reap as reaping
from sandbox.execute.cold import ColdRunner
from sandbox.execute.engine import Attachment, Engine, _first_ids, _insist, new_name
from sandbox.execute.owner import Owner

SOON = 5.0


@pytest.fixture
def pair() -> Iterator[tuple[Attachment, socket.socket]]:
    near, far = socket.socketpair()
    near.settimeout(0)
    with contextlib.closing(Attachment(near)) as attachment, far:
        yield attachment, far


def part(kind: int, data: bytes) -> bytes:
    return bytes([kind, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def test_output_comes_in_order_and_the_runner_s_own_words_are_kept_apart(
    pair: tuple[Attachment, socket.socket],
) -> None:
    attachment, far = pair
    stream = part(1, b"one") + part(2, b"x" * 5_000) + part(1, b"two")
    for index in range(0, len(stream), 701):
        far.sendall(stream[index : index + 701])
    far.close()
    deadline = time.monotonic() + SOON
    assert [attachment.receive(deadline) for _ in range(3)] == [b"one", b"two", None]
    assert len(attachment.diagnostics) == 4_000


def test_silence_is_late_and_a_stream_that_is_none_is_a_failure(pair: tuple[Attachment, socket.socket]) -> None:
    attachment, far = pair
    assert attachment.receive(time.monotonic()) == "late"
    far.sendall(b"\x01\0\0\0\xff\xff\xff\xff")
    with pytest.raises(SandboxFailure, match="stream that is none"):
        attachment.receive(time.monotonic() + SOON)


def test_a_container_that_does_not_read_or_is_gone_is_a_failure(pair: tuple[Attachment, socket.socket]) -> None:
    attachment, far = pair
    with pytest.raises(SandboxFailure, match="in time"):
        attachment.send(b"x" * 10**7, time.monotonic() + 0.05)
    far.close()
    with pytest.raises(SandboxFailure, match="ended before"):
        attachment.send(b"x" * 10**7, time.monotonic() + SOON)
    assert attachment.receive(time.monotonic() + SOON) is None


def test_without_an_engine_the_answer_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    tool = execkit.python_tool()
    runner = ColdRunner()
    with pytest.raises(EnvironmentLacking, match=r"apt-get install docker\.io"):
        runner.prepare(execkit.contract_of(tool), tool)
    runner.close()


def test_an_engine_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    with pytest.raises(EnvironmentLacking, match="not on this machine"):
        Engine.connect()


# --- a scripted engine ---------------------------------------------------------------------------------


class Client:
    """Answers every request with the error it was given, or with what the attributes say."""

    api_version = "1.41"

    def __init__(self, error: Exception | None = None, **answers: object) -> None:
        self._error = error
        self._answers = answers

    def __getattr__(self, name: str) -> object:
        def answer(*_args: object, **_kwargs: object) -> object:
            if self._error is not None:
                raise self._error
            return self._answers.get(name)

        return answer


def scripted(error: Exception | None = None, **answers: object) -> Engine:
    return Engine(Client(error, **answers), "scripted", "/nowhere")


def test_every_failure_of_the_engine_is_ours() -> None:
    engine = scripted(APIError("it\nbroke"))
    requests = (
        lambda: engine.create({}, "x"),
        lambda: engine.inspect("x"),
        lambda: engine.start("x"),
        lambda: engine.wait("x"),
        lambda: engine.was_out_of_memory("x"),
        lambda: engine.remove("x"),
        lambda: engine.labelled("x"),
        lambda: engine.image("x"),
        lambda: engine.attach("x"),
        lambda: engine.load(Path(__file__)),
    )
    for request in requests:
        with pytest.raises(SandboxFailure) as caught:
            request()
        assert caught.value.reason_code == "sandbox_failure.engine"
        assert "\n" not in str(caught.value)
    engine.kill("x")  # whatever has ended already needs no killing


def test_what_is_gone_is_removed_and_what_is_not_there_is_none() -> None:
    scripted(NotFound("gone")).remove("x")
    assert scripted(ImageNotFound("no")).image("x") is None
    with pytest.raises(EnvironmentLacking, match="sandbox image build"):
        image.find_image(scripted(ImageNotFound("no")), None)
    with pytest.raises(EnvironmentLacking, match="docker pull"):
        image.find_image(scripted(ImageNotFound("no")), "other@sha256:1")


def test_a_removal_that_is_under_way_already_is_waited_for() -> None:
    conflict = requests.Response()
    conflict.status_code = 409
    asked: list[str] = []

    class Busy(Client):
        def remove_container(self, *_args: object, **_kwargs: object) -> None:
            message = "removal in progress"
            raise APIError(message, response=conflict)

        def wait(self, container: str, **kwargs: object) -> None:
            asked.append(f"{container} {kwargs['condition']}")

    Engine(Busy(), "scripted", "/nowhere").remove("x")
    assert asked == ["x removed"]


def test_one_container_that_cannot_be_removed_does_not_stop_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Owner, "is_gone", lambda _self: True)
    labels = dict(Owner.this().labels("x"))

    class Stuck(Client):
        def containers(self, **_kwargs: object) -> list[dict[str, object]]:
            names = {"stuck": [f"/{new_name()}"], "free": ["/alias", f"/{new_name()}"], "theirs": ["/sandbox-mine"]}
            return [{"Id": id_, "Labels": labels, "Names": listed} for id_, listed in names.items()]

        def remove_container(self, container: str, **_kwargs: object) -> None:
            if container == "stuck":
                message = "device busy"
                raise APIError(message)

    monkeypatch.setattr(reaping, "drop_abandoned_views", lambda: None)
    assert reaping.reap(Engine(Stuck(), "scripted", "/nowhere")) == 1


def test_an_image_that_does_not_load_is_a_failure(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    archive.write_bytes(b"")
    with pytest.raises(SandboxFailure, match="no space"):
        scripted(load_image=[{"error": "no space"}]).load(archive)
    scripted(load_image=[{"stream": "Loaded"}]).load(archive)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 404 Not Found\r\n\r\n", b"", b"x" * 40_000])
def test_an_engine_that_does_not_attach_is_a_failure(tmp_path: Path, answer: bytes) -> None:
    path = str(tmp_path / "engine.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(SandboxFailure, match="attach"):
            Engine(Client(), "scripted", path).attach("x")
        thread.join()


# --- the image -----------------------------------------------------------------------------------------


def test_equal_layers_give_equal_image_archives(tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    layer.write_bytes(b"packages")
    layer.with_suffix(".packages").write_text("b_2_all.deb\na_1%3a2_all.deb\nlock\n")
    archives = [image._wrap(layer, tmp_path / f"{number}.tar", "tag:1", "recipe") for number in range(2)]
    names = []
    for archive in archives:
        with tarfile.open(archive) as tar:
            manifest = json.load(tar.extractfile("manifest.json"))
            config = json.load(tar.extractfile(manifest[0]["Config"]))
            names.append(manifest)
    assert names[0] == names[1]
    assert config["config"]["Labels"]["sandbox.packages"] == "a_1:2_all b_2_all"
    assert manifest[0]["RepoTags"] == ["tag:1"]


def test_another_recipe_is_another_image(monkeypatch: pytest.MonkeyPatch) -> None:
    one = image.default_tag()
    monkeypatch.setattr(image, "PACKAGES", ("python3-minimal",))
    assert image.default_tag() != one


def test_an_image_that_is_there_is_not_built_again() -> None:
    found = {"Id": "sha256:1", "Size": 5, "Config": {"Labels": {"sandbox.packages": "a b"}}}
    built = image.build_image(scripted(inspect_image=found))
    assert built.to_json() == {
        "image": "sha256:1",
        "tag": image.default_tag(),
        "size": 5,
        "packages": ["a", "b"],
        "built": False,
    }


def test_what_is_missing_to_build_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    absent = scripted(ImageNotFound("no"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentLacking, match="apt-get install mmdebstrap"):
        image.build_image(absent)
    program = tmp_path / "mmdebstrap"
    program.write_text("#!/bin/sh\necho no archive >&2; exit 1\n")
    program.chmod(0o755)
    with pytest.raises(EnvironmentLacking, match="no archive"):
        image.build_image(absent)

    def late(*_args: object, **_kwargs: object) -> None:
        raise subprocess.TimeoutExpired(["mmdebstrap"], 1)

    monkeypatch.setattr(subprocess, "run", late)
    with pytest.raises(EnvironmentLacking, match="did not end"):
        image.build_image(absent)


def test_the_package_sources_are_the_machine_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    single, folder = tmp_path / "sources.list", tmp_path / "sources.list.d"
    folder.mkdir()
    single.write_text(f"deb http://mirror.example/debian {image.SUITE} main\n")
    (folder / "a.sources").write_text(f"Types: deb\nURIs: http://x.example\nSuites: {image.SUITE} other\n")
    (folder / "vendor.list").write_text("deb http://vendor.example stable main\n")
    (folder / "off.list").write_text(f"# deb http://x.example {image.SUITE} main\n")
    (folder / "a.sources.disabled").write_text(image.SUITE)
    monkeypatch.setattr(image, "SOURCES", (single, folder))
    assert image._package_sources() == [str(single), str(folder / "a.sources")]


def test_the_proxies_are_the_machine_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert image._apt_options() == []
    program = tmp_path / "apt-config"
    program.write_text("#!/bin/sh\necho 'APT \"\";'\necho 'Acquire::http::Proxy \"http://proxy.example:1\";'\n")
    program.chmod(0o755)
    assert image._apt_options() == ['--aptopt=Acquire::http::Proxy "http://proxy.example:1"']


def test_an_image_that_the_engine_took_and_does_not_have_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_unpack_packages", lambda layer, _: layer.write_bytes(b""))
    monkeypatch.setattr(image, "_packages", lambda _layer: [])
    answers = itertools.chain([None], itertools.repeat(None))
    monkeypatch.setattr(Engine, "image", lambda _self, _name: next(answers))
    with pytest.raises(EnvironmentLacking, match="does not have it"):
        image.build_image(scripted(load_image=[]))


def conflict() -> APIError:
    return APIError("409 Client Error: Conflict", explanation="Container x is already paused")


def test_an_engine_that_is_late_to_notice_is_asked_again() -> None:
    answers = [conflict(), conflict(), None]

    def change() -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    _insist(change)
    assert answers == []


def test_an_engine_that_refuses_for_good_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.execute.engine.PAUSE_TIMEOUT_S", 0)

    def change() -> None:
        raise conflict()

    with pytest.raises(APIError):
        _insist(change)


@pytest.mark.parametrize(
    ("options", "root", "ids"),
    [
        (["name=userns"], "/var/lib/docker/100000.100001", (100_000, 100_001)),
        (["name=seccomp,profile=default", "name=userns"], "/data/231072.231072/", (231_072, 231_072)),
        (["name=seccomp"], "/var/lib/docker/100000.100001", (0, 0)),
        (None, None, (0, 0)),
    ],
)
def test_with_user_name_spaces_the_engine_s_folder_tells_who_is_who(
    options: object, root: object, ids: tuple[int, int]
) -> None:
    assert _first_ids({"SecurityOptions": options, "DockerRootDir": root}) == ids


def test_an_engine_that_does_not_tell_its_user_name_spaces_is_refused() -> None:
    with pytest.raises(EnvironmentLacking, match="does not tell which"):
        _first_ids({"SecurityOptions": ["name=userns"], "DockerRootDir": "/var/lib/docker"})
