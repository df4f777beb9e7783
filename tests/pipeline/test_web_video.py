"""Video over WebRTC: its far end is aiortc too, which decodes the H.264 and looks at the marks."""

import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from web_camera import filming, plain, serving
from web_viewer import Page, page, within

from derain.pipeline.sinks.web.film import Coder, Film, Reel, Shape
from derain.pipeline.sinks.web.pictures import View
from derain.pipeline.sinks.web.rtc import only
from derain.pipeline.sources.marks import read

OFFER = (
    "v=0\r\na=candidate:1 1 udp 2122 abcd-12.local 50000 typ host generation 0\r\n"
    "a=candidate:2 1 tcp 1518 10.0.0.1 9 typ host tcptype active\r\n"
    "a=candidate:3 1 udp 1686 203.0.113.9 50001 typ srflx raddr 0.0.0.0 rport 0\r\na=end\r\n"
)


@asynccontextmanager
async def called(viewer: Page) -> AsyncIterator[Any]:
    """The track that a call to the camera "front" brings, once it is answered."""
    peer = RTCPeerConnection()
    line = peer.addTransceiver("video", direction="recvonly")
    can = RTCRtpReceiver.getCapabilities("video")
    assert can is not None
    line.setCodecPreferences([one for one in can.codecs if one.mimeType == "video/H264"])
    try:
        await peer.setLocalDescription(await peer.createOffer())
        await viewer.say(type="offer", camera="front", sdp=peer.localDescription.sdp)
        answer = await viewer.told("answer")
        await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        yield line.receiver.track
    finally:
        await peer.close()


def test_both_halves_of_a_video_are_of_one_frame() -> None:
    async def work() -> None:
        async with page(sink) as viewer, called(viewer) as track:
            numbers = []
            for _ in range(6):
                frame = (await track.recv()).to_ndarray(format="rgb24")
                halves = (frame[:180], frame[192:372])
                marks = [read(half, side) for half in halves for side in ("left", "right")]
                assert all(mark is not None and mark == marks[0] for mark in marks)
                numbers.append(marks[0].number if marks[0] else -1)
                reds, greens = (half[-8, 160].argmax() for half in halves)
                assert (reds, greens) == (0, 1)
            assert numbers == sorted(numbers) and numbers[-1] > numbers[0]
            await viewer.say(type="hangup")

    with serving() as (sink, _), filming(sink, ["front"], 10):
        within(work())


def test_the_shape_of_the_video_is_told() -> None:
    async def work() -> dict[str, Any]:
        async with page(sink) as viewer, called(viewer):
            return await viewer.told("shape")

    with serving() as (sink, _):
        sink.show(plain("front", 0))
        told = within(work())
    assert told == {
        "type": "shape", "camera": "front", "width": 320, "height": 180, "pitch": 192, "parts": 2
    }  # fmt: skip


@pytest.mark.parametrize("offer", ["nonsense", "v=0\r\nm=video\r\n", "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"])
def test_an_offer_that_is_none_is_answered_and_the_page_goes_on(offer: str) -> None:
    async def work() -> None:
        async with page(sink) as viewer:
            await viewer.say(type="offer", camera="front", sdp=offer)
            assert (await viewer.told("no video"))["camera"] == "front"
            await viewer.watch("front")
            assert (await viewer.picture()).header["number"] == 0

    with serving() as (sink, _):
        sink.show(plain("front", 0))
        within(work())


def test_without_aiortc_pages_do_without_video(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "aiortc" else find(name))

    async def work() -> tuple[Any, Any]:
        async with page(sink) as viewer:
            hello = await viewer.told("hello")
            await viewer.say(type="offer", camera="front", sdp="v=0\r\n")
            return hello["video"], (await viewer.told("no video"))["said"]

    with serving() as (sink, _):
        assert within(work()) == (False, "the package aiortc is not installed")


def test_an_offer_leads_to_no_address_but_the_pages_own() -> None:
    kept = only("127.0.0.1", OFFER)
    assert kept == "v=0\r\na=candidate:1 1 udp 2122 127.0.0.1 50000 typ host generation 0\r\na=end\r\n"


def test_an_answer_has_the_address_that_the_page_came_by() -> None:
    async def work() -> str:
        peer = RTCPeerConnection()
        peer.addTransceiver("video", direction="recvonly")
        async with page(sink) as viewer:
            await peer.setLocalDescription(await peer.createOffer())
            await viewer.say(type="offer", camera="front", sdp=peer.localDescription.sdp)
            answer = await viewer.told("answer")
            await peer.close()
            return str(answer["sdp"])

    with serving() as (sink, _):
        candidates = [line.split()[4] for line in within(work()).splitlines() if "candidate:" in line]
    assert candidates and set(candidates) == {"127.0.0.1"}


def test_who_is_far_behind_goes_on_at_a_key_frame() -> None:
    async def work() -> None:
        film = Film(None, View())  # type: ignore[arg-type]  # it is given packets here, not frames
        reel = Reel(film, shapes.append)
        coder = Coder(View())
        for number in range(20):
            shape, packets = coder.code(plain("front", number), key=number == 15)
            for packet in packets:
                reel.put(shape, packet)
        first = await reel.next()
        assert first.is_keyframe and len(reel._packets) == 4

    shapes: list[Shape] = []
    within(work())
    assert shapes == [Shape(320, 180, 192, 2)]


def test_a_film_begins_anew_where_the_size_changes() -> None:
    coder = Coder(View())
    keys = []
    for size in ((320, 180), (320, 180), (160, 96)):
        shape, packets = coder.code(plain("front", 0, size), key=False)
        keys += [packet.is_keyframe for packet in packets]
    assert keys == [True, False, True]
    assert shape == Shape(160, 96, 96, 2)
    assert np.isfinite(shape.pitch)
