"""A server that takes a stream pushed by RTSP (RECORD) into a file: GStreamer's, run by the system's Python.

    /usr/bin/python3 tests/rtsp_recorder.py FILE.ts

It says "ready PORT" when it listens, and ends when its standard input does.
"""

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main() -> None:
    """Serves until it is told to end."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_launch(
        f"( rtph264depay name=depay0 ! h264parse ! mpegtsmux ! filesink sync=false async=false "
        f"location={sys.argv[1]} )"
    )
    server.get_mount_points().add_factory("/live", factory)
    if not server.attach(None):
        sys.exit("no port")
    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    sys.stdout.write(f"ready {server.get_bound_port()}\n")
    sys.stdout.flush()
    loop.run()


if __name__ == "__main__":
    main()
