// The WebSocket to derain, opened again for as long as the page is: what it says, and the pictures it sends.

const FIRST = 500;
const LONGEST = 8000;

export class Link extends EventTarget {
  constructor() {
    super();
    this.wait = FIRST;
    this.open();
  }

  open() {
    const address = new URL("live", location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    address.search = address.hash = "";
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => this.hear(data);
    this.socket.onclose = ({ reason }) => this.lost(reason);
  }

  hear(data) {
    if (typeof data === "string") {
      const said = JSON.parse(data);
      if (said.type === "hello") this.wait = FIRST;
      this.tell(said.type, said);
    } else {
      this.draw(data);
    }
  }

  // Four bytes tell how long the header is; the header is JSON; the rest is a JPEG.
  async draw(data) {
    const length = new DataView(data).getUint32(0);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    try {
      header.source = await createImageBitmap(new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }));
      this.tell("picture", header);
    } finally {
      this.send({ type: "got", camera: header.camera, stamp: header.stamp });
    }
  }

  // Some wait less than others, lest all pages come back at one moment.
  lost(reason) {
    this.tell("lost", { reason });
    setTimeout(() => this.open(), this.wait * (0.5 + Math.random() / 2));
    this.wait = Math.min(2 * this.wait, LONGEST);
  }

  send(said) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(said));
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
