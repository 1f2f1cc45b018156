"""Texts that visitors are still typing, read while nobody asks for anything."""

from rwkv_core.rows import Row

# A draft's memory is kept every so many tokens, and before its last few.
STRIDE, OPEN = 32, 2


class DraftLine:
    """The drafts that wait to be read, one of each session; use it under the engine's lock.

    Args:
        places: how many it holds.
    """

    def __init__(self, places: int) -> None:
        self.rows: list[Row] = []
        self._places = places

    def add(self, row: Row, *, is_busy: bool) -> None:
        """Take a draft in place of its session's last one; refused while others are served."""
        for other in self.rows:
            if other.stream.session_id == row.stream.session_id:
                other.stream.cancel()
        waiting = sum(not other.stream.is_cancelled for other in self.rows)
        if is_busy or waiting >= self._places:
            row.stream.cancel()
        self.rows.append(row)

    def give_way(self) -> None:
        """End all drafts, since somebody asks for a text; what was read of them is kept."""
        for row in self.rows:
            row.stream.cancel()

    def turn(self) -> Row:
        """Whose turn it is; then it is the next one's."""
        self.rows.append(self.rows.pop(0))
        return self.rows[-1]


def next_piece(row: Row) -> list[int]:
    """The next tokens of a draft: to the next multiple of 32, or to just before its end.

    The last two tokens are read apart, since the next key that is pressed may change them.
    """
    stop = min(len(row.ids), (row.length // STRIDE + 1) * STRIDE)
    settled = len(row.ids) - OPEN
    return row.ids[row.length : min(stop, settled) if row.length < settled else stop]
