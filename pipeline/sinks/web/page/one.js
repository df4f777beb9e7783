// One camera, large: the divider, what can be done with the picture, and the figures.

import { Chart, MEASURES } from "./charts.js";
import { mark } from "./cameras.js";
import { draw, kept } from "./draw.js";
import { Recorder, snapshot } from "./record.js";
import { Video } from "./video.js";

const STEP = 0.02;
const at = (id) => document.getElementById(id);

export class One {
  // `link` to derain; `say` tells a sentence; `watch` is called where other pictures are wanted than before.
  constructor(link, say, watch) {
    Object.assign(this, { link, say, watch });
    this.camera = null;
    this.frozen = null;
    this.given = true;
    this.video = new Video(at("video"), link, (picture) => this.show(picture), () => this.withoutVideo());
    this.videoWanted = false;
    this.recorder = new Recorder(at("canvas"), (name, full) => this.recorded(name, full));
    this.charts = MEASURES.map((measure) => new Chart(measure));
    at("charts").append(...this.charts.map(({ root }) => root));
    at("record").hidden = !Recorder.possible();
    this.listen();
  }

  get overlay() {
    return document.querySelector("#overlays input:checked").value;
  }

  // What is to be sent as single pictures: nothing while a video plays.
  get wanted() {
    if (!this.camera || this.video.playing) return [];
    return [{ camera: this.camera.name, size: "full", overlay: this.overlay }];
  }

  open(camera) {
    this.close();
    this.camera = camera;
    at("name").textContent = camera.name;
    this.setSplit(camera.split);
    this.tell();
    if (camera.picture) this.show(camera.picture);
    this.call();
  }

  close() {
    this.recorder.stop();
    this.thaw();
    this.video.stop();
    this.camera = null;
  }

  // Video, where there can be any.
  call() {
    if (this.camera && this.videoWanted && Video.possible() && !document.hidden) {
      this.video.start(this.camera.name, this.overlay);
    }
    this.watch();
  }

  withoutVideo() {
    this.videoWanted = false;
    this.watch();
  }

  show(picture) {
    const began = this.video.playing && at("transport").dataset.by !== "WebRTC";
    this.camera.picture = picture;
    if (began) this.watch();
    this.by(this.video.playing ? "WebRTC" : "WebSocket");
    if (!this.frozen) this.draw();
  }

  by(transport) {
    if (at("transport").dataset.by === transport) return;
    at("transport").dataset.by = transport;
    at("transport").textContent = `over ${transport}`;
  }

  draw() {
    const picture = this.frozen ?? this.camera?.picture;
    if (!picture) return;
    draw(at("canvas"), picture, this.camera.split);
    at("picture").style.setProperty("--ratio", picture.width / picture.height);
  }

  setSplit(split) {
    this.camera.split = Math.min(1, Math.max(0, split));
    const percent = Math.round(100 * this.camera.split);
    at("picture").style.setProperty("--split", `${100 * this.camera.split}%`);
    at("handle").setAttribute("aria-valuenow", percent);
    at("handle").setAttribute("aria-valuetext", `${percent} percent as it came, ${100 - percent} percent restored`);
    this.draw();
  }

  // Every second, and when something has changed.
  tell() {
    const { camera } = this;
    mark(at("badge"), camera.state);
    at("why").textContent = camera.why;
    at("picture").classList.toggle("off", !camera.live);
    at("since").textContent = camera.since();
    at("since").hidden = camera.live;
    at("canvas").setAttribute("aria-label", `${camera.sentence()}; left of the divider as it came, right restored`);
    this.charts.forEach((chart) => chart.show(camera.past));
    this.video.watch(camera.live && !document.hidden && !this.frozen);
    if (camera.figures) this.tellFigures(camera.figures);
  }

