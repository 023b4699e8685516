"""Looks for secrets in the repository and for known faults in what it depends on: `make audit`.

secrets     every tracked text file, for keys, tokens and logins. Works offline.
installed   what is installed is what requirements/ pins, and fits together. Works offline.
advisories  the pins against the advisories of the Python Packaging Authority. Needs the service behind pip-audit; where
            it cannot be asked, that is said, and the exit status is 3: not asked is not the same as none known.
"""

# ruff: noqa: T201 -- it talks to whoever runs it

from __future__ import annotations

import argparse
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
UNASKED = 3
_PIP_AUDIT = (
    *(str(Path(sys.executable).with_name("uv")), "tool", "run", "--exclude-newer", "2026-11-01"),
    *("--from", "pip-audit==2.10.1", "pip-audit"),
)
"""By the date, what it needs itself is pinned as well."""

# Left out: names of secrets, which are references, and digests, which pins are full of. Lock files hold nothing else.
_PLUGINS = (
    *("ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "CloudantDetector"),
    *("DiscordBotTokenDetector", "GitHubTokenDetector", "GitLabTokenDetector", "JwtTokenDetector", "NpmDetector"),
    *("OpenAIDetector", "PrivateKeyDetector", "PypiTokenDetector", "SendGridDetector", "SlackDetector"),
    *("SquareOAuthDetector", "StripeDetector", "TelegramBotTokenDetector", "TwilioKeyDetector"),
)
#: Logins that tests make up to see them refused.
_MADE_UP = r"user:pass|:hunter2@|/[\w.]+:[\w.]+@[\w.]*example"
_MOST_BYTES = 1 << 20


def tracked() -> list[Path]:
    """Every tracked file that is text and not huge."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in names.split("\0") if name]
    return [
        path
        for path in paths
        if path.is_file() and path.stat().st_size <= _MOST_BYTES and b"\0" not in path.read_bytes()[:8192]
    ]


def secrets(paths: list[Path]) -> list[str]:
    """What looks like a secret, as `file:line: kind`; never the secret itself."""
    from detect_secrets.core.scan import scan_file
    from detect_secrets.settings import transient_settings

    settings = {
        "plugins_used": [{"name": name} for name in _PLUGINS],
        "filters_used": [
            {"path": "detect_secrets.filters.allowlist.is_line_allowlisted"},
            {"path": "detect_secrets.filters.regex.should_exclude_line", "pattern": [_MADE_UP]},
        ],
    }
    with transient_settings(settings):
        return [
            f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}:{found.line_number}: {found.type}"
            for path in paths
            for found in scan_file(str(path))
        ]


def strangers(lock: Path) -> list[str]:
    """Installed packages whose version is not the pinned one."""
    found = []
    for line in lock.read_text().splitlines():
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            installed = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of a larger set than the one that is installed
        if not requirement.specifier.contains(installed, prereleases=True):
            found.append(f"{requirement.name} {installed}, pinned is {requirement.specifier}")
    return found


def advisories(lock: Path, command: Sequence[str] = _PIP_AUDIT) -> tuple[int, list[str]]:
    """Ask for advisories on the pins; 0 none, 1 some, 3 not asked, each with what there is to say.

    The exit status of pip-audit does not tell these apart: it is 0 where no package could be looked up, and 1 both for
    an advisory and for its own faults. Its report does.
    """
    options = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json", "--requirement", str(lock)]
    answer = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    try:
        packages = json.loads(answer.stdout)["dependencies"]
    except (ValueError, KeyError):
        return UNASKED, [f"pip-audit has no report: {answer.stderr.strip()[-500:] or 'it says nothing'}"]
    found = [
        f"{package['name']} {package['version']}: {known['id']}, mended in {', '.join(known['fix_versions']) or 'none'}"
        for package in packages
        for known in package.get("vulns", ())
    ]
    unasked = [f"{package['name']}: {package['skip_reason']}" for package in packages if "skip_reason" in package]
    if not packages:
        unasked = [f"{lock.name}: no package in it was looked up"]
    return 1 if found else UNASKED if unasked else 0, found + unasked


def main() -> int:
    """Run what is asked for, all of it by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["secrets", "installed", "advisories"], metavar="PART")
    parts = parser.parse_args().parts
    lock = ROOT / "requirements" / "train.txt"
    status = 0
    if "secrets" in parts:
        paths = tracked()
        found = secrets(paths)
        print(*found, f"secrets: {len(found)} in {len(paths)} files", sep="\n")
        status = max(status, bool(found))
    if "installed" in parts:
        found = strangers(lock)
        print(*found, f"installed: {len(found)} packages are not as pinned", sep="\n")
        status = max(status, bool(found))
    if "advisories" in parts:
        answer, found = advisories(lock)
        said = {0: "none known", 1: "see above", UNASKED: "NOT ASKED, or not of all: the service did not answer"}
        print(*found, f"advisories: {said[answer]}", sep="\n")
        status = status or answer
    return status


if __name__ == "__main__":
    sys.exit(main())
