"""An archive as a stream: what stands around its members, and their bytes as they lie in containers.

Many small files are read at once: neighbours in one container by one reading, which matters most where each
reading is a request to an object store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

from uws.packages.archives import Archive, Segment
from uws.packages.members import Piece
from uws.results import Ranges, ResultStore

#: Sent at once; what is read ahead of a slow client is no more.
FOLDER_WINDOW = 1 << 20
BUCKET_WINDOW = 8 << 20
#: Rather than to read twice, so much that nobody wants is read.
FOLDER_GAP = 4 << 10
BUCKET_GAP = 128 << 10


def read_archive(archive: Archive, store: ResultStore, start: int, stop: int) -> Iterator[bytes]:
    """Read an archive from byte `start` to before byte `stop`.

    Raises
    ------
    FileNotFoundError, StorageError
        If a container is gone, or cannot be read.
    """
    window, gap = (FOLDER_WINDOW, FOLDER_GAP) if store.is_folder else (BUCKET_WINDOW, BUCKET_GAP)
    with closing(store.ranges()) as ranges:
        held: list[Segment] = []
        room = window
        for segment in _cut(archive.segments(start, stop), window):
            size = _length(segment)
            if size > room:
                yield b"".join(_fetched(held, ranges, gap))
                held, room = [], window
            held.append(segment)
            room -= size
        if held:
            yield b"".join(_fetched(held, ranges, gap))


def _cut(segments: Iterator[Segment], most: int) -> Iterator[Segment]:
    """Cut pieces that are longer than a window."""
    for segment in segments:
        if isinstance(segment, bytes) or segment.stop - segment.start <= most:
            yield segment
        else:
            for at in range(segment.start, segment.stop, most):
                yield Piece(segment.source, at, min(at + most, segment.stop))


def _length(segment: Segment) -> int:
    return len(segment) if isinstance(segment, bytes) else segment.stop - segment.start


def _fetched(segments: Sequence[Segment], ranges: Ranges, gap: int) -> list[bytes | memoryview]:
    """Have the bytes of all segments, in their order."""
    pieces = {index: segment for index, segment in enumerate(segments) if isinstance(segment, Piece)}
    order = sorted(
        (index for index, piece in pieces.items() if piece.start < piece.stop),
        key=lambda index: (pieces[index].source, pieces[index].start),
    )
    runs: list[tuple[Piece, list[int]]] = []
    for index in order:
        piece = pieces[index]
        last = runs[-1][0] if runs else None
        if last is not None and last.source == piece.source and piece.start <= last.stop + gap:
            runs[-1][1].append(index)
            runs[-1] = Piece(last.source, last.start, max(last.stop, piece.stop)), runs[-1][1]
        else:
            runs.append((piece, [index]))
    found: list[bytes | memoryview] = [segment if isinstance(segment, bytes) else b"" for segment in segments]
    read = ranges.fetch([(run.source, run.start, run.stop) for run, _ in runs])
    for (run, together), content in zip(runs, read, strict=True):
        view = memoryview(content)
        for index in together:
            piece = pieces[index]
            found[index] = view[piece.start - run.start : piece.stop - run.start]
    return found
