"""MPEG audio without a frame count in its header, for libsndfile."""

from __future__ import annotations

import os
import re
from typing import BinaryIO

HEADER = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x00-\xef]")
"""Beginning of an MPEG audio frame; AAC frames do not match."""
SEARCH_BYTES = 1 << 18
"""Number of bytes after an ID3 tag in which the first MPEG frame is searched."""
END_BYTES = 256
"""Bytes at the end of a file that are read before the samples: an ID3v1 tag, if there is one."""


class MpegView:
    """View of an MPEG file as one that begins at its first frame and is several times as long.

    libsndfile estimates the length of a file without a frame count from the size, and stops there:
    the estimate is another one for the view, and the whole file is decoded from it.

    Parameters
    ----------
    file : the open file
    times : length of the view in lengths of the file
    """

    def __init__(self, file: BinaryIO, *, times: int) -> None:
        self._file, self._start = file, _first_frame(file)
        self._times, self._position = times, 0
        self._size = times * (os.fstat(file.fileno()).st_size - self._start)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position."""
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, n_bytes: int) -> bytes:
        """Return bytes; the last frame of a cut file is completed by zeros."""
        if self._times > 1 and self._position >= self._size - END_BYTES:
            content = bytes(max(0, min(n_bytes, self._size - self._position)))
        else:
            self._file.seek(self._start + self._position)
            content = self._file.read(n_bytes)
            content = content and content.ljust(n_bytes, b"\0")
        self._position += len(content)
        return content


def _first_frame(file: BinaryIO) -> int:
    """Return the position of the first frame, behind an ID3 tag and what follows it by mistake."""
    tag = file.read(10)
    start = 0
    if tag.startswith(b"ID3") and len(tag) == 10:
        start = 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True)
        )
    file.seek(start)
    found = HEADER.search(file.read(SEARCH_BYTES))
    return start + found.start() if found else 0
