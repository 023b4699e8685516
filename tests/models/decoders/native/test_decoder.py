import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import tiny_pipeline

from s2i_core.config import ImageConfig
from s2i_core.errors import ConfigError, GenerationError
from s2i_core.models.decoders.native import decoder as native
from s2i_core.models.decoders.native.decoder import canvas_tensor
from s2i_core.models.decoders.native.denoiser import Denoiser
from s2i_core.models.decoders.native.grounds import Grounds
from s2i_core.models.decoders.native.layout import Layout, LayoutPredictor, showing
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.models.decoders.native.painted import paint
from s2i_core.models.decoders.native.places import PLACES
from s2i_core.models.decoders.native.recolour import COLOURS
from s2i_core.pipeline import SpeechToImagePipeline
from s2i_core.records import SpeechEmbedding


@pytest.fixture(scope="module")
def pipeline() -> SpeechToImagePipeline:
    return tiny_pipeline()


def embeddings(rows: int) -> SpeechEmbedding:
    generator = torch.Generator().manual_seed(5)
    pooled = torch.nn.functional.normalize(torch.randn(rows, 8, generator=generator), dim=-1)
    return SpeechEmbedding(torch.randn(rows, 4, 8, generator=generator), pooled, torch.ones(rows))


IMAGE = ImageConfig(size_px=64, steps=3)


def test_a_picture_does_not_depend_on_its_neighbours(pipeline: SpeechToImagePipeline) -> None:
    together = pipeline.generate(embeddings(3), [7, 8, 9], IMAGE)
    for row, seed in enumerate([7, 8, 9]):
        alone = pipeline.generate(embeddings(3)[row : row + 1], [seed], IMAGE)[0]
        assert np.abs(alone.astype(int) - together[row].astype(int)).max() <= 1


