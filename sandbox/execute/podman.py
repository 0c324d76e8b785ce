"""Podman, by its own API: what it says in Docker's words leaves out some of what is asked for, and tells of it wrongly.

Nothing of its accounts is believed that can be read where it counts: the configuration that it has made for the runtime
is read and compared, item by item, before the container starts. What is seen from inside is compared as everywhere.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandbox.errors import EnvironmentLacking, SandboxFailure
from sandbox.execute.config import ContainerConfig, Placement
from sandbox.execute.confinement import Kernel, verify_account, walls_of
from sandbox.execute.engine import Attachment, Ended, Engine, engine_errors, is_ours
from sandbox.execute.podman_words import (
    part,
    refuse,
    specification,
    strange_variables,
    verify_given,
    verify_told,
)
from sandbox.ir import Json

if TYPE_CHECKING:
    import docker
    import requests

API: Final = "/v4.0.0/libpod"

OLDEST: Final = 4
"""Podman 4, of Debian 12, is the oldest that was tried."""

REMOVE_TIMEOUT_S: Final = 10
REMOVE_POLL_S: Final = 0.02
"""For a container that is just ending, which Podman refuses to remove until it has."""

_NOT_FOUND: Final = 404
_FAILED: Final = 500
_NO_CONTENT: Final = frozenset({204, 304})
_ERRORS: Final = 400


def connect() -> Engine:
    """The engine that `DOCKER_HOST`, else the usual socket, names: Docker's, or Podman by its own API.

    Raises:
        EnvironmentLacking: as `Engine.connect`; or it is Podman, and too old, without root, or does not speak as one.
    """
    engine = Engine.connect()
    if not engine.is_podman:
        return engine
    try:
        return Podman.over(engine.client, engine.socket_path)
    except EnvironmentLacking:
        engine.close()
        raise
    except SandboxFailure as failure:
        engine.close()
        message = f"the engine says that it is Podman, and does not speak as one ({failure}); see docs/isolation.md"
        raise EnvironmentLacking(message, "environment.engine") from failure


@dataclass(frozen=True, slots=True)
class Podman(Engine):
    """A connection to Podman's service on this machine, as root."""

    @classmethod
    def over(cls, client: docker.APIClient, path: str) -> Podman:
        """By a client that is connected already; it is the caller's to close where this raises.

        Raises:
            EnvironmentLacking: too old, without root, or without a cgroup manager.
            SandboxFailure: it does not tell.
        """
        found = cls(client, "", path)
        told = found._json("GET", "/info", "tell about itself")
        host, version = part(told, "host"), str(part(told, "version").get("Version", ""))
        if not version.partition(".")[0].isdigit() or int(version.partition(".")[0]) < OLDEST:
            message = f"Podman `{version[:40]}` is not known; from {OLDEST} on it is (docs/isolation.md)"
            raise EnvironmentLacking(message, "environment.engine")
        if part(host, "security").get("rootless") is not False or host.get("cgroupManager") in {None, "", "none"}:
            message = "Podman without root does not enforce every limit; run `podman system service` as root"
            raise EnvironmentLacking(message, "environment.engine")
        security = part(host, "security")
        said = frozenset(name for name in ("apparmor", "selinux") if security.get(f"{name}Enabled") is True)
        name = f"podman {version}, {part(host, 'ociRuntime').get('name', '?')}"
        return cls(client, name, path, walls=walls_of(said, Kernel.this()))

    def image(self, reference: str) -> Mapping[str, Json] | None:
        """As an engine's: its own has the id without `sha256:`."""
        with engine_errors("inspect the image"):
            answer = self._ask("GET", f"/images/{reference}/json")
            if answer.status_code == _NOT_FOUND:
                return None
            found = _object(_read(answer, "inspect the image"))
            return {**found, "Id": f"sha256:{found['Id']}"}

    def load(self, archive: Path) -> None:
        """Loads an image archive that we made ourselves."""
        with engine_errors("load the image"), archive.open("rb") as file:
            _read(
                self._ask("POST", "/images/load", data=file, headers={"Content-Type": "application/x-tar"}), "load it"
            )

    def make(self, config: ContainerConfig, placement: Placement, name: str) -> str:
        """A new container that the runtime has made and not started; its id."""
        made = self._json("POST", "/containers/create", "create a container", specification(config, placement, name))
        with engine_errors("create a container"):
            container = str(made["Id"])
        self._json("POST", f"/containers/{container}/init", "prepare the container")
        return container

    def verify(self, config: ContainerConfig, placement: Placement, container: str) -> None:
        """Returns if what the runtime was given is what was asked for; SandboxFailure if not."""
        told = self.inspect(container)
        with engine_errors("tell what the runtime was given"):
            place = Path(str(told["OCIConfigPath"]))
            if place.parts[-3:] != (container, "userdata", "config.json"):
                refuse("configuration", f"that of `{container}`", place)
            given = _object(json.loads(place.read_text(encoding="utf-8")))
            of_image: Json = []
            if strange_variables(config, given):
                found = self.image(placement.image.removeprefix("sha256:"))
                of_image = part(found or {}, "Config").get("Env") or []
        process = part(given, "process")
        verify_account(self.walls, process.get("apparmorProfile"), process.get("selinuxLabel"))
        verify_told(placement, told)
        verify_given(config, placement, given, container, of_image if isinstance(of_image, list) else [])

    def seen(self, effects: Mapping[str, Json]) -> Mapping[str, Json]:
        """What is seen from inside, but for the empty file by which programs know Podman."""
        mounts = effects.get("mounts")
        if not isinstance(mounts, list):
            return effects
        marker = [each for each in mounts if isinstance(each, list) and each[:1] == ["/run/.containerenv"]]
        if any(each[-1:] != [False] for each in marker):
            refuse("mount `/run/.containerenv`", "not writable", marker)
        return {**effects, "mounts": [each for each in mounts if each not in marker]}

    def create(self, body: Mapping[str, Json], name: str) -> str:
        """Never: its API has no such words."""
        message = f"Podman makes no container of an engine's words (`{name}`, {len(body)})"
        raise SandboxFailure(message, "sandbox_failure.engine")

    def inspect(self, container: str) -> Mapping[str, Json]:
        """Podman's own account of a container."""
        return self._json("GET", f"/containers/{container}/json", "inspect the container")

    def attach(self, container: str) -> Attachment:
        """The stream of a container that was not started yet."""
        return self.attach_at(f"{API}/containers/{container}/attach")

    def start(self, container: str) -> None:
        """Starts a prepared container."""
        self._json("POST", f"/containers/{container}/start", "start the container")

    def pause(self, container: str) -> None:
        """Freezes every process of the container."""
        self._json("POST", f"/containers/{container}/pause", "pause the container")

    def unpause(self, container: str) -> None:
        """Lets a paused container go on."""
        self._json("POST", f"/containers/{container}/unpause", "unpause the container")

    def kill(self, container: str) -> None:
        """Kills every process of the container; one that has ended already is left as it is."""
        with engine_errors("kill the container"):
            self._ask("POST", f"/containers/{container}/kill?signal=KILL")  # a refusal says that nothing runs

    def wait(self, container: str) -> Ended:
        """Waits until the container has ended, and tells how."""
        with engine_errors("wait for the container"):
            _read(self._ask("POST", f"/containers/{container}/wait?condition=stopped&condition=exited"), "wait for it")
            state = _object(self.inspect(container)["State"])
            return Ended(int(str(state["ExitCode"])), state["OOMKilled"] is True)

    def process(self, container: str) -> int:
        """The process on this host that a started container is."""
        with engine_errors("inspect the container"):
            return int(str(_object(self.inspect(container)["State"])["Pid"]))

    def was_out_of_memory(self, container: str) -> bool:
        """Whether Podman saw a process being killed for want of memory, which it does not always."""
        with engine_errors("inspect the container"):
            return _object(self.inspect(container)["State"])["OOMKilled"] is True

    def remove(self, container: str) -> None:
        """Removes the container, running or not; one that is gone is no error."""
        deadline = time.monotonic() + REMOVE_TIMEOUT_S
        with engine_errors("remove the container"):
            while True:
                answer = self._ask("DELETE", f"/containers/{container}?force=true&v=true&timeout=0")
                if answer.status_code == _NOT_FOUND:
                    return
                if answer.status_code != _FAILED or time.monotonic() > deadline:
                    break
                time.sleep(REMOVE_POLL_S)  # it cannot be stopped while it is ending
            for report in _objects(_read(answer, "remove the container")):
                if report.get("Err"):
                    raise OSError(str(report["Err"]))

    def labelled(self, label: str) -> tuple[tuple[str, Mapping[str, str]], ...]:
        """Every container of our making, running or not, that has the label: id and labels."""
        with engine_errors("list containers"):
            filters = json.dumps({"label": [label]})
            answer = self._ask("GET", "/containers/json", params={"all": "true", "filters": filters})
            found = _objects(_read(answer, "list containers"))
            return tuple(
                (str(each["Id"]), _texts(_object(each["Labels"])))
                for each in found
                if is_ours(map(str, _list(each["Names"])))
            )

    def _json(self, method: str, path: str, what: str, body: Json = None) -> Mapping[str, Json]:
        """What comes back, an object; an answer without content is an empty one."""
        with engine_errors(what):
            answer = self._ask(method, path, **({} if body is None else {"json": body}))
            if answer.status_code in _NO_CONTENT:
                return {}
            return _object(_read(answer, what))

    def _ask(self, method: str, path: str, **more: object) -> requests.Response:
        url = f"{self.client.base_url}{API}{path}"
        return self.client.request(method, url, timeout=self.client.timeout, **more)  # type: ignore[arg-type]  # as requests has them


# --- private -------------------------------------------------------------------------------------------


def _read(answer: requests.Response, what: str) -> Json:
    """What an answer says; an OSError with the engine's words where it says that something is wrong."""
    if answer.status_code >= _ERRORS:
        told: Json = None
        with contextlib.suppress(ValueError):
            told = answer.json()
        words = told.get("message") if isinstance(told, dict) else None
        message = f"{what}: {answer.status_code} {words or answer.reason}"
        raise OSError(message)
    found: Json = answer.json()
    return found


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise TypeError(type(value).__name__)
    return value


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise TypeError(type(value).__name__)
    return value


def _objects(value: Json) -> list[dict[str, Json]]:
    return [_object(each) for each in _list(value)]


def _texts(value: Mapping[str, Json]) -> dict[str, str]:
    return {name: str(each) for name, each in value.items()}
