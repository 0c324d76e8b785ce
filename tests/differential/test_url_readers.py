"""Differential: other readers of URLs, on which tools rely, take a canonical URL apart as rules see it."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.util import parse_url as urllib3_split

from sandbox.call import Rejected
from sandbox.urls import DEFAULT_PORTS, parse_url, show_url

SCHEMES = tuple(DEFAULT_PORTS)

texts = st.text(max_size=8) | st.text("/.?#@:%\\ ;&='\"<>[]{}^`|~!$*+,é2eEfF5cab0", max_size=14)
hosts = st.one_of(
    st.from_regex(r"[a-zA-Z0-9_.-]{1,12}", fullmatch=True),
    st.from_regex(r"0x[0-9a-f]{1,8}|0[0-7]{1,11}|[0-9]{1,10}|[0-9]{1,3}(\.[0-9]{1,6}){1,4}", fullmatch=True),
    st.ip_addresses().map(lambda address: f"[{address}]" if ":" in str(address) else str(address)),
    texts,
)
urls = st.builds(
    "{}://{}{}{}{}".format,
    st.sampled_from(SCHEMES),
    hosts,
    st.sampled_from(["", "", ":", ":80", ":443", ":1", ":65535"]),
    st.just("") | texts.map(lambda text: f"/{text}"),
    st.just("") | texts.map(lambda text: f"?{text}"),
)


def agree(text: str) -> bool:
    """Whether parse accepts a URL; if so, `urllib`, `urllib3` and `requests` see the same parts of its text."""
    parts = parse_url(text, SCHEMES)
    if isinstance(parts, Rejected):
        return False
    shown = show_url(parts)
    bracketed = f"[{parts['host']}]" if ":" in str(parts["host"]) else parts["host"]
    one = urlsplit(shown)
    port = one.port or DEFAULT_PORTS[one.scheme]
    assert (one.scheme, one.hostname, port) == (parts["scheme"], parts["host"], parts["port"])
    assert (one.path, one.query, one.fragment, one.username, one.password) == (
        parts["path"],
        parts["query"],
        "",
        None,
        None,
    )
    other = urllib3_split(shown)
    port = other.port or DEFAULT_PORTS[str(other.scheme)]
    assert (other.scheme, other.host, port, other.auth) == (parts["scheme"], bracketed, parts["port"], None)
    if parts["scheme"] in {"http", "https"}:
        sent = urllib3_split(str(requests.Request("GET", shown).prepare().url))
        assert (sent.scheme, sent.host, sent.auth) == (parts["scheme"], bracketed, None)
        assert (sent.port or DEFAULT_PORTS[str(sent.scheme)]) == parts["port"]
    return True


@settings(max_examples=300, deadline=None)
@given(urls)
def test_what_parse_accepts_others_take_apart_alike(text: str) -> None:
    agree(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "http://a",
            "https://A.b:80/c/../d?e=f",
            "http://[::1]:8080/",
            "http://0x7f.1",
            "http://faß.de/é?é",
            "ftp://a/b",
        ),
        *(
            "http://a//b//",
            "http://a/@b:c",
            "http://a/;x?y;z",
            "http://a?x?y",
            "http://a/%zz%",
            "http://a/[b]|^",
            "wss://a:1",
        ),
        *(
            "http://a/'\"<>`{}",
            "http://a/?'\"<>`{}|^[]",
            "http://a/b@c.d",
            "http://a/?b@c.d:80/",
            "http://a_b.c/",
            "http://-a-.b",
        ),
    ],
)
def test_urls_by_hand(text: str) -> None:
    assert agree(text)
