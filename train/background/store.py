"""The frames that a background is made of, in bounded memory: a temporary file, read in bands of rows."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import numpy as np

from derain.engines.errors import DerainError
from derain.train.background.ranks import Samples

IN_MEMORY = 128 << 20
"""Bytes up to which frames stay in memory rather than in a file."""
BAND = 48 << 20
"""Bytes of a band: all frames' pixels of some rows. Some five times as much is in use while it is ordered."""


class FrameStore:
    """Frames of one shape and type, appended one by one and read back in bands.

    The file lies in the system's folder for temporary files (TMPDIR), has no name there on POSIX, and goes
    when the store is closed or the process ends. Raises DerainError where there is no room for it.
    """

    def __init__(self, in_memory: int = IN_MEMORY, band: int = BAND) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=in_memory)  # noqa: SIM115 - closed by `close`
        self._band = band
        self.count = 0
        self.shape: tuple[int, ...] = ()
        self.dtype = np.dtype(np.uint8)

    def append(self, pixels: Samples) -> None:
        """The next frame, (H, W, 3) of the shape and type of the first."""
        if not self.count:
            self.shape, self.dtype = pixels.shape, pixels.dtype
        with self._room():
            self._file.seek(0, 2)
            self._file.write(np.ascontiguousarray(pixels).data)
        self.count += 1

    def bands(self) -> Iterator[tuple[slice, Samples]]:
        """Rows, and the pixels of all frames in these rows: (N, rows, W, 3), new memory each."""
        height = self.shape[0]
        rows = max(1, self._band // max(self.count * self._row_bytes(), 1))
        for top in range(0, height, rows):
            part = slice(top, min(top + rows, height))
            yield part, self._read(part)

    def _read(self, part: slice) -> Samples:
        band = np.empty((self.count, part.stop - part.start, *self.shape[1:]), self.dtype)
        frame = self.shape[0] * self._row_bytes()
        for index in range(self.count):
            self._file.seek(index * frame + part.start * self._row_bytes())
            wanted = memoryview(band[index]).cast("B")
            if self._file.readinto(wanted) != len(wanted):
                raise DerainError(
                    f"the temporary file in {tempfile.gettempdir()} lost its end while it was read"
                )
        return band

    def _row_bytes(self) -> int:
        return int(np.prod(self.shape[1:])) * self.dtype.itemsize

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            need = (self.count + 1) * self.shape[0] * self._row_bytes() / 2**30
            raise DerainError(
                f"the folder for temporary files, {tempfile.gettempdir()}, has no room for {self.count + 1} "
                f"frames ({need:.1f} GiB); set TMPDIR to a folder with more, or take fewer with --frames"
            ) from error

    def close(self) -> None:
        """Frees the frames; a second call does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
