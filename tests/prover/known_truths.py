"""Specs with a property each whose truth is known: a sound one, and beside it the same with a realistic hole."""

from __future__ import annotations

from dataclasses import dataclass, replace

from prover_specs import (
    DAY,
    WORD,
    Add,
    All,
    And,
    Bound,
    Const,
    Contains,
    Contract,
    DecimalSort,
    DecimalType,
    EndsWith,
    EnumSort,
    EnumType,
    Eq,
    Exists,
    ExistsOne,
    Expr,
    Has,
    IntType,
    Ite,
    Le,
    ListType,
    Lower,
    Lt,
    Matches,
    Member,
    Mod,
    Not,
    Or,
    PathType,
    Period,
    Property,
    Rule,
    Size,
    StartsWith,
    StringType,
    TextType,
    allow,
    always,
    arg,
    argument,
    ask,
    boolean,
    contract,
    deny,
    never,
    number,
    possible,
    state,
    then,
    tool,
    variable,
    word,
)

from sandbox.ir import Argument, Assignment, Fact, StringSort, TimestampSort, Variable


@dataclass(frozen=True)
class Truth:
    """A spec, a property, its verdict, the calls of a shortest sequence that shows it, what else is an invariant."""

    name: str
    spec: Contract
    subject: Property
    verdict: str
    calls: int | None = None
    note: str = ""
    assumed: tuple[Expr, ...] = ()


def pay(guard: Expr | None, *, low: int = 1, period: Period | None = None, writes: bool = True) -> Contract:
    """Amounts of up to 60 are added to `sent`, unless the guard (given `sent` and `amount`) denies."""
    amount, sent = argument("amount", IntType(low, 60)), variable("sent", 0, period=period)
    rules = (*(() if guard is None else (deny(guard),)), allow(boolean(value=True)))
    writing = (then(sent, Add(state(sent), arg(amount))),) if writes else ()
    return contract((tool("pay", (amount,), rules, *writing),), sent)


AMOUNT = arg(argument("amount", IntType(1, 60)))
SENT = state(variable("sent"))
CAPPED = always(Le(SENT, number(100)))
WINDOW = Period("window", DAY)
RESET = Period("reset", DAY)


def budgets() -> list[Truth]:
    before, after = Lt(number(100), SENT), Lt(number(100), Add(SENT, AMOUNT))
    return [
        Truth("budget checked with the amount", pay(after), CAPPED, "proved"),
        Truth("budget checked before adding", pay(before), CAPPED, "refuted", 2),
        Truth("a cap on the call and none on the sum", pay(Lt(number(50), AMOUNT)), CAPPED, "refuted", 3),
        Truth("no cap at all", pay(None), CAPPED, "refuted", 2),
        Truth("window checked with the amount", pay(after, period=WINDOW), CAPPED, "proved"),
        Truth("window checked before adding", pay(before, period=WINDOW), CAPPED, "refuted", 2),
        Truth("off by one", pay(Lt(number(101), Add(SENT, AMOUNT)), period=WINDOW), CAPPED, "refuted", 2),
        Truth("reset checked with the amount", pay(after, period=RESET), CAPPED, "proved"),
        Truth("amounts of at least one", pay(after), always(Le(number(0), SENT)), "proved"),
        Truth("amounts below zero", pay(after, low=-60), always(Le(number(0), SENT)), "refuted", 1),
        Truth("windows are sums of what was added", pay(after, period=WINDOW), always(Le(number(0), SENT)), "proved"),
        Truth("nothing writes the state", pay(after, writes=False), always(Eq(SENT, number(0))), "proved"),
    ]


def total(period: Period | None, *, capped: bool) -> Contract:
    """`today` may be renewed; `total` never is."""
    amount, today, sum_ = argument("amount", IntType(1, 60)), variable("today", 0, period=period), variable("total")
    over = [Lt(number(100), Add(state(today), arg(amount)))]
    over += [Lt(number(100), Add(state(sum_), arg(amount)))] if capped else []
    writes = (then(today, Add(state(today), arg(amount))), then(sum_, Add(state(sum_), arg(amount))))
    return contract(
        (tool("pay", (amount,), (deny(Or(tuple(over))), allow(boolean(value=True))), *writes),), today, sum_
    )


