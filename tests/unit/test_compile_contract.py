"""A spec becomes exactly this contract."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import spec, write

from sandbox.canonical import canonical_path
from sandbox.compile import lint, load_contract
from sandbox.errors import Place, SpecError, UsageError
from sandbox.ir import (
    FALSE,
    TRUE,
    Add,
    And,
    Arg,
    Argument,
    ArgWord,
    Assignment,
    BoolSort,
    BoolType,
    Const,
    Contract,
    Credential,
    DecimalSort,
    DecimalType,
    EnumSort,
    EnumType,
    Eq,
    IntSort,
    IntType,
    Ite,
    ListType,
    Lt,
    NetworkGrant,
    Not,
    Or,
    PathType,
    Period,
    Rule,
    Run,
    RunArgv,
    RunHost,
    RunTool,
    State,
    StringSort,
    StringType,
    TextType,
    Tool,
    Variable,
    Workspace,
    digest,
)

INT = IntSort()

WHOLE = r"""
sandbox: 1
name: whole
owner: us
description: everything at once
define: {cap: 5.50, word: "on", many: [1, 2], yes: true, listed: ["a", "b"]}
state:
  flag: {type: bool, initial: true}
  count: {type: int, initial: -3, reset: 24h}
  money: {type: decimal, scale: 2, initial: 1.5}
  spent: {type: int, initial: 0, window: 7d, scope: spec}
  phase: {type: enum, values: [open, shut], initial: open}
tools:
  do.it-now:
    description: does it
    effects: [pays, tells]
    args:
      b: {type: bool}
      i: {type: int}
      j: {type: int, min: -1, max: 5, optional: true}
      d: {type: decimal, scale: 3, min: -0.5}
      s: {type: string}
      t: {type: string, pattern: 'a+', min_size: 1, max_size: 2KiB}
      x: {type: text}
      e: {type: enum, values: ["yes", no, on]}
      p: {type: path, under: /workspace}
      q: {type: path}
      l: {type: list, items: {type: path}, min_size: 1, max_size: 3, unique: true}
      m: {type: list, items: int}
    rules:
      - {id: one, deny: false, reason: never}
      - {id: two, ask: args.b, approvers: 2, expires: 90s}
      - {id: three, ask: true}
      - id: four
        allow: >-
          args.d < cap
          && args.e == 'no'
    then: {flag: "!state.flag", money: state.money + 1, phase: "args.b ? 'open' : 'shut'"}
    run:
      argv: [/bin/tool, --, "{args.s}", plain]
      image: "tools@sha256:00"
      workspace: {source: elsewhere, mode: rw, size: 1MiB, entries: 7}
      network: ["api.bank.example:443"]
      timeout: 500ms
      memory: 64MiB
      cpus: 0.5
      pids: 5
      output: 1000
      files: 10
      file_size: 1KiB
      tmpfs: 1GiB
      min_isolation: gvisor
  judged:
    rules: []
  hosted:
    rules: []
    run: {host: it holds the session}
  plain:
    rules: []
    run: {tool: somewhere.else:function}
