"""An engine opened once over in a process of its own, so that what its opening leaves in the cache is there.

So plans are built while another engine works. A thread would do for the interpreter's sake, since TensorRT
gives its lock back while it builds. But a builder can't be stopped at once, takes cores from the engine that
works, and takes down the process that it crashes in; a process can be ended at any moment, gives way to all
others, and gives its memory back.
"""

import json
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
import psutil

from derain.engines.engine import Engine, EngineOptions
from derain.engines.errors import DerainError, MemoryShortError, UsageError
from derain.engines.registry import open_engine

PROGRAM = (sys.executable, "-P", "-m", "derain.engines.ahead")
"""-P: a user's files in the current folder are not to be taken for modules."""
MARK = "derain\x1e"
"""Begins each line of the process that is meant for this one; all else is what its libraries say."""
Shape = tuple[int, int, int]
"""(N, H, W) of a batch of frames."""

log = logging.getLogger(__name__)


def warm(engine: Engine, shape: Shape, dtype: str) -> None:
    """Lets it compile for the batches at hand; where it has no memory for them, others will find out."""
    shapes = [spec.shape(*shape) for spec in engine.states]
    states = [(np.zeros(one, np.float32), np.zeros(one, np.float32)) for one in shapes]
    with suppress(MemoryShortError):
        engine.infer(np.zeros((*shape, 3), dtype), states=states)


class Ahead:
    """One such process at a time. Any thread may call `stop`, which holds for all that would come after."""

    def __init__(self, program: Sequence[str] = PROGRAM) -> None:
        self._program = program
        self._changing = threading.Lock()
        self._stopped = False
        self._process: subprocess.Popen[bytes] | None = None

    def open(self, model: Path, options: EngineOptions, shape: Shape) -> None:
        """Opens `model` over there for batches of `shape`, and waits for it; the log gets what is said there.

        Raises DerainError where that fails, and where it was stopped.
        """
        with self._start() as process:
            assert process.stdin is not None and process.stdout is not None
            with suppress(BrokenPipeError):  # it has gone already; what it said comes next
                os.write(process.stdin.fileno(), pickle.dumps((model, options, shape)))
            failure, last = _listen(process.stdout)
            code = process.wait()
        if self._stopped:
            raise DerainError("it was called off")
        if failure is not None:
            raise failure
        if code != 0:
            raise DerainError(f"the process that was to build it ended with the code {code}: {last}")

    def stop(self) -> None:
        """Ends the process, if there is one, and lets no other begin."""
        with self._changing:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._changing:
            if self._stopped:
                raise DerainError("it was called off")
            try:
                self._process = _begin(self._program)
            except OSError as error:
                raise DerainError(f"no process could be started to build it: {error.strerror}") from error
            return self._process


def _begin(program: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Away from the terminal, whose Ctrl-C is for the one who waits."""
    pipe, errors = subprocess.PIPE, subprocess.STDOUT
    if sys.platform == "win32":
        away = subprocess.CREATE_NEW_PROCESS_GROUP
        return subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=errors, creationflags=away)
    return subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=errors, start_new_session=True)


def _listen(lines: IO[bytes]) -> tuple[DerainError | None, str]:
    """What went wrong, None where nothing did; and the last line that was not meant for this process."""
    failure, last = None, ""
    for raw in lines:
        line = raw.decode(errors="replace").strip()
        if not line.startswith(MARK):
            last = line or last
            continue
        kind, text = json.loads(line.removeprefix(MARK))
        if kind == "failed":
            failure = DerainError(text)
        elif kind == "refused":
            failure = UsageError(text)
        else:
            log.log(kind, "%s", text)
    return failure, last


class _Teller(logging.Handler):
    """Gives what is logged here to the process that waits."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        tell(record.levelno, self.format(record))


def tell(kind: int | str, text: str) -> None:
    """A line for the process that waits: a level of the log, or how it ended."""
    sys.stdout.write(f"{MARK}{json.dumps([kind, text])}\n")
    sys.stdout.flush()


def main() -> int:
    """The process: does what stdin says, and ends when that closes, as it does when its parent is gone."""
    model, options, shape = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else 10)
    logger = logging.getLogger("derain")
    logger.addHandler(_Teller())
    logger.setLevel(logging.INFO)
    try:
        with open_engine(model, options) as engine:
            warm(engine, shape, options.dtype)
    except DerainError as error:
        tell("refused" if isinstance(error, UsageError) else "failed", str(error))
        return error.exit_code
    return 0


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):  # past Python's buffer, which must not be in use at the end
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
