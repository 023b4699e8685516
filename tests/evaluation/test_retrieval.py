"""Places among candidates of which several are right."""

import numpy as np

from s2i_core.evaluation import retrieval


def test_a_drawing_is_found_when_any_of_its_title_is() -> None:
    titles = np.eye(3, dtype=np.float32)[[0, 1, 0, 2]]
    right = retrieval._of_title([0, 3], titles)
    assert right.tolist() == [[True, False, True, False], [False, False, False, True]]
    scores = np.array([[0.1, 0.5, 0.9, 0.2], [0.4, 0.4, 0.1, 0.4]], np.float32)
    assert retrieval._first(scores, right).tolist() == [1, 3]
