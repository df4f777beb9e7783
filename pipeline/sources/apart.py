"""A reader in a process of its own, seen from the one that started it.

Libraries that read from cameras and networks hang now and then, or crash, where no time-out of theirs holds.
A process can be killed. It ends by itself when the one that started it does, however that ends, as its
standard input is closed then; and the memory that both share has no name that could be left behind.
"""

import logging
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from derain.engines.engine import Pixels
from derain.pipeline.live.address import Kind
from derain.pipeline.sources.ring import Memory, look, new_memory
from derain.pipeline.sources.telling import (
    STOP,
    TAKEN,
    Filled,
    Message,
    Over,
    Task,
    Why,
    receive,
    send_task,
    write,
)

PROGRAM = (sys.executable, "-P", "-m", "derain.pipeline.sources.reader")
"""-P: a user's files in the current folder are not to be taken for modules."""
POLITE, KILLED, HEARD = 0.4, 0.7, 0.3
"""Seconds `stop` waits for the reader to end by itself, then killed, and for what it said to be heard."""

log = logging.getLogger(__name__)


class Apart:
    """The process, begun at once so that it is ready when it gets its task. `kind`: of what it can read.

    `heard` is called from one thread with each message, the last of them an `Over`, and with the pixels where
    it is `Filled`. `over` is set after the last. Raises OSError where no process can be started.
    """

    def __init__(
        self, kind: Kind, heard: Callable[[Message, Pixels | None], None], program: Sequence[str] = PROGRAM
    ) -> None:
        self.over = threading.Event()
        self._heard = heard
        self._descriptor = new_memory()
        try:
            self._process = begin((*program, str(self._descriptor), kind.value), self._descriptor)
        except OSError:
            close(self._descriptor)
            raise
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._down = self._process.stdin.fileno()
        self._up, self._errors = self._process.stdout, self._process.stderr
        self._name = f"derain-{os.getpid()}-{self._process.pid}"
        self._memory = Memory(self._descriptor, self._name)
        self._last_words: deque[str] = deque(maxlen=1)
        self._threads: list[threading.Thread] = []
        self._stopped = False

    def read(self, task: Task) -> None:
        """Tells the process what to read; once only."""
        for target in (self._listen, self._read_errors):
            self._threads.append(threading.Thread(target=target, name="camera process", daemon=True))
            self._threads[-1].start()
        with suppress(BrokenPipeError):  # it has gone already, which is heard of
            send_task(self._down, replace(task, memory=self._name))

    def stop(self, patience: float = POLITE) -> None:
        """Ends the process, by force where it takes more than `patience` seconds. Idempotent."""
        if self._stopped:
            return
        self._stopped = True
        with suppress(BrokenPipeError):
            write(self._down, STOP)
        self._end(patience)
        for thread in self._threads:
            thread.join(HEARD)
        if not any(thread.is_alive() for thread in self._threads):
            self._release()  # else somebody reads from a pipe, and closing it would wait for that

    def _end(self, patience: float) -> None:
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            try:
                self._process.wait(KILLED)
            except subprocess.TimeoutExpired:
                log.warning("process %d reads from a camera and can't be killed now", self._process.pid)

    def _release(self) -> None:
        for pipe in (self._process.stdin, self._up, self._errors):
            assert pipe is not None
            pipe.close()
        self._memory.close()
        close(self._descriptor)

    def _listen(self) -> None:
        message: object = None
        while not isinstance(message, Over):
            message = receive(self._up)
            if message is None:
                message = self._crashed()
            assert isinstance(message, Message)
            self._hear(message)
        self.over.set()

    def _hear(self, message: Message) -> None:
        if not isinstance(message, Filled):
            self._heard(message, None)
            return
        self._heard(message, look(self._memory, message))
        with suppress(BrokenPipeError):
            write(self._down, TAKEN)

    def _crashed(self) -> Over:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(KILLED)
        code, words = self._process.poll(), " ".join(self._last_words)
        return Over(Why.LOST, f"the process that read from it ended with the code {code}: {words}")

    def _read_errors(self) -> None:
        for line in self._errors:
            self._last_words.append(line.decode(errors="replace").strip())


def begin(command: Sequence[str], descriptor: int) -> "subprocess.Popen[bytes]":
    """Away from the terminal, whose Ctrl-C is for the one who started it."""
    pipe = subprocess.PIPE
    if sys.platform == "win32":
        away = subprocess.CREATE_NEW_PROCESS_GROUP
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, creationflags=away)
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, pass_fds=(descriptor,)
    )


def close(descriptor: int) -> None:
    """Closes it, where there is one."""
    if descriptor >= 0:
        os.close(descriptor)
