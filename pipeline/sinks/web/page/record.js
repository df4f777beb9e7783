// Files for who watches: a picture of both halves, and what is on the canvas as a video, made in the browser.

import { sideBySide } from "./draw.js";

const KINDS = ["video/mp4;codecs=avc1.42E01F", "video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"];
const MOST_BYTES = 1e9;

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

export async function snapshot(picture, camera) {
  const blob = await new Promise((resolve) => sideBySide(picture).toBlob(resolve, "image/png"));
  const name = `${called(camera)}-${picture.number ?? moment()}.png`;
  save(blob, name);
  return name;
}

export class Recorder {
  // `ended(name, full)`: a recording was saved.
  constructor(canvas, ended) {
    Object.assign(this, { canvas, ended });
    this.recorder = null;
  }

  static possible() {
    return "MediaRecorder" in window && "captureStream" in HTMLCanvasElement.prototype;
  }

  get running() {
    return this.recorder !== null;
  }

  start(camera) {
    const mimeType = KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
    const recorder = new MediaRecorder(this.canvas.captureStream(), { mimeType, videoBitsPerSecond: 8e6 });
    const parts = [];
    let bytes = 0;
    recorder.ondataavailable = ({ data }) => {
      parts.push(data);
      bytes += data.size;
      if (bytes > MOST_BYTES) this.stop();
    };
    recorder.onstop = () => {
      const name = `${called(camera)}-${moment()}.${recorder.mimeType.startsWith("video/mp4") ? "mp4" : "webm"}`;
      save(new Blob(parts, { type: recorder.mimeType }), name);
      this.ended(name, bytes > MOST_BYTES);
    };
    recorder.start(1000);
    this.recorder = recorder;
  }

  stop() {
    const recorder = this.recorder;
    this.recorder = null;
    if (recorder && recorder.state !== "inactive") recorder.stop();
  }
}

function called(camera) {
  return `derain-${camera.replace(/[^\p{L}\p{N}._-]+/gu, "-")}`;
}

function moment() {
  return new Date().toISOString().slice(0, 19).replaceAll(":", "-");
}
