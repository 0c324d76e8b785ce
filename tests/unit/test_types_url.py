"""Unit: URLs. What is accepted, its canonical text and its parts; what is refused, and with which code."""

from __future__ import annotations

import pytest
from typed_calls import canonical, code, misjudged, value_of

from sandbox.ir import UrlType
from sandbox.urls import MAX_URL, is_private

WEB = UrlType(("http", "https"))
ALL = UrlType(("http", "https", "ws", "wss", "ftp"))

ACCEPTED = [
    ("http://example.org", "http://example.org/"),
    ("HTTPS://EXAMPLE.ORG/A?B", "https://example.org/A?B"),
    ("https://example.org:443/", "https://example.org/"),
    ("https://example.org:80/", "https://example.org:80/"),
    ("http://example.org:00080", "http://example.org/"),
    ("http://example.org:", "http://example.org/"),
    ("http://example.org:65535/", "http://example.org:65535/"),
    ("http://example.org?", "http://example.org/"),
    ("http://example.org/?", "http://example.org/"),
    ("http://example.org?x", "http://example.org/?x"),
    ("http://example.org/a/../b/./c", "http://example.org/b/c"),
    ("http://example.org/../..", "http://example.org/"),
    ("http://example.org/a/%2e%2E/b", "http://example.org/b"),
    ("http://example.org//a//", "http://example.org//a//"),
    ("http://example.org/é?é", "http://example.org/%C3%A9?%C3%A9"),
    ("http://example.org/%zz%", "http://example.org/%zz%"),
    ("http://example.org/a%2Fb", "http://example.org/a%2Fb"),
    ("http://example.org/%2525", "http://example.org/%2525"),
    ("http://example.org/...", "http://example.org/..."),
    ("http://example.org/@x:y", "http://example.org/@x:y"),
    ("http://example.org/?a=b@c/../d?e", "http://example.org/?a=b@c/../d?e"),
    ("http://example.org/\"<>'", "http://example.org/%22%3C%3E'"),
    ("http://%65xample.org", "http://example.org/"),
    ("http://faß.de", "http://xn--fa-hia.de/"),
    ("http://xn--fa-hia.de", "http://xn--fa-hia.de/"),
    ("http://\uff25xample\u3002org", "http://example.org/"),
    ("http://exam\u00adple.org", "http://example.org/"),
    ("http://\u0440\u0430\u0443\u0440\u0430l.com", "http://xn--l-7sba6dbr.com/"),
    ("http://a_b.example.org", "http://a_b.example.org/"),
    ("http://127.1", "http://127.0.0.1/"),
    ("http://0x7f.1/", "http://127.0.0.1/"),
    ("http://0177.0.0.1/", "http://127.0.0.1/"),
    ("http://2130706433/", "http://127.0.0.1/"),
    ("http://1.2.3.4./", "http://1.2.3.4/"),
    ("http://①②⑦.0.0.1/", "http://127.0.0.1/"),
    ("http://[0:0::1]:80", "http://[::1]/"),
    ("http://[2001:DB8::0001]/", "http://[2001:db8::1]/"),
    ("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
]


@pytest.mark.parametrize(("raw", "expected"), ACCEPTED)
def test_a_url_has_one_canonical_text(raw: str, expected: str) -> None:
    assert canonical(WEB, raw) == expected
    assert canonical(WEB, expected) == expected


REFUSED = [
    *("", " ", "http", "http:", "http:/", "http://", "http:///", "http:///example.org", "http:example.org"),
    *("//example.org", "/a", "a", "example.org", "example.org:80", "http://?", "http://:80/", "http:////a"),
    *("http:/example.org", "http:\\\\example.org", "http://example.org\\a", "http:\\/a", "http://a\\@b/"),
    *("http://user@example.org", "http://user:pass@example.org", "http://@example.org", "http://:@example.org/"),
    *("http://example.org:80@evil.org", "http://a%40b@evil.org", "http://example.org%40evil.org/"),
    *("http://example.org/#", "http://example.org/#a", "http://example.org#@evil.org", "http://example.org?#"),
    *(" http://example.org", "http://example.org ", "http://exa mple.org", "http://example.org/a b"),
    *("ht\ttp://example.org", "http://exa\tmple.org", "http://example.org/\n", "http://example.org/\r", "\x1fhttp://a"),
    *("http://example.org/\u00a0", "http://example.org/\u2028", "http://exa\u200bmple.org", "http://a/\u202egnp"),
    *("http://example.org/\x7f", "http://example.org/\x85", "http://\ufeffexample.org", "http://example.org/\u3000"),
    *("ftp://example.org", "file:///etc/passwd", "javascript://example.org/%0aalert(1)", "data:,x", "blob:http://a/"),
    *("gopher://example.org", "http+unix://a", "view-source:http://a", "1http://a", "h\u0442tp://a", "\uff48ttp://a"),
    *("http://example.org.", "http://.example.org", "http://a..b", "http://.", "http://..", "http://example.org\u3002"),
    *(
        "http://a$b",
        "http://a;b/",
        "http://a,b/",
        "http://a'b/",
        "http://a*b",
        "http://a(b)",
        "http://a`b",
        "http://a{b}",
    ),
    *(
        "http://a|b",
        "http://a^b",
        "http://a<b>",
        "http://a%b",
        "http://a%00b",
        "http://a%2fb",
        "http://a%20b",
        "http://a=b",
    ),
    *(
        "http://a:0",
        "http://a:65536",
        "http://a:-1",
        "http://a:+1",
        "http://a:8 0",
        "http://a:1:2",
        "http://a:x",
        "http://a:\uff18",
    ),
    *(
        "http://256.1",
        "http://1.2.3.4.5",
        "http://a.0x1",
        "http://a.1",
        "http://09.1",
        "http://1.2.3.256",
    ),
    *("http://[::1", "http://::1", "http://[::1]a", "http://[::g]", "http://[1.2.3.4]", "http://[fe80::1%25eth0]/"),
    *("http://[fe80::1%eth0]/", "http://[]", "http://[:::1]", "http://[::1]:99999", "http://[v1.x]", "http://[::1]@a"),
    *("http://a/..%2fb", "http://a/%2e%2e%2fb", "http://a/b%2f..%2fc", "http://a/..%5cb", "http://a/%252e%252e/b"),
    *("http://a/..;/b", "http://a/..;x=1/b", "http://a/.%252e/b", "http://a/%25%32%65%25%32%65/b", "http://a/.%2f"),
    *(
        "http://a/%C0%AE%C0%AE/b",
        "http://a/b%C0%AFc",
        "http://a/%E0%80%AE%E0%80%AE/",
        "http://a/%25C0%25AE",
        "http://a/%FF",
    ),
    *("http://a/%EF%BC%8E%EF%BC%8E/b", "http://a/..%EF%BC%8Fb", "http://a/%E2%80%A5/b", "http://a/\uff0e\uff0e/b"),
    *("http://a/%2525252525", "http://a/.;/b", f"http://{'a' * 64}.org", f"http://{'a.' * 127}aa", "http://xn--/\\"),
    *(f"http://a/{'b' * MAX_URL}", f"http://a/{'é' * (MAX_URL // 6)}", f"http://a/?{'é' * (MAX_URL // 6)}"),
]


HOSTILE = [
    *((raw, "parse.url") for raw in REFUSED),
    *((raw, "parse.type") for raw in (1, True, ["http://a"], {"scheme": "http"}, {})),
    *((raw, "parse.unicode") for raw in ("http://a/\0", "http://a\0.org", "http://a/\U00030000")),
    *((None, "parse.null"), ("http://a/\ud800", "parse.unicode")),
]


def test_what_two_readers_could_take_differently_is_refused() -> None:
    assert misjudged(WEB, HOSTILE) == []


def test_the_longest_url_is_accepted() -> None:
    longest = "http://a.b/" + "c" * (MAX_URL - len("http://a.b/"))
    assert canonical(WEB, longest) == longest
    assert canonical(WEB, f"http://{'a' * 63}.{'b' * 63}.{'c' * 63}.{'d' * 61}")


def test_rules_see_every_part() -> None:
    assert value_of(WEB, "HTTP://Example.ORG/a/b?c=d") == {
        "scheme": "http",
        "host": "example.org",
        "port": 80,
        "path": "/a/b",
        "query": "c=d",
        "is_ip": False,
        "is_private": False,
    }
    assert value_of(WEB, "https://[::1]:8443") == {
        "scheme": "https",
        "host": "::1",
        "port": 8443,
        "path": "/",
        "query": "",
        "is_ip": True,
        "is_private": True,
    }


def test_parts_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        value_of(WEB, "http://a.b")["host"] = "evil.org"


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443), ("ws", 80), ("wss", 443), ("ftp", 21)])
def test_every_scheme_has_its_default_port(scheme: str, port: int) -> None:
    assert value_of(ALL, f"{scheme}://a.b")["port"] == port
    assert canonical(ALL, f"{scheme}://a.b:{port}/") == f"{scheme}://a.b/"
    assert canonical(ALL, f"{scheme}://a.b:{port + 1}/") == f"{scheme}://a.b:{port + 1}/"
    assert code(UrlType(("gopher",)), f"{scheme}://a.b") == "parse.url"


