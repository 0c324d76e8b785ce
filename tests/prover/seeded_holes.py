"""Whole specs with state as an author writes them, each sound, and then with one slip: what is true of both.

The slip is a replacement of one piece of the spec's text by another, so that nothing else can be the reason.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Seeded:
    """A spec and its properties; `hole` replaces a piece of the spec, and then `p` is refuted by `calls` calls.

    In the sound spec `p`, and whatever else stands in `properties`, is proved.
    """

    name: str
    spec: str
    properties: str
    hole: tuple[str, str]
    calls: int = 1

    def sound(self) -> str:
        """The sound spec's text."""
        return f"sandbox: 1\nname: seeded\n{self.spec.strip()}\n"

    def slipped(self) -> str:
        """The spec with the slip in it."""
        before, after = self.hole
        if self.sound().count(before) != 1:
            message = f"`{before}` stands not once in `{self.name}`"
            raise ValueError(message)
        return self.sound().replace(before, after)

    def property_file(self) -> str:
        """The property file's text."""
        return f"proves: spec.yaml\nproperties:\n{self.properties.strip(chr(10))}\n"


BUDGETS = (
    Seeded(
        "a cap on each payment is none on their sum",
        """
state:
  sent: {type: decimal, scale: 2, initial: 0}
tools:
  pay:
    args: {amount: {type: decimal, scale: 2, min: 0.01, max: 60}}
    rules:
      - {id: over, deny: state.sent + args.amount > 100.00}
      - {id: rest, allow: args.amount <= 60.00}
    then: {sent: state.sent + args.amount}
""",
        "  - {id: p, always: state.sent <= 100.00}",
        ("state.sent + args.amount > 100.00", "args.amount > 60.00"),
        calls=2,
    ),
    Seeded(
        "the other currency's budget is asked",
        """
state:
  euros: {type: int, initial: 0}
  dollars: {type: int, initial: 0}
tools:
  euro:
    args: {n: {type: int, min: 1, max: 9}}
    rules: [{id: a, allow: state.euros + args.n <= 20}]
    then: {euros: state.euros + args.n}
  dollar:
    args: {n: {type: int, min: 1, max: 9}}
    rules: [{id: a, allow: state.dollars + args.n <= 20}]
    then: {dollars: state.dollars + args.n}
""",
        "  - {id: p, always: state.euros <= 20 && state.dollars <= 20}",
        ("allow: state.dollars + args.n <= 20", "allow: state.euros + args.n <= 20"),
        calls=3,
    ),
    Seeded(
        "what a person is asked for is in the budget too",
        """
state:
  sent: {type: int, initial: 0, window: 24h}
tools:
  pay:
    args: {n: {type: int, min: 1, max: 90}}
    rules:
      - {id: over, deny: state.sent + args.n > 100}
      - {id: large, ask: args.n > 50}
      - {id: small, allow: args.n <= 50}
    then: {sent: state.sent + args.n}
""",
        "  - {id: p, always: state.sent <= 100}",
        ("deny: state.sent + args.n > 100", "deny: args.n <= 50 && state.sent + args.n > 100"),
        calls=2,
    ),
    Seeded(
        "an approval alone lifts the cap",
        """
state:
  sent: {type: int, initial: 0}
tools:
  pay:
    args: {n: {type: int, min: 1, max: 10}}
    rules:
      - {id: over, deny: state.sent + args.n > 15}
      - {id: any, allow: args.n > 0}
    then: {sent: state.sent + args.n}
""",
        "  - {id: p, always: state.sent <= 15}",
        ("id: over, deny:", "id: over, ask:"),
        calls=2,
    ),
    Seeded(
        "a reset re-opens what was to last",
        """
state:
  given: {type: int, initial: 0}
  ever: {type: bool, initial: false}
tools:
  give:
    args: {n: {type: int, min: 1, max: 5}}
    rules: [{id: a, allow: state.given + args.n <= 5}]
    then: {given: state.given + args.n, ever: true}
""",
        "  - {id: p, always: '!state.ever || state.given > 0'}\n  - {id: q, always: state.given >= 0}",
        ("given: {type: int, initial: 0}", "given: {type: int, initial: 0, reset: 24h}"),
        calls=1,
    ),
    Seeded(
        "a second tool forgets to count",
        """
state:
  calls: {type: int, initial: 0}
  total: {type: int, initial: 0}
tools:
  look:
    rules: [{id: a, allow: state.calls < 3}]
    then: {calls: state.calls + 1, total: state.total + 1}
  peek:
    rules: [{id: a, allow: state.calls < 3}]
    then: {total: state.total + 1, calls: state.calls + 1}
""",
        "  - {id: p, always: state.total <= 3}\n  - {id: q, always: state.total <= state.calls && state.calls <= 3}",
        ("then: {total: state.total + 1, calls: state.calls + 1}", "then: {total: state.total + 1}"),
        calls=4,
    ),
    Seeded(
        "goods are handed out once",
        """
state:
  paid: {type: bool, initial: false}
  payments: {type: int, initial: 0}
  shipped: {type: int, initial: 0}
tools:
  pay:
    rules: [{id: a, allow: '!state.paid'}]
    then: {paid: true, payments: state.payments + 1}
  ship:
    rules: [{id: a, allow: state.paid}]
    then: {paid: false, shipped: state.shipped + 1}
""",
        """
  - {id: p, always: state.shipped <= state.payments}
  - {id: q, always: 'state.paid ? state.shipped < state.payments : state.shipped <= state.payments'}
""",
        ("then: {paid: false, shipped: state.shipped + 1}", "then: {shipped: state.shipped + 1}"),
        calls=3,
    ),
    Seeded(
        "amounts below zero give back",
        """
state:
  sent: {type: decimal, scale: 2, initial: 0}
  largest: {type: decimal, scale: 2, initial: 0}
tools:
  pay:
    args: {n: {type: decimal, scale: 2, min: 0, max: 100}}
    rules: [{id: a, allow: state.sent + args.n <= 100.00}]
    then:
      sent: state.sent + args.n
      largest: "args.n > state.largest ? args.n : state.largest"
""",
        "  - {id: p, always: state.largest <= state.sent}\n  - {id: q, always: state.sent >= 0}",
        ("min: 0, max: 100", "min: -100, max: 100"),
        calls=1,
    ),
    Seeded(
        "an overwrite in place of a sum",
        """
state:
  sent: {type: int, initial: 0}
  count: {type: int, initial: 0}
tools:
  pay:
    args: {n: {type: int, min: 2, max: 9}}
    rules: [{id: a, allow: state.sent + args.n <= 9}]
    then: {sent: state.sent + args.n, count: state.count + 1}
""",
        "  - {id: p, always: state.count <= 4}\n  - {id: q, always: state.count * 2 <= state.sent && state.sent <= 9}",
        ("then: {sent: state.sent + args.n,", "then: {sent: args.n,"),
        calls=5,
    ),
)

