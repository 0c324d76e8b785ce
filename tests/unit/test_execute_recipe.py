"""Recipes of images: everything in them has a digest, and what has none is refused before anything is fetched."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from sandbox.errors import EnvironmentLacking, UsageError
from sandbox.execute.image import Addition, Image
from sandbox.execute.recipe import Recipe, build_recipe, read_recipe

HASH = "--hash=sha256:" + "a" * 64
LINE = f"mcp-server-time==2026.10.19 \\\n    {HASH} \\\n    {HASH}\n"
PACKAGES = {
    "": {"dependencies": {"a": "1.0.0"}},
    "node_modules/a": {"version": "1.0.0", "integrity": "sha512-AAAA"},
}
LOCK = json.dumps({"lockfileVersion": 3, "packages": PACKAGES})


def recipe(folder: Path, text: str, **files: str) -> Path:
    for name, content in files.items():
        (folder / name).write_text(content)
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def test_a_recipe_is_read_with_its_locks(tmp_path: Path) -> None:
    text = 'recipe = 1\ndebian = ["git"]\npython = "python"\nnode = "node"\n'
    read = read_recipe(recipe(tmp_path, text, python=f"# by hand\n{LINE}", node=LOCK))
    assert read == Recipe(("git",), f"mcp-server-time==2026.10.19 {HASH} {HASH}\n", LOCK)


def test_another_lock_is_another_image(tmp_path: Path) -> None:
    texts = ["recipe = 1\n", 'recipe = 1\ndebian = ["git"]\n', 'recipe = 1\npython = "python"\n']
    tags = [read_recipe(recipe(tmp_path, text, python=LINE)).tag for text in texts]
    tags.append(read_recipe(recipe(tmp_path, texts[2], python=LINE.replace("aaa", "aab", 1))).tag)
    assert len(set(tags)) == 4
    assert all(tag.startswith("sandbox-recipe:") for tag in tags)


@pytest.mark.parametrize(
    ("text", "files", "reason"),
    [
        ("", {}, "it begins with `recipe = 1`"),
        ("recipe = 2\n", {}, "it begins with `recipe = 1`"),
        ("recipe = 1\nrun = 'id'\n", {}, "`run` is no key of a recipe"),
        ("recipe = \n", {}, "it is no TOML"),
        ("recipe = 1\ndebian = ['git; id']\n", {}, "`debian` is a list of package names"),
        ("recipe = 1\ndebian = 'git'\n", {}, "`debian` is a list of package names"),
        ("recipe = 1\npython = 1\n", {}, "`python` is the name of a file beside the recipe"),
        ("recipe = 1\npython = 'none'\n", {}, "it cannot be read as UTF-8"),
        ("recipe = 1\npython = 'p'\n", {"p": "mcp==1\n"}, "`mcp==1` is not `NAME==VERSION` with"),
        ("recipe = 1\npython = 'p'\n", {"p": f"mcp>=1 {HASH}\n"}, "is not `NAME==VERSION` with"),
        ("recipe = 1\npython = 'p'\n", {"p": f"git+https://x/y@z {HASH}\n"}, "is not `NAME==VERSION` with"),
        ("recipe = 1\npython = 'p'\n", {"p": f"--pre\n{LINE}"}, "`--pre` is not `NAME==VERSION` with"),
        ("recipe = 1\npython = 'p'\n", {"p": f"-r other.txt\n{LINE}"}, "`-r other.txt` is not `NAME==VERSION` with"),
        ("recipe = 1\nnode = 'n'\n", {"n": "{"}, "it is no lock file of npm (version 2 or later)"),
        ("recipe = 1\nnode = 'n'\n", {"n": '{"packages": []}'}, "it is no lock file of npm (version 2 or later)"),
        ("recipe = 1\nnode = 'n'\n", {"n": LOCK.replace("sha512-", "sha1-")}, "`node_modules/a` has no `integrity` of"),
        ("recipe = 1\nnode = 'n'\n", {"n": '{"packages": {"node_modules/b": {}}}'}, "`node_modules/b` has no"),
    ],
)  # fmt: skip
def test_a_recipe_is_refused(tmp_path: Path, text: str, files: dict[str, str], reason: str) -> None:
    with pytest.raises(UsageError) as refusal:
        read_recipe(recipe(tmp_path, text, **files))
    assert refusal.value.reason_code == "run.recipe"
    assert str(refusal.value).startswith("the recipe `")
    assert reason in str(refusal.value)


# --- building: what is asked of pip and npm, and what becomes of their answers


class Asked:
    """In place of pip and npm: remembers what it was asked, and leaves what they would leave."""

    def __init__(self, code: int = 0, error: str = "") -> None:
        self.words: list[list[str]] = []
        self._code, self._error = code, error

    def __call__(self, words: list[str], *, cwd: Path, **_: object) -> subprocess.CompletedProcess[str]:
        self.words.append(words)
        if "pip" in words:
            target = Path(next(word for word in words if word.startswith("--target=")).removeprefix("--target="))
            (target / "bin").mkdir(parents=True)
            (target / "server.py").write_text("")
        else:
            (cwd / "node_modules" / "a").mkdir(parents=True)
            (cwd / "node_modules" / ".package-lock.json").write_text("{}")
        return subprocess.CompletedProcess(words, self._code, "", self._error)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What lay in the folder of each image that was made; no engine is asked."""
    found: list[list[str]] = []

    def make(_: object, tag: str, digest: str, addition: Addition) -> None:
        files = (path.relative_to(addition.folder).as_posix() for path in addition.folder.rglob("*"))
        found.append([tag, *addition.packages, *sorted(files)])

    monkeypatch.setattr("sandbox.execute.recipe.known_image", lambda *_: None)
    monkeypatch.setattr("sandbox.execute.recipe.make_image", make)
    monkeypatch.setattr("sandbox.execute.recipe.shutil.which", lambda _: "npm")
    return found


