from pathlib import Path
from xml.etree import ElementTree

from s2i_core.models.speech.projection import QueryTransformer
from s2i_core.training import scaling
from s2i_core.training.data.frames import FrameSet

WIDTH = 8


def projection() -> QueryTransformer:
    return QueryTransformer(
        width=WIDTH, depth=1, heads=2, mlp_width=16, num_queries=4, token_width=WIDTH, embedding_width=WIDTH
    )


def test_a_smaller_share_is_part_of_a_larger(folder: Path) -> None:
    whole, half, most = (FrameSet(folder / "frames-train").thinned(share, 0) for share in (1, 0.5, 0.8))
    assert len(half) < len(most) < len(whole)
    for length, texts in half.texts.items():
        assert half.frames[length].shape[0] == len(texts) > 0
        rows = {row.tobytes() for row in most.frames[length]}
        assert all(row.tobytes() in rows for row in half.frames[length])


def test_every_run_has_its_points_and_is_made_once(folder: Path, tmp_path: Path) -> None:
    config = scaling.ScalingConfig(shares=(0.5, 1.0), steps=2, evaluate_every=1, batch=4)
    points = scaling.measure(folder, tmp_path, config, projection)
    runs = [(point["start"], point["share"], point["step"]) for point in points]
    assert runs == [(start, share, step) for start, share in (("whisper", 0.5), ("whisper", 1.0), ("random", 1.0))
                    for step in (1, 2)]  # fmt: skip
    assert all(0 <= point["r1"] <= point["r5"] <= 1 for point in points)
    assert points[0]["utterances"] < points[2]["utterances"]
    assert scaling.measure(folder, tmp_path, config, projection) == points
    written = scaling.table(points)
    assert written.count("\n") == 4 and "| random |" in written
    drawn = ElementTree.fromstring(scaling.chart(points))
    lines = drawn.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [2, 2, 2]