PHASES = (
    Seeded(
        "no way back from closed",
        """
state:
  phase: {type: enum, values: [open, closed], initial: open}
  late: {type: bool, initial: false}
tools:
  close:
    rules: [{id: a, ask: state.phase == 'open'}]
    then: {phase: "'closed'"}
  write:
    rules: [{id: a, allow: state.phase == 'open'}]
    then: {late: state.phase == 'closed'}
  reopen:
    rules: [{id: a, allow: state.phase == 'closed' && state.phase == 'open'}]
    then: {phase: "'open'"}
""",
        "  - {id: p, never: tool == 'reopen' || (tool == 'write' && state.phase == 'closed')}",
        ("state.phase == 'closed' && state.phase == 'open'", "state.phase == 'closed'"),
        calls=2,
    ),
    Seeded(
        "an hour between two calls",
        """
state:
  last: {type: timestamp, initial: 2026-01-01T00:00:00Z}
tools:
  reboot:
    rules: [{id: a, allow: "now >= state.last + duration('1h')"}]
    then: {last: now}
""",
        "  - {id: p, never: \"now < state.last + duration('1h')\"}",
        ("now >= state.last + duration('1h')", "now + duration('1h') >= state.last"),
    ),
    Seeded(
        "the first login is remembered",
        """
state:
  known: {type: bool, initial: false}
  acts: {type: int, initial: 0}
tools:
  login:
    rules: [{id: a, ask: '!state.known'}]
    then: {known: 'true'}
  logout:
    rules: [{id: a, allow: state.known}]
    then: {known: 'false', acts: '0'}
  act:
    rules: [{id: a, allow: state.known && state.acts < 2}]
    then: {acts: state.acts + 1}
""",
        "  - {id: p, always: state.known || state.acts == 0}",
        ("then: {known: 'false', acts: '0'}", "then: {known: 'false'}"),
        calls=3,
    ),
    Seeded(
        "once tainted, for ever",
        """
state:
  tainted: {type: bool, initial: false}
tools:
  browse:
    args: {own: {type: bool}}
    rules: [{id: a, allow: 'true'}]
    then: {tainted: state.tainted || !args.own}
  send:
    rules: [{id: a, allow: '!state.tainted'}]
""",
        "  - {id: p, never: tool == 'send' && state.tainted}",
        ("allow: '!state.tainted'", "allow: '!state.tainted || true'"),
        calls=2,
    ),
)

