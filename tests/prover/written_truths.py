"""Specs as an author writes them, each sound and then with a realistic hole, and what is true of them."""

from __future__ import annotations

from dataclasses import dataclass

URL = "url: {type: url, schemes: [https, http]}"
MAIL = "to: {type: email}"
ARGV = "cmd: {type: argv, max_size: 8}"
SHELL = "cmd: {type: shell}"
ORDER = "order: {type: record, fields: {item: {type: string}, count: {type: int, min: 1, max: 99}, gift: {type: string, optional: true}}}"  # noqa: E501 - one argument, one line
LINES = "lines: {type: list, max_size: 4, min_size: 1, items: {type: record, fields: {sku: {type: string}, price: {type: decimal, scale: 2, min: 0, max: 1000}}}}"  # noqa: E501 - one argument, one line
AT = "at: {type: timestamp}"
WAIT = "wait: {type: duration}"
ROLE = "session: {role: {type: enum, values: [clerk, admin]}}"


@dataclass(frozen=True)
class Pair:
    """One property, and two rules of the one tool of a spec: the first keeps it, the second has a hole."""

    name: str
    args: str
    never: str
    sound: str
    hole: str
    more: str = ""

    def spec(self, rule: str) -> str:
        """The spec's text."""
        more = f"{self.more}\n" if self.more else ""
        tool = (
            f"  go:\n    args:\n      {self.args}\n    rules:\n      - id: only\n        allow: >-\n          {rule}\n"
        )
        return f"sandbox: 1\nname: written\n{more}tools:\n{tool}"

    def properties(self) -> str:
        """The property file's text."""
        return f"proves: spec.yaml\nproperties:\n  - id: p\n    never: >-\n      {self.never}\n"


OUTSIDE = "!(args.url.host == 'bank.example' || args.url.host.endsWith('.bank.example'))"
PROGRAMS = "['git', 'ls']"

