"""The shape of the code: who may import whom, what is banned, what loads when, and that documents name what exists."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import sandbox

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "sandbox"

LAYERS: dict[str, int] = {
    # 0: what everything may know
    "cache": 0,
    "errors": 0,
    "events": 0,
    "fetching": 0,
    # 1: one language
    "hand_over": 1,
    "ir": 1,
    "lang": 1,
    "regex": 1,
    "times": 1,
    # 2: its two meanings, the machine, and the values that flow
    "call": 2,
    "canonical": 2,
    "emails": 2,
    "encode": 2,
    "evaluate": 2,
    "holders": 2,
    "framing": 2,
    "machine": 2,
    "origins": 2,
    "policy": 2,
    "seal": 2,
    "shell": 2,
    "spec": 2,
    "stages": 2,
    "strict_json": 2,
    "url_shapes": 2,
    "uris": 2,
    "urls": 2,
    # 3: the stations of a call
    "approve": 3,
    "asked": 3,
    "asked_atoms": 3,
    "audit": 3,
    "compile": 3,
    "decide": 3,
    "engines": 3,
    "execute": 3,
    "ground": 3,
    "handed": 3,
    "host": 3,
    "joint": 3,
    "lookups": 3,
    "nearest": 3,
    "parse": 3,
    "receipts": 3,
    "seal_file": 3,
    "session": 3,
    "spans": 3,
    "state": 3,
    "state_document": 3,
    "state_origins": 3,
    "known_values": 3,
    "state_parts": 3,
    "state_file": 3,
    "state_switch": 3,
    "step": 3,
    "trail": 3,
    # 4: the whole way, and the proof about it
    "aftermath": 4,
    "consent": 4,
    "endings": 4,
    "gate": 4,
    "judging": 4,
    "knowledge": 4,
    "opening": 4,
    "proposal": 4,
    "needed": 4,
    "passage": 4,
    "prove": 4,
    "recovery": 4,
    "rehearsal": 4,
    "watch": 4,
    # 5: how users meet it
    "__init__": 5,
    "__main__": 5,
    "adapters": 5,
    "cli": 5,
    "decorator": 5,
    "mcp": 5,
    "pytest_plugin": 5,
    "testing": 5,
}

SAME_LAYER: frozenset[tuple[str, str]] = frozenset(
    {
        ("lang", "ir"),  # what it compiles to
        ("origins", "call"),
        ("lang", "times"),
        ("times", "ir"),
        ("lang", "regex"),  # patterns are checked where they are written
        ("evaluate", "call"),  # values
        ("canonical", "call"),
        ("canonical", "emails"),  # canonical texts, each written where it is read
        ("canonical", "shell"),
        ("canonical", "urls"),
        ("emails", "call"),
        ("seal", "canonical"),
        ("stages", "call"),
        ("shell", "call"),
        ("spec", "call"),
        ("spec", "framing"),
        ("spec", "urls"),  # a host has the one spelling that the URL parser gives
        ("urls", "call"),
        ("encode", "url_shapes"),
        ("uris", "call"),
        ("uris", "urls"),  # one way to tell what a path hides, and what is canonical of the web
        ("url_shapes", "urls"),  # the names and networks that are private
        ("host", "handed"),
        ("execute", "handed"),
        ("strict_json", "call"),
        ("engines", "decide"),  # the two seams that it fills
        ("ground", "asked"),
        ("ground", "asked_atoms"),
        ("asked_atoms", "asked"),
        ("engines", "ground"),  # in the child process
        ("holders", "machine"),
        ("state", "state_file"),
        ("state", "state_parts"),
        ("state", "state_origins"),
        ("state_origins", "state_file"),
        ("known_values", "parse"),
        ("gate", "knowledge"),
        ("rehearsal", "knowledge"),
        ("passage", "knowledge"),
        ("needed", "prove"),  # how a condition is named, which loads no solver
        ("passage", "needed"),
        ("gate", "needed"),
        ("state_parts", "state_document"),
        ("state_parts", "state_file"),
        ("state_document", "lookups"),
        ("state", "state_switch"),
        ("state_document", "state_file"),
        ("decide", "lookups"),
        ("engines", "lookups"),
        ("lookups", "parse"),  # a key is of its type as an argument is
        ("compile", "parse"),  # a default is a value of its type
        ("session", "parse"),
        ("joint", "decide"),
        ("joint", "step"),
        ("step", "decide"),
        ("trail", "approve"),
        ("trail", "audit"),
        ("trail", "state"),
        ("trail", "joint"),
        ("host", "execute"),  # the seam that it fills
        ("opening", "prove"),  # the ledger, which loads no solver
        ("gate", "consent"),
        ("gate", "opening"),
        ("gate", "passage"),
        ("passage", "judging"),
        ("passage", "aftermath"),
        ("aftermath", "judging"),
        ("gate", "recovery"),
        ("recovery", "opening"),
        ("passage", "endings"),
        ("recovery", "endings"),
        ("gate", "watch"),
        ("passage", "watch"),
        ("gate", "rehearsal"),  # advice is judged on a state of its own
        ("__main__", "cli"),
        ("cli", "testing"),
        ("cli", "mcp"),
        (
            "adapters",
            "mcp",
        ),  # pins, and what a server's result may hold: the client's adapter keeps the gateway's rules
        ("decorator", "adapters"),  # where a call's values come from, as for every adapter
        ("mcp", "adapters"),  # what a model is told, in the same words everywhere
    }
)

LATE = (
    "z3",
    "cvc5",
    "docker",
    "h11",
    "langchain",
    "langchain_core",
    "agents",
    "lark",
    "ruamel",
    "re2",
    "ada_url",
    "tree_sitter",
)
BANNED_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "imp"}
BANNED_NAMES = {"eval", "exec", "compile", "__import__", "input"}
BANNED_ATTRIBUTES = {
    "StringVal": "reads escapes in what it is given; use `regex.z3_string`",
    "system": "runs a shell",
    "popen": "runs a shell",
}

SOURCES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def unit(module: str) -> str:
    """The row of the table that a module belongs to: `sandbox.prove.solve` is part of `prove`."""
    return module.split(".")[1] if "." in module else "__init__"


MODULES = {module_name(path): path for path in SOURCES}


def imports_at_run_time(module: str) -> Iterator[str]:
    """Every module of the package that this one imports, also inside functions; not what only a type checker reads."""
    tree = ast.parse(MODULES[module].read_text())
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=otherwise):
                pending.extend(otherwise)
                continue
            case ast.Import(names=names):
                yield from (each.name for each in names if each.name.split(".")[0] == "sandbox")
            case ast.ImportFrom(module=str(origin), names=names, level=0) if origin.split(".")[0] == "sandbox":
                for each in names:
                    inner = f"{origin}.{each.name}"
                    yield inner if inner in MODULES else origin
            case _:
                pass
        pending.extend(ast.iter_child_nodes(node))


IMPORTS = {module: sorted(set(imports_at_run_time(module)) - {module}) for module in MODULES}


def test_every_module_has_its_row_and_every_row_its_module() -> None:
    assert {unit(module) for module in MODULES} == set(LAYERS)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_module_imports_a_higher_one(module: str) -> None:
    mine = unit(module)
    for imported in IMPORTS[module]:
        other = unit(imported)
        allowed = mine == other or LAYERS[other] < LAYERS[mine] or (mine, other) in SAME_LAYER
        assert allowed, f"`{module}` (layer {LAYERS[mine]}) imports `{imported}` (layer {LAYERS[other]})"


def test_no_exception_of_the_table_is_unused() -> None:
    used = {(unit(module), unit(other)) for module, others in IMPORTS.items() for other in others}
    assert used >= SAME_LAYER


def test_imports_have_no_cycle() -> None:
    without_parents = {
        module: [other for other in others if not module.startswith(f"{other}.")] for module, others in IMPORTS.items()
    }
    try:
        TopologicalSorter(without_parents).prepare()
    except CycleError as error:
        pytest.fail(f"imports go round: {' -> '.join(error.args[1])}")


def test_every_import_is_absolute() -> None:
    for module, path in MODULES.items():
        relative = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if is_relative(node)]
        assert not relative, f"{module}:{relative}"


def is_relative(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and node.level > 0


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_package_has_nothing_that_is_banned(module: str) -> None:
    found = [
        f"{MODULES[module].relative_to(ROOT)}:{getattr(node, 'lineno', 0)}: {offence}"
        for node in ast.walk(ast.parse(MODULES[module].read_text()))
        for offence in offences(node)
    ]
    assert not found, "\n".join(found)


def offences(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Assert():
            yield "`assert` is gone under -O"
        case ast.ExceptHandler(type=None):
            yield "a bare `except` catches what it must not"
        case ast.Call(func=ast.Name(id=name)) if name in BANNED_NAMES:
            yield f"`{name}`"
        case ast.Attribute(attr=name) if name in BANNED_ATTRIBUTES:
            yield f"`{name}` {BANNED_ATTRIBUTES[name]}"
        case ast.keyword(arg="shell", value=ast.Constant(value=True)):
            yield "`shell=True`"
        case ast.Import(names=names):
            yield from (f"imports `{each.name}`" for each in names if each.name.split(".")[0] in BANNED_MODULES)
        case ast.ImportFrom(module=str(origin)) if origin.split(".")[0] in BANNED_MODULES:
            yield f"imports from `{origin}`"
        case _:
            pass


def test_the_tools_never_import_the_package() -> None:
    for path in sorted((ROOT / "tools").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names=names):
                    named = [each.name for each in names]
                case ast.ImportFrom(module=str(origin)):
                    named = [origin]
                case _:
                    named = []
            # `sandboxed` is the identity inside the container, where a module of this one name is provided
            assert not [name for name in named if name.startswith("sandbox.")], path


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = f"import sandbox, sys; print([name for name in {LATE!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_all_is_exactly_what_can_be_imported() -> None:
    assert sorted(set(sandbox.__all__)) == sorted(sandbox.__all__)
    for name in sandbox.__all__:
        getattr(sandbox, name)
    # `import sandbox.x` sets the attribute x: the names of modules are no part of the surface unless declared
    visible = {name for name in dir(sandbox) if not name.startswith("_")} - {"annotations"}
    assert visible - set(sandbox.__all__) - modules_of_the_package() == set()


def modules_of_the_package() -> set[str]:
    return {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}


def test_all_is_what_is_documented() -> None:
    documents = "\n".join(path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))))
    missing = [name for name in sandbox.__all__ if not re.search(rf"\b{name}\b", documents)]
    assert not missing


PINS = (ROOT / "tests" / "adapters" / "pins").glob("*.txt")
ELSEWHERE = {f"sandbox.adapters.{path.stem.replace('-', '_')}" for path in PINS if path.read_text()}
"""Adapters whose frameworks are in environments of their own, where their tests import them."""


@pytest.mark.parametrize("module", sorted(set(MODULES) - ELSEWHERE))
def test_every_public_module_can_be_imported_alone(module: str) -> None:
    if module.endswith("__main__"):
        return
    importlib.import_module(module)


# --- the documents

DOCUMENTS = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "tests" / "README.md")
TOP = {path.name for path in ROOT.iterdir()}
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
QUOTED_PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*)`")
MADE_LATER = {".venv", ".venv-adapters", ".sandbox", ".setup", ".git"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_name_no_file_that_does_not_exist(document: Path) -> None:
    text = document.read_text()
    linked = {target for target in LINK.findall(text) if not (document.parent / target).exists()}
    quoted = {
        target
        for target in QUOTED_PATH.findall(text)
        if target.split("/")[0] in TOP - MADE_LATER and not (ROOT / target).exists()
    }
    assert not linked | quoted


INDEX_OPTION = re.compile(r"--(extra-)?index-url|--find-links|--trusted-host|://[^\s/]+/simple\b")
HOST = re.compile(r"https?://(?:[^\s/@]*@)?([^\s/:'\"\]]+\.[a-z]+)")


def names_of_this_machine() -> set[str]:
    """This checkout's path, and the hosts that this machine's package clients are set up with."""
    pip = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    apt = [*Path("/etc/apt").glob("sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    texts = [pip.stdout, *(file.read_text(errors="replace") for file in apt)]
    return {str(ROOT), *(host for text in texts for host in HOST.findall(text))}


LOCKED_LINE = re.compile(r"#.*|[a-z0-9-]+==[\w.]+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?")


def test_the_lock_holds_names_versions_and_digests_and_nothing_else() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert [line for line in lines if not LOCKED_LINE.fullmatch(line)] == []


def test_no_tracked_file_names_this_machine_or_a_registry() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True, cwd=ROOT)
    names = names_of_this_machine()
    found = [
        f"{name}:{number}: {line.strip()[:80]}"
        for name in tracked.stdout.split("\0")
        if name and (ROOT / name).is_file() and ROOT / name != Path(__file__)
        for number, line in enumerate((ROOT / name).read_text(errors="replace").splitlines(), 1)
        if INDEX_OPTION.search(line) or any(name in line for name in names)
    ]
    assert not found, "\n".join(found)