def renewals() -> list[Truth]:
    whole = always(Le(state(variable("total")), number(100)))
    pair = always(Le(state(variable("total")), state(variable("today"))))
    started, count = variable("started", initial=False), variable("count", 0, period=RESET)
    lasting = variable("count")
    idle = never("use", state(started), Eq(state(count), number(0)))

    counted = Or((Not(state(started)), Eq(state(count), number(1))))

    def begin(counter: object) -> Contract:
        first = tool(
            "begin", (), (allow(boolean(value=True)),), then(started, boolean(value=True)), then(counter, number(1))
        )
        return contract((first, tool("use", (), (allow(state(started)),))), started, counter)

    return [
        Truth("the total has its own cap", total(RESET, capped=True), whole, "proved"),
        Truth("a reset budget re-opens", total(RESET, capped=False), whole, "refuted", 2),
        Truth("a window re-opens", total(WINDOW, capped=False), whole, "refuted", 2),
        Truth("a budget without a period bounds the total", total(None, capped=False), pair, "proved"),
        Truth("a budget with a window does not", total(WINDOW, capped=False), pair, "refuted", 1),
        Truth("nothing renews the count", begin(lasting), idle, "proved", assumed=(counted,)),
        Truth("the count is renewed at midnight", begin(count), idle, "refuted", 2),
    ]


def paths() -> list[Truth]:
    path = argument("path", PathType(None))
    at = arg(path)
    inside = Or((Eq(at, word("/data")), StartsWith(at, word("/data/"))))
    escape = never("read", Not(inside), decision="allow")
    git = never("read", Contains(at, word("/.git/")), decision="allow")
    hidden = never("read", Or((Contains(at, word("/.git/")), EndsWith(at, word("/.git")))), decision="allow")

    def reads(*rules: Rule) -> Contract:
        return contract((tool("read", (path,), rules),))

    data = allow(StartsWith(at, word("/data/")))
    lower = Contains(Lower(at), word("/.git/"))
    any_case = never("read", lower, decision="allow")
    return [
        Truth("prefix with its slash", reads(data), escape, "proved"),
        Truth("prefix without its slash", reads(allow(StartsWith(at, word("/data")))), escape, "refuted", 1),
        Truth("deny beats allow", reads(data, deny(Contains(at, word("/.git/")))), git, "proved"),
        Truth(
            "a folder's own name is forgotten", reads(data, deny(Contains(at, word("/.git/")))), hidden, "refuted", 1
        ),
        Truth("lower-cased first", reads(data, deny(lower)), any_case, "proved"),
        Truth("one case only", reads(data, deny(Contains(at, word("/.git/")))), any_case, "refuted", 1),
        Truth(
            "no canonical path has dots",
            reads(data),
            never("read", Contains(at, word("/../"))),
            "proved",
            note="by_type",
        ),
    ]


def strings() -> list[Truth]:
    name = argument("name", WORD)
    other = never("call", Not(Eq(arg(name), word("ok"))), decision="allow")
    shaped = argument("name", StringType("[a-z]{1,8}", 0, 64))

    def calls(declared: object, when: Expr) -> Contract:
        return contract((tool("call", (declared,), (allow(when),)),))

    return [
        Truth("anchored match", calls(name, Matches(arg(name), "^ok$")), other, "proved"),
        Truth("partial match", calls(name, Matches(arg(name), "ok")), other, "refuted", 1),
        Truth("anchored at one end", calls(name, Matches(arg(name), "^ok")), other, "refuted", 1),
        Truth(
            "a pattern is a full match",
            calls(shaped, boolean(value=True)),
            never("call", Contains(arg(shaped), word(";"))),
            "proved",
            note="by_type",
        ),
        Truth(
            "no pattern", calls(name, boolean(value=True)), never("call", Contains(arg(name), word(";"))), "refuted", 1
        ),
    ]