CALLS = (
    Seeded(
        "two tools with one effect",
        """
tools:
  transfer:
    effects: [pays]
    args: {amount: {type: int, min: 1, max: 999}}
    rules: [{id: a, allow: args.amount <= 50}]
  refund:
    effects: [pays]
    args: {amount: {type: int, min: 1, max: 999}}
    rules: [{id: a, allow: args.amount <= 50}, {id: b, ask: args.amount > 50}]
""",
        "  - {id: p, effect: pays, never: decision == 'allow' && args.amount > 50}",
        ("{id: b, ask: args.amount > 50}", "{id: b, allow: args.amount < 500}"),
    ),
    Seeded(
        "a dot that is any character",
        r"""
tools:
  open:
    args: {host: {type: string, max_size: 64}}
    rules:
      - id: a
        allow: >-
          args.host.matches(r'^api\.bank\.example$')
""",
        "  - {id: p, never: args.host != 'api.bank.example'}",
        (r"^api\.bank\.example$", r"^api\.bank.example$"),
    ),
    Seeded(
        "an escape that is none in a raw string",
        r"""
tools:
  become:
    args: {who: {type: string, max_size: 20}}
    rules: [{id: root, deny: "args.who == '\u0072oot'"}, {id: a, allow: 'true'}]
""",
        "  - {id: p, never: args.who == 'root'}",
        (r"args.who == '\u0072oot'", r"args.who == r'\\u0072oot'"),
    ),
    Seeded(
        "a quotient is rounded",
        """
tools:
  pay:
    args: {n: {type: int, min: 0, max: 999}}
    rules: [{id: a, allow: args.n <= 50}]
""",
        "  - {id: p, never: args.n > 50}",
        ("allow: args.n <= 50", "allow: args.n / 10 <= 5"),
    ),
    Seeded(
        "a remainder has the sign of the dividend",
        """
tools:
  pick:
    args: {n: {type: int, min: -9, max: 9}}
    rules: [{id: a, deny: args.n % 2 != 0}, {id: b, allow: 'true'}]
""",
        '  - {id: p, never: "args.n in [-9, -7, -5, -3, -1, 1, 3, 5, 7, 9]"}',
        ("args.n % 2 != 0", "args.n % 2 == 1"),
    ),
    Seeded(
        "fees of small amounts are rounded away",
        """
state:
  moved: {type: int, initial: 0}
  fees: {type: int, initial: 0}
tools:
  move:
    args: {n: {type: int, min: 1, max: 100}}
    rules: [{id: a, allow: 'true'}]
    then: {moved: state.moved + args.n, fees: state.fees + (args.n + 9) / 10}
""",
        "  - {id: p, always: state.fees * 10 >= state.moved}",
        ("(args.n + 9) / 10", "args.n / 10"),
    ),
    Seeded(
        "not both is not neither",
        """
tools:
  read:
    args: {a: {type: bool}, b: {type: bool}}
    rules: [{id: a, allow: "!(args.a || args.b)"}]
""",
        "  - {id: p, never: args.a || args.b}",
        ("!(args.a || args.b)", "!args.a || !args.b"),
    ),
    Seeded(
        "a limit that is absent",
        """
tools:
  export:
    args: {limit: {type: int, min: 1, max: 99999, optional: true}}
    rules: [{id: a, deny: "!(has(args.limit) && args.limit <= 100)"}, {id: b, allow: 'true'}]
""",
        "  - {id: p, never: '!(has(args.limit) && args.limit <= 100)'}",
        ("!(has(args.limit) && args.limit <= 100)", "has(args.limit) && args.limit > 100"),
    ),
    Seeded(
        "a default that is large",
        """
tools:
  export:
    args: {limit: {type: int, min: 1, max: 99999, default: 10}, all: {type: bool, default: false}}
    rules: [{id: a, allow: args.limit <= 100 && !args.all}]
""",
        "  - {id: p, never: args.all || args.limit > 100}",
        ("args.limit <= 100 && !args.all", "args.limit <= 100 || !args.all"),
    ),
    Seeded(
        "a name in another case",
        """
define: {secret: "/srv/secret"}
tools:
  read:
    args: {path: {type: path}}
    rules:
      - {id: no, deny: "args.path.lowerAscii().startsWith(secret)"}
      - {id: a, allow: "args.path.startsWith('/')"}
""",
        "  - {id: p, never: \"args.path.lowerAscii().startsWith('/srv/secret/')\"}",
        ("args.path.lowerAscii().startsWith(secret)", "args.path.startsWith(secret)"),
    ),
    Seeded(
        "a list whose first is looked at",
        """
tools:
  mail:
    args: {to: {type: list, items: {type: enum, values: [ann, bob, eve]}, min_size: 1, max_size: 3}}
    rules: [{id: a, allow: "args.to.all(x, x != 'eve')"}]
""",
        "  - {id: p, never: \"'eve' in args.to\"}",
        ("args.to.all(x, x != 'eve')", "args.to[0] != 'eve'"),
    ),
    Seeded(
        "cents beside whole numbers",
        """
tools:
  pay:
    args: {n: {type: decimal, scale: 3, min: 0, max: 1000}, tip: {type: decimal, scale: 2, min: 0, max: 1000}}
    rules: [{id: a, allow: args.n + args.tip <= 10.00}]
""",
        "  - {id: p, never: args.n + args.tip > 10}",
        ("args.n + args.tip <= 10.00", "args.n + args.tip < 10.01"),
    ),
)

