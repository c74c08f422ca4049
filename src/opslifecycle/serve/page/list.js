// The list of operations. Only the rows that can be seen are elements, however many there are.

import { duration, element, moment, setText } from "./elements.js";
import { durationOf, keyOf } from "./model.js";

/** How many rows beyond the edges are elements, so that scrolling shows no blank. */
const MARGIN_ROWS = 8;
/** Each order, what its column is called, and what if the records are no operations. */
const COLUMNS = [
  ["status", "Status"],
  ["name", "Name"],
  ["run", "Run"],
  ["created", "Registered", "Created"],
  ["duration", "Duration"],
  ["progress", "Progress", "Fields"],
];

export class OperationList {
  /**
   * `machine` is machine.json. `onOpen(row)` is called when an operation is to be shown, and `onOrder(order)` when the head of a
   * column is chosen.
   */
  constructor(machine, { onOpen, onOrder }) {
    this.box = document.getElementById("list");
    this.space = document.getElementById("rows");
    this.onOpen = onOpen;
    this.pool = [];
    this.rows = [];
    this.selectedKey = null;
    this.now = 0;
    this.heads = columnHeads(document.getElementById("columns"), machine, onOrder);
    this.box.addEventListener("scroll", () => this.draw(), { passive: true });
    this.box.addEventListener("keydown", (event) => this.onKey(event));
    this.space.addEventListener("click", (event) => this.onClick(event));
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  /** Show operations in an order. */
  show(rows, filters, now) {
    this.rows = rows;
    this.now = now;
    this.scale = scaleOf(rows, now);
    for (const [order, { head, arrow }] of this.heads) {
      const isChosen = order === filters.order;
      head.setAttribute("aria-pressed", String(isChosen));
      setText(arrow, isChosen ? (filters.descending ? " ↓" : " ↑") : "");
    }
    this.draw();
  }

  /** Let durations and bars grow. */
  tick(now) {
    this.now = now;
    if (this.rows.length > 0) this.scale.end = Math.max(this.scale.end, now);
    this.draw();
  }

  draw() {
    const height = rowHeight(this.box);
    this.space.style.height = `${this.rows.length * height}px`;
    const first = Math.max(0, Math.floor(this.box.scrollTop / height) - MARGIN_ROWS);
    const seen = Math.ceil(this.box.clientHeight / height) + 2 * MARGIN_ROWS;
    const last = Math.min(this.rows.length, first + seen);
    while (this.pool.length < last - first) this.pool.push(this.space.appendChild(newRow()));
    for (const [number, parts] of this.pool.map(partsOf).entries()) {
      const index = first + number;
      parts.line.hidden = index >= last;
      if (index < last) this.fill(parts, this.rows[index], index, height);
    }
    const selected = this.selectedIndex();
    const isDrawn = selected >= first && selected < last;
    if (isDrawn) this.box.setAttribute("aria-activedescendant", `row-${selected}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  fill({ line, cells, queued, ran, progress }, row, index, height) {
    line.id = `row-${index}`;
    line.dataset.index = index;
    line.style.top = `${index * height}px`;
    line.dataset.status = row.status;
    line.setAttribute("aria-posinset", index + 1);
    line.setAttribute("aria-setsize", this.rows.length);
    line.setAttribute("aria-selected", String(keyOf(row) === this.selectedKey));
    setText(cells.status, row.status);
    setText(cells.name, row.name);
    if (cells.name.title !== row.name) cells.name.title = row.name;
    setText(cells.run, row.registry);
    line.dataset.ended = String(row.ended);
    setText(cells.created, row.created_at_ms === null ? "" : moment(row.created_at_ms, this.now));
    setText(cells.duration, duration(durationOf(row, this.now)));
    const isKnown = row.percent !== null;
    progress.hidden = !isKnown;
    if (isKnown && progress.value !== row.percent) progress.value = row.percent;
    setText(cells.message, row.reason || row.message || "");
    const ended = row.completed_at_ms ?? this.now;
    const started = row.started_at_ms ?? ended;
    this.place(queued, row.created_at_ms ?? started, started);
    this.place(ran, started, ended);
  }

  /** Place a part of a bar in the time that all shown operations span. */
  place(bar, start, end) {
    const { start: origin, end: last } = this.scale;
    const unit = 100 / Math.max(1, last - origin);
    bar.style.left = `${(start - origin) * unit}%`;
    bar.style.width = `${Math.max(0, end - start) * unit}%`;
  }

  selectedIndex() {
    if (this.selectedKey === null) return -1;
    return this.rows.findIndex((row) => keyOf(row) === this.selectedKey);
  }

  select(index) {
    if (this.rows.length === 0) return;
    const chosen = Math.min(this.rows.length - 1, Math.max(0, index));
    this.selectedKey = keyOf(this.rows[chosen]);
    const height = rowHeight(this.box);
    const top = chosen * height;
    const { scrollTop, clientHeight } = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (top + height > scrollTop + clientHeight) {
      this.box.scrollTop = top + height - clientHeight;
    }
    this.draw();
  }

  onKey(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / rowHeight(this.box)) - 1);
    const selected = this.selectedIndex();
    const steps = {
      ArrowDown: selected + 1,
      ArrowUp: selected - 1,
      PageDown: selected + page,
      PageUp: selected - page,
      Home: 0,
      End: this.rows.length - 1,
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (Object.hasOwn(steps, event.key)) this.select(steps[event.key]);
    else if (event.key === "Enter" && selected >= 0) this.onOpen(this.rows[selected]);
    else return;
    event.preventDefault();
  }

  onClick(event) {
    const line = event.target.closest("[data-index]");
    if (line === null) return;
    this.select(Number(line.dataset.index));
    this.onOpen(this.rows[this.selectedIndex()]);
  }
}

/** Return the time that operations span. */
function scaleOf(rows, now) {
  let [start, end] = [Infinity, -Infinity];
  for (const row of rows) {
    start = Math.min(start, row.created_at_ms ?? now);
    end = Math.max(end, row.completed_at_ms ?? now);
  }
  return { start, end };
}

function columnHeads(place, machine, onOrder) {
  const heads = new Map();
  for (const [order, ofWork, ofOthers = ofWork] of COLUMNS) {
    const label = machine.is_work ? ofWork : ofOthers;
    const arrow = element("span", { "aria-hidden": "true" });
    const attributes = { type: "button", class: `${order}-cell`, "data-order": order };
    const head = element("button", attributes, label, arrow);
    head.addEventListener("click", () => onOrder(order));
    place.append(head);
    heads.set(order, { head, arrow });
  }
  place.append(element("span", { class: "timeline-cell" }, "Timeline"));
  return heads;
}

const PARTS = new WeakMap();

function partsOf(line) {
  return PARTS.get(line);
}

function newRow() {
  const cell = (name, tag = "span") => element(tag, { class: `${name}-cell` });
  // Each name is isolated: its writing direction cannot reorder what is beside it.
  const cells = {
    status: cell("status"), name: cell("name", "bdi"), run: cell("run", "bdi"),
    created: cell("created"), duration: cell("duration"), message: element("bdi"),
  };
  const progress = element("progress", { max: "100", "aria-label": "progress" });
  const queued = element("i", { class: "queued" });
  const ran = element("i", { class: "ran" });
  const line = element(
    "div", { class: "row", role: "option" },
    cells.status, cells.name, cells.run, cells.created, cells.duration,
    element("span", { class: "progress-cell" }, progress, cells.message),
    element("span", { class: "timeline-cell", "aria-hidden": "true" }, queued, ran),
  );
  PARTS.set(line, { line, cells, progress, queued, ran });
  return line;
}

/** Return the height of a row, which the style sheet decides by the width of the window. */
function rowHeight(box) {
  return Number.parseFloat(getComputedStyle(box).getPropertyValue("--row-height"));
}
