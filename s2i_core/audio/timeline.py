"""Where each frame of sound lies on the time line that a player shows.

A container's time stamps may begin late, jump ahead where nothing was recorded, or start again where two recordings
were joined. Time 0 is:

- in Matroska, WebM, MP4 and QuickTime, whose time lines begin at 0, the stamp 0: sound that is stamped 30 s begins
  at 30 s, as ffplay, VLC and browsers show it;
- in transport and programme streams, FLV, ASF and Ogg, whose clocks may start anywhere, and in pieces of live streams
  that state no length, the first stamp of any track, as VLC and mpv show it.

Where a stamp is later than the end of the sound so far, there is silence between. Where stamps go back, no sound is
cut: it goes on, and times are counted from there. FFmpeg follows the same rules (`-dts_delta_threshold`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

GAP_S = 0.25
"""A stamp that is late by less is a recorder's jitter, not a gap."""
BACK_S = 10.0
"""Stamps that go back by more come from another clock."""
FREE_CLOCK_GAP_S = 3600.0
"""Where a clock may start anywhere, a jump ahead by more means another clock, not a gap."""

#: Demuxers with meaningful stamps, and whether their clock may start anywhere. The others just count samples.
_FREE = {"matroska": False, "mov": False, "mpegts": True, "mpeg": True, "flv": True, "asf": True, "ogg": True}


@dataclass
class Timeline:
    """The clock of one track. All values are seconds.

    Attributes:
        origin_s: the stamp of time 0; None if stamps mean nothing.
        free: whether the clock may start anywhere.
        longest_s: a jump to a position after this is not a gap.
        position_s: end of the sound so far.
        left_out: jumps that were not gaps: (where, how far).
    """

    origin_s: float | None
    free: bool
    longest_s: float
    position_s: float = 0.0
    left_out: list[tuple[float, float]] = field(default_factory=list)
    _end_s: float | None = None
    """Stamp of the end of the last frame."""

    def gap_before(self, stamp_s: float | None, duration_s: float) -> float:
        """Seconds of silence before the next frame; counts that frame as well."""
        gap_s = 0.0
        if stamp_s is not None and self.origin_s is not None:
            if self._end_s is not None and stamp_s < self._end_s - BACK_S:
                self.origin_s = stamp_s - self.position_s
            gap_s = stamp_s - self.origin_s - self.position_s
            jump_s = gap_s if self._end_s is None else stamp_s - self._end_s
            if gap_s < GAP_S:
                gap_s = 0.0
            elif self.position_s + gap_s > self.longest_s or (self.free and gap_s > FREE_CLOCK_GAP_S):
                self.left_out.append((self.position_s, jump_s))
                self.origin_s, gap_s = stamp_s - self.position_s, 0.0
            self._end_s = stamp_s + duration_s
        elif self._end_s is not None:
            self._end_s += duration_s
        self.position_s += gap_s + duration_s
        return gap_s


def begin(container_format: str, start_s: float | None, claimed_s: float | None, longest_s: float) -> Timeline:
    """The clock of a track at its start.

    Args:
        container_format: FFmpeg's name of the demuxer.
        start_s: the container's first stamp, of any track.
        claimed_s: the length that the container claims.
        longest_s: as in `Timeline`.
    """
    kind = container_format.partition(",")[0]
    if kind not in _FREE:
        return Timeline(None, False, longest_s)
    # A piece cut out of a live stream has the stream's clock and no length.
    free = _FREE[kind] or claimed_s is None or (kind == "matroska" and (start_s or 0.0) > claimed_s)
    return Timeline((start_s or 0.0) if free else 0.0, free, longest_s)