SEEDED = (*BUDGETS, *PHASES, *CALLS)

SETS_AND_MAPS = (
    Seeded(
        "only who was introduced is written to",
        """
state:
  known: {type: set, items: {type: string, max_size: 40}, initial: []}
tools:
  introduce:
    args: {who: {type: string, max_size: 40}}
    rules: [{id: a, ask: 'true'}]
    then: {known: state.known.add(args.who)}
  write:
    args: {to: {type: string, max_size: 40}, cc: {type: string, max_size: 40}}
    rules: [{id: a, allow: args.to in state.known && args.cc in state.known}]
""",
        "  - {id: p, never: \"tool == 'write' && !(args.to in state.known && args.cc in state.known)\"}",
        ("args.to in state.known && args.cc in state.known}", "args.to in state.known || args.cc in state.known}"),
        calls=2,
    ),
    Seeded(
        "every address of a list is known",
        """
state:
  known: {type: set, items: {type: string, max_size: 40}, initial: [office]}
tools:
  introduce:
    args: {who: {type: string, max_size: 40}}
    rules: [{id: a, ask: "args.who != 'eve'"}]
    then: {known: state.known.add(args.who)}
  mail:
    args: {to: {type: list, items: {type: string, max_size: 40}, min_size: 1, max_size: 5}}
    rules: [{id: a, allow: "args.to.all(x, x in state.known)"}]
""",
        """
  - {id: q, always: "!('eve' in state.known)"}
  - {id: p, never: "tool == 'mail' && 'eve' in args.to"}
""",
        ("args.to.all(x, x in state.known)", "args.to.exists(x, x in state.known)"),
    ),
    Seeded(
        "what was shut out stays out",
        """
state:
  barred: {type: set, items: {type: string, max_size: 40}, initial: [eve]}
tools:
  bar:
    args: {who: {type: string, max_size: 40}}
    rules: [{id: a, allow: 'true'}]
    then: {barred: state.barred.add(args.who)}
  pardon:
    args: {who: {type: string, max_size: 40}}
    rules: [{id: no, deny: "args.who == 'eve'"}, {id: a, ask: 'true'}]
    then: {barred: state.barred.remove(args.who)}
  enter:
    args: {who: {type: string, max_size: 40}}
    rules: [{id: a, allow: "!(args.who in state.barred)"}]
""",
        """
  - {id: q, always: "'eve' in state.barred"}
  - {id: p, never: "tool == 'enter' && args.who == 'eve'"}
""",
        ("deny: \"args.who == 'eve'\"", "deny: \"args.who == 'Eve'\""),
        calls=2,
    ),
    Seeded(
        "a ticket is used once",
        """
state:
  issued: {type: set, items: {type: string, max_size: 40}, initial: []}
  used: {type: set, items: {type: string, max_size: 40}, initial: []}
tools:
  issue:
    args: {ticket: {type: string, max_size: 40}}
    rules: [{id: a, ask: "!(args.ticket in state.used)"}]
    then: {issued: state.issued.add(args.ticket)}
  redeem:
    args: {ticket: {type: string, max_size: 40}}
    rules: [{id: a, allow: args.ticket in state.issued && !(args.ticket in state.used)}]
    then: {used: state.used.add(args.ticket), issued: state.issued.remove(args.ticket)}
""",
        """
  - {id: p, always: "!('t' in state.issued && 't' in state.used)"}
""",
        (", issued: state.issued.remove(args.ticket)}", "}"),
        calls=2,
    ),
    Seeded(
        "a cap for each customer",
        """
state:
  given: {type: map, key: {type: string, max_size: 40}, value: int, initial: 0}
tools:
  refund:
    args: {customer: {type: string, max_size: 40}, amount: {type: int, min: 1, max: 60}}
    rules: [{id: a, allow: "state.given[args.customer] + args.amount <= 100"}]
    then: {"given[args.customer]": "state.given[args.customer] + args.amount"}
""",
        """
  - {id: p, always: "state.given.all(k, state.given[k] <= 100)"}
  - {id: q, never: "state.given[args.customer] > 100"}
""",
        ("state.given[args.customer] + args.amount <= 100", "state.given[args.customer] <= 100"),
        calls=2,
    ),
    Seeded(
        "the wrong customer's budget is asked",
        """
state:
  given: {type: map, key: {type: string, max_size: 40}, value: int, initial: 0}
tools:
  refund:
    args:
      customer: {type: string, max_size: 40}
      by: {type: string, max_size: 40}
      amount: {type: int, min: 1, max: 60}
    rules: [{id: a, allow: "state.given[args.customer] + args.amount <= 100"}]
    then: {"given[args.customer]": "state.given[args.customer] + args.amount"}
""",
        '  - {id: p, always: "state.given.all(k, state.given[k] <= 100)"}',
        ('allow: "state.given[args.customer]', 'allow: "state.given[args.by]'),
        calls=2,
    ),
    Seeded(
        "two entries of one call are two customers",
        """
state:
  held: {type: map, key: {type: string, max_size: 40}, value: int, initial: 10}
tools:
  transfer:
    args: {from: {type: string, max_size: 40}, to: {type: string, max_size: 40}, n: {type: int, min: 1, max: 10}}
    rules: [{id: a, allow: "state.held[args.from] >= args.n && state.held[args.to] + args.n <= 50"}]
    then:
      "held[args.from]": state.held[args.from] - args.n
      "held[args.to]": state.held[args.to] + args.n
""",
        '  - {id: p, always: "state.held.all(k, state.held[k] >= 0 && state.held[k] <= 50)"}',
        ("state.held[args.from] >= args.n", "state.held[args.to] >= args.n"),
        calls=2,
    ),
    Seeded(
        "what the map says of a constant key",
        """
state:
  level: {type: map, key: {type: enum, values: [red, green, blue]}, value: int, initial: 1}
tools:
  raise:
    args: {of: {type: enum, values: [red, green, blue]}}
    rules: [{id: no, deny: "args.of == 'red'"}, {id: a, allow: "state.level[args.of] < 9"}]
    then: {"level[args.of]": "state.level[args.of] + 1"}
""",
        """
  - {id: p, always: "state.level['red'] == 1"}
  - {id: q, always: "state.level.all(k, k == 'green' || k == 'blue')"}
""",
        ("deny: \"args.of == 'red'\"", "deny: \"args.of == 'red' && state.level['green'] > 2\""),
    ),
    Seeded(
        "a window for each key",
        """
state:
  sent: {type: map, key: {type: string, max_size: 40}, value: int, initial: 0, window: 24h}
  ever: {type: int, initial: 0}
tools:
  send:
    args: {to: {type: string, max_size: 40}, n: {type: int, min: 0, max: 9}}
    rules: [{id: a, allow: "state.sent[args.to] + args.n <= 20 && state.ever + args.n <= 50"}]
    then: {"sent[args.to]": "state.sent[args.to] + args.n", ever: state.ever + args.n}
""",
        """
  - {id: p, always: "state.ever <= 50"}
  - {id: q, always: "state.sent.all(k, state.sent[k] > 0 && state.sent[k] <= 20)"}
""",
        (" && state.ever + args.n <= 50", ""),
        calls=6,
    ),
    Seeded(
        "a reset empties the map",
        """
state:
  tries: {type: map, key: {type: string, max_size: 40}, value: int, initial: 0}
  locked: {type: set, items: {type: string, max_size: 40}, initial: []}
tools:
  fail:
    args: {user: {type: string, max_size: 40}}
    rules: [{id: a, allow: "state.tries[args.user] < 3"}]
    then:
      "tries[args.user]": state.tries[args.user] + 1
      locked: "state.tries[args.user] >= 2 ? state.locked.add(args.user) : state.locked"
""",
        "  - {id: p, always: \"!('ann' in state.locked) || state.tries['ann'] == 3\"}",
        ("value: int, initial: 0}", "value: int, initial: 0, reset: 1h}"),
        calls=3,
    ),
    Seeded(
        "all of nothing holds",
        """
state:
  votes: {type: map, key: {type: string, max_size: 40}, value: int, initial: 0}
  open: {type: bool, initial: false}
tools:
  vote:
    args: {by: {type: string, max_size: 40}, n: {type: int, min: 1, max: 3}}
    rules: [{id: a, allow: '!state.open'}]
    then: {"votes[args.by]": args.n, open: "state.votes['chair'] == 3"}
""",
        """
  - {id: p, always: "!state.open || !state.votes.all(k, k != 'chair')"}
""",
        ("open: \"state.votes['chair'] == 3\"", "open: \"state.votes['chair'] != 3\""),
    ),
    Seeded(
        "an entry that falls back to the beginning is not kept",
        """
state:
  stock: {type: map, key: {type: string, max_size: 40}, value: int, initial: 0}
tools:
  bring:
    args: {what: {type: string, max_size: 40}, n: {type: int, min: 1, max: 9}}
    rules: [{id: a, allow: "state.stock[args.what] + args.n <= 9"}]
    then: {"stock[args.what]": "state.stock[args.what] + args.n"}
  take:
    args: {what: {type: string, max_size: 40}, n: {type: int, min: 0, max: 9}}
    rules: [{id: a, allow: "state.stock[args.what] >= args.n"}]
    then: {"stock[args.what]": "state.stock[args.what] - args.n"}
""",
        '  - {id: p, always: "state.stock.all(k, state.stock[k] > 0)"}',
        ("state.stock[args.what] >= args.n", "state.stock[args.what] + 1 >= args.n"),
    ),
    Seeded(
        "a success enables, a permit does not",
        """
state:
  tested: {type: set, items: {type: string, max_size: 40}, initial: []}
tools:
  test:
    args: {build: {type: string, max_size: 40}}
    rules: [{id: a, allow: "args.build != 'broken'"}]
    on_success: {tested: state.tested.add(args.build)}
  ship:
    args: {build: {type: string, max_size: 40}}
    rules: [{id: a, allow: args.build in state.tested}]
""",
        """
  - {id: q, always: "!('broken' in state.tested)"}
  - {id: p, never: "tool == 'ship' && args.build == 'broken'"}
""",
        ("allow: \"args.build != 'broken'\"", "allow: \"args.build != 'Broken'\""),
        calls=2,
    ),
)

