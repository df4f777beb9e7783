// What is known of each camera, and its tile among all of them.

import { draw } from "./draw.js";

const BADGES = {
  opening: "opening", live: "live", stalled: "stalled", frozen: "frozen picture", away: "away", ended: "ended",
};
const SINCE = {
  opening: (time) => `opening for ${time}`,
  stalled: (time) => `no new picture for ${time}`,
  frozen: (time) => `the picture has not changed for ${time}`,
  away: (time) => `no picture for ${time}`,
  ended: (time) => `ended ${time} ago`,
};

export class Camera {
  constructor(name, number, open) {
    Object.assign(this, { name, number, state: "opening", why: "", from: performance.now(), past: [] });
    this.picture = null;
    this.split = 0.5;
    this.tile = tile(name, () => open(this));
  }

  get figures() {
    return this.past.at(-1);
  }

  get live() {
    return this.state === "live";
  }

  // Whether that is another state than before.
  become({ state, said, seconds }) {
    const other = state !== this.state;
    Object.assign(this, { state, why: said, from: performance.now() - 1000 * seconds });
    this.tell();
    return other;
  }

  since() {
    if (this.live) return "";
    return SINCE[this.state](duration((performance.now() - this.from) / 1000));
  }

  sentence() {
    return `${this.name} is ${this.live ? "live" : BADGES[this.state]}${this.why ? `: ${this.why}` : ""}`;
  }

  show(picture) {
    this.picture = picture;
    draw(this.tile.canvas, picture, this.split);
    this.tile.root.classList.remove("empty");
  }

  tell() {
    const { root, badge, since, rates } = this.tile;
    mark(badge, this.state);
    root.classList.toggle("off", !this.live);
    since.textContent = this.since();
    since.hidden = this.live;
    const figures = this.figures;
    rates.textContent = figures && this.live
      ? `${figures.restored_fps.toFixed(0)} a second, ${(1000 * figures.latency.p50).toFixed(0)} ms` : this.why;
    root.setAttribute("aria-label", `${this.number < 10 ? `${this.number}: ` : ""}${this.sentence()}`);
  }
}

export function mark(badge, state) {
  badge.dataset.state = state;
  badge.textContent = BADGES[state];
}

function tile(name, open) {
  const root = document.createElement("button");
  root.type = "button";
  root.className = "tile off empty";
  root.dataset.camera = name;
  const canvas = root.appendChild(document.createElement("canvas"));
  [canvas.width, canvas.height] = [480, 270];
  const since = root.appendChild(element("span", "since"));
  const caption = root.appendChild(element("span", "caption"));
  const title = caption.appendChild(element("span", "title"));
  title.textContent = name;
  const badge = caption.appendChild(element("span", "badge"));
  const rates = caption.appendChild(element("span", "rates faint"));
  root.addEventListener("click", open);
  return { root, canvas, since, badge, rates };
}

function element(kind, className) {
  const made = document.createElement(kind);
  made.className = className;
  return made;
}

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) return `${whole} s`;
  if (whole < 7200) return `${Math.round(whole / 60)} min`;
  return `${Math.round(whole / 3600)} h`;
}
