"""Who signs: a certificate of yours, or one of a development authority, made at first use and marked as such.

Only what chains to an authority that the reader has chosen counts. Anybody can have an authority, and so a signature
that is merely valid says nothing about who made it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from s2i_core.config import ProvenanceConfig
from s2i_core.errors import ConfigError
from s2i_core.state import state_home

DEVELOPMENT = "s2i DEVELOPMENT signer, not for production"
_AUTHORITY = "s2i DEVELOPMENT authority, not for production"
_SIGNER_DAYS, _AUTHORITY_DAYS = 365, 3650
_FILES = ("signer.pem", "signer.key", "authority.pem", "watermark.key")
_MAX_BYTES = 1 << 20
_REMEDY = "Correct the path in the settings of `provenance`."


@dataclass(frozen=True)
class Keys:
    """What signing and reading takes.

    Attributes:
        chain: certificates of the signer, its own first, as PEM.
        key: its private key, as PEM.
        anchors: certificates of the authorities that count, as PEM.
        watermark: the key of the watermark.
        development: whether they are those of the development authority of this machine.
    """

    chain: bytes
    key: bytes
    anchors: bytes
    watermark: bytes
    development: bool

    @property
    def name(self) -> str:
        """Name in the signer's certificate."""
        subject = x509.load_pem_x509_certificates(self.chain)[0].subject
        names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value) if names else subject.rfc4514_string()

    def __repr__(self) -> str:
        return f"Keys(development={self.development})"


def keys(config: ProvenanceConfig) -> Keys:
    """The keys that the settings name; without any, those of the development authority, made where there is none.

    Raises:
        ConfigError: a file can't be read, or only one of certificate and key is named.
    """
    if bool(config.certificate) != bool(config.key):
        raise ConfigError(
            "provenance.certificate and provenance.key", "only one of them is set", "Set both, or neither."
        )
    folder = None if config.certificate and config.watermark_key else _development()

    def read(path: str, name: str) -> bytes:
        return _read(Path(path)) if path else b"" if folder is None else _read(folder / name)

    own = bool(config.certificate)
    return Keys(
        chain=read(config.certificate, "signer.pem"),
        key=read(config.key, "signer.key"),
        anchors=_read(Path(config.anchors)) if config.anchors else b"" if own else read("", "authority.pem"),
        watermark=read(config.watermark_key, "watermark.key"),
        development=not own,
    )


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(str(path), "it is larger than any key or certificate", _REMEDY)
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(str(path), f"it cannot be read: {error.strerror}", _REMEDY) from error


def _development() -> Path:
    """The folder of the development authority, made whole or not at all; its keys are for this user alone."""
    folder = state_home() / "provenance"
    if all((folder / name).is_file() for name in _FILES) and not _ends_soon(folder / "signer.pem"):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".provenance-", dir=folder.parent) as aside:
        made = Path(aside) / "new"
        made.mkdir(mode=0o700)
        if all((folder / name).is_file() for name in _FILES):
            for name in ("authority.pem", "authority.key", "watermark.key"):
                shutil.copy2(folder / name, made / name)
        else:
            _write_authority(made)
        _write_signer(made)
        with contextlib.suppress(OSError):  # another process was first: its authority counts
            if folder.exists():
                folder.rename(Path(aside) / "old")
            made.rename(folder)
    return folder


def _ends_soon(certificate: Path) -> bool:
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    return found.not_valid_after_utc - datetime.now(UTC) < timedelta(days=30)


def _write_authority(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(_AUTHORITY)
    certificate = (
        _certificate(name, name, key.public_key(), _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .sign(key, hashes.SHA256())
    )
    _put(folder / "authority.key", _pem(key))
    _put(folder / "authority.pem", certificate.public_bytes(serialization.Encoding.PEM))
    _put(folder / "watermark.key", os.urandom(32))


def _write_signer(folder: Path) -> None:
    authority = x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes())
    above = serialization.load_pem_private_key((folder / "authority.key").read_bytes(), None)
    assert isinstance(above, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _certificate(_name(DEVELOPMENT), authority.subject, key.public_key(), _SIGNER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), critical=False)
        .sign(above, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM) + authority.public_bytes(serialization.Encoding.PEM)
    _put(folder / "signer.pem", chain)
    _put(folder / "signer.key", _pem(key))


def _name(common: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "s2i"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not signs,
        crl_sign=not signs,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _put(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
