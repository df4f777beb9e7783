"""Who may ask: the address it was asked by, the page that asks, and the token.

A page of another site can't reach this one: the names it is asked by must be its own (or a number, which no
foreign name server can bend), and what a browser says about the asking page must be the same.
"""

import base64
import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

ASKING = files(__package__).joinpath("page", "token.html").read_text(encoding="utf-8")
"""The page that asks for the token."""


def style_print(page: str) -> str:
    """What lets the one style of a page through its policy."""
    found = re.search("<style>(.*?)</style>", page, re.DOTALL)
    digest = hashlib.sha256(found[1].encode() if found else b"").digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' blob:; media-src blob:; "
    f"style-src 'self' {style_print(ASKING)}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SAFE = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Server": "derain",
}
"""Said with every answer."""


@dataclass(frozen=True)
class Rules:
    """`token`: "" where none is needed. `names`: what the server may be asked by, in small letters, beside
    numbers and localhost. `cookie`: the name of its cookie, of this port alone."""

    token: str
    names: frozenset[str]
    cookie: str


def rules(host: str, port: int, token: str, names: Sequence[str]) -> Rules:
    """Those of a server that listens there."""
    own = socket.gethostname().lower()
    known = {host.lower(), own, f"{own}.local", *(name.lower() for name in names)}
    return Rules(token, frozenset(known), f"derain-{port}")


def known_host(host: str, rules: Rules) -> bool:
    """Whether a Host header names this server."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if name in rules.names or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def same_page(request: web.Request) -> bool:
    """Whether it was one of our own pages that asks, or none: other programs send neither header."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.headers["Host"].lower():
        return False
    opened = request.headers.get("Sec-Fetch-Mode") == "navigate"
    return opened or request.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none")


def same(one: str, other: str) -> bool:
    """In a time that tells nothing of either."""
    digests = [hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (one, other)]
    return hmac.compare_digest(*digests)


def proof(token: str) -> str:
    """What a browser keeps in place of the token."""
    return hashlib.sha256(b"derain cookie " + token.encode()).hexdigest()


def admitted(request: web.Request, rules: Rules) -> bool:
    """Whether the token came along: as cookie, in the address, or as `Authorization: Bearer`."""
    kind, _, bearer = request.headers.get("Authorization", "").partition(" ")
    given = request.query.get("token", "")
    return any(
        [
            not rules.token,
            same(request.cookies.get(rules.cookie, ""), proof(rules.token)),
            same(given, rules.token),
            kind.lower() == "bearer" and same(bearer.strip(), rules.token),
        ]
    )


def refusal(request: web.Request, rules: Rules) -> web.Response | None:
    """The answer to a request that may not be, None where it may."""
    host = request.headers.get("Host", "")
    if not known_host(host, rules):
        said = (
            f"this server is not called {printable(host)}; ask its address, or give the name by --web-name\n"
        )
        return web.Response(status=421, text=said)
    if not same_page(request):
        return web.Response(status=403, text="pages of other sites may not ask for this\n")
    if admitted(request, rules):
        return None
    if request.path == "/":
        return web.Response(status=401, text=ASKING, content_type="text/html")
    said = "this needs the token that derain printed: ?token=... or Authorization: Bearer ...\n"
    return web.Response(status=401, text=said, headers={"WWW-Authenticate": "Bearer"})


def printable(text: str) -> str:
    """What came from outside, for a sentence."""
    return repr(text[:80])


def settled(request: web.Request, rules: Rules) -> web.Response | None:
    """Where the page was opened with its token: the way to the page without it, and the cookie."""
    if not rules.token or request.path != "/" or "token" not in request.query:
        return None
    answer = web.Response(status=303, headers={"Location": "./"})
    answer.set_cookie(rules.cookie, proof(rules.token), httponly=True, samesite="Strict", path="/")
    return answer


def guard(rules: Rules) -> Middleware:
    """The middleware that lets through what may be."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = refusal(request, rules)
        if refused is not None:
            refused.force_close()  # a connection is not kept for who may not ask
            return refused
        return settled(request, rules) or await handler(request)

    return middleware


async def add_headers(request: web.Request, answer: web.StreamResponse) -> None:
    """Before any answer leaves."""
    answer.headers.update(SAFE)
