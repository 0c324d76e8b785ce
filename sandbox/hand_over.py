"""Files that tools on the host act upon, later and with its rights: hooks, settings, what is imported or sourced.

A call that writes one hands over to the host (LANGUAGE, section 6).
"""

from __future__ import annotations

from typing import Final

FOLDERS: Final = frozenset(
    {".git", ".github", ".gitlab", ".circleci", ".husky", ".vscode", ".idea", ".cursor", ".claude", ".ssh", ".aws"}
    | {".docker", ".kube"}
)
FILES: Final = frozenset(
    {".gitmodules", ".gitattributes", ".gitlab-ci.yml", ".envrc", ".env", ".npmrc", ".pypirc", ".netrc", ".bashrc"}
    | {".profile", ".zshrc", ".mcp.json", ".pre-commit-config.yaml"}
    | {"conftest.py", "sitecustomize.py", "usercustomize.py"}
)
SUFFIX: Final = ".pth"


def hands_over(component: str) -> bool:
    """Whether a file or folder of this name, or what lies in it, is acted upon: however it is spelt."""
    plain = plainly(component)
    return plain in FOLDERS | FILES or plain.endswith(SUFFIX)


def plainly(component: str) -> str:
    """A name as the most careless file system takes it: without regard to case, trailing dots and spaces."""
    return component.casefold().rstrip(". ")
