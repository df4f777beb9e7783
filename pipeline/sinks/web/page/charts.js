// Small charts of the last minute, one measure each, told in words for those who don't see them.

const LENGTH = 60;
const [WIDTH, HEIGHT] = [120, 32];
const SVG = "http://www.w3.org/2000/svg";

// `lines`: [{ label, value(now, before) }], the one that matters last; a value is null where nothing is known.
export const MEASURES = [
  { title: "Frames a second", places: 1, lines: [
    { label: "camera", value: (now) => now.camera_fps },
    { label: "restored", value: (now) => now.restored_fps },
  ] },
  { title: "Latency", unit: " ms", places: 0, lines: [
    { label: "95 of 100 within", value: (now) => (now.latency.count ? 1000 * now.latency.p95 : null) },
    { label: "half within", value: (now) => (now.latency.count ? 1000 * now.latency.p50 : null) },
  ] },
  { title: "Rain", unit: " %", places: 0, least: 10, lines: [
    { label: "", value: (now) => (now.rain === null ? null : 100 * now.rain) },
  ] },
  { title: "Drops on the lens", unit: " %", places: 0, least: 10, lines: [
    { label: "", value: (now) => (now.drops === null ? null : 100 * now.drops) },
  ] },
  { title: "Dropped a second", places: 1, least: 5, lines: [
    { label: "", value: (now, before) => (before ? Math.max(0, now.dropped - before.dropped) : 0) },
  ] },
];

export class Chart {
  constructor(measure) {
    this.measure = measure;
    this.root = document.createElement("figure");
    this.caption = this.root.appendChild(document.createElement("figcaption"));
    this.caption.append(name(measure.title), (this.value = document.createElement("strong")));
    this.told = this.root.appendChild(document.createElement("p"));
    this.picture = this.root.appendChild(node("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img",
    }));
    this.paths = measure.lines.map((_, number) => this.picture.appendChild(
      node("path", { class: number === measure.lines.length - 1 ? "main" : "aside" })));
  }

  // `past`: figures of a camera, one a second, the newest last.
  show(past) {
    const rows = this.measure.lines.map(({ value }) => past.map((now, at) => value(now, past[at - 1])));
    const last = rows.map((row) => row.at(-1) ?? null);
    this.root.hidden = last.at(-1) === null;
    if (this.root.hidden) return;
    const most = Math.max(this.measure.least ?? 1, ...rows.flat().filter((value) => value !== null)) * 1.1;
    rows.forEach((row, number) => this.paths[number].setAttribute("d", path(row, most)));
    const words = last.map((value) => this.words(value));
    this.value.textContent = words.at(-1);
    const told = this.measure.lines.map(({ label }, number) => (label ? `${label} ${words[number]}` : "")).join(", ");
    this.told.textContent = told;
    this.picture.setAttribute("aria-label", `${this.measure.title}: ${told || words.at(-1)}`);
  }

  words(value) {
    return value === null ? "unknown" : value.toFixed(this.measure.places) + (this.measure.unit ?? "");
  }
}

export function remember(past, figures) {
  past.push(figures);
  if (past.length > LENGTH) past.shift();
}

// The newest value is at the right edge; where nothing is known the line has a gap.
function path(row, most) {
  let pen = "M";
  return row.map((value, at) => {
    if (value === null) {
      pen = "M";
      return "";
    }
    const x = WIDTH - (row.length - 1 - at) * (WIDTH / (LENGTH - 1));
    const point = `${pen}${x.toFixed(2)} ${(HEIGHT - 1 - (HEIGHT - 2) * (value / most)).toFixed(2)}`;
    pen = "L";
    return point;
  }).join("");
}

function name(text) {
  const span = document.createElement("span");
  span.textContent = text;
  return span;
}

function node(kind, attributes) {
  const made = document.createElementNS(SVG, kind);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