def lists() -> list[Truth]:
    names = argument("names", ListType(WORD, 0, 3, unique=False))
    each = Bound("x", StringSort())
    known = Or((Eq(each, word("ann")), Eq(each, word("bob"))))
    stranger = never("mail", Exists(each, arg(names), Not(known)), decision="allow")
    nobody = never("mail", Eq(Size(arg(names)), number(0)), decision="allow")
    boss = never("mail", Not(Member(word("ann"), arg(names))), decision="allow")

    def mails(when: Expr) -> Contract:
        return contract((tool("mail", (names,), (allow(when),)),))

    everyone, anyone, one = (
        All(each, arg(names), known),
        Exists(each, arg(names), known),
        ExistsOne(each, arg(names), known),
    )
    some = Lt(number(0), Size(arg(names)))
    return [
        Truth("all of them are known", mails(everyone), stranger, "proved"),
        Truth("some of them is known", mails(anyone), stranger, "refuted", 1),
        Truth("exactly one of them is known", mails(one), stranger, "refuted", 1),
        Truth("all of an empty list", mails(everyone), nobody, "refuted", 1),
        Truth("all of a list that is not empty", mails(And((everyone, some))), nobody, "proved"),
        Truth("membership", mails(Member(word("ann"), arg(names))), boss, "proved"),
        Truth("known is not ann", mails(And((everyone, some))), boss, "refuted", 1),
        Truth(
            "longer than the type allows",
            mails(everyone),
            never("mail", Lt(number(3), Size(arg(names)))),
            "proved",
            note="by_type",
        ),
    ]


def optionals() -> list[Truth]:
    limit = argument("limit", IntType(0, 1_000), optional=True)
    small = Le(arg(limit), number(10))
    absent = never("list", Not(Has("limit")), decision="allow")
    large = never("list", Not(And((Has("limit"), small))), decision="allow")

    def lists_(when: Expr) -> Contract:
        return contract((tool("list", (limit,), (allow(when),)),))

    return [
        Truth("present and small", lists_(And((Has("limit"), small))), large, "proved"),
        Truth("absent or small", lists_(Or((Not(Has("limit")), small))), large, "refuted", 1),
        Truth("absent is not excluded", lists_(Or((Not(Has("limit")), small))), absent, "refuted", 1),
    ]


def humans() -> list[Truth]:
    amount = argument("amount", IntType(1, 1_000))
    large, small = Lt(number(100), arg(amount)), Le(arg(amount), number(100))

    def pays(*rules: Rule) -> Contract:
        return contract((tool("pay", (amount,), rules),))

    asked = pays(ask(large), allow(small))
    return [
        Truth("denied", pays(deny(large), allow(boolean(value=True))), never("pay", large), "proved"),
        Truth("asked is not denied", asked, never("pay", large), "refuted", 1),
        Truth("asked is not allowed", asked, never("pay", large, decision="allow"), "proved"),
        Truth(
            "the wrong half is asked",
            pays(ask(small), allow(large)),
            never("pay", large, decision="allow"),
            "refuted",
            1,
        ),
        Truth(
            "ask beats allow",
            pays(allow(boolean(value=True)), ask(large)),
            never("pay", large, decision="allow"),
            "proved",
        ),
        Truth("a denial eases it", asked, never("pay", small, decision="deny"), "proved", note="rules_only"),
        Truth("nothing matching is denied", pays(), never("pay"), "proved"),
    ]


PHASES = EnumSort(("draft", "reviewed", "published"))


