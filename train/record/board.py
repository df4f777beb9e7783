"""TensorBoard's event files.

Written at once and by this thread: torch's own writer leaves it to a thread that tells of a full disk by a
traceback.
"""

import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class Board:
    """One event file in `folder`; `step`: what the run goes on from, 0 for its begin. TensorBoard forgets
    later steps of earlier files."""

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(exist_ok=True)
        self.path = folder / f"events.out.tfevents.{time.time():.6f}"
        self.write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if step:
            begin = SessionLog(status=SessionLog.START)
            self.write(Event(wall_time=time.time(), step=step + 1, session_log=begin))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Values of a step, by the names of their curves."""
        points = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self.write(Event(wall_time=time.time(), step=step, summary=Summary(value=points)))

    def write(self, event: Event) -> None:
        with self.path.open("ab") as file:
            RecordWriter(file).write(event.SerializeToString())
