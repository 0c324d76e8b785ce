"""The tool's side of the network broker: `fetch` asks a granted host, inside of a container.

The same file is mounted into the container, so it imports the standard library only. Outside of one there is no broker,
and `fetch` says so. Redirects are handed back, not followed: following one is a request of its own.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SOCKET: Final = "/broker/socket"
TIMEOUT_S: Final = 60.0
"""For each step of a request, where the caller says nothing; the call's own deadline is above it."""

REFUSAL: Final = "sandbox-refusal"


class FetchError(OSError):
    """A request was not sent, or its answer did not come whole. `reason_code` is the broker's, or `fetch.failed`."""

    def __init__(self, message: str, reason_code: str = "fetch.failed") -> None:
        super().__init__(message)
        self.reason_code = reason_code


@dataclass(frozen=True, slots=True)
class Fetched:
    """A server's answer, whatever its status. Names of `headers` are in lower case; of equal ones the last stands."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none is replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> object:
        """The body as JSON; ValueError where it is none."""
        return json.loads(self.body)


def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Fetched:
    """Asks for an absolute URL of a granted host, and returns its answer.

    Raises:
        FetchError: it is not granted, could not be had, or was cut off; also where there is no broker at all.
    """
    connection = _Connection(timeout_s)
    try:
        connection.request(method, url, body.encode() if isinstance(body, str) else body, dict(headers or {}))
        answer = connection.getresponse()
        data = answer.read()
    except FileNotFoundError as error:
        message = "no network is granted here: add the host to `network` of the tool's `run`"
        raise FetchError(message, "fetch.no_broker") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        message = f"the answer to {method} {url} did not come: {error or type(error).__name__}"
        raise FetchError(message) from error
    finally:
        connection.close()
    refusal = answer.getheader(REFUSAL)
    if refusal is not None:
        raise FetchError(data.decode("ascii", "replace").strip(), refusal)
    return Fetched(answer.status, {name.lower(): value for name, value in answer.getheaders()}, data)


class _Connection(http.client.HTTPConnection):
    """To the broker, which takes absolute URLs as a proxy does."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__("broker", timeout=timeout_s)

    def connect(self) -> None:
        """Connects to the one socket that there is."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)