def sequences() -> list[Truth]:
    tainted, phase = variable("tainted", initial=False), variable("phase", "draft", PHASES)
    approvals, deploys, ready = variable("approvals"), variable("deploys"), variable("ready", initial=False)
    yes, no = boolean(value=True), boolean(value=False)
    read = tool("read", (), (allow(yes),), then(tainted, yes))
    leak = never("send", state(tainted))

    def sends(when: Expr) -> Contract:
        return contract((read, tool("send", (), (allow(when),))), tainted)

    def is_in(name: str) -> Expr:
        return Eq(state(phase), Const(name, PHASES))

    def publishes(when: Expr, reviewed: str = "reviewed") -> Contract:
        review = tool("review", (), (ask(is_in("draft")),), then(phase, Const(reviewed, PHASES)))
        publish = tool("publish", (), (allow(when),), then(phase, Const("published", PHASES)))
        return contract((review, publish), phase)

    def deploys_(*, consuming: bool) -> Contract:
        approve = tool(
            "approve",
            (),
            (ask(Not(state(ready))),),
            then(ready, yes),
            then(approvals, Add(state(approvals), number(1))),
        )
        used = (then(ready, no),) if consuming else ()
        deploy = tool("deploy", (), (allow(state(ready)),), then(deploys, Add(state(deploys), number(1))), *used)
        return contract((approve, deploy), ready, approvals, deploys)

    unreviewed = never("publish", Not(is_in("reviewed")))
    single = always(Le(Add(state(deploys), Ite(state(ready), number(1), number(0))), state(approvals)))
    return [
        Truth("no sending once tainted", sends(Not(state(tainted))), leak, "proved"),
        Truth("sending once tainted", sends(yes), leak, "refuted", 2),
        Truth("published once reviewed", publishes(is_in("reviewed")), unreviewed, "proved"),
        Truth("published twice", publishes(Not(is_in("draft"))), unreviewed, "refuted", 3),
        Truth(
            "reviewing publishes",
            publishes(is_in("reviewed"), "published"),
            always(Not(is_in("published"))),
            "refuted",
            1,
        ),
        Truth("an approval is used once", deploys_(consuming=True), single, "proved"),
        Truth("an approval is never used up", deploys_(consuming=False), single, "refuted", 2),
        Truth(
            "an enum is one of its values",
            publishes(yes),
            always(Or(tuple(is_in(name) for name in PHASES.values))),
            "proved",
        ),
    ]


def at_once() -> list[Truth]:
    """`then` reads the old state: two variables swap."""
    left, right = variable("left", 0), variable("right", 1)
    swap = tool("swap", (), (allow(boolean(value=True)),), then(left, state(right)), then(right, state(left)))
    spec = contract((swap,), left, right)
    count, done = variable("count"), variable("done", initial=False)
    step = tool("step", (), (allow(boolean(value=True)),), then(count, Add(state(count), number(1))))
    finish = tool("finish", (), (ask(boolean(value=True)),), then(done, boolean(value=True)))
    idle = contract((tool("look", (), (allow(boolean(value=True)),)),), count)
    return [
        Truth(
            "false from the start and kept by every step",
            contract((step,), count),
            always(Le(number(1), state(count))),
            "refuted",
            0,
        ),
        Truth("what is asked can run", contract((finish,), done), always(Not(state(done))), "refuted", 1),
        Truth("what nothing writes stays", idle, never("look", Lt(number(0), state(count))), "proved"),
        Truth("a swap keeps the sum", spec, always(Eq(Add(state(left), state(right)), number(1))), "proved"),
        Truth("a swap changes the left", spec, always(Eq(state(left), number(0))), "refuted", 1),
        Truth("false from the start", spec, always(Eq(state(left), number(1))), "refuted", 0),
    ]


def vacuities() -> list[Truth]:
    amount = argument("amount", IntType(0, 10))
    spec = contract((tool("pay", (amount,), (allow(boolean(value=True)),)),))
    small, large = Lt(arg(amount), number(3)), Lt(number(5), arg(amount))
    return [
        Truth("a condition that contradicts itself", spec, never("pay", small, large), "vacuous"),
        Truth("over no tool", spec, never("", small), "vacuous"),
        Truth("beyond the bounds", spec, never("pay", Lt(number(10), arg(amount))), "proved", note="by_type"),
        Truth("within the bounds", spec, never("pay", Lt(number(9), arg(amount))), "refuted", 1),
        Truth("nothing of the kind can happen", spec, possible("pay", Lt(number(10), arg(amount))), "refuted"),
        Truth("nothing happens over no tool", spec, possible("", small), "refuted"),
        Truth(
            "what is denied can be emitted",
            contract((tool("pay", (amount,), ()),)),
            possible("pay", small, decision=None),
            "proved",
            1,
        ),
    ]