WHOLE = Recipe(("git",), f"mcp==1 {HASH}\n", LOCK)


def test_packages_are_taken_by_digest_and_no_script_of_theirs_is_run(
    monkeypatch: pytest.MonkeyPatch, made: list[list[str]]
) -> None:
    asked = Asked()
    monkeypatch.setattr("sandbox.execute.recipe.subprocess.run", asked)
    build_recipe(None, WHOLE)
    pip, npm = asked.words
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(pip)
    assert {"ci", "--ignore-scripts", "--no-bin-links"} <= set(npm)
    python = "python3.11/dist-packages"
    left = ["node_modules", "node_modules/a", "python3.11", python, f"{python}/server.py"]
    assert made == [[WHOLE.tag, "git", *left]]


def test_packages_that_are_not_as_pinned_are_an_error_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, made: list[list[str]]
) -> None:
    monkeypatch.setattr("sandbox.execute.recipe.subprocess.run", Asked(1, "THESE PACKAGES DO NOT MATCH THE HASHES"))
    with pytest.raises(EnvironmentLacking, match="could not be had as they were pinned: THESE PACKAGES"):
        build_recipe(None, WHOLE)
    assert made == []


def test_packages_that_do_not_come_are_an_error_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, made: list[list[str]]
) -> None:
    def late(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired(cmd=[], timeout=1)

    monkeypatch.setattr("sandbox.execute.recipe.subprocess.run", late)
    with pytest.raises(EnvironmentLacking, match="did not come within"):
        build_recipe(None, WHOLE)


def test_without_npm_its_packages_cannot_be_had(monkeypatch: pytest.MonkeyPatch, made: list[list[str]]) -> None:
    monkeypatch.setattr("sandbox.execute.recipe.shutil.which", lambda _: None)
    with pytest.raises(EnvironmentLacking, match="npm is missing"):
        build_recipe(None, Recipe((), "", LOCK))


def test_an_image_that_is_there_is_not_made_again(monkeypatch: pytest.MonkeyPatch, made: list[list[str]]) -> None:
    there = Image("sha256:x", WHOLE.tag, 1, (), built=False)
    monkeypatch.setattr("sandbox.execute.recipe.known_image", lambda *_: there)
    assert build_recipe(None, WHOLE) is there
    assert made == []
