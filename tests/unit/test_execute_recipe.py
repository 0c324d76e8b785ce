"""Recipes of images: everything in them has a digest, and what has none is refused before anything is fetched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandbox.errors import UsageError
from sandbox.execute.recipe import Recipe, read_recipe

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