def sessions_and_times() -> list[Truth]:
    roles = EnumSort(("guest", "admin"))
    role = Eq(Fact("session.role", roles), Const("admin", roles))
    amount = argument("amount", IntType(0, 10))
    declared = (Argument("role", EnumType(roles.values)), Argument("team", StringType("[a-z]{3,9}", 0, 64)))
    stranger = never("pay", Not(role), decision="allow")
    after = Lt(Const(1_800_000_000_000, TimestampSort()), Fact("now", TimestampSort()))
    before = never("pay", Not(after), decision="allow")
    locked = variable("locked", initial=False)
    lock = tool("lock", (), (allow(role),), then(locked, boolean(value=True)))

    def pays(*rules: Rule) -> Contract:
        return replace(contract((tool("pay", (amount,), rules),)), session=declared)

    locking = replace(contract((lock, tool("pay", (), (allow(boolean(value=True)),))), locked), session=declared)
    return [
        Truth("only for admins", pays(allow(role)), stranger, "proved"),
        Truth("the role is not asked for", pays(allow(boolean(value=True))), stranger, "refuted", 1),
        Truth("each call has its own session", locking, never("pay", state(locked), Not(role)), "refuted", 2),
        Truth("an embargo", pays(allow(after)), before, "proved"),
        Truth("a forgotten embargo", pays(allow(boolean(value=True))), before, "refuted", 1),
        Truth("after the embargo", pays(allow(after)), possible("pay"), "proved", 1),
    ]


def reachable() -> list[Truth]:
    count = variable("count")
    yes = boolean(value=True)
    step = tool("step", (), (allow(Lt(state(count), number(3))),), then(count, Add(state(count), number(1))))
    spec = contract(
        (
            step,
            tool("goal", (), (allow(Eq(state(count), number(3))),)),
            tool("trap", (), (allow(Lt(number(3), state(count))),)),
        ),
        count,
    )
    armed, used = variable("armed", initial=False), variable("used", 0, period=WINDOW)
    arm = tool("arm", (), (allow(yes),), then(armed, yes), then(used, Add(state(used), number(5))))
    decays = always(Or((Not(state(armed)), Lt(number(0), state(used)))))
    invariant = Le(state(count), number(3))
    return [
        Truth("the goal after three steps", spec, possible("goal"), "proved", 4),
        Truth("a call at once", spec, possible("step"), "proved", 1),
        Truth("a window runs out with time", contract((arm,), armed, used), decays, "refuted", 1),
        Truth("a step's invariant", spec, always(invariant), "proved"),
    ]


def decimals_and_texts() -> list[Truth]:
    price, note = argument("price", DecimalType(2, None, None)), argument("note", TextType(1_000))
    cents = DecimalSort(2)
    even = argument("n", IntType(-100, 100))
    tens = Eq(Mod(arg(even), 10), number(0))
    ends = Or(tuple(Eq(arg(even), number(n)) for n in range(-100, 101, 10)))

    def buys(when: Expr) -> Contract:
        return contract((tool("buy", (price, note), (allow(when),)),))

    cheap = Le(arg(price), Const(1_000, cents))
    return [
        Truth("exact decimals", buys(cheap), never("buy", Lt(Const(1_000, cents), arg(price))), "proved"),
        Truth(
            "one cent more",
            buys(Le(arg(price), Const(1_001, cents))),
            never("buy", Lt(Const(1_000, cents), arg(price))),
            "refuted",
            1,
        ),
        Truth("no lower bound", buys(cheap), never("buy", Lt(arg(price), Const(0, cents))), "refuted", 1),
        Truth(
            "short notes",
            buys(And((cheap, Le(Size(arg(note)), number(5))))),
            never("buy", Lt(number(5), Size(arg(note)))),
            "proved",
        ),
        Truth("any note", buys(cheap), never("buy", Lt(number(5), Size(arg(note)))), "refuted", 1),
        Truth(
            "remainders have the sign of the dividend",
            contract((tool("n", (even,), (allow(tens),)),)),
            never("n", Not(ends)),
            "proved",
        ),
    ]


