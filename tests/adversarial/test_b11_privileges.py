"""B11: privileges in the container's configuration. A spec cannot write them, and no configuration has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.compile import load_contract
from sandbox.errors import SpecError
from sandbox.execute.config import ContainerConfig, Placement, compile_config, render

SPEC = """
sandbox: 1
name: greedy
tools:
  read:
    args: {{path: {{type: path}}}}
    rules: [{{id: any, allow: "true"}}]
    run: {{tool: "tools.files:read_file", {extra}}}
"""


def written(folder: Path, extra: str) -> Path:
    file = folder / "greedy.yaml"
    file.write_text(SPEC.format(extra=extra))
    return file


def naive_config(run: dict[str, object]) -> dict[str, object]:
    """Safe defaults, over which goes whatever the spec says."""
    return {"privileged": False, "network_mode": "none", "user": "61000", "read_only": True, **run}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("privileged", "true"),
        ("network_mode", "host"),
        ("network", "host"),
        ("network", "[host]"),
        ("user", "root"),
        ("user", "0"),
        ("cap_add", "[SYS_ADMIN]"),
        ("devices", "[/dev/kvm]"),
        ("volumes", "[/var/run/docker.sock:/var/run/docker.sock]"),
        ("mounts", "[/:/host]"),
        ("pid", "host"),
        ("pid_mode", "host"),
        ("ipc", "host"),
        ("userns_mode", "host"),
        ("security_opt", "[seccomp=unconfined]"),
        ("read_only", "false"),
        ("ports", "[80]"),
        ("env", "{AWS_SECRET_ACCESS_KEY: x}"),
        ("entrypoint", "[/bin/sh]"),
        ("restart", "always"),
        ("runtime", "runc"),
        ("sysctls", "{net.ipv4.ip_forward: 1}"),
        ("memory", "0"),
        ("pids", "-1"),
        ("min_isolation", "none"),
    ],
)
def test_a_spec_cannot_ask_for_a_privilege(key: str, value: str, tmp_path: Path) -> None:
    assert naive_config({key: value})[key] == value
    with pytest.raises(SpecError) as caught:
        load_contract(written(tmp_path, f"{key}: {value}"))
    assert caught.value.problems[0].place.line == 8


@pytest.mark.parametrize("source", ["..", ".", "/", "../greedy"])
def test_a_workspace_that_holds_the_spec_is_refused(source: str, tmp_path: Path) -> None:
    folder = tmp_path / "greedy"
    folder.mkdir()
    target = (folder / source).resolve()
    assert (folder / "greedy.yaml").is_relative_to(target)  # a call could rewrite its own rules
    with pytest.raises(SpecError):
        load_contract(written(folder, f"workspace: {{source: {source}, mode: rw}}"))


@pytest.mark.parametrize(
    "extra",
    [
        "timeout: 10s",
        "memory: 1GiB, cpus: 2, pids: 1000, output: 1MiB, files: 4096, file_size: 1GiB, tmpfs: 1GiB, timeout: 1h",
        "workspace: {source: work, mode: ro}",
        "workspace: {source: work, mode: rw}",
    ],
)
def test_every_configuration_is_hardened_whatever_the_spec_grants(extra: str, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    contract = load_contract(written(tmp_path, extra))
    placement = Placement("sha256:" + "0" * 64, tmp_path, tmp_path / "work", ())
    body = render(compile_config(contract, contract.tools[0]), placement)
    host = body["HostConfig"]
    assert isinstance(host, dict)
    assert body["User"] not in {"", "0", "root", "0:0"}
    assert host["Privileged"] is False
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] == []
    assert host["IpcMode"] == "none"
    assert (host["PidMode"], host["UTSMode"], host["UsernsMode"]) == ("", "", "")
    assert host["Memory"] == host["MemorySwap"]
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert "no-new-privileges" in str(host["SecurityOpt"])
    assert "seccomp=" in str(host["SecurityOpt"])
    assert "unconfined" not in str(host["SecurityOpt"])
    assert (host["Devices"], host["Binds"], host["PortBindings"]) == ([], [], {})
    assert "docker.sock" not in str(host)
    mounts = {mount["Target"]: mount.get("ReadOnly", False) for mount in host["Mounts"]}
    assert set(mounts) <= {"/sandbox", "/workspace"}
    assert mounts["/sandbox"] is True
    assert mounts.get("/workspace", True) is ("mode: rw" not in extra)


@pytest.mark.parametrize("identity", [0, 1, 999, 65_536, 2**31])
def test_a_configuration_with_a_system_user_cannot_be_made(identity: int) -> None:
    limits = {"memory": 2**27, "millicpus": 1000, "pids": 64, "files": 64, "file_size": 1, "tmpfs": 2**20, "output": 1}
    assert naive_config({"user": identity})["user"] == identity
    with pytest.raises(ValueError, match="user"):
        ContainerConfig(workspace="none", timeout_ms=1000, user=identity, **limits)
