"""Content credentials (C2PA 2) in image files: signed statements of what a picture is and what it was made from.

https://spec.c2pa.org. They break with every change of the file, and are lost where a program leaves them out: then the
watermark may still be there (`watermark.py`).
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import version
from typing import Any

import c2pa

from s2i_core.errors import ConfigError, DecodeError
from s2i_core.provenance.authority import DEVELOPMENT, Keys

ASSERTION = "s2i.illustration"
_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_MAX_FACT = 300
_TRIAL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c63600000000200"
    "0148afa4710000000049454e44ae426082"
)
"""The smallest PNG: a certificate that cannot sign is found out with it, and not with somebody's picture."""


@dataclass(frozen=True)
class Origin:
    """What a picture was made from.

    Attributes:
        recording_id: hash of the recording: the first 32 hex digits of the SHA-256 of its bytes.
        start_s, end_s: the stretch of it that the picture shows.
        scene_id, image_id: its rows in the tables.
        shows: what is in it, in a sentence; empty where that is not known.
        model_digest, image_digest: of the decoder and of the settings that drew it.
        drawings: whether drawings by people are in it.
    """

    recording_id: str
    start_s: float
    end_s: float
    scene_id: str
    image_id: str
    shows: str
    model_digest: str
    image_digest: str
    drawings: bool = True


class State(StrEnum):
    """What credentials are worth."""

    TRUSTED = "trusted"
    """Signed by an authority that counts; the file is as it was."""
    UNTRUSTED = "untrusted"
    """The file is as it was when somebody signed it, and that may be anybody."""
    CHANGED = "changed"
    """The file is not what was signed."""


@dataclass(frozen=True)
class Credentials:
    """Credentials of a file.

    Attributes:
        state: what they are worth.
        signer: name in the certificate.
        origin: what they say of the picture; None where they are not of this kind.
    """

    state: State
    signer: str
    origin: Origin | None

    @property
    def development(self) -> bool:
        """Whether a development authority signed, which any machine can make."""
        return self.signer == DEVELOPMENT


class Signer:
    """Signs pictures. One for a process: it is not carried to another.

    Args:
        keys: whose.

    Raises:
        ConfigError: the certificate or the key can't be used.
    """

    def __init__(self, keys: Keys) -> None:
        self._context = c2pa.Context(c2pa.Settings.from_dict(_settings(keys.anchors)))
        try:
            info = c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, keys.chain, keys.key, None)
            self._signer = c2pa.Signer.from_info(info)
            self._signed(_TRIAL, "image/png", Origin("", 0.0, 0.0, "", "", "", "", ""))
        except (c2pa.C2paError, ValueError) as error:
            raise ConfigError(
                "provenance.certificate",
                f"it and its key cannot sign: {error}",
                "Give a chain for signing with ES256 (P-256), the signer's own certificate first, and its key.",
            ) from error

    def sign(self, data: bytes, media_type: str, origin: Origin) -> bytes:
        """The file with credentials, some 3.5 kB more; no two signatures are alike.

        Raises:
            DecodeError: it can't be signed.
        """
        try:
            return self._signed(data, media_type, origin)
        except c2pa.C2paError as error:
            raise DecodeError(origin.image_id, f"the picture cannot be signed: {error}", "Draw it again.") from error

    def _signed(self, data: bytes, media_type: str, origin: Origin) -> bytes:
        out = io.BytesIO()
        with c2pa.Builder(_manifest(origin), self._context) as builder:
            builder.sign(self._signer, media_type, io.BytesIO(data), out)
        return out.getvalue()


def read(data: bytes, media_type: str, anchors: bytes) -> Credentials | None:
    """The credentials of a file; None if it has none.

    Args:
        data: of the file.
        media_type: `image/jpeg`, `image/webp` or `image/png`.
        anchors: certificates of the authorities that count, as PEM.
    """
    context = c2pa.Context(c2pa.Settings.from_dict(_settings(anchors)))
    try:
        with c2pa.Reader(media_type, io.BytesIO(data), context=context) as reader:
            told = json.loads(reader.json())
            state = str(reader.get_validation_state())
    except c2pa.C2paError as error:
        # Of a file that never had any it says so; anything else is a box that was tampered with.
        return None if "ManifestNotFound" in str(error) else Credentials(State.CHANGED, "", None)
    manifest = told.get("manifests", {}).get(told.get("active_manifest"), {})
    states = {"Trusted": State.TRUSTED, "Valid": State.UNTRUSTED}
    signer = str(manifest.get("signature_info", {}).get("common_name") or "")
    return Credentials(states.get(state, State.CHANGED), signer, _origin(manifest))


def _settings(anchors: bytes) -> dict[str, Any]:
    trust = {"trust_anchors": anchors.decode()} if anchors else {}
    return {
        # A thumbnail costs fifty times the rest, and checking after signing a hundred times the time.
        "builder": {"thumbnail": {"enabled": False}},
        "verify": {
            "verify_after_sign": False,
            "verify_trust": True,
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
        },
        "trust": trust,
    }


def _manifest(origin: Origin) -> dict[str, Any]:
    kind = "compositeWithTrainedAlgorithmicMedia" if origin.drawings else "trainedAlgorithmicMedia"
    created = {"action": "c2pa.created", "digitalSourceType": _SOURCE + kind}
    facts = {name: value[:_MAX_FACT] if isinstance(value, str) else value for name, value in asdict(origin).items()}
    return {
        "claim_generator_info": [{"name": "s2i", "version": version("s2i")}],
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [created]}},
            {"label": ASSERTION, "data": facts},
        ],
    }


def _origin(manifest: dict[str, Any]) -> Origin | None:
    for each in manifest.get("assertions", ()):
        if each.get("label") == ASSERTION:
            try:
                return Origin(**each["data"])
            except (TypeError, KeyError):
                return None
    return None
