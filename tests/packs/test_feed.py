"""A feed gets tags, and nothing else of it changes."""

import difflib
import time

import feedparser
import pytest

from s2i_core.errors import ConfigError, LimitExceeded
from s2i_core.packs.feed import FeedEpisode, illustrated

ITEM = """    <item>
      <title>Ep {0} &amp; caf\xe9</title>
      <guid isPermaLink='false'>{0}</guid>
      <enclosure url="https://cdn.example.org/audio/ep%20{0}.mp3?x=1&amp;y=2" length="1" type="audio/mpeg"/>
      <description><![CDATA[<p>&nbsp; ]] {0}</p>]]></description>{1}
    </item>
"""


def feed(items, encoding="utf-8", head=' version="2.0"', extra=""):
    body = "".join(ITEM.format(number, extra) for number in range(items))
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n<rss{head}>\n<channel><title>T</title>\n{body}</channel>\n'
    return f"{text}</rss>\n".encode(encoding)


def episode(number, **changes):
    facts = {
        "chapters": f"https://c.org/{number}/chapters.json?a&b",
        "image": "https://c.org/i.jpg",
        "alt": 'Кот "x" <b>',
    }
    return FeedEpisode(f"ep {number}.mp3", **facts | changes)


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "utf-16", "windows-1252"])
def test_tags_come_in_and_all_else_stays_byte_for_byte(encoding):
    before = feed(3, encoding)
    made = illustrated(before, [episode(number) for number in (0, 2)])
    assert (made.items, made.changed, made.unchanged, made.unmatched) == (3, 2, 0, [])
    steps = difflib.SequenceMatcher(None, before, made.feed, autojunk=False).get_opcodes()
    assert {step for step, *_ in steps} == {"equal", "insert"}
    read = feedparser.parse(made.feed)
    assert not read.bozo and len(read.entries) == 3
    assert read.entries[2]["podcast_chapters"] == {
        "url": "https://c.org/2/chapters.json?a&b",
        "type": "application/json+chapters",
    }
    assert read.entries[2]["podcast_image"]["alt"] == 'Кот "x" <b>'
    assert "podcast_chapters" not in read.entries[1]
    again = illustrated(made.feed, [episode(number) for number in (0, 2)])
    assert again.feed == made.feed and again.unchanged == 2


def test_what_an_item_has_stays():
    theirs = '<p:chapters url="https://theirs.org/c.json" type="application/json+chapters"/>'
    before = feed(1, head=' version="2.0" xmlns:p="https://podcastindex.org/namespace/1.0"', extra=theirs)
    made = illustrated(before, [episode(0)])
    read = feedparser.parse(made.feed).entries[0]
    assert b"<p:image " in made.feed and made.feed.count(b"xmlns") == 1
    assert "theirs.org" in made.feed.decode() and "c.org/0" not in made.feed.decode()
    assert read["p_image"]["href"] == "https://c.org/i.jpg"


def test_a_prefix_that_means_something_else_is_left_alone():
    made = illustrated(feed(1, head=' version="2.0" xmlns:podcast="urn:other"'), [episode(0)])
    assert b'xmlns:podcast20="https://podcastindex.org/namespace/1.0"' in made.feed
    assert illustrated(made.feed, [episode(0)]).feed == made.feed


def test_a_recording_that_no_item_or_more_than_one_has_is_named():
    doubled = feed(1).replace(b"</channel>", ITEM.format(0, "").encode() + b"</channel>")
    assert illustrated(doubled, [episode(0)]).unmatched == ["ep 0.mp3"]
    made = illustrated(feed(1), [FeedEpisode("other.mp3", "https://c.org/c.json")])
    assert made.unmatched == ["other.mp3"] and made.feed == feed(1)


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><rss><channel>&b;</channel></rss>'
)
FILE = b'<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss><channel><title>&x;</title></channel></rss>'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (BOMB, "DOCTYPE"),
        (FILE, "DOCTYPE"),
        (b"<rss><channel><item></channel></rss>", "well-formed"),
        (b"<rss><channel>&nbsp;</channel></rss>", "well-formed"),
        (b"", "well-formed"),
        (b"no feed at all", "well-formed"),
        (b"<feed xmlns='http://www.w3.org/2005/Atom'/>", "no RSS"),
        (b'<?xml version="1.0" encoding="klingon"?><rss/>', "well-formed"),
    ],
)
def test_what_is_no_sound_feed_is_refused(data, words):
    with pytest.raises(ConfigError, match=words):
        illustrated(data, [episode(0)])


def test_one_nested_without_end_is_refused():
    with pytest.raises(LimitExceeded):
        illustrated(b"<rss>" + b"<a>" * 100_000, [])


def test_ten_thousand_items_take_little_time():
    before = feed(10_000)
    began = time.process_time()
    made = illustrated(before, [episode(number) for number in range(10_000)])
    assert made.changed == 10_000
    assert time.process_time() - began < 5
