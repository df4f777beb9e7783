"""Opens all that a live run shows its frames on: outputs as users write them, and the page."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from derain.pipeline.live.desk import Desk
from derain.pipeline.live.outlets import Outlet


@dataclass(frozen=True)
class OutputJob:
    """An output as the user writes it. `cameras`: those that it is for, None for all."""

    text: str
    cameras: tuple[str, ...] | None = None


OpenOutlets = Callable[[Desk], Sequence[Outlet]]
"""Opens all sinks of a run, or none where one can't be had. The run closes them."""


def open_all(outputs: Sequence[OutputJob], web: str | None) -> OpenOutlets:
    """What opens `outputs`, and the page at `web` (HOST:PORT), None for no page."""

    def opened(desk: Desk) -> Sequence[Outlet]:
        with ExitStack() as stack:
            outlets = []
            for output in outputs:
                outlets.append(output_outlet(output, desk))
                stack.callback(outlets[-1].sink.close)
            if web is not None:
                outlets.append(web_outlet(web, desk))
            stack.pop_all()
        return outlets

    return opened


def output_outlet(output: OutputJob, desk: Desk) -> Outlet:
    """An output. Raises UsageError for what is none, or can't be opened."""
    # What writes and streams is imported where it is used.
    from derain.pipeline.sinks.evidence import about_engine  # noqa: PLC0415
    from derain.pipeline.sinks.live_outputs import Needs, open_output, shown_output  # noqa: PLC0415

    cameras = desk.cameras if output.cameras is None else output.cameras
    needs = Needs(cameras, desk, desk.tracks, lambda: about_engine(desk.engine), desk.leave)
    return Outlet(shown_output(output.text), open_output(output.text, needs), frozenset(cameras))


def web_outlet(place: str, desk: Desk) -> Outlet:
    """The page; where others reach it, only with a token, which is made here and stands in its address.

    Raises UsageError where it can't be served.
    """
    from derain.pipeline.sinks.web.opening import (  # noqa: PLC0415 - an extra
        is_loopback,
        new_token,
        open_web,
        parse_place,
    )

    host, port = parse_place(place)
    token = "" if is_loopback(host) else new_token()
    sink = open_web(host, port, token, desk, desk.cameras)
    return Outlet(sink.url, sink)
