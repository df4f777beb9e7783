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


@dataclass(frozen=True)
class WebJob:
    """The page. `place`: HOST:PORT, what is left out is loopback's. `names`: what browsers may call the
    server beside its address and the machine's name. `token`: what viewers need, "" for one that is made
    where it is needed."""

    place: str = ""
    names: tuple[str, ...] = ()
    token: str = ""


OpenOutlets = Callable[[Desk], Sequence[Outlet]]
"""Opens all sinks of a run, or none where one can't be had. The run closes them."""


def open_all(outputs: Sequence[OutputJob], web: WebJob | None) -> OpenOutlets:
    """What opens `outputs` and the page, if there is to be one."""

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


def web_outlet(web: WebJob, desk: Desk) -> Outlet:
    """The page; where others reach it, only with a token. One that is made here is told with its address.

    Raises UsageError where it can't be served.
    """
    from derain.pipeline.sinks.web.opening import (  # noqa: PLC0415 - an extra
        is_loopback,
        new_token,
        open_web,
        parse_place,
    )

    host, port = parse_place(web.place)
    token = web.token or ("" if is_loopback(host) else new_token())
    sink = open_web(host, port, token, desk, desk.cameras, web.names)
    return Outlet(sink.url.partition("?")[0] if web.token else sink.url, sink)
