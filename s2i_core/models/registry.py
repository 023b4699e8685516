"""The kinds of parts that there are, and a whole model from settings."""

from __future__ import annotations

import importlib
from typing import Any

from s2i_core.config import ModelConfig, SpeechEncoderConfig
from s2i_core.errors import ConfigError, ModelError
from s2i_core.models.contracts import Frontend, ImageDecoder, Model, SpeechEncoder
from s2i_core.weights import checkpoint_folder, decoder_digest, encoder_digest, facts, speech_digest

FRONTENDS = {"whisper": "s2i_core.audio.features:LogMel"}
"""The frontend of each kind of encoder: a class that needs no torch."""
ENCODERS = {"whisper": "s2i_core.models.speech.listener:load"}
"""What loads each kind of `model.encoder`: `(settings, folder, device, dtype, digest) -> SpeechEncoder`."""
DECODERS = {
    "native": "s2i_core.models.decoders.native.decoder:load",
    "collage": "s2i_core.models.decoders.native.collage:load",
}
"""What loads each kind of `model.decoder`: `(settings, folder, device, dtype, digest) -> ImageDecoder`."""


def frontend(config: SpeechEncoderConfig) -> Frontend:
    """The frontend of the encoder of these settings."""
    return _named(FRONTENDS[config.kind])()  # type: ignore[no-any-return]


def load(config: ModelConfig) -> Model:
    """The model of these settings.

    Raises:
        ModelError: a part is missing or damaged, or the parts do not fit each other.
        ConfigError: the device is not there.
    """
    import torch

    from s2i_core.models import space

    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device {device!r}", "this process sees no GPU", "Use a CPU preset, or device=auto.")
    if config.threads:
        torch.set_num_threads(config.threads)
    hears, draws = (
        checkpoint_folder(part.checkpoint or config.checkpoint) for part in (config.encoder, config.decoder)
    )
    for folder in {hears, draws}:
        facts(folder)
    dtype, heard_by = getattr(torch, config.dtype), speech_digest(config.encoder, hears)
    made = Model(
        _named(ENCODERS[config.encoder.kind])(config.encoder, hears, device, dtype, heard_by),
        space.load(hears, device, dtype),
        _named(DECODERS[config.decoder.kind])(config.decoder, draws, device, dtype, decoder_digest(config)),
        device,
    )
    check_fit(made.encoder, made.decoder, f"decoder {config.decoder.kind} of {draws}", f"encoder of {hears}")
    _check_origin(config, made)
    return made


def check_fit(encoder: SpeechEncoder, decoder: ImageDecoder, decoder_name: str, encoder_name: str) -> None:
    """Check that a decoder can read what an encoder produces.

    Raises:
        ModelError: the widths differ, or the encoder lacks an extra that the decoder reads.
    """
    info = decoder.info
    reads, says = (
        f"tokens of width {part.token_width} and vectors of {part.embedding_width}" for part in (info, encoder)
    )
    if reads != says:
        raise ModelError(decoder_name, f"it reads {reads}, the {encoder_name} says {says}", _REMEDY)
    if missing := set(info.extras) - encoder.extras.keys():
        raise ModelError(
            decoder_name, f"it reads tokens for the {missing.pop()}, which the {encoder_name} does not say", _REMEDY
        )


_REMEDY = "Choose parts that were trained together: s2i models lists them."


def _check_origin(config: ModelConfig, made: Model) -> None:
    """Check that the decoder and its library were made for this encoder: vectors of equal width may differ in meaning.

    Raises:
        ModelError: they were not.
    """
    own = config.model_copy(update={"encoder": type(config.encoder)(checkpoint=config.decoder.checkpoint)})
    if config.decoder.checkpoint and (trained_with := encoder_digest(own)) != made.encoder_digest:
        raise ModelError(
            config.decoder.checkpoint,
            f"its decoder was trained with encoder {trained_with}, not {made.encoder_digest}",
            _REMEDY,
        )
    library = getattr(config.decoder, "library", "")
    if library and (embedded_by := made.decoder.library.embedded_by) != made.encoder_digest:
        raise ModelError(
            library,
            f"its vectors were made with model {embedded_by or 'unknown'}, not {made.encoder_digest}",
            "Build it again: s2i library build.",
        )


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