def test_the_seed_decides(pipeline: SpeechToImagePipeline) -> None:
    one, same, other = (pipeline.generate(embeddings(1), [seed], IMAGE) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_without_references_it_sees_no_sprite(pipeline: SpeechToImagePipeline) -> None:
    drawing = pipeline.draw(embeddings(2), [1, 2], IMAGE.model_copy(update={"references": 0}))
    assert drawing.slots == [(), ()]
    assert drawing.taken == [0.0, 0.0]


def test_never_more_references_than_asked(pipeline: SpeechToImagePipeline) -> None:
    drawing = pipeline.draw(embeddings(8), list(range(8)), IMAGE.model_copy(update={"references": 1}))
    assert {len(slots) for slots in drawing.slots} == {1}


def test_a_model_of_one_size_draws_it_and_gives_any(pipeline: SpeechToImagePipeline) -> None:
    wanted = IMAGE.model_copy(update={"size_px": 100})
    with pytest.raises(ConfigError, match="multiples of"):
        pipeline.generate(embeddings(1), [0], wanted)
    own = pipeline.generate(embeddings(1), [0], IMAGE)[0]
    pipeline.denoiser.register_to_config(sample_size=64)
    sides: list[int] = []
    try:
        other = pipeline.generate(embeddings(1), [0], wanted, lambda _, preview: sides.append(preview([0]).shape[1]))[0]
        assert (pipeline.generate(embeddings(1), [0], IMAGE)[0] == own).all()
    finally:
        pipeline.denoiser.register_to_config(sample_size=0)
    assert other.shape == (100, 100, 3)
    assert sides == [64, 64, 64]
    enlarged = np.asarray(Image.fromarray(own).resize((100, 100), Image.Resampling.BICUBIC))
    assert np.abs(other.astype(int) - enlarged.astype(int)).mean() < 3


@pytest.mark.parametrize(("aspect", "shape"), [("1:1", (320, 320)), ("16:9", (180, 320)), ("9:16", (320, 180))])
def test_a_larger_picture_is_composed_anew(
    pipeline: SpeechToImagePipeline, aspect: str, shape: tuple[int, ...]
) -> None:
    wanted = IMAGE.model_copy(update={"size_px": 320, "aspect": aspect})
    pipeline.denoiser.register_to_config(sample_size=64)
    try:
        alone = pipeline.draw(embeddings(2)[1:], [8], wanted)
        together = pipeline.draw(embeddings(2), [7, 8], wanted)
        guided = pipeline.generate(embeddings(1), [0], wanted.model_copy(update={"guidance": 2.0}))
    finally:
        pipeline.denoiser.register_to_config(sample_size=0)
    assert together.images.shape[1:] == guided.shape[1:] == (*shape, 3)
    assert np.abs(together.images[1].astype(int) - alone.images[0].astype(int)).max() <= 1
    own = pipeline.draw(embeddings(2)[1:], [8], IMAGE)
    height, width = shape
    for framed, square in zip(alone.slots[0], own.slots[0], strict=True):
        assert framed.concept == square.concept
        assert framed.box[2] * width / (framed.box[3] * height) == pytest.approx(square.box[2] / square.box[3])


def test_callback_sees_every_step(pipeline: SpeechToImagePipeline) -> None:
    seen: list[int] = []
    pipeline.generate(embeddings(1), [0], IMAGE, lambda step, _: seen.append(step))
    assert seen == [0, 1, 2]


def test_nan_is_an_error_and_no_picture(pipeline: SpeechToImagePipeline) -> None:
    bad = embeddings(1)
    bad.tokens[:] = float("nan")
    with pytest.raises(GenerationError, match="not finite"):
        pipeline.generate(bad, [3], IMAGE)


def test_unknown_style_and_odd_size_are_refused(pipeline: SpeechToImagePipeline) -> None:
    with pytest.raises(ConfigError, match="3d"):
        pipeline.generate(embeddings(1), [0], IMAGE.model_copy(update={"style": "oil"}))
    with pytest.raises(ConfigError, match="multiples of 16"):
        pipeline.generate(embeddings(1), [0], IMAGE.model_copy(update={"size_px": 65}))


def test_canvas_is_premultiplied() -> None:
    canvas = np.zeros((1, 2, 2, 4), np.uint8)
    canvas[0, 0, 0] = (255, 0, 255, 255)
    canvas[0, 1, 1] = (255, 255, 255, 0)
    x = canvas_tensor(canvas)
    assert x[0, :, 0, 0].tolist() == [1, -1, 1, 1]
    assert x[0, :, 1, 1].tolist() == [0, 0, 0, 0]


def test_a_reference_takes_the_colour_that_the_layout_says(pipeline: SpeechToImagePipeline) -> None:
    knows = tiny_pipeline()
    knows.layout = LayoutPredictor(8, 8, num_slots=2, width=8, depth=1, heads=2, num_colours=len(COLOURS))
    torch.nn.init.zeros_(knows.layout.colours.weight)
    with torch.no_grad():
        knows.layout.colours.bias.copy_(torch.arange(1 + len(COLOURS)) == 1 + list(COLOURS).index("blue"))
    assert {slot.colour for slots in knows.draw(embeddings(3), [1, 2, 3], IMAGE).slots for slot in slots} == {"blue"}
    assert {slot.colour for slots in pipeline.draw(embeddings(3), [1, 2, 3], IMAGE).slots for slot in slots} == {None}


def test_slots_that_ask_for_nearly_the_same_find_the_same() -> None:
    angles = np.radians([0, 20, 90])
    asked = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    agreed = native._agreed(asked)
    np.testing.assert_allclose(agreed[0], agreed[1], atol=1e-6)
    np.testing.assert_allclose(agreed[0], [np.cos(np.radians(10)), np.sin(np.radians(10))], atol=1e-6)
    np.testing.assert_allclose(agreed[2], asked[2], atol=1e-6)


def grounded() -> SpeechToImagePipeline:
    """A pipeline that knows two places, one white and one black, and always hears the second."""
    pipeline = tiny_pipeline()
    pipeline.layout = LayoutPredictor(8, 8, num_slots=2, width=8, depth=1, heads=2, num_settings=2, num_times=3)
    torch.nn.init.zeros_(pipeline.layout.settings.weight)
    with torch.no_grad():
        pipeline.layout.settings.bias.copy_(torch.tensor([0.0, 1.0]))
    pictures = np.stack([np.full((4, 4, 3), value, np.uint8) for value in (255, 0)])
    pipeline.grounds = Grounds(pictures, np.array([[0, 0, 0], [0, 1, 0]]))
    return pipeline


def test_a_picture_starts_from_the_place_that_was_heard() -> None:
    pipeline = grounded()
    drawing = pipeline.draw(embeddings(2), [1, 2], IMAGE)
    assert drawing.grounds is not None
    assert drawing.grounds.shape == (2, 4, 4, 3) and not drawing.grounds.any()
    pipeline.grounds = Grounds(255 - pipeline.grounds.pictures, pipeline.grounds.keys)
    other = pipeline.draw(embeddings(2), [1, 2], IMAGE)
    assert (other.images != drawing.images).any()


def test_all_noise_leaves_nothing_of_the_ground() -> None:
    pipeline, image = grounded(), IMAGE.model_copy(update={"start_noise": 1.0})
    with_ground = pipeline.generate(embeddings(1), [1], image)
    pipeline.grounds = None
    np.testing.assert_array_equal(with_ground, pipeline.generate(embeddings(1), [1], image))


def test_without_references_it_starts_from_noise() -> None:
    pipeline, image = grounded(), IMAGE.model_copy(update={"references": 0})
    drawing = pipeline.draw(embeddings(1), [1], image)
    assert drawing.grounds is None
    pipeline.grounds = None
    np.testing.assert_array_equal(drawing.images, pipeline.generate(embeddings(1), [1], image))


def at_night() -> SpeechToImagePipeline:
    """A pipeline that tells all places apart, always hears the city by night, and draws at 64 px."""
    pipeline = grounded()
    count = len(PLACES)
    pipeline.layout = LayoutPredictor(8, 8, num_slots=2, width=8, depth=1, heads=2, num_settings=count, num_times=3)
    for part in (pipeline.layout.settings, pipeline.layout.times):
        torch.nn.init.zeros_(part.weight)
    with torch.no_grad():
        pipeline.layout.settings.bias.copy_(9.0 * (torch.arange(count) == list(PLACES).index("city")))
        pipeline.layout.times.bias.copy_(torch.tensor([0.0, 0.0, 9.0]))
    pipeline.denoiser.register_to_config(sample_size=64)
    return pipeline


@pytest.mark.parametrize("frame", [{"size_px": 64}, {"size_px": 320}, {"size_px": 320, "aspect": "16:9"}])
def test_a_picture_stands_on_the_painted_ground_of_its_place(frame: dict[str, object]) -> None:
    pipeline, image = at_night(), IMAGE.model_copy(update=frame)
    together, alone = (
        pipeline.draw(embeddings(2)[rows], seeds, image) for rows, seeds in ((slice(2), [7, 8]), (slice(1, 2), [8]))
    )
    np.testing.assert_array_equal(together.images[1], alone.images[0])
    (shows,) = alone.shows
    assert (shows.setting, shows.time_of_day) == ("city", "night")
    height, width = image.frame_px
    own = paint("city", "night", 8, height, width, "3d").astype(int)
    covered = np.zeros((height, width), bool)
    for slot in alone.slots[0]:
        x, y, w, h = slot.box
        rows, columns = (
            slice(max(0, int((y - h) * height)), int((y + h) * height) + 1),
            slice(max(0, int((x - w) * width)), int((x + w) * width) + 1),
        )
        covered[rows, columns] = True
    light = alone.images[0][~covered].astype(int).sum() / own[~covered].sum()
    assert 0.75 < light < 1.1
    assert np.abs(alone.images[0] - light * own)[~covered].mean() < 4, "no noise of the denoiser is left on it"


def test_previews_are_on_the_painted_ground_too() -> None:
    seen = []
    pipeline = at_night()
    drawing = pipeline.draw(embeddings(2), [1, 2], IMAGE, lambda step, preview: seen.append(preview([1])[0]))
    np.testing.assert_array_equal(seen[-1], drawing.images[1])


def test_a_print_is_its_ground_and_its_things_and_the_denoiser_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = at_night()
    library = pipeline.library
    infos = [dataclasses.replace(info, style="silhouette") for info in library.infos]
    pipeline.library = SpriteLibrary(infos, library.webp, library.vectors)
    monkeypatch.setattr(Denoiser, "parts", None)
    seen: list[np.ndarray] = []
    image = IMAGE.model_copy(update={"style": "silhouette", "size_px": 64})
    drawing = pipeline.draw(embeddings(2), [7, 8], image, lambda step, preview: seen.append(preview([1])[0]))
    assert len(seen) == image.steps
    np.testing.assert_array_equal(seen[-1], drawing.images[1])
    ground = paint("city", "night", 8, 64, 64, "silhouette")
    assert (drawing.images[1] == ground).all(axis=2).mean() > 0.2
    assert ground.mean() > 100, "dark things can be seen on it, at night too"


def slots_of(*asked: float) -> Layout:
    """Four slots, of which those asked for are sure, each asking in its own direction."""
    boxes = torch.tensor([[0.1 + 0.2 * n, 0.5, 0.2, 0.2] for n in range(4)])[None]
    colours = torch.tensor([[0.0, float(n), 0.0] for n in range(4)])[None]
    none = torch.zeros(1, 0)
    return Layout(torch.tensor([asked]), boxes, torch.eye(8)[None, :4], colours, none, none)


def things(*numbers: int) -> torch.Tensor:
    return torch.nn.functional.pad(torch.eye(8)[list(numbers)], (0, 0, 0, 4 - len(numbers)))[None]


def test_a_slot_that_asks_for_a_thing_keeps_its_place_and_the_others_go() -> None:
    shown = showing(slots_of(3.0, 2.0, 1.0, -1.0), things(2, 0))
    assert (shown.presence[0] > 0).tolist() == [True, False, True, False]
    torch.testing.assert_close(shown.boxes[0, [0, 2]], slots_of(1, 1, 1, 1).boxes[0, [0, 2]])
    torch.testing.assert_close(shown.queries[0, [0, 2]], torch.eye(8)[[0, 2]])


def test_things_of_elsewhere_take_slots_in_their_order_and_lose_all_places() -> None:
    shown = showing(slots_of(3.0, 2.0, 1.0, -1.0), things(7, 2))
    assert (shown.presence[0] > 0).tolist() == [True, True, False, False]
    assert not shown.boxes.any()
    torch.testing.assert_close(shown.queries[0, :2], torch.eye(8)[[7, 2]])
    assert shown.colours[0, :2].argmax(1).tolist() == [0, 1]  # its own; that of the slot that asked for it


def test_a_row_without_things_stays_as_it_is() -> None:
    layout = slots_of(3.0, 2.0, 1.0, -1.0)
    shown = showing(layout, torch.zeros(1, 4, 8))
    for name, part in vars(layout).items():
        assert torch.equal(part, getattr(shown, name))


def test_a_picture_shows_the_things_it_is_told(pipeline: SpeechToImagePipeline) -> None:
    decoder, speech = pipeline.model.decoder, pipeline.encode_speech([np.zeros(16000, np.float32)], 16000)
    for wanted in (0, 1, 2):
        vector = torch.from_numpy(pipeline.library.vectors[wanted])
        told = dataclasses.replace(speech, extras={"things": torch.nn.functional.pad(vector[None], (0, 0, 0, 3))[None]})
        (shows,) = decoder.draw(told, [0], ImageConfig(size_px=64, steps=1)).shows
        assert [each.title for each in shows.things] == [pipeline.library.infos[wanted].title]
