// One camera as video over WebRTC. Where that does not connect, or stops, the page goes on with single pictures.

const PATIENCE = 5000;
const GATHERING = 1000;

export class Video {
  // `given(picture)`: a frame was drawn. `failed()`: there won't be any more.
  constructor(element, link, given, failed) {
    Object.assign(this, { element, link, given, failed });
    this.playing = false;
    link.addEventListener("answer", ({ detail }) => this.answered(detail));
    link.addEventListener("no video", () => this.fail());
    link.addEventListener("shape", ({ detail }) => { if (detail.camera === this.camera) this.shape = detail; });
    link.addEventListener("lost", () => this.stop());
  }

  static possible() {
    return "RTCPeerConnection" in window && "requestVideoFrameCallback" in HTMLVideoElement.prototype;
  }

  async start(camera, overlay) {
    this.stop();
    const peer = (this.peer = new RTCPeerConnection({ iceServers: [] }));
    this.camera = camera;
    this.shape = null;
    this.since = performance.now();
    const { receiver } = peer.addTransceiver("video", { direction: "recvonly" });
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
    peer.ontrack = ({ track }) => this.play(peer, track);
    peer.onconnectionstatechange = () => {
      if (peer === this.peer && peer.connectionState === "failed") this.fail();
    };
    await peer.setLocalDescription();
    await gathered(peer);
    if (peer === this.peer) {
      this.link.send({ type: "offer", camera, overlay, size: "full", sdp: peer.localDescription.sdp });
    }
  }

  async answered({ camera, sdp }) {
    const peer = this.peer;
    if (!peer || camera !== this.camera || peer.signalingState !== "have-local-offer") return;
    try {
      await peer.setRemoteDescription({ type: "answer", sdp });
    } catch {
      if (peer === this.peer) this.fail();
    }
  }

  play(peer, track) {
    this.element.srcObject = new MediaStream([track]);
    this.element.play().catch(() => { if (peer === this.peer) this.fail(); });
    const next = () => {
      if (peer !== this.peer) return;
      this.drawn();
      this.element.requestVideoFrameCallback(next);
    };
    this.element.requestVideoFrameCallback(next);
  }

  // A frame of the size before last has no parts where the shape says.
  drawn() {
    const { element, shape } = this;
    if (!shape || element.videoHeight !== shape.pitch * shape.parts || element.videoWidth < shape.width) return;
    this.since = performance.now();
    this.playing = true;
    this.given({ ...shape, source: element });
  }

  // Asked each second. `due`: whether frames should come.
  watch(due) {
    if (!due) this.since = performance.now();
    else if (this.peer && performance.now() - this.since > PATIENCE) this.fail();
  }

  fail() {
    if (!this.peer) return;
    this.stop();
    this.failed();
  }

  stop() {
    if (!this.peer) return;
    this.peer.close();
    this.peer = null;
    this.playing = false;
    this.element.srcObject = null;
    this.link.send({ type: "hangup" });
  }
}

// All addresses go into the one offer; there are few, as no other server is asked.
function gathered(peer) {
  if (peer.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    setTimeout(resolve, GATHERING);
    peer.addEventListener("icegatheringstatechange", () => {
      if (peer.iceGatheringState === "complete") resolve();
    });
  });
}
