"""What stands under `network`: hosts that a call may reach, each with its port and with what may be asked there."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator

from sandbox.call import Rejected
from sandbox.framing import FRAMING
from sandbox.lang.source import shown
from sandbox.lang.suggest import near_miss
from sandbox.spec import fields
from sandbox.spec.fields import Wrong
from sandbox.urls import parse_url

_MAX_PORT: Final = 65_535
"""TCP has 16 bits for it."""

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""No CONNECT, which would carry what nobody can check, and no TRACE, which sends a credential back."""

_TO: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+):([0-9]+)", re.ASCII)
_HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_PREFIX: Final = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,63}")
_PROMPT: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,126}[\x21-\x7e])?")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_CARRIERS: Final = tuple(IPv6Network(network) for network in ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "2002::/16"))
"""Blocks of IPv6 whose addresses stand for IPv4 ones, to some."""


def bare_grant(value: object) -> object:
    """`host:port` is short for `{to: host:port}`."""
    return value if isinstance(value, dict) else {"to": value}


def host_and_port(value: object) -> tuple[str, int]:
    """`host:port`, in the one spelling that the URL parser gives; the host a name, an IPv4, or an IPv6 in brackets."""
    text = fields.prose(value)
    found = _TO.fullmatch(text)
    if found is None:
        raise _no_place(text)
    if not 1 <= int(found[2][:6]) <= _MAX_PORT:
        raise Wrong(0, f"a port lies between 1 and {_MAX_PORT:,}; `{found[2][:6]}` does not")
    parts = parse_url(f"https://{text}/", ("https",))
    if isinstance(parts, Rejected):
        raise _no_place(text)
    host, written = str(parts["host"]), found[1].removeprefix("[").removesuffix("]")
    if host != written or str(parts["port"]) != found[2]:
        shape = f"[{host}]" if ":" in host else host
        raise Wrong(0, f"{shown(text)} is read as `{shape}:{parts['port']}`; write that")
    if ":" in host and any(IPv6Address(host) in carrier for carrier in _CARRIERS):
        raise Wrong(0, f"{shown(text)} stands for an address of IPv4; write that one")
    return host, int(found[2])


def _no_place(text: str) -> Wrong:
    return Wrong(0, f"{shown(text)} is no `host:port`; write one such as `api.bank.example:443`, in lower case")


def method(value: object) -> str:
    """A method of HTTP, in capitals."""
    text = fields.prose(value)
    if text not in METHODS:
        raise Wrong(0, f"{shown(text)} is no method that can be granted{near_miss(text.upper(), METHODS)}")
    return text


def network_of_addresses(value: object) -> str:
    """A block of addresses, such as `10.0.0.0/8`, in the one spelling that the standard library gives."""
    text = fields.prose(value)
    try:
        block = ip_network(text)
    except ValueError:
        raise Wrong(0, f"{shown(text)} is no block of addresses; write one such as `10.1.0.0/16`") from None
    if str(block) != text:
        raise Wrong(0, f"{shown(text)} is read as `{block}`; write that")
    if block.prefixlen == 0:
        raise Wrong(0, f"{shown(text)} is every address; name the blocks that the host lies in")
    if isinstance(block, IPv6Network) and any(block.overlaps(carrier) for carrier in _CARRIERS):
        raise Wrong(0, f"{shown(text)} stands for addresses of IPv4; write those")
    return text


def header(value: object) -> str:
    """The name of a header, in lower case; none that frames a message."""
    text = fields.prose(value)
    if not _HEADER.fullmatch(text):
        raise Wrong(0, f"{shown(text)} is no name of a header; write letters, digits, `-` and `_`")
    if text.lower() in FRAMING:
        raise Wrong(0, f"{shown(text)} belongs to the connection; a credential has a header of its own")
    return text.lower()


def prefix(value: object) -> str:
    """What stands before a secret in its header, such as `Bearer ` with its space."""
    text = fields.prose(value)
    if not _PREFIX.fullmatch(text):
        raise Wrong(0, f"{shown(text)} is no beginning of a header's value; write up to 64 visible ASCII characters")
    return text


def variable(value: object) -> str:
    """The name of an environment variable of the host."""
    text = fields.prose(value)
    if not _VARIABLE.fullmatch(text):
        raise Wrong(0, f"{shown(text)} is no name of a variable; write letters, digits and `_`")
    return text


def prompt_name(value: object) -> str:
    """What an MCP server calls one of its prompts."""
    text = fields.prose(value)
    if not _PROMPT.fullmatch(text):
        raise Wrong(0, f"{shown(text)} is no name of a prompt; write up to 128 visible ASCII characters")
    return text


def is_address(host: str) -> bool:
    """Whether a canonical host is an address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


HostAndPort = Annotated[tuple[str, int], BeforeValidator(host_and_port)]
GrantedMethod = Annotated[Method, BeforeValidator(method)]
Block = Annotated[str, BeforeValidator(network_of_addresses)]
Header = Annotated[str, BeforeValidator(header)]
Prefix = Annotated[str, BeforeValidator(prefix)]
PromptName = Annotated[str, BeforeValidator(prompt_name)]
EnvironmentVariable = Annotated[str, BeforeValidator(variable)]
