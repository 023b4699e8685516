"""Every step of training on tiny parts: it runs, and a run that was cut off ends like one that was not."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from s2i_core.corpus.backgrounds import SETTINGS
from s2i_core.corpus.compose import SpriteBook
from s2i_core.corpus.folder import read_scenes
from s2i_core.errors import ConfigError
from s2i_core.learning import checkpoint
from s2i_core.models.decoders.native.denoiser import Denoiser
from s2i_core.models.decoders.native.layout import Layout
from s2i_core.models.decoders.native.library import SpriteLibrary
from s2i_core.models.decoders.native.places import TIMES
from s2i_core.models.decoders.native.reference import Slot
from s2i_core.models.image_encoder import ImageEncoder
from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.training.data.frames import FrameSet
from s2i_core.training.trainers import align, diffuse, grounds, pictures, place

WIDTH = 8


def projection() -> QueryTransformer:
    torch.manual_seed(0)
    return QueryTransformer(
        width=WIDTH, depth=1, heads=2, mlp_width=16, num_queries=4, token_width=WIDTH, embedding_width=WIDTH
    )


def test_a_scene_is_drawn_in_another_style(folder: Path, tmp_path: Path) -> None:
    own = SpriteBook(SpriteLibrary.load(folder / "library"))
    infos = [replace(info, style="sketch") for info in own.library.infos[:2]]
    SpriteLibrary(infos, own.library.webp[:2]).save(tmp_path / "styles")
    own.save(tmp_path / "library")
    books = diffuse._books(tmp_path, (*own.styles, "sketch"))
    config = diffuse.DiffuseConfig(restyled=1)
    rng = np.random.default_rng(0)
    styles = set()
    for row in read_scenes(folder):
        spec, book = diffuse._page(row.spec, books, config, rng)
        drawn = {group.concept for group in row.spec.groups}
        assert [book.library.infos[slot.sprite].concept for slot in spec.slots] == [s.concept for s in row.spec.slots]
        if drawn <= {info.concept for info in infos} and not any(group.colour for group in row.spec.groups):
            assert book.styles == ("sketch",)
        if not drawn <= {info.concept for info in infos}:
            assert book is books[0], "what the style lacks is drawn in the scene's own"
        styles.add(book.styles)
    assert len(styles) == 2
    with pytest.raises(ConfigError, match="styles"):
        diffuse._books(tmp_path, (*own.styles, "engraving"))


def test_training_walks_the_way_of_inference() -> None:
    clean, start, noise = torch.randn(3, 1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=np.linspace(0.8, 0.2, 4))
    x, grounded = torch.lerp(start, noise, 0.8), torch.ones(1, dtype=torch.bool)
    for step, t in enumerate(scheduler.timesteps):
        sigma = scheduler.sigmas[step]
        torch.testing.assert_close(diffuse.on_the_way(clean, start, noise, sigma[None], grounded, 0.8), x)
        x = scheduler.step((x - clean) / sigma, t, x, return_dict=False)[0]
    torch.testing.assert_close(x, clean)
    free = diffuse.on_the_way(clean, start, noise, torch.tensor([0.9]), ~grounded, 0.8)
    torch.testing.assert_close(free, torch.lerp(clean, noise, 0.9))


def test_every_place_has_coarse_grounds_in_every_style() -> None:
    painted = grounds.paint_all(("3d", "sketch"))
    for setting, spec in enumerate(SETTINGS.values()):
        full, thin = (painted.choose(style, setting, 0, 3) for style in (0, 1))
        assert (full == thin).all() == spec.name.startswith("plain ")
        for time in range(len(TIMES)):
            painted.choose(1, setting, time, 0)
    night = painted.choose(0, list(SETTINGS).index("city"), TIMES.index("night"), 0)
    assert night.mean() < 90 < painted.choose(0, list(SETTINGS).index("city"), 0, 0).mean()


def test_align_resumes_exactly(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = align.AlignConfig(steps=4, batch=6, warmup=1, evaluate_every=2, dtype="float32")
    whole = projection()
    align.train(folder, tmp_path / "whole", whole, config)

    class Cut(Exception):
        pass

    def evaluate_once(*_: object) -> dict[str, float]:
        raise Cut

    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(align, "evaluate", evaluate_once)
        align.train(folder, tmp_path / "cut", projection(), config)
    resumed = projection()
    align.train(folder, tmp_path / "cut", resumed, config)
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)
    before = projection()
    assert any(not torch.equal(a, b) for a, b in zip(before.parameters(), whole.parameters(), strict=True))
    frozen = "layers.0.cross_attention.k.weight"
    torch.testing.assert_close(before.state_dict()[frozen], whole.state_dict()[frozen])


def test_a_complete_model_learns_words_and_keeps_its_layout_and_tokens(folder: Path, tmp_path: Path) -> None:
    frames, _ = next(FrameSet(folder / "frames-train").batches(4))
    before = projection()
    layout = align.new_layout(before, own_tokens=before.config.num_queries)
    kept = copy.deepcopy(layout.state_dict())

    def went(keep_tokens: float) -> tuple[float, float]:
        """How far the tokens and the pooled vectors went."""
        config = align.AlignConfig(steps=8, batch=6, warmup=1, dtype="float32", keep_tokens=keep_tokens)
        learned = projection()
        assert align.train(folder, tmp_path / str(keep_tokens), learned, config, layout) is layout
        with torch.no_grad():
            pairs = zip(before(frames), learned.eval()(frames), strict=True)
            tokens, pooled = ((a - b).square().mean().item() for a, b in pairs)
        return tokens, pooled

    free, held = went(0.0), went(100.0)
    assert held[0] < free[0] / 3 and held[1] > 0
    for name, value in layout.state_dict().items():
        torch.testing.assert_close(value, kept[name])
    assert "slot_r1" not in (tmp_path / "0.0" / "align.jsonl").read_text()


def test_pictures_and_diffuse_learn_something(folder: Path, tmp_path: Path) -> None:
    encoder = ImageEncoder(size_px=32, stem=8, stages=((3, 1, 2, 2, 8),), width=8, embedding_width=WIDTH)
    start = [p.clone() for p in encoder.parameters()]
    pictures.train(folder, tmp_path, pictures.PicturesConfig(steps=2, batch=6, warmup=1, dtype="float32"), encoder)
    assert any(not torch.equal(a, b) for a, b in zip(start, encoder.parameters(), strict=True))

    config = diffuse.DiffuseConfig(steps=3, batch=2, size_px=32, warmup=1, dtype="float32")
    torch.manual_seed(0)
    denoiser = Denoiser(token_width=WIDTH, embedding_width=WIDTH, widths=(8, 16), head_width=8, groups=4)
    average = diffuse.train(folder, tmp_path, projection(), config, denoiser)
    log = (tmp_path / "diffuse.jsonl").read_text()
    assert "error" in log
    assert all(torch.isfinite(p).all() for p in average.parameters())
    again = Denoiser.from_config(denoiser.config)
    assert checkpoint.resume(tmp_path / diffuse.CHECKPOINT, {"average": again}) == 3


def test_a_layout_learns_alone_and_a_run_cut_off_ends_like_one_that_was_not(folder: Path, tmp_path: Path) -> None:
    config = place.PlaceConfig(parts=("train", "talk"), steps=4, batch=6, warmup=1, evaluate_every=2, dtype="float32")
    hearing = projection()
    begun = {"projection": projection(), "layout": align.new_layout(hearing, own_tokens=hearing.config.num_queries)}
    start = {name: copy.deepcopy(module.state_dict()) for name, module in begun.items()}

    def run(out: str) -> dict[str, dict[str, torch.Tensor]]:
        own, layout = copy.deepcopy(begun["projection"]), copy.deepcopy(begun["layout"])
        place.train(folder, tmp_path / out, hearing, own, layout, config)
        return {"projection": own.state_dict(), "layout": layout.state_dict()}

    class Cut(Exception):
        pass

    def once(*_: object) -> None:
        saved(*_)
        raise Cut

    whole = run("whole")
    for name, weights in start.items():
        assert any(not torch.equal(whole[name][weight], value) for weight, value in weights.items())
    saved = checkpoint.save
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Cut):
        patch.setattr(checkpoint, "save", once)
        run("cut")
    resumed = run("cut")
    for name, weights in whole.items():
        torch.testing.assert_close(resumed[name], weights)
    log = (tmp_path / "whole" / "place.jsonl").read_text()
    assert '"count"' in log and '"things"' in log


def test_a_layout_goes_back_toward_what_it_was() -> None:
    before, trained = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    after = copy.deepcopy(trained)
    place.go_back(after, before, 0.25)
    torch.testing.assert_close(after.weight, 0.75 * trained.weight + 0.25 * before.weight)
    torch.testing.assert_close(after.bias, 0.75 * trained.bias + 0.25 * before.bias)


def said(*slots: tuple[int, float, int]) -> Layout:
    """A layout of one utterance that is sure of its slots: sprite of three, centre x, colour."""
    count = len(slots)
    return Layout(
        presence=torch.full((1, count), 9.0),
        boxes=torch.tensor([[[x, 0.5, 0.2, 0.2] for _, x, _ in slots]]),
        queries=torch.eye(3)[torch.tensor([[sprite for sprite, _, _ in slots]])],
        colours=20 * torch.eye(4)[torch.tensor([[colour for _, _, colour in slots]])],
        settings=torch.tensor([[9.0, 0.0]]),
        times=torch.tensor([[9.0, 0.0]]),
    )


def test_slots_may_hold_the_things_in_any_order_but_each_with_its_own_place_and_colour() -> None:
    targets = align.Targets(
        texts=torch.eye(3)[:1],
        sprites=torch.eye(3),
        presence=torch.tensor([[1.0, 1.0]]),
        boxes=torch.tensor([[[0.3, 0.5, 0.2, 0.2], [0.7, 0.5, 0.2, 0.2]]]),
        chosen=torch.tensor([[0, 1]]),
        colours=torch.tensor([[2, 0]]),
        settings=torch.tensor([0]),
        times=torch.tensor([0]),
    )

    def loss(*slots: tuple[int, float, int]) -> float:
        return align.layout_loss(said(*slots), targets, torch.tensor([0]), align.LayoutWeights()).item()

    right = loss((0, 0.3, 2), (1, 0.7, 0))
    assert right < 0.01
    assert loss((1, 0.7, 0), (0, 0.3, 2)) == pytest.approx(right, abs=1e-5)
    assert loss((0, 0.7, 2), (1, 0.3, 0)) > right + 0.3  # places exchanged
    assert loss((0, 0.3, 0), (1, 0.7, 2)) > right + 5  # colours exchanged
    assert loss((0, 0.3, 2), (0, 0.7, 0)) > right + 5  # one thing twice


def test_what_says_the_same_is_no_negative() -> None:
    target = torch.eye(4)[[0, 0, 1, 2]]
    perfect = align.contrastive_loss(target, target, 0.05)
    assert perfect < 1e-3


def test_the_bank_makes_it_harder_but_not_by_what_says_the_same() -> None:
    target = torch.eye(4)
    speech = torch.nn.functional.normalize(target + 0.3, dim=-1)
    alone = align.contrastive_loss(speech, target, 0.1)
    torch.testing.assert_close(align.contrastive_loss(speech, target, 0.1, bank=target), alone, atol=0.2, rtol=0)
    near = torch.nn.functional.normalize(target + 0.5, dim=-1)
    assert align.contrastive_loss(speech, target, 0.1, bank=near) > alone + 0.2


def test_stretches_of_frames_are_hidden() -> None:
    frames = torch.ones(40, 100, 3)
    hidden = align.hide(frames, 10, np.random.default_rng(0))
    assert 0.85 < hidden.mean() < 0.95
    assert (hidden.sum((1, 2)) >= 3 * 80).all()
    assert align.hide(frames, 0, np.random.default_rng(0)) is frames


def test_references_are_dropped_moved_and_exchanged() -> None:
    slots = (Slot(0, "red", (0.3, 0.5, 0.2, 0.2)), Slot(1, "green", (0.7, 0.5, 0.2, 0.2)))
    config = diffuse.DiffuseConfig(drop_canvas=0.2, drop_sprite=0.2, wrong_sprite=0.2, moved=0.5)
    rng = np.random.default_rng(0)
    seen = [diffuse.disturb(slots, 3, config, rng) for _ in range(200)]
    assert {len(kept) for kept in seen} == {0, 1, 2}
    assert {slot.sprite for kept in seen for slot in kept} == {0, 1, 2}
    assert len({slot.box for kept in seen for slot in kept}) > 50
