"""Differential: what proofs assume of URLs and addresses is what `parse` computes, host by host."""

from __future__ import annotations

import pytest
import z3
from ground_values import CTX, term
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.call import Rejected
from sandbox.emails import parse_email
from sandbox.encode import inhabits
from sandbox.ground import is_literally_true
from sandbox.ir import EMAIL_SORT, URL_SORT, ArgType, EmailType, Sort, UrlType
from sandbox.regex import to_z3, z3_string
from sandbox.url_shapes import V4, inner_hosts
from sandbox.urls import INNER_V4, is_private, parse_url

SCHEMES = ("http", "https", "ws")
URL = UrlType(SCHEMES)
HOSTS = (
    *("a.example", "localhost", "x.localhost", "printer.local", "local", "a.internal", "b.home.arpa", "home.arpa"),
    *("xn--bcher-kva.example", "bücher.example", "EXAMPLE.com", "a-b_c.example", "a.localhost.example"),
    *("10.0.0.1", "11.0.0.1", "0x7f.1", "2130706433", "127.0.0.1", "1.1.1.1", "172.15.0.1", "172.16.0.1", "172.31.9.9"),
    *("172.32.0.1", "192.168.0.1", "192.169.0.1", "100.64.0.1", "100.128.0.1", "255.255.255.255", "224.0.0.1", "0"),
    *("[::1]", "[2606:4700::1]", "[::ffff:10.0.0.1]", "[fe80::1]", "[2001:db8::1]", "[64:ff9b::1.2.3.4]"),
)
TAILS = ("", "/", "/a/../b", "/a%2fb", "/A b", "/v1/x?q=1&r=%20", "?a=b", "/;,'\"<>`{}|^", "/ü", "//", "/.well-known/x")
octets = st.sampled_from(
    (0, 1, 2, 9, 10, 16, 31, 32, 64, 88, 99, 100, 127, 128, 168, 175, 192, 198, 203, 224, 240, 255)
)


def inside(value: object, type_: ArgType, sort: Sort) -> bool:
    return all(is_literally_true(fact) for fact in inhabits(term(value, sort), type_, CTX))


@pytest.mark.parametrize("host", HOSTS)
def test_every_host_that_parse_accepts_is_in_the_domain(host: str) -> None:
    for scheme, port in (("http", ""), ("https", ":8443"), ("ws", ":65535")):
        parsed = parse_url(f"{scheme}://{host}{port}", SCHEMES)
        if not isinstance(parsed, Rejected):
            assert inside(parsed, URL, URL_SORT), parsed


@pytest.mark.parametrize("tail", TAILS)
def test_every_path_and_query_that_parse_accepts_is_in_the_domain(tail: str) -> None:
    parsed = parse_url(f"https://a.example{tail}", SCHEMES)
    if not isinstance(parsed, Rejected):
        assert inside(parsed, URL, URL_SORT), parsed


@settings(max_examples=100, deadline=None)
@given(host=st.text("aAz09.-_x:[]%é", min_size=1, max_size=12), tail=st.text("/aA0.%?&=;~\"'|^ü`{}<>", max_size=10))
def test_random_urls_that_parse_accepts_are_in_the_domain(host: str, tail: str) -> None:
    parsed = parse_url(f"https://{host}/{tail}", SCHEMES)
    if not isinstance(parsed, Rejected):
        assert inside(parsed, URL, URL_SORT), parsed


@settings(max_examples=150, deadline=None)
@given(numbers=st.tuples(octets, octets, octets, octets))
def test_an_ipv4_address_is_private_to_both(numbers: tuple[int, int, int, int]) -> None:
    host = ".".join(map(str, numbers))
    text = z3_string(host, CTX)
    assert is_literally_true(z3.InRe(text, to_z3(V4, mode="full", ctx=CTX)))
    assert is_literally_true(z3.InRe(text, inner_hosts(CTX))) == is_private(host)


@pytest.mark.parametrize("network", INNER_V4, ids=str)
def test_the_edges_of_a_private_network_are_private_to_both(network: object) -> None:
    first, last = network.network_address, network.broadcast_address  # type: ignore[attr-defined]  # an IPv4Network
    for address in (first, last, *([first - 1] if int(first) else []), *([last + 1] if int(last) < 2**32 - 1 else [])):
        inner = is_literally_true(z3.InRe(z3_string(str(address), CTX), inner_hosts(CTX)))
        assert inner == is_private(str(address)), address


@pytest.mark.parametrize(
    "wrong",
    [
        {"is_ip": True},
        {"is_private": True},
        {"host": "10.0.0.1"},
        {"host": "10.0.0.1", "is_ip": True},
        {"host": "a.local"},
        {"host": "A.example"},
        {"scheme": "ftp"},
        {"port": 0},
        {"port": 65_536},
        {"path": "a"},
        {"path": "/a?b"},
        {"query": "a b"},
    ],
)
def test_what_is_no_canonical_url_is_outside(wrong: dict[str, object]) -> None:
    parsed = parse_url("https://a.example/", SCHEMES)
    assert not isinstance(parsed, Rejected)
    assert inside(parsed, URL, URL_SORT)
    assert not inside({**parsed, **wrong}, URL, URL_SORT)


@settings(max_examples=100, deadline=None)
@given(local=st.text("aAz0.+-_'!%\"=?é", min_size=1, max_size=6), domain=st.text("aAz0.-é_", min_size=1, max_size=8))
def test_every_address_that_parse_accepts_is_in_the_domain(local: str, domain: str) -> None:
    for ending in ("", ".example", ".com"):
        parsed = parse_email(f"{local}@{domain}{ending}")
        if not isinstance(parsed, Rejected):
            assert inside(parsed, EmailType(), EMAIL_SORT), parsed
