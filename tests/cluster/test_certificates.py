"""Pods' certificates: two of them shake hands by name and by address, and strangers are refused."""

from __future__ import annotations

import json
import os
import secrets
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from datetime import timedelta
from pathlib import Path

import encrypted
import grpc
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


def call(address: str, credentials: grpc.ChannelCredentials | None, token: str) -> grpc.StatusCode:
    """What a port of Ray answers to a caller who asks for the cluster's nodes."""
    made = grpc.insecure_channel(address) if credentials is None else grpc.secure_channel(address, credentials)
    with made as channel:
        ask = channel.unary_unary("/ray.rpc.NodeInfoGcsService/GetAllNodeInfo")
        try:
            ask(b"", timeout=20, metadata=[("authorization", f"Bearer {token}")])
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def shown(ca: Path, files: Path | None) -> grpc.ChannelCredentials:
    """Of a caller who knows the authority `ca`, and shows the certificate in `files` or none."""
    own = ((files / "tls.key").read_bytes(), (files / "tls.crt").read_bytes()) if files else (None, None)
    return grpc.ssl_channel_credentials((ca / "ca.crt").read_bytes(), *own)


def test_a_ray_that_speaks_tls_works_and_refuses_strangers_who_know_the_token(tmp_path: Path) -> None:
    """Two nodes of a real Ray, each with its own certificate; what one made, the other fetches from it."""
    signer, token = authority(tmp_path / "authority"), secrets.token_urlsafe(32)
    head = pod(tmp_path / "head", signer, "localhost", "127.0.0.1")
    worker = pod(tmp_path / "worker", signer, "localhost", "127.0.0.1")
    stranger = pod(tmp_path / "stranger", authority(tmp_path / "theirs"))
    program = subprocess.Popen(
        [sys.executable, encrypted.__file__, head, worker],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": token,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        found = json.loads(program.stdout.readline())
        assert found["worked_on_worker"] and found["certificate"] == str(worker / "tls.crt")
        assert found["moved"] == encrypted.BLOCK

        certified = shown(head, worker)
        assert call(found["gcs"], certified, token) is grpc.StatusCode.OK
        assert call(found["gcs"], certified, "another") is grpc.StatusCode.UNAUTHENTICATED
        for port in found["nodes"]:
            assert call(port, certified, token) is grpc.StatusCode.UNIMPLEMENTED, "it was let in, to ask in vain"
        for port in (found["gcs"], *found["nodes"]):
            for credentials in (None, shown(head, None), shown(head, stranger)):
                assert call(port, credentials, token) is grpc.StatusCode.UNAVAILABLE
        for port in found["probed"]:
            # The chart's probes, which stay plain HTTP.
            with urllib.request.urlopen(f"http://{port}/api/healthz", timeout=20) as answer:
                assert answer.status == 200
        program.communicate(timeout=120)
    finally:
        program.kill()
        program.wait()
    assert program.returncode == 0