"""


def test_a_whole_spec_becomes_exactly_this_contract(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, WHOLE))
    level = EnumSort(("yes", "no", "on"))
    phase = EnumSort(("open", "shut"))
    assert contract == Contract(
        name="whole",
        owner="us",
        description="everything at once",
        variables=(
            Variable("flag", BoolSort(), initial=True),
            Variable("count", INT, -3, Period("reset", 86_400_000)),
            Variable("money", DecimalSort(2), 150),
            Variable("spent", INT, 0, Period("window", 7 * 86_400_000)),
            Variable("phase", phase, "open"),
        ),
        tools=(
            Tool(
                name="do.it-now",
                description="does it",
                effects=("pays", "tells"),
                arguments=(
                    Argument("b", BoolType()),
                    Argument("i", IntType(-(2**63), 2**63 - 1)),
                    Argument("j", IntType(-1, 5), optional=True),
                    Argument("d", DecimalType(3, -500, None)),
                    Argument("s", StringType(None, 0, 4096)),
                    Argument("t", StringType("a+", 1, 2048)),
                    Argument("x", TextType(65_536)),
                    Argument("e", EnumType(("yes", "no", "on"))),
                    Argument("p", PathType("/workspace")),
                    Argument("q", PathType(None)),
                    Argument("l", ListType(PathType(None), 1, 3, unique=True)),
                    Argument("m", ListType(IntType(-(2**63), 2**63 - 1), 0, 32, unique=False)),
                ),
                rules=(
                    Rule("one", "deny", FALSE, reason="never", text="false"),
                    Rule("two", "ask", Arg("b", BoolSort()), approvers=2, expires_ms=90_000, text="args.b"),
                    Rule("three", "ask", TRUE, approvers=1, expires_ms=900_000, text="true"),
                    Rule(
                        "four",
                        "allow",
                        And(
                            (
                                Lt(Arg("d", DecimalSort(3)), Const(5500, DecimalSort(3))),
                                Eq(Arg("e", level), Const("no", level)),
                            )
                        ),
                        text="args.d < cap && args.e == 'no'",
                    ),
                ),
                then=(
                    Assignment("flag", Not(State("flag", BoolSort()))),
                    Assignment("money", Add(State("money", DecimalSort(2)), Const(100, DecimalSort(2)))),
                    Assignment("phase", Ite(Arg("b", BoolSort()), Const("open", phase), Const("shut", phase))),
                ),
                run=Run(
                    what=RunArgv(("/bin/tool", "--", ArgWord("s"), "plain")),
                    image="tools@sha256:00",
                    workspace=Workspace("elsewhere", "rw", 1024**2, 7),
                    network=(NetworkGrant("api.bank.example", 443),),
                    timeout_ms=500,
                    memory=64 * 1024**2,
                    millicpus=500,
                    pids=5,
                    output=1000,
                    files=10,
                    file_size=1024,
                    tmpfs=1024**3,
                    min_isolation="gvisor",
                ),
            ),
            Tool("judged", (), ()),
            Tool("hosted", (), (), run=Run(RunHost("it holds the session"))),
            Tool("plain", (), (), run=Run(RunTool("somewhere.else", "function"))),
        ),
    )
    assert contract.file == str(tmp_path.resolve() / "spec.yaml")
    four = contract.tools[0].rules[3]
    assert four.place == Place(str(tmp_path / "spec.yaml"), 36, 11)


def test_a_grant_says_what_may_be_asked(tmp_path: Path) -> None:
    network = """
        - plain.example:80
        - {to: "[2606:4700::1111]:8443", tls: false, methods: [GET, GET, OPTIONS]}
        - {to: api.corp.internal:443, addresses: [10.1.0.0/16, "fd00::/8"], max_request: 1KiB, max_response: 1MiB}
        - {to: api.example:80, tls: true, credential: {env: TOKEN, header: X-Key}}
        - {to: other.example:443, credential: {file: ../secrets/token, prefix: "Bearer "}}