  tellFigures(now) {
    const strength = Math.round(100 * now.strength);
    if (document.activeElement !== at("strength")) {
      at("strength").value = strength;
      at("strength-told").textContent = `${strength} %`;
    }
    const facts = [
      ["Source", now.shown], ["Picture", now.width ? `${now.width} x ${now.height}` : ""],
      ["Given up to be in time", now.steps], ["On this screen after", this.video.playing ? "" : this.camera.screen ?? ""],
      ["Late frames", now.late || ""], ["Damaged frames held", now.held || ""], ["Reconnected", now.reconnects || ""],
    ];
    at("facts").replaceChildren(...facts.filter(([, value]) => value !== "").flatMap(([name, value]) => {
      const [term, told] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      told.textContent = value;
      return [term, told];
    }));
    at("overlays").querySelector("[value=attention]").disabled = this.camera.picture?.attention === false;
  }

  listen() {
    at("handle").addEventListener("keydown", (event) => this.key(event));
    at("picture").addEventListener("pointerdown", (event) => this.grab(event));
    at("freeze").addEventListener("click", () => this.freeze());
    at("snapshot").addEventListener("click", () => this.snapshot());
    at("record").addEventListener("click", () => this.record());
    at("overlays").addEventListener("change", () => this.call());
    at("strength").addEventListener("input", () => {
      at("strength-told").textContent = `${at("strength").value} %`;
      this.link.send({ type: "strength", camera: this.camera.name, value: at("strength").value / 100 });
    });
  }

  // Whether the key was one of the divider's.
  key(event) {
    const far = event.shiftKey ? 5 : 1;
    const to = {
      ArrowLeft: this.camera.split - far * STEP, ArrowRight: this.camera.split + far * STEP,
      ArrowDown: this.camera.split - far * STEP, ArrowUp: this.camera.split + far * STEP,
      PageDown: this.camera.split - 10 * STEP, PageUp: this.camera.split + 10 * STEP, Home: 0, End: 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.setSplit(to);
  }

  grab(event) {
    if (event.button !== 0) return;
    const picture = at("picture");
    const move = ({ clientX }) => {
      const { left, width } = picture.getBoundingClientRect();
      if (this.camera) this.setSplit((clientX - left) / width);
    };
    picture.setPointerCapture(event.pointerId);
    picture.addEventListener("pointermove", move);
    const end = () => picture.removeEventListener("pointermove", move);
    picture.addEventListener("lostpointercapture", end, { once: true });
    event.preventDefault();
    at("handle").focus({ preventScroll: true });
    move(event);
  }

  async freeze() {
    if (this.frozen) {
      this.thaw();
      this.say("The picture goes on.");
      return;
    }
    const { camera } = this;
    if (!camera?.picture) return;
    this.frozen = await kept(camera.picture);
    this.freezing(true);
    this.say("The picture is frozen.");
    const exact = await this.exact();
    if (exact && this.frozen && camera === this.camera) {
      this.frozen = exact;
      this.draw();
    }
  }

  thaw() {
    this.frozen = null;
    this.freezing(false);
    if (this.camera) this.draw();
  }

  freezing(on) {
    at("freeze").setAttribute("aria-pressed", on);
    at("overlays").disabled = on;
  }

  // The newest frame without the losses of what is sent for watching; null where it can't be had.
  async exact() {
    try {
      const answer = await fetch(`camera/${encodeURIComponent(this.camera.name)}.png?overlay=${this.overlay}`);
      if (!answer.ok) return null;
      return { ...JSON.parse(answer.headers.get("X-Picture")), source: await createImageBitmap(await answer.blob()) };
    } catch {
      return null;
    }
  }

  async snapshot() {
    const { camera } = this;
    const picture = this.frozen ?? (await this.exact()) ?? camera.picture;
    if (picture) this.say(`Saved ${await snapshot(picture, camera.name)}.`);
  }

  record() {
    if (this.recorder.running) this.recorder.stop();
    else if (this.camera.picture) this.recorder.start(this.camera.name);
    at("record").setAttribute("aria-pressed", this.recorder.running);
    if (this.recorder.running) this.say("Recording what is on the picture.");
  }

  recorded(name, full) {
    at("record").setAttribute("aria-pressed", false);
    this.say(`Saved ${name}${full ? ", which had become as long as a recording may be" : ""}.`);
  }
}
