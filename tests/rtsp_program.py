"""A camera that speaks RTSP: GStreamer's server, run by the system's own Python, which has its bindings.

    /usr/bin/python3 tests/rtsp_program.py '{"width": 160, "height": 120, "rate": 15, "codec": "h264"}'

It says "ready PORT" when it listens, then takes a command a line: "freeze" and "thaw" hold the picture still
and let it go on. It ends when its standard input does.
"""

import json
import sys
import threading
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

CODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={rate} ! rtph264pay name=pay0",
    "mjpeg": "jpegenc ! rtpjpegpay name=pay0",
}
MOVING, STILL = "ball", "blue"


def launch(wanted: dict[str, Any]) -> str:
    """The camera as a pipeline."""
    rate = wanted["rate"]
    size = f"width={wanted['width']},height={wanted['height']},framerate={rate}/1"
    video = (
        f"videotestsrc is-live=true pattern={MOVING} name=scene ! video/x-raw,format=I420,{size} ! "
        f"{CODERS[wanted['codec']].format(rate=rate)} pt=96"
    )
    audio = "audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay1 pt=8" if wanted.get("audio") else ""
    return f"( {video} {audio} )"


def only_for(server: Any, factory: Any, user: str, password: str) -> None:
    """Nobody else may look."""
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_role("viewer")
    for what in ("access", "construct"):
        permissions.add_permission_for_role("viewer", f"media.factory.{what}", True)
    factory.set_permissions(permissions)
    server.set_auth(auth)


class Stage:
    """What all viewers see, those of a new connection too."""

    def __init__(self) -> None:
        self._pattern, self._scenes = MOVING, list[Any]()

    def add(self, _: Any, media: Any) -> None:
        """A pipeline was made for a viewer."""
        self._scenes.append(media.get_element().get_by_name("scene"))
        self._scenes[-1].set_property("pattern", self._pattern)

    def obey(self, loop: Any) -> None:
        """Does what standard input says, until it ends."""
        for line in sys.stdin:
            self._pattern = {"freeze": STILL, "thaw": MOVING}[line.strip()]
            for scene in self._scenes:
                scene.set_property("pattern", self._pattern)
        loop.quit()


def main() -> None:
    """Serves until it is told to end."""
    wanted = json.loads(sys.argv[1])
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(wanted.get("port", 0)))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch(wanted))
    factory.set_shared(True)
    if wanted.get("udp"):
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    if wanted.get("user"):
        only_for(server, factory, wanted["user"], wanted["password"])
    stage = Stage()
    factory.connect("media-configure", stage.add)
    server.get_mount_points().add_factory("/live", factory)
    if not server.attach(None):
        sys.exit("the port is taken")
    print(f"ready {server.get_bound_port()}", flush=True)  # noqa: T201 - said to whoever started it
    loop = GLib.MainLoop()
    threading.Thread(target=stage.obey, args=(loop,), daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
