"""No secret is in the repository, and the search for them finds those that are planted."""

from __future__ import annotations

import secrets
import string
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "infra"))

import audit  # noqa: E402


def test_no_tracked_file_holds_a_secret() -> None:
    paths = audit.tracked()
    assert len(paths) > 100
    assert audit.secrets(paths) == []


def random(length: int, alphabet: str) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"key = 'AKIA{random(16, string.ascii_uppercase)}'", "AWS Access Key"),
        ("-----BEGIN " + "RSA PRIVATE KEY-----", "Private Key"),
        (f"https://bob:{random(12, string.ascii_letters)}@store.internal/x", "Basic Auth Credentials"),
        (f"token: ghp_{random(36, string.ascii_letters)}", "GitHub Token"),
    ],
)
def test_a_planted_secret_is_found_and_not_repeated(text: str, kind: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.py"
    file.write_text(f"# harmless\n{text}\n")
    assert audit.secrets([file]) == [f"{file}:2: {kind}"]


def test_another_version_than_the_pinned_one_is_found(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("pydantic==0.0.1\npydantic==0.0.2 ; python_version < '3'\nnot-installed-at-all==1.0\n")
    (found,) = audit.strangers(lock)
    assert found.startswith("pydantic ") and found.endswith("pinned is ==0.0.1")


def test_what_is_installed_is_what_is_pinned() -> None:
    assert audit.strangers(ROOT / "requirements" / "test.txt") == []
