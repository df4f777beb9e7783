"""`derain live --web`: where the page is served, and who may see it, checked before anything is opened."""

import errno
import importlib.util
import ipaddress
import secrets
import socket
from collections.abc import Sequence
from typing import Protocol

from derain.engines.errors import UsageError
from derain.pipeline.live.seam import Control, LiveSink

HOST, PORT = "127.0.0.1", 8000
SHORTEST_TOKEN = 16
"""Letters of a token that nobody guesses."""
BACKLOG = 128


class OpenedWeb(LiveSink, Protocol):
    """A sink that serves."""

    url: str
    port: int


def parse_place(text: str) -> tuple[str, int]:
    """HOST:PORT, HOST, :PORT or PORT; [HOST]:PORT where HOST has colons. What is left out is loopback's."""
    text = text or HOST
    host, _, port = text.rpartition(":")
    if text.endswith("]") or (":" not in text and not text.isdigit()):
        host, port = text, str(PORT)
    colons = ":" in host and not (host.startswith("[") and host.endswith("]"))
    if colons or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--web takes HOST:PORT with a port from 0 to 65535, not {text!r}")
    return host.strip("[]") or HOST, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """One that nobody guesses."""
    return secrets.token_urlsafe(24)


def check_token(host: str, token: str) -> None:
    """UsageError where anybody could watch, or guess the way in."""
    if not token and not is_loopback(host):
        raise UsageError(f"the page at {host} can be reached from other machines, and so needs a token")
    if token and len(token) < SHORTEST_TOKEN:
        raise UsageError(f"the token has {len(token)} letters; it takes {SHORTEST_TOKEN} or more")


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there. UsageError where none can."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise UsageError(why_not(host, port, error)) from None


def why_not(host: str, port: int, error: OSError) -> str:
    """Why nobody can listen there, in a sentence."""
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use by another program; take another one, or 0 for any free one"
    if error.errno == errno.EACCES:
        return f"port {port} is not for every user; take one above 1023"
    return f"{host} is no address of this machine that a page could be served at ({error.strerror or error})"


def open_web(
    host: str,
    port: int,
    token: str,
    control: Control,
    cameras: Sequence[str],
    names: Sequence[str] = (),
) -> OpenedWeb:
    """Serves the page at once, in a thread of its own.

    `port` 0 is any that is free. `token`: "" for none, which only loopback may have. `names`: what browsers
    may call the server beside its address and the machine's name. Raises UsageError where the address can't
    be had, or the extra is not installed.
    """
    if importlib.util.find_spec("aiohttp") is None:
        raise UsageError('the page needs the package aiohttp: pip install "derain[web]"')
    check_token(host, token)
    from derain.pipeline.sinks.web.guard import rules  # noqa: PLC0415 - an extra
    from derain.pipeline.sinks.web.sink import WebSink  # noqa: PLC0415 - an extra

    listening = bound(host, port)
    at = int(listening.getsockname()[1])
    url = address(host, at, token)
    return WebSink(url, listening, rules(host, at, token, names), control, cameras)


def address(host: str, port: int, token: str) -> str:
    """What to open in a browser."""
    anywhere = host in ("0.0.0.0", "::", "")
    name = socket.gethostname() if anywhere else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/" + (f"?token={token}" if token else "")