def enums_and_bools() -> list[Truth]:
    kind, force = argument("kind", EnumType(("read", "write"))), argument("force", EnumType(("no", "yes")))
    kinds, forces = EnumSort(("read", "write")), EnumSort(("no", "yes"))
    writes, forced = Eq(arg(kind), Const("write", kinds)), Eq(arg(force), Const("yes", forces))

    def runs(*rules: Rule) -> Contract:
        return contract((tool("run", (kind, force), rules),))

    danger = never("run", writes, forced, decision="allow")
    return [
        Truth(
            "both must hold to be denied",
            runs(deny(And((writes, forced))), allow(boolean(value=True))),
            danger,
            "proved",
        ),
        Truth("one arm of a condition is forgotten", runs(allow(Or((Not(writes), forced)))), danger, "refuted", 1),
    ]


def succeeding(spec: Contract, name: str, *writes: Assignment) -> Contract:
    """The spec in which the success of a tool writes something."""
    return replace(
        spec, tools=tuple(replace(each, on_success=writes) if each.name == name else each for each in spec.tools)
    )


def raised(declared: Variable, to: Expr) -> Assignment:
    return then(declared, Ite(Lt(to, state(declared)), state(declared), to))


def successes() -> list[Truth]:
    yes = boolean(value=True)
    done, begun = variable("done", initial=False), variable("begun", initial=False)
    review, merge = tool("review", (), (allow(yes),)), tool("merge", (), (allow(state(done)),))
    reviewing = succeeding(contract((review, merge), done), "review", then(done, yes))
    first = tool("first", (), (allow(Not(state(begun))),))
    second = tool("second", (), (allow(Not(state(done))),), then(begun, yes))
    racing = succeeding(contract((first, second), done, begun), "first", then(done, yes))
    build, tested = argument("build", IntType(0, 1_000)), variable("tested")
    test = tool("test", (build,), (allow(Le(arg(build), number(9))), ask(Le(arg(build), number(10)))))
    testing = succeeding(contract((test,), tested), "test", raised(tested, arg(build)))
    latest, only = variable("latest", 0, TimestampSort()), Fact("now", TimestampSort())
    noting = tool("note", (), (allow(Le(only, Const(1_800_000_000_000, TimestampSort()))),))
    clock = succeeding(contract((noting,), latest), "note", raised(latest, only))
    count = variable("count", 0, period=RESET)
    daily = succeeding(contract((test,), count), "test", raised(count, arg(build)))
    blocked = succeeding(contract((tool("test", (), (deny(yes),)),), done), "test", then(done, yes))
    return [
        Truth("merged after a review", reviewing, possible("merge"), "proved", 2),
        Truth("merged only when reviewed", reviewing, never("merge", Not(state(done))), "proved"),
        Truth("what a success writes is not idle", reviewing, always(Not(state(done))), "refuted", 1),
        Truth("what is denied never succeeds", blocked, always(Not(state(done))), "proved"),
        Truth("a call succeeds late", racing, always(Not(And((state(done), state(begun))))), "refuted", 2),
        Truth("a success is of a call that was permitted", testing, always(Le(state(tested), number(10))), "proved"),
        Truth("asked calls succeed too", testing, always(Le(state(tested), number(9))), "refuted", 1),
        Truth(
            "by its time, not that of the permit",
            clock,
            always(Le(state(latest), Const(1_800_000_000_000, TimestampSort()))),
            "refuted",
            1,
        ),
        Truth("a success after midnight", daily, always(Le(state(count), number(10))), "proved"),
    ]


def every_truth() -> list[Truth]:
    """All of them."""
    groups = (
        budgets,
        renewals,
        paths,
        strings,
        lists,
        optionals,
        humans,
        sequences,
        at_once,
        vacuities,
        sessions_and_times,
        reachable,
        decimals_and_texts,
        enums_and_bools,
        successes,
    )
    return [truth for group in groups for truth in group()]
