// Sorts the table of pictures, and the contact sheet with it, by the column whose button is pressed.
// The order stands in the address (#sort=COLUMN:asc or :desc), so that a sorted view can be passed on.
"use strict";

const table = document.getElementById("pictures");
const body = table.tBodies[0];
const sheet = document.getElementById("sheet");
const order = document.getElementById("order");
const headers = new Map([...table.querySelectorAll("th[data-key]")].map((th) => [th.dataset.key, th]));

function value(row, index) {
  const cell = row.cells[index];
  return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value || NaN);
}

function compare(a, b) {
  if (typeof a === "string") return a.localeCompare(b, undefined, { numeric: true });
  return a === b ? 0 : a - b;
}

// What has no figure comes last, whichever way the others go.
function sorted(rows, index, sign) {
  const keyed = rows.map((row) => [value(row, index), row]);
  const known = keyed.filter(([v]) => !Number.isNaN(v)).sort(([a], [b]) => sign * compare(a, b));
  return [...known, ...keyed.filter(([v]) => Number.isNaN(v))].map(([, row]) => row);
}

function sort(key, way) {
  const chosen = headers.get(key);
  if (!chosen) return;
  const rows = sorted([...body.rows], [...headers.keys()].indexOf(key), way === "desc" ? -1 : 1);
  body.append(...rows);
  sheet.append(...rows.map((row) => document.getElementById(row.dataset.card)).filter(Boolean));
  for (const th of headers.values()) th.setAttribute("aria-sort", "none");
  chosen.setAttribute("aria-sort", way === "desc" ? "descending" : "ascending");
  order.textContent = `Sorted by ${chosen.dataset.title}, ${way === "desc" ? "highest" : "lowest"} first.`;
}

function follow() {
  const found = /^#sort=([^:]+):(asc|desc)$/.exec(location.hash);
  if (found) sort(found[1], found[2]);
}

table.tHead.addEventListener("click", (event) => {
  const th = event.target.closest("button")?.closest("th");
  if (!th) return;
  const way = th.getAttribute("aria-sort") === "ascending" ? "desc" : "asc";
  sort(th.dataset.key, way);
  location.hash = `sort=${th.dataset.key}:${way}`;
});
window.addEventListener("hashchange", follow);
follow();
