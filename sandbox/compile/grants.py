"""Network grants: what their keys mean together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from sandbox.ir import Credential, NetworkGrant
from sandbox.lang.source import shown
from sandbox.spec.grants import is_address
from sandbox.spec.model import CredentialSpec, HostGrantSpec
from sandbox.urls import is_private

PLAIN_PORT: Final = 80
"""The one port that is reached without TLS where the grant does not say."""

DEFAULT_METHODS: Final = NetworkGrant("", 0).methods

Note = Callable[..., None]


def compile_grants(specs: Sequence[HostGrantSpec], note: Note) -> tuple[NetworkGrant, ...]:
    """The grants, in the order of the file; what is wrong with them is noted at `network, N, key`."""
    grants = []
    for at, spec in enumerate(specs):
        if any(spec.to == earlier.to for earlier in specs[:at]):
            host, port = spec.to
            note(f"`{host}:{port}` stands here already; say all of it in one grant", "network", at, "to")
        grants.append(_grant(spec, note, at))
    return tuple(grants)


def _grant(spec: HostGrantSpec, note: Note, at: int) -> NetworkGrant:
    host, port = spec.to
    _check_reach(spec, note, at)
    if spec.methods is not None and not spec.methods:
        note("an empty list allows no request; name a method or take `methods` out", "network", at, "methods")
    methods = DEFAULT_METHODS if spec.methods is None else tuple(dict.fromkeys(spec.methods))
    tls = port != PLAIN_PORT if spec.tls is None else spec.tls
    return NetworkGrant(
        host=host,
        port=port,
        methods=methods,
        max_request=spec.max_request,
        max_response=spec.max_response,
        tls=tls,
        addresses=tuple(spec.addresses),
        credential=_credential(spec.credential, note, at, tls=tls),
    )


def _check_reach(spec: HostGrantSpec, note: Note, at: int) -> None:
    """Which addresses may be reached is said in one way only."""
    host, _ = spec.to
    if is_address(host):
        if spec.addresses:
            note(f"{shown(host)} is one address already; take `addresses` out", "network", at, "addresses")
    elif is_private(host) and not spec.addresses:
        message = (
            f"{shown(host)} is no name of the public internet; name the blocks that it lies in, "
            f"such as `addresses: [10.1.0.0/16]`"
        )
        note(message, "network", at, "to")


def _credential(spec: CredentialSpec | None, note: Note, at: int, *, tls: bool) -> Credential | None:
    if spec is None:
        return None
    if (spec.env is None) == (spec.file is None):
        note("a credential has exactly one of `env`, `file`", "network", at, "credential")
    if not tls:
        note("a credential is sent over TLS only; take it out, or say `tls: true`", "network", at, "credential")
    if spec.env is not None:
        return Credential(spec.header, spec.prefix, "env", spec.env)
    return Credential(spec.header, spec.prefix, "file", spec.file or "")