"""
    text = f"sandbox: 1\nname: x\ntools:\n  t:\n    rules: []\n    run:\n      tool: a:b\n      network:{network}"
    run = load_contract(write(tmp_path, text)).tools[0].run
    assert run is not None
    assert run.network == (
        NetworkGrant("plain.example", 80, tls=False),
        NetworkGrant("2606:4700::1111", 8443, methods=("GET", "OPTIONS"), tls=False),
        NetworkGrant(
            "api.corp.internal",
            443,
            max_request=1024,
            max_response=1024**2,
            addresses=("10.1.0.0/16", "fd00::/8"),
        ),
        NetworkGrant("api.example", 80, credential=Credential("x-key", "", "env", "TOKEN")),
        NetworkGrant(
            "other.example", 443, credential=Credential("authorization", "Bearer ", "file", "../secrets/token")
        ),
    )


def test_every_word_of_a_grant_is_in_the_digest(tmp_path: Path) -> None:
    def written(grant: str) -> str:
        text = f"sandbox: 1\nname: x\ntools: {{t: {{rules: [], run: {{tool: 'a:b', network: [{grant}]}}}}}}\n"
        return digest(load_contract(write(tmp_path, text)))

    grants = [
        '"a.example:443"',
        '"a.example:444"',
        '"b.example:443"',
        *(
            f'{{to: "a.example:443", {more}}}'
            for more in (
                "methods: [GET]",
                "max_request: 1",
                "max_response: 1",
                "tls: false",
                "addresses: [10.0.0.0/8]",
                "credential: {env: A}",
                "credential: {file: A}",
                "credential: {env: B}",
                "credential: {env: A, header: x}",
                "credential: {env: A, prefix: x}",
            )
        ),
    ]
    assert len({written(grant) for grant in grants}) == len(grants)
    assert written('"a.example:443"') == written('{to: "a.example:443", tls: true, max_request: 1MiB}')


def test_defaults_of_run_are_those_of_the_language() -> None:
    run = Run(RunTool("a", "b"))
    assert (run.timeout_ms, run.memory, run.millicpus, run.pids) == (10_000, 128 * 1024**2, 1_000, 64)
    assert (run.output, run.files, run.file_size, run.tmpfs) == (256 * 1024, 1024, 64 * 1024**2, 16 * 1024**2)
    assert (run.network, run.workspace) == ((), None)
    assert (Workspace("a", "ro").size, Workspace("a", "ro").entries) == (256 * 1024**2, 10_000)


def test_a_digest_does_not_depend_on_where_the_file_lies_or_how_it_is_laid_out(tmp_path: Path) -> None:
    one = load_contract(write(tmp_path / "a", WHOLE))
    other = load_contract(write(tmp_path / "b", "# a comment\n" + WHOLE.replace("owner: us", "owner:   'us'")))
    assert digest(one) == digest(other)


def test_a_spec_without_tools_is_valid(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, spec("")))
    assert contract.tools == ()
    assert [problem.message for problem in lint(contract)] == ["this spec has no tools and denies everything"]


def test_yes_and_on_are_words(tmp_path: Path) -> None:
    text = spec(
        "define: {a: yes, b: on, c: 'true'}\ntools: {t: {args: {s: {type: string}}, rules: [{id: r, deny: RULE}]}}"
    )
    contract = load_contract(write(tmp_path, text.replace("RULE", "'args.s in [a, b, c]'")))
    subject = Arg("s", StringSort())
    words = [Eq(subject, Const(word, StringSort())) for word in ("yes", "on", "true")]
    assert contract.tools[0].rules[0].when == Or(tuple(words))


@pytest.mark.parametrize("name", ["missing.yaml", "folder", "nul\0"])
def test_what_is_no_file_is_a_usage_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="is no file"):
        load_contract(tmp_path / name)


def test_text_that_is_not_utf_8_is_refused_where_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(b"sandbox: 1\nname: \xff\n")
    with pytest.raises(SpecError, match=r"spec\.yaml:2:7: the file is not UTF-8 here"):
        load_contract(path)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="larger than 256 KiB"):
        load_contract(write(tmp_path, spec("#" * 256 * 1024)))


def test_windows_line_ends_are_read_and_placed(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(b"sandbox: 1\r\nname: x\r\ntools:\r\n  t:\r\n    rules:\r\n      - {id: a, deny: tru}\r\n")
    with pytest.raises(SpecError, match=r"spec\.yaml:6:23: unknown name `tru`"):
        load_contract(path)


def test_no_more_than_a_hundred_problems_are_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_contract(write(tmp_path, spec("".join(f"k{n}: 1\n" for n in range(200)))))
    assert len(caught.value.problems) == 100


@pytest.mark.parametrize("under", ["/", "/workspace", "/a/b.c/..d", "/~/x", "/é", "/a b"])
def test_the_folder_of_a_path_is_what_parse_makes_of_it(tmp_path: Path, under: str) -> None:
    text = f"tools: {{t: {{args: {{p: {{type: path, under: '{under}'}}}}, rules: []}}}}"
    (argument,) = load_contract(write(tmp_path, spec(text))).tools[0].arguments
    assert argument.type == PathType(under)
    assert canonical_path(under, None) == under


@pytest.mark.parametrize(
    "under", ["x", "~/x", "//a", "/a//b", "/a/", "/a/./b", "/..", "/a\\b", "/a\\x7fb", "/" + "x" * 256]
)
def test_a_folder_that_parse_would_change_is_refused(tmp_path: Path, under: str) -> None:
    text = f'tools: {{t: {{args: {{p: {{type: path, under: "{under}"}}}}, rules: []}}}}'
    with pytest.raises(SpecError, match="is no canonical absolute path"):
        load_contract(write(tmp_path, spec(text)))