PAIRS = (
    Pair(
        "a host below a domain",
        URL,
        OUTSIDE,
        "args.url.host == 'bank.example' || args.url.host.endsWith('.bank.example')",
        "args.url.host.endsWith('bank.example')",
    ),
    Pair(
        "a host that merely contains a name",
        URL,
        OUTSIDE,
        "args.url.host.endsWith('.bank.example') && args.url.host.startsWith('api.')",
        "args.url.host.startsWith('bank.example')",
    ),
    Pair(
        "a host by a pattern without anchors",
        URL,
        "args.url.host != 'api.bank.example'",
        r"args.url.host.matches(r'^api\.bank\.example$')",
        r"args.url.host.matches(r'api.bank.example')",
    ),
    Pair(
        "a scheme",
        URL,
        "args.url.scheme == 'http'",
        "args.url.scheme == 'https' && args.url.host == 'a.example'",
        "args.url.scheme.startsWith('http') && args.url.host == 'a.example'",
    ),
    Pair(
        "a port",
        URL,
        "args.url.port != 443",
        "args.url.scheme == 'https' && args.url.port == 443",
        "args.url.scheme == 'https'",
    ),
    Pair(
        "a path below a folder",
        URL,
        "!args.url.path.startsWith('/v1/')",
        "args.url.host == 'a.example' && args.url.path.startsWith('/v1/')",
        "args.url.host == 'a.example' && args.url.path.startsWith('/v1')",
    ),
    Pair(
        "an address of the inner network",
        URL,
        "args.url.is_private",
        "!args.url.is_private && args.url.scheme == 'https'",
        "!args.url.host.startsWith('10.') && !args.url.host.startsWith('192.168.') && args.url.is_ip",
    ),
    Pair(
        "a name is no inner address",
        URL,
        "args.url.is_private",
        "args.url.host == 'a.example'",
        "args.url.host.endsWith('.internal')",
    ),
    Pair(
        "an address in place of a name",
        URL,
        "args.url.is_ip",
        "args.url.host.endsWith('.example')",
        "args.url.host.contains('.')",
    ),
    Pair(
        "a mail domain",
        MAIL,
        "args.to.domain != 'bank.example'",
        "args.to.domain == 'bank.example'",
        "args.to.domain.endsWith('bank.example')",
    ),
    Pair(
        "a mail's two parts",
        MAIL,
        "args.to.domain != 'bank.example' || args.to.local != 'office'",
        "args.to.domain == 'bank.example' && args.to.local == 'office'",
        "args.to.domain == 'bank.example' && args.to.local.lowerAscii() == 'office'",
    ),
    Pair(
        "the program of an argv",
        ARGV,
        "args.cmd[0] != 'git'",
        "args.cmd[0] == 'git'",
        "'git' in args.cmd",
    ),
    Pair(
        "an option among the words",
        ARGV,
        "args.cmd.exists(w, w.startsWith('--upload-pack'))",
        "args.cmd[0] == 'git' && args.cmd.all(w, !w.startsWith('-'))",
        "args.cmd[0] == 'git' && args.cmd.all(w, w != '--upload-pack')",
    ),
    Pair(
        "an argv without a second word",
        ARGV,
        "size(args.cmd) < 2",
        "size(args.cmd) > 1 && args.cmd[1] == 'log'",
        "args.cmd[0] == 'git' && args.cmd.all(w, w != 'push')",
    ),
    Pair(
        "every program of a shell line",
        SHELL,
        f"args.cmd.exists(c, !(c[0] in {PROGRAMS}))",
        f"args.cmd.all(c, c[0] in {PROGRAMS})",
        f"args.cmd[0][0] in {PROGRAMS}",
    ),
    Pair(
        "an option in a shell line",
        SHELL,
        "args.cmd.exists(c, c.exists(w, w.startsWith('-')))",
        "size(args.cmd) == 1 && args.cmd.all(c, c[0] == 'ls' && c.all(w, !w.startsWith('-')))",
        "size(args.cmd) == 1 && args.cmd.all(c, c[0] == 'ls' && !('-rf' in c))",
    ),
    Pair(
        "an option of any command of a line",
        SHELL,
        "args.cmd.exists(c, c.exists(w, w.startsWith('--upload-pack')))",
        "args.cmd.all(c, c[0] == 'git' && c.all(w, !w.startsWith('--upload')))",
        "args.cmd.all(c, c[0] == 'git' && !('--upload-pack' in c))",
    ),
    Pair(
        "no second command",
        SHELL,
        "size(args.cmd) > 1 && args.cmd[1][0] == 'rm'",
        "args.cmd.all(c, c[0] == 'ls')",
        "args.cmd.exists(c, c[0] == 'ls')",
    ),
    Pair(
        "a field of a record",
        ORDER,
        "args.order.count > 9",
        "args.order.count <= 9 && args.order.item != 'gold'",
        "args.order.item != 'gold'",
    ),
    Pair(
        "a field that may be absent",
        ORDER,
        "!has(args.order.gift)",
        "has(args.order.gift) && args.order.gift != ''",
        "has(args.order.gift) ? args.order.gift != '' : args.order.count == 1",
    ),
    Pair(
        "every item of a list of records",
        LINES,
        "args.lines.exists(l, l.price > 100.00)",
        "args.lines.all(l, l.price <= 100.00)",
        "args.lines[0].price <= 100.00",
    ),
    Pair(
        "two fields of one item",
        LINES,
        "args.lines.exists(l, l.sku == 'gold' && l.price < 50)",
        "args.lines.all(l, l.sku != 'gold' || l.price >= 50)",
        "args.lines.exists(l, l.sku != 'gold' || l.price >= 50)",
    ),
    Pair(
        "office hours",
        "why: {type: text}",
        "now.getHours() < 8 || now.getHours() > 17",
        "now.getHours() >= 8 && now.getHours() < 18",
        "now.getHours() >= 8 && now.getHours() <= 18",
    ),
    Pair(
        "no weekend",
        "why: {type: text}",
        "now.getDayOfWeek() in [0, 6]",
        "now.getDayOfWeek() >= 1 && now.getDayOfWeek() <= 5",
        "now.getDayOfWeek() < 6",
    ),
    Pair(
        "at most a day ahead",
        AT,
        "args.at > now + duration('24h')",
        "args.at < now + duration('24h')",
        "args.at.getDayOfWeek() == now.getDayOfWeek()",
    ),
    Pair(
        "nothing in the past",
        AT,
        "args.at < now",
        "args.at - now >= duration('0s')",
        "args.at > now - duration('1s') && args.at < now + duration('1h')",
    ),
    Pair(
        "a duration that is not negative",
        WAIT,
        "args.wait < duration('0s')",
        "args.wait >= duration('1m') && args.wait < duration('1h')",
        "args.wait < duration('1h')",
    ),
    Pair(
        "a fact of the session",
        "n: {type: int}",
        "session.role != 'admin'",
        "session.role == 'admin'",
        "session.role == 'admin' || args.n < 10",
        ROLE,
    ),
    Pair(
        "an argument with a default",
        "n: {type: int, min: 0, max: 99, default: 5}",
        "args.n > 9",
        "args.n <= 9",
        "args.n != 10",
    ),
)
