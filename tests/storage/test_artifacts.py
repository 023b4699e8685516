"""Keys of what a run writes."""

from s2i_core.storage.artifacts import image_key, index_key, join, page_key, run_key


def test_keys_are_deterministic_and_sort_by_time() -> None:
    first = image_key("", "rec", 9_000, "img", "webp")
    assert first == "images/rec/000009000-img.webp"
    assert first < image_key("", "rec", 10_000, "img", "webp") < image_key("", "rec", 36_000_000, "img", "webp")
    assert image_key("out/", "rec", 0, "img", "jpeg") == "out/images/rec/000000000-img.jpg"
    assert page_key("out", "rec") == "out/pages/rec.html"
    assert index_key("") == "pages/index.html"
    assert join("a/b/", run_key("run", "plan.json")) == "a/b/runs/run/plan.json"
