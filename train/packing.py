"""Which piece goes into which row: nothing is lost, and few places stay empty."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence


def piece_lengths(num_tokens: int, seq_tokens: int) -> list[int]:
    """Lengths of the pieces that a document of `num_tokens` is split into; they sum to it.

    Every piece is full but the last. The last is never a single token: the first token of a piece is predicted by
    nothing, so a lone end-of-text token would never be learned.
    """
    full, rest = divmod(num_tokens, seq_tokens)
    if full == 0 or rest == 0:
        return [seq_tokens] * full or [rest]
    if rest == 1:
        return [seq_tokens] * (full - 1) + [seq_tokens - 1, 2]
    return [seq_tokens] * full + [rest]


def pack_best_fit(lengths: Sequence[int], seq_tokens: int) -> list[list[int]]:
    """Rows of piece numbers: a pure function of `lengths` (tokens, each at most `seq_tokens`).

    Best-fit decreasing over the whole corpus: the longest piece first, each into the fullest row with room for it.
    """
    rows: list[list[int]] = []
    rows_by_room: dict[int, list[int]] = {}
    rooms: list[int] = []  # the keys of `rows_by_room`, ascending
    for piece in sorted(range(len(lengths)), key=lambda piece: (-lengths[piece], piece)):
        length = lengths[piece]
        assert 0 < length <= seq_tokens, (piece, length, seq_tokens)
        place = bisect_left(rooms, length)
        if place == len(rooms):
            row, room = len(rows), seq_tokens
            rows.append([])
        else:
            room = rooms[place]
            row = rows_by_room[room].pop()
            if not rows_by_room[room]:
                del rows_by_room[room]
                rooms.pop(place)
        rows[row].append(piece)
        left = room - length
        if left > 0:
            if left not in rows_by_room:
                rows_by_room[left] = []
                insort(rooms, left)
            rows_by_room[left].append(row)
    return rows
