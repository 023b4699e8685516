"""Credentials: who signed what, and whether the file is as it was."""

import dataclasses

import numpy as np
import pytest

from provenance.pictures import ORIGIN, drawn, file
from s2i_core.config import ProvenanceConfig
from s2i_core.errors import ConfigError
from s2i_core.provenance.authority import DEVELOPMENT, keys
from s2i_core.provenance.credentials import Signer, State, read

TYPES = {"JPEG": "image/jpeg", "WEBP": "image/webp", "PNG": "image/png"}


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("S2I_HOME", str(tmp_path_factory.mktemp("home")))
        yield keys(ProvenanceConfig())


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("S2I_HOME", str(tmp_path_factory.mktemp("other")))
        yield keys(ProvenanceConfig())


@pytest.mark.parametrize("form", TYPES)
def test_a_picture_says_what_it_was_made_from(ours, theirs, form):
    before = file(drawn(), form)
    signed = Signer(ours).sign(before, TYPES[form], ORIGIN)
    assert len(signed) - len(before) <= 4096
    found = read(signed, TYPES[form], ours.anchors)
    assert (found.state, found.signer, found.origin) == (State.TRUSTED, DEVELOPMENT, ORIGIN)
    assert found.development
    assert read(before, TYPES[form], ours.anchors) is None
    assert read(signed, TYPES[form], theirs.anchors).state == State.UNTRUSTED
    assert read(signed, TYPES[form], b"").state == State.UNTRUSTED


def test_a_flipped_bit_is_found_wherever_it_is(ours):
    before = file(drawn())
    signed = Signer(ours).sign(before, "image/jpeg", ORIGIN)
    # What the box itself holds is signed; around it is the picture.
    end = len(signed) - len(before)
    rng = np.random.default_rng(0)
    for at in rng.integers(end + 20, len(signed), 25):
        changed = bytearray(signed)
        changed[at] ^= 1 << int(rng.integers(8))
        assert read(bytes(changed), "image/jpeg", ours.anchors).state == State.CHANGED


def test_what_is_said_is_bounded(ours):
    long = dataclasses.replace(ORIGIN, shows="A cow, " * 1000)
    signed = Signer(ours).sign(file(drawn()), "image/jpeg", long)
    assert len(read(signed, "image/jpeg", ours.anchors).origin.shows) == 300


def test_the_development_authority_is_made_once_and_for_this_user_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("S2I_HOME", str(tmp_path))
    first = keys(ProvenanceConfig())
    assert first == keys(ProvenanceConfig()) and first.development
    assert first.key not in repr(first).encode()
    files = list((tmp_path / "provenance").iterdir())
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


def test_keys_of_ones_own(ours, tmp_path):
    for name, data in (("c.pem", ours.chain), ("k.pem", ours.key), ("a.pem", ours.anchors), ("w.key", b"mark")):
        (tmp_path / name).write_bytes(data)
    named = {"certificate": str(tmp_path / "c.pem"), "key": str(tmp_path / "k.pem")}
    own = keys(ProvenanceConfig(**named, anchors=str(tmp_path / "a.pem"), watermark_key=str(tmp_path / "w.key")))
    assert not own.development and own.watermark == b"mark"
    signed = Signer(own).sign(file(drawn()), "image/jpeg", ORIGIN)
    assert read(signed, "image/jpeg", own.anchors).state == State.TRUSTED
    with pytest.raises(ConfigError, match="only one"):
        keys(ProvenanceConfig(key=named["key"]))
    with pytest.raises(ConfigError, match="cannot be read"):
        keys(ProvenanceConfig(certificate="/nowhere", key="/nowhere"))
    (tmp_path / "c.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match="cannot sign"):
        Signer(keys(ProvenanceConfig(**named)))