WHO = "session: {principal: {type: string, max_size: 40}, id: {type: string, max_size: 40}}"

SCOPES = (
    Seeded(
        "a budget for each principal",
        f"""
{WHO}
state:
  sent: {{type: int, initial: 0, scope: principal}}
tools:
  pay:
    args: {{n: {{type: int, min: 1, max: 60}}}}
    rules: [{{id: a, allow: state.sent + args.n <= 100}}]
    then: {{sent: state.sent + args.n}}
""",
        "  - {id: p, always: state.sent <= 100}\n  - {id: q, never: state.sent > 100}",
        ("state.sent + args.n <= 100", "state.sent <= 100"),
        calls=2,
    ),
    Seeded(
        "each has a share of what belongs to all",
        f"""
{WHO}
state:
  own: {{type: int, initial: 0, scope: principal}}
  total: {{type: int, initial: 0}}
tools:
  take:
    args: {{n: {{type: int, min: 1, max: 5}}}}
    rules: [{{id: a, allow: state.total + args.n <= 9}}]
    then: {{own: state.own + args.n, total: state.total + args.n}}
""",
        "  - {id: p, always: state.own <= state.total}\n  - {id: q, always: state.total <= 9}",
        ("own: state.own + args.n, total: state.total + args.n", "own: state.own + args.n, total: args.n"),
        calls=2,
    ),
    Seeded(
        "what one does is not what another did",
        f"""
{WHO}
state:
  tainted: {{type: bool, initial: false}}
  read: {{type: bool, initial: false, scope: session}}
tools:
  browse:
    rules: [{{id: a, allow: 'true'}}]
    then: {{tainted: 'true', read: 'true'}}
  send:
    rules: [{{id: a, allow: '!state.tainted'}}]
""",
        "  - {id: p, never: tool == 'send' && state.tainted}\n  - {id: q, always: '!state.read || state.tainted'}",
        ("allow: '!state.tainted'", "allow: '!state.read'"),
        calls=2,
    ),
    Seeded(
        "nobody else's count is renewed",
        f"""
{WHO}
state:
  mine: {{type: int, initial: 0, scope: principal}}
  rounds: {{type: int, initial: 0}}
tools:
  play:
    rules: [{{id: a, allow: state.mine <= state.rounds}}]
    then: {{mine: state.mine + 1}}
  next:
    rules: [{{id: a, ask: 'true'}}]
    then: {{rounds: state.rounds + 1, mine: '0'}}
""",
        "  - {id: p, always: state.mine <= state.rounds + 1}",
        ("rounds: state.rounds + 1,", "rounds: 'state.rounds == 1 ? 0 : state.rounds + 1',"),
        calls=4,
    ),
    Seeded(
        "a principal and a session of another",
        f"""
{WHO}
state:
  level: {{type: int, initial: 0, scope: principal}}
  used: {{type: int, initial: 0, scope: session}}
tools:
  raise:
    rules: [{{id: a, ask: state.level < 5}}]
    then: {{level: state.level + 1}}
  use:
    rules: [{{id: a, allow: state.used < 3}}]
    then: {{used: state.used + 1}}
""",
        "  - {id: p, always: state.used <= 3 && state.level <= 5}",
        ("allow: state.used < 3", "allow: state.used < 3 + state.level"),
        calls=5,
    ),
    Seeded(
        "keys of each principal's own",
        f"""
{WHO}
state:
  given: {{type: map, key: {{type: string, max_size: 40}}, value: int, initial: 0, scope: principal, window: 24h}}
  known: {{type: set, items: {{type: string, max_size: 40}}, initial: [], scope: principal}}
tools:
  meet:
    args: {{who: {{type: string, max_size: 40}}}}
    rules: [{{id: a, ask: args.who != session.principal}}]
    then: {{known: state.known.add(args.who)}}
  give:
    args: {{to: {{type: string, max_size: 40}}, n: {{type: int, min: 1, max: 9}}}}
    rules: [{{id: a, allow: "args.to in state.known && state.given[args.to] + args.n <= 20"}}]
    then: {{"given[args.to]": "state.given[args.to] + args.n"}}
""",
        """
  - {id: p, always: "state.given.all(k, state.given[k] <= 20)"}
  - {id: q, never: "tool == 'give' && !(args.to in state.known)"}
""",
        ("args.to in state.known && state.given[args.to] + args.n <= 20", "args.to in state.known"),
        calls=4,
    ),
    Seeded(
        "an own limit is not the limit of all",
        f"""
{WHO}
state:
  mine: {{type: int, initial: 0, scope: principal, reset: 24h}}
  all: {{type: int, initial: 0, reset: 24h}}
tools:
  print:
    args: {{pages: {{type: int, min: 1, max: 10}}}}
    rules: [{{id: a, allow: state.mine + args.pages <= 10 && state.all + args.pages <= 15}}]
    then: {{mine: state.mine + args.pages, all: state.all + args.pages}}
""",
        "  - {id: p, always: state.all <= 15}\n  - {id: q, always: state.mine <= 10 && state.mine <= state.all}",
        (" && state.all + args.pages <= 15", ""),
        calls=2,
    ),
    Seeded(
        "what belongs to all is renewed, what is mine is not",
        f"""
{WHO}
state:
  mine: {{type: int, initial: 0, scope: principal, reset: 24h}}
  all: {{type: int, initial: 0, reset: 24h}}
tools:
  print:
    rules: [{{id: a, allow: state.mine < 10}}]
    then: {{mine: state.mine + 1, all: state.all + 1}}
""",
        "  - {id: p, always: state.mine <= state.all}",
        (
            "mine: {type: int, initial: 0, scope: principal, reset: 24h}",
            "mine: {type: int, initial: 0, scope: principal}",
        ),
        calls=1,
    ),
)

SEEDED = (*SEEDED, *SETS_AND_MAPS, *SCOPES)
