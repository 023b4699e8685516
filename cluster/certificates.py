"""A pod's certificate for Ray's own TLS, where KubeRay does not make it: signed by an authority as the pod starts.

Ray checks a certificate against the address that it calls, and a pod gets its address when it starts. So the pod makes
a key, which never leaves it, and signs a certificate for its own names. Only this first container of the pod sees the
key of the authority; Ray's does not. The chart runs it: `python -m cluster.certificates AUTHORITY FOLDER NAME …`.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from s2i_core.errors import S2IError

_LASTS = timedelta(days=365)
"""Ray reads the files once, at its start, so this is the longest that a pod may live."""
_CLOCKS_DIFFER = timedelta(minutes=10)
_REMEDY = "Make it anew, as infra/kuberay/README.md says."


class CertificateError(S2IError):
    """There is no authority that can sign."""


def certify(authority: Path, folder: Path, names: Sequence[str], now: datetime | None = None) -> None:
    """Write `tls.key`, `tls.crt` and `ca.crt` of this pod.

    Args:
        authority: folder with the authority's `tls.crt` and `tls.key`, as in a secret of Kubernetes' type tls.
        folder: where the files go.
        names: DNS names and addresses by which others call this pod; loopback is always among them.
        now: by default the current time.

    Raises:
        CertificateError: the authority cannot be read, is not one, or has expired.
    """
    now = now or datetime.now(UTC)
    subject = str(authority)
    try:
        signer = x509.load_pem_x509_certificate((authority / "tls.crt").read_bytes())
        signing = serialization.load_pem_private_key((authority / "tls.key").read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise CertificateError(subject, f"it cannot be read ({error})", _REMEDY) from error
    if not isinstance(signing, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise CertificateError(subject, "its key is neither of an elliptic curve nor RSA", _REMEDY)
    if signing.public_key() != signer.public_key():
        raise CertificateError(subject, "key and certificate do not belong together", _REMEDY)
    if not _may_sign(signer):
        raise CertificateError(subject, "its certificate is not that of an authority", _REMEDY)
    if signer.not_valid_after_utc <= now:
        raise CertificateError(subject, f"it expired at {signer.not_valid_after_utc:%Y-%m-%d %H:%M} UTC", _REMEDY)

    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "s2i ray node")]))
        .issuer_name(signer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - _CLOCKS_DIFFER, signer.not_valid_before_utc))
        .not_valid_after(min(now + _LASTS, signer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(_names(names)), critical=False)
        # A Ray node is both server and client: both sides show a certificate.
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
        .sign(signing, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(folder / "tls.key", private, 0o600)
    _write(folder / "tls.crt", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    _write(folder / "ca.crt", signer.public_bytes(serialization.Encoding.PEM), 0o644)


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _names(names: Sequence[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in dict.fromkeys(["localhost", "127.0.0.1", *names]):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _write(path: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)


def main(arguments: Sequence[str]) -> int:
    """Certify for the authority, the folder and the names that are given."""
    authority, folder, *names = arguments
    try:
        certify(Path(authority), Path(folder), names)
    except CertificateError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
