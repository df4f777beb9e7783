"""What users write for a source: what it means, what is refused, and that no credentials get out of it."""

from fractions import Fraction

import pytest

from derain.engines.errors import UsageError
from derain.pipeline.live.address import Kind, parse_address, redacted


@pytest.mark.parametrize(
    ("text", "kind", "url"),
    [
        ("0", Kind.WEBCAM, "0"),
        ("02", Kind.WEBCAM, "2"),
        ("/dev/video3", Kind.WEBCAM, "/dev/video3"),
        ("/dev/v4l/by-id/usb-046d_HD-index0", Kind.WEBCAM, "/dev/v4l/by-id/usb-046d_HD-index0"),
        ("rtsp://user:pw@host/path", Kind.RTSP, "rtsp://user:pw@host/path"),
        ("RTSPS://host:322/a", Kind.RTSP, "RTSPS://host:322/a"),
        ("rtsp://[::1]:8554/a", Kind.RTSP, "rtsp://[::1]:8554/a"),
        ("rtmp://host/app/name", Kind.RTMP, "rtmp://host/app/name"),
        ("http://host/video.mjpg", Kind.HTTP, "http://host/video.mjpg"),
        ("https://host/live.m3u8?t=1", Kind.HLS, "https://host/live.m3u8?t=1"),
        ("udp://@:5000", Kind.UDP, "udp://@:5000"),
        ("udp://239.0.0.1:5000", Kind.UDP, "udp://239.0.0.1:5000"),
        ("srt://host:9000?mode=caller", Kind.SRT, "srt://host:9000?mode=caller"),
        ("srt://:9000?mode=listener", Kind.SRT, "srt://:9000?mode=listener"),
        ("clips/street.mp4", Kind.FILE, "clips/street.mp4"),
        (r"C:\clips\street.mp4", Kind.FILE, r"C:\clips\street.mp4"),
        ("file:///clips/a%20b.mp4", Kind.FILE, "/clips/a b.mp4"),
        (" pattern ", Kind.PATTERN, "pattern"),
    ],
)
def test_what_is_written_is_understood(text: str, kind: Kind, url: str) -> None:
    address = parse_address(text)
    assert (address.kind, address.url) == (kind, url)


@pytest.mark.parametrize(
    ("text", "size", "rate"),
    [
        ("pattern", None, None),
        ("pattern:1280x720@25", (1280, 720), Fraction(25)),
        ("pattern:160x120", (160, 120), None),
        ("pattern:@12.5", None, Fraction(25, 2)),
    ],
)
def test_a_pattern_has_its_size_and_rate(
    text: str, size: tuple[int, int] | None, rate: Fraction | None
) -> None:
    address = parse_address(text)
    assert (address.size, address.rate) == (size, rate)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a source is empty"),
        ("-1", "0 to 99"),
        ("-", "standard input"),
        ("/dev/sda", "/dev/sda is no camera"),
        ("pattern:wide", "pattern:1280x720@25"),
        ("pattern:0x100", "1 to 16384"),
        ("pattern:@0", "more than 0"),
        ("ftp://user:secret@host/a", "there is no ftp://"),
        ("rtsp:///path", "names no host"),
        ("rtsp://host:99999/", "from 1 to 65535"),
        ("rtsp://user:se/cret@host/", "%2F"),
        ("rtsp://user:secret@host/a b", "%20"),
        ("udp://host", "names no port"),
        ("rtsp://host/\x1b[31m", "can't be printed"),
    ],
)
def test_nonsense_is_refused_in_a_sentence_without_its_password(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value) and "cret@" not in str(caught.value)


SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"rtsp://admin:{SECRET}@10.0.0.5:554/h264",
        f"[Errno 111] Connection refused: 'rtsp://admin:{SECRET}@10.0.0.5/h264'",
        f"rtsp://admin:a@{SECRET}@10.0.0.5/h264",
        f"rtsp://admin:a/{SECRET}@10.0.0.5/h264",
        f"rtsp://admin:1/{SECRET}@10.0.0.5/h264",
        f"rtsp://admin:a'{SECRET}@10.0.0.5/h264",
        f"rtsp://{SECRET}@10.0.0.5/h264",
        f"http://cam/video?user=me&token={SECRET}&channel=1",
        f"https://cdn/live.m3u8?hdnts=exp=1~hmac={SECRET}",
        f"srt://cam:9000?mode=caller&passphrase={SECRET}",
        f"opened with password={SECRET}, then closed",
        f"option access_token = '{SECRET} and more'",
        f"Password: {SECRET}",
        f"> Authorization: Basic {SECRET}\r\n> CSeq: 2",
        f"sent Bearer {SECRET}",
        f"rtmp://a.example/live2/key-{SECRET}-abcd-efgh",
        f"tee: rtsp://a:{SECRET}@one/x and rtsp://b:{SECRET}@two/y",
    ],
)
def test_no_credentials_are_left_in_any_text(text: str) -> None:
    assert SECRET not in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "udp://@:5000",
        "rtsp://10.0.0.5:554/Streaming/Channels/101?mode=unicast&profile=Profile_1",
        "rtmp://host/app/name",
        "http://host/@someone/live",
        "held until a key frame: 3 of 5",
        "the token is missing",
    ],
)
def test_what_is_not_secret_is_left(text: str) -> None:
    assert redacted(text) == text


def test_an_address_shows_its_host_and_its_harmless_queries() -> None:
    address = parse_address("rtsp://admin:hunter2@cam-3:554/live?channel=1&auth=abc")
    assert address.shown == "rtsp://***@cam-3:554/live?channel=1&auth=***"
    assert "hunter2" not in repr(address)


def test_an_address_finds_its_secrets_in_any_words() -> None:
    address = parse_address("rtsp://admin:p%40ss%21word@cam/live?k=tok3n")
    told = address.hide("login admin with p@ss!word failed; p%40ss%21word and tok3n too")
    assert told == "login admin with *** failed; *** and *** too"
