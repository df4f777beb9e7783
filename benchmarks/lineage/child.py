"""A derain command in a process of its own, so that its memory and its threads go when it ends."""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from derain.engines.errors import DerainError, UsageError


def call(arguments: Sequence[str], threads: int, log: Path, tell: Callable[[str], None]) -> None:
    """Runs `derain ARGUMENTS` on so many threads; its lines are told as they come and kept in `log`.

    Raises its error as it was. An interrupt ends it as Ctrl-C does, so that it leaves its checkpoint.
    """
    last: deque[str] = deque(maxlen=1)
    with (
        log.open("a", encoding="utf-8") as kept,
        subprocess.Popen(
            [sys.executable, "-m", "derain.pipeline", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            # The terminal's Ctrl-C comes only here, and is passed on once.
            start_new_session=True,
        ) as process,
    ):
        assert process.stderr is not None
        try:
            for line in process.stderr:
                kept.write(line)
                kept.flush()
                last.append(line.strip())
                tell(line.strip())
        except KeyboardInterrupt:
            process.terminate()
            process.communicate()
            raise
    check(process.returncode, arguments, last[0] if last else "it said nothing")


def check(code: int, arguments: Sequence[str], sentence: str) -> None:
    """Raises what a derain command's exit code says."""
    sentence = sentence.removeprefix("derain: ")
    if code == 0:
        return
    if code in (DerainError.exit_code, UsageError.exit_code):
        raise (DerainError if code == DerainError.exit_code else UsageError)(sentence)
    raise KilledError(
        f"derain {arguments[0]} was ended from outside ({code}); the same command goes on: {sentence}"
    )


class KilledError(DerainError):
    """A process that did not end by itself: for want of memory, say."""
