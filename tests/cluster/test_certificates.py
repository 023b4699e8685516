"""Pods' certificates: two of them shake hands by name and by address, and strangers are refused."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from authorities import NOW, authority
from cryptography import x509

from cluster.certificates import CertificateError, certify

HEAD = "night-batch-head-svc.s2i.svc.cluster.local"


def pod(folder: Path, signed_by: Path, *names: str) -> Path:
    folder.mkdir()
    certify(signed_by, folder, names)
    return folder


def context(side: ssl._SSLMethod, files: Path) -> ssl.SSLContext:
    """As Ray's processes have it: each shows a certificate and wants one."""
    made = ssl.SSLContext(side)
    made.load_cert_chain(files / "tls.crt", files / "tls.key")
    made.load_verify_locations(files / "ca.crt")
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def shake(server: Path, client: Path, called: str) -> None:
    """Raise where the two do not believe each other."""
    ours, theirs = socket.socketpair()
    refused: list[ssl.SSLError] = []

    def serve() -> None:
        try:
            with context(ssl.PROTOCOL_TLS_SERVER, server).wrap_socket(theirs, server_side=True) as channel:
                channel.sendall(b"1")
        except ssl.SSLError as error:
            refused.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ours, context(ssl.PROTOCOL_TLS_CLIENT, client).wrap_socket(ours, server_hostname=called) as channel:
            channel.recv(1)
    finally:
        ours.close()
        thread.join(10)
    if refused:
        raise refused[0]


@pytest.mark.parametrize("old", [False, True], ids=["elliptic", "rsa"])
@pytest.mark.parametrize("called", [HEAD, "10.0.3.7", "127.0.0.1", "localhost"])
def test_two_pods_of_one_authority_believe_each_other(tmp_path: Path, called: str, old: bool) -> None:
    signer = authority(tmp_path / "authority", old=old)
    head = pod(tmp_path / "head", signer, "10.0.3.7", HEAD)
    shake(head, pod(tmp_path / "worker", signer, "10.0.3.8"), called)


@pytest.mark.parametrize("called", ["10.0.3.8", "other-head-svc.s2i.svc.cluster.local"])
def test_a_pod_is_not_believed_under_anothers_name(tmp_path: Path, called: str) -> None:
    signer = authority(tmp_path / "authority")
    head = pod(tmp_path / "head", signer, "10.0.3.7", HEAD)
    with pytest.raises(ssl.SSLCertVerificationError, match="match"):
        shake(head, pod(tmp_path / "worker", signer, "10.0.3.9"), called)


def test_a_pod_of_another_authority_is_refused(tmp_path: Path) -> None:
    head = pod(tmp_path / "head", authority(tmp_path / "ours"), "10.0.3.7")
    stranger = pod(tmp_path / "stranger", authority(tmp_path / "theirs"), "10.0.3.8")
    (stranger / "ca.crt").write_bytes((head / "ca.crt").read_bytes())
    with pytest.raises(ssl.SSLError):
        shake(head, stranger, "10.0.3.7")


def test_a_certificate_signs_nothing_and_ends_with_its_authority(tmp_path: Path) -> None:
    ends = (NOW + timedelta(days=5)).replace(microsecond=0)
    made = pod(tmp_path / "pod", authority(tmp_path / "authority", ends=ends), "10.0.3.7")
    certificate = x509.load_pem_x509_certificate((made / "tls.crt").read_bytes())
    assert certificate.not_valid_after_utc == ends
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (made / "tls.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(CertificateError, match="not that of an authority"):
        certify(made, tmp_path, [])


def test_what_cannot_sign_is_said_with_its_remedy(tmp_path: Path) -> None:
    expired = authority(tmp_path / "expired", ends=NOW - timedelta(days=1))
    torn = authority(tmp_path / "torn")
    (torn / "tls.key").write_bytes((expired / "tls.key").read_bytes())
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder, reason in (
        (expired, "it expired at"),
        (torn, "do not belong together"),
        (empty, "cannot be read"),
        (authority(tmp_path / "leaf", ca=False), "not that of an authority"),
    ):
        with pytest.raises(CertificateError, match=reason) as raised:
            certify(folder, tmp_path, [])
        assert "README" in raised.value.remedy
        assert not (tmp_path / "tls.crt").exists()


def test_the_command_that_the_chart_runs(tmp_path: Path) -> None:
    signer, folder = authority(tmp_path / "authority"), tmp_path / "pod"
    folder.mkdir()
    command = [sys.executable, "-m", "cluster.certificates"]
    assert subprocess.run([*command, signer, folder, "10.0.3.7", HEAD], check=False).returncode == 0
    assert sorted(path.name for path in folder.iterdir()) == ["ca.crt", "tls.crt", "tls.key"]
    answer = subprocess.run([*command, folder, folder, "x"], capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "not that of an authority" in answer.stderr and "Traceback" not in answer.stderr
