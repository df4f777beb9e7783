// derain live: all cameras, or one of them. The address tells which (#NAME), so that it can be passed on.

import { Camera, mark } from "./cameras.js";
import { remember } from "./charts.js";
import { Link } from "./link.js";
import { One } from "./one.js";

const at = (id) => document.getElementById(id);
const cameras = new Map();
const link = new Link();
const one = new One(link, say, watch);
let connected = false;

function say(words) {
  at("said").textContent = words;
}

// Asks for what is on the screen, and for nothing while nobody looks.
function watch() {
  const wanted = document.hidden ? [] : one.camera ? one.wanted
    : [...cameras.keys()].map((camera) => ({ camera, size: "tile" }));
  link.send({ type: "watch", cameras: wanted });
}

// The camera that the address names; an address that somebody spoilt names none.
function asked() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

function follow() {
  const name = asked();
  const only = cameras.size === 1 && location.hash !== "#" ? [...cameras.values()][0] : undefined;
  const camera = cameras.get(name) ?? only;
  if (name && cameras.size && !cameras.has(name)) say(`There is no camera ${name} here.`);
  if (camera === one.camera && camera) return;
  const from = one.camera;
  at("one").hidden = !camera;
  at("all").hidden = Boolean(camera);
  document.title = camera ? `${camera.name} - derain live` : "derain live";
  if (camera) {
    one.open(camera);
    if (connected) at("name").focus({ preventScroll: true });
  } else {
    one.close();
    watch();
    from?.tile.root.focus();
  }
}

function open(camera) {
  location.hash = encodeURIComponent(camera.name);
}

link.addEventListener("hello", ({ detail }) => {
  for (const name of detail.cameras) {
    if (!cameras.has(name)) cameras.set(name, new Camera(name, cameras.size + 1, open));
  }
  at("all").replaceChildren(...detail.cameras.map((name) => cameras.get(name).tile.root));
  at("connection").hidden = true;
  one.videoWanted = detail.video;
  if (one.camera) one.call();
  follow();
  watch();
  connected = true;
});

link.addEventListener("lost", ({ detail }) => {
  at("connection").hidden = false;
  mark(at("connection"), "away");
  if (connected) say(detail.reason || "derain does not answer; this page goes on trying.");
  connected = false;
});

link.addEventListener("state", ({ detail }) => {
  const camera = cameras.get(detail.camera);
  if (!camera) return;
  if (camera.become(detail)) say(`${camera.sentence()}.`);
  if (camera === one.camera) one.tell();
});

link.addEventListener("picture", ({ detail }) => {
  const camera = cameras.get(detail.camera);
  if (!camera) return;
  if (camera !== one.camera) camera.show(detail);
  else if (!one.video.playing) one.show(detail);
});

link.addEventListener("figures", ({ detail: { figures } }) => {
  at("engine").textContent = [figures.model, figures.backend, figures.precision].filter(Boolean).join(", ");
  for (const now of figures.cameras) {
    const camera = cameras.get(now.name);
    if (camera) remember(camera.past, now);
  }
});

link.addEventListener("screen", ({ detail: { seconds } }) => {
  for (const [name, time] of Object.entries(seconds)) {
    if (cameras.has(name)) cameras.get(name).screen = `${Math.round(1000 * time)} ms`;
  }
});

link.addEventListener("said", ({ detail }) => say(detail.said));
link.addEventListener("refused", ({ detail }) => say(detail.said));

setInterval(() => {
  for (const camera of cameras.values()) camera.tell();
  if (one.camera) one.tell();
}, 1000);

document.addEventListener("visibilitychange", () => {
  if (document.hidden) one.video.stop();
  if (document.hidden || !one.camera) watch();
  else one.call();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) return;
  const picked = [...cameras.values()][Number(event.key) - 1];
  if (picked) open(picked);
  else if (!one.camera) return;
  else if (event.key === "Escape") location.hash = "";
  else if (event.key === " " && !event.target.matches("button")) {
    event.preventDefault();
    one.freeze();
  } else if (event.key.startsWith("Arrow") && !event.key.endsWith("p") && !event.key.endsWith("n")) one.key(event);
});

at("back").addEventListener("click", () => { location.hash = ""; });
window.addEventListener("hashchange", follow);
