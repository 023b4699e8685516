"""What counts as words among the transcripts."""

import pytest

from s2i_core.corpus.sources.human import _plain


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (" Call forwarding.", "call forwarding"),
        ("... letters of your party's last name.", "letters of your party's last name"),
        ("[this is a simple beep tone]", ""),
        ("Press 1 to enter", ""),
        (" M I S D N", ""),
        ("a", "a"),
        ("palm tree", "palm tree"),
    ],
)
def test_plain_words(written, said):
    assert _plain(written) == said