PRIVATE = [
    *("0.0.0.1", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.0.1"),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1", "192.31.196.1"),
    *("192.52.193.1", "192.88.99.1", "192.168.0.1", "192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::7f00:1", "::808:808", "::ffff:7f00:1", "::ffff:808:808", "::ffff:0:808:808", "64:ff9b::808:808"),
    *("64:ff9b:1::1", "100::1", "2001::1", "2001:0:808:808::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1ff::1"),
    *("2001:db8::1", "2002:7f00:1::1", "2002:808:808::1", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254"),
    *("fe80::1", "febf::1", "fec0::1", "feff::1", "ff02::1", "ff0e::1", "8000::1"),
    *("localhost", "a.localhost", "printer.local", "metadata.google.internal", "router.home.arpa", "intranet", "a"),
]
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.0.0.1", "128.0.0.1"),
    *(
        "169.253.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "192.167.0.1",
        "192.169.0.1",
        "198.20.0.1",
        "223.255.255.1",
    ),
    *("2001:4860:4860::8888", "2606:4700::1111", "2a00:1450::1", "2003::1", "2001:200::1", "3ffe::1", "2001:db7::1"),
    *("example.org", "localhost.example.org", "local.org", "internal.org", "notlocal.x-local", "xn--fa-hia.de"),
]


@pytest.mark.parametrize("host", PRIVATE)
def test_what_is_not_plainly_public_is_private(host: str) -> None:
    assert is_private(host)
    seen = value_of(WEB, f"http://[{host}]/" if ":" in host else f"http://{host}/")
    assert (seen["host"], seen["is_private"]) == (host, True)
    assert seen["is_ip"] is (":" in host or host[0].isdigit())


@pytest.mark.parametrize("host", PUBLIC)
def test_what_is_public_is_not_private(host: str) -> None:
    seen = value_of(WEB, f"http://[{host}]/" if ":" in host else f"http://{host}/")
    assert (seen["host"], seen["is_private"]) == (host, False)
