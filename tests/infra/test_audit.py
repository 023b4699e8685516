"""No secret is in the repository, and the search for them finds those that are planted."""

from __future__ import annotations

import json
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
    ids=["AWS", "key", "URL", "GitHub"],  # the same in each process that collects these tests
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


SOUND = {"name": "six", "version": "1.17.0", "vulns": []}
KNOWN = {"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"], "aliases": [], "description": "…"}
FAULTY = {"name": "jinja2", "version": "2.4.1", "vulns": [KNOWN]}
UNKNOWN = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.13.0)"}
MENDED = "jinja2 2.4.1: PYSEC-2019-217, mended in 2.10.1"
SKIPPED = f"torch: {UNKNOWN['skip_reason']}"


@pytest.mark.parametrize(
    ("report", "exit_code", "status", "said"),
    [
        ([SOUND], 0, 0, []),
        ([SOUND, FAULTY], 1, 1, [MENDED]),
        ([UNKNOWN, FAULTY], 1, 1, [MENDED, SKIPPED]),
        ([SOUND, UNKNOWN], 0, audit.UNASKED, [SKIPPED]),  # pip-audit calls this clean
        ([], 0, audit.UNASKED, ["lock.txt: no package in it was looked up"]),
        (None, 1, audit.UNASKED, ["pip-audit has no report: Max retries exceeded"]),
    ],
)
def test_an_advisory_is_told_apart_from_none_and_both_from_not_asked(
    report: list[dict[str, object]] | None, exit_code: int, status: int, said: list[str], tmp_path: Path
) -> None:
    """The reports are of pip-audit 2.10.1, as it wrote them."""
    written = "" if report is None else json.dumps({"dependencies": report, "fixes": []})
    program = f"import sys; print({written!r}); print('Max retries exceeded', file=sys.stderr); sys.exit({exit_code})"
    assert audit.advisories(tmp_path / "lock.txt", [sys.executable, "-c", program]) == (status, said)


@pytest.mark.parametrize("status", [0, 1, audit.UNASKED])
def test_the_audit_ends_as_the_advisories_do(
    status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "advisories", lambda lock: (status, ["what was found"]))
    monkeypatch.setattr(sys, "argv", ["audit.py", "advisories"])
    assert audit.main() == status
    assert capsys.readouterr().out.startswith("what was found\nadvisories: ")
