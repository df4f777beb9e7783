"""All routes in one application."""

import asyncio
from importlib.resources import files

from aiohttp import web
from aiohttp.typedefs import Middleware

from derain.pipeline.sinks.web.calls import Lines
from derain.pipeline.sinks.web.guard import Rules, add_headers, guard
from derain.pipeline.sinks.web.hub import Hub
from derain.pipeline.sinks.web.others import Others
from derain.pipeline.sinks.web.viewer import Viewer

KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
PAGE = "index.html"
TOKEN_PAGE = "token.html"


class Pages:
    """The page and what it is made of, read once."""

    def __init__(self, hub: Hub, lines: Lines) -> None:
        self._hub, self._lines = hub, lines
        folder = files(__package__) / "page"
        self._parts = {part.name: part.read_bytes() for part in folder.iterdir() if part.name != TOKEN_PAGE}

    def routes(self) -> list[web.RouteDef]:
        """All of them; the last one takes whatever no other one does."""
        return [
            web.get("/", self.page),
            web.get("/page/{name}", self.part),
            web.get("/live", self.live, allow_head=False),
            web.route("*", "/{rest:.*}", missing),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """What a person opens."""
        return web.Response(body=self._parts[PAGE], content_type="text/html", charset="utf-8")

    async def part(self, request: web.Request) -> web.Response:
        """A script or style of it."""
        name = request.match_info["name"]
        kind = next((kind for ending, kind in KINDS.items() if name.endswith(ending)), None)
        if kind is None or name not in self._parts:
            return await missing(request)
        return web.Response(body=self._parts[name], content_type=kind, charset="utf-8")

    async def live(self, request: web.Request) -> web.StreamResponse:
        """The WebSocket of a page."""
        return await Viewer(self._hub, self._lines, request).answer()

    async def close(self, _: web.Application) -> None:
        """Tells all pages that the server ends."""
        await asyncio.gather(*(listener.close() for listener in list(self._hub.listeners)))


async def missing(request: web.Request) -> web.Response:
    """For what is not here."""
    if request.method not in ("GET", "HEAD"):
        said = "this server only shows; GET is all it takes\n"
        return web.Response(status=405, text=said, headers={"Allow": "GET"})
    return web.Response(status=404, text="there is nothing here by that name; the page is at /\n")


def application(hub: Hub, lines: Lines, rules: Rules, asked: Middleware) -> web.Application:
    """Everything that is served; `asked` sees who asks."""
    pages = Pages(hub, lines)
    app = web.Application(middlewares=[asked, guard(rules)], client_max_size=1024)
    app.add_routes([*Others(hub).routes(), *pages.routes()])
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(pages.close)
    return app
