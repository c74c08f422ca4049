// The machine as a picture, with the number of operations in each status.

import { element, setText, svg } from "./elements.js";

/** How many characters of actions are drawn; the rest is in the title. */
const LABEL_MAX = 22;

export class Diagram {
  /** `machine` is machine.json; `onToggle(status)` is called when a status is chosen. */
  constructor(place, machine, onToggle) {
    this.nodes = new Map();
    this.height = machine.node_height;
    const lines = machine.edges.map((edge) => edgeOf(edge, machine));
    const nodes = Object.entries(machine.statuses).map(([status, where]) =>
      this.nodeOf(status, where, onToggle),
    );
    const picture = svg(
      "svg",
      { viewBox: `0 0 ${machine.size.width} ${machine.size.height}`, role: "group", "aria-label": "Statuses and their transitions" },
      svg("defs", {}, arrowHead()),
      ...lines,
      ...endLabels(machine),
      ...nodes,
    );
    place.replaceChildren(picture);
    for (const [status, { node }] of this.nodes) {
      const touches = lines.filter((line) => line.dataset.from === status || line.dataset.to === status);
      const highlight = (on) => touches.forEach((line) => line.classList.toggle("near", on));
      for (const kind of ["pointerenter", "focus"]) node.addEventListener(kind, () => highlight(true));
      for (const kind of ["pointerleave", "blur"]) node.addEventListener(kind, () => highlight(false));
    }
  }

  nodeOf(status, { x, y, width, terminal, milestone }, onToggle) {
    const { height } = this;
    const count = svg("text", { x: x + width - 12, y: y + 23, class: "count" });
    const node = svg(
      "g",
      {
        class: ["node", terminal ? "terminal" : "", milestone ? "milestone" : ""].join(" ").trim(),
        role: "button", tabindex: "0", "data-status": status,
      },
      svg("rect", { x, y, width, height, rx: terminal ? 18 : 6 }),
      svg("text", { x: x + 14, y: y + 23 }, status),
      count,
    );
    node.addEventListener("click", () => onToggle(status));
    node.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      onToggle(status);
    });
    this.nodes.set(status, { node, count });
    return node;
  }

  show(counts, chosen) {
    for (const [status, { node, count }] of this.nodes) {
      const number = counts.get(status) ?? 0;
      setText(count, number.toLocaleString());
      node.classList.toggle("some", number > 0);
      node.setAttribute("aria-pressed", String(chosen.has(status)));
      node.setAttribute("aria-label", `${status}: ${number}`);
    }
  }
}

/** Shows a button for each status, with its number of operations. */
export class StatusButtons {
  constructor(place, statuses, onToggle) {
    this.buttons = new Map();
    for (const status of statuses) {
      const count = element("b");
      const attributes = { type: "button", "data-status": status };
      const button = element("button", attributes, `${status} `, count);
      button.addEventListener("click", () => onToggle(status));
      place.append(button);
      this.buttons.set(status, { button, count });
    }
  }

  show(counts, chosen) {
    for (const [status, { button, count }] of this.buttons) {
      const number = counts.get(status) ?? 0;
      setText(count, number.toLocaleString());
      button.setAttribute("aria-pressed", String(chosen.has(status)));
      button.classList.toggle("some", number > 0 || chosen.has(status));
    }
  }
}

function arrowHead() {
  const attributes = {
    id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4,
    markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse",
  };
  return svg("marker", attributes, svg("path", { d: "M0 0L8 4L0 8z" }));
}

function edgeOf({ from, to, actions }, { statuses, node_height: height }) {
  const path = pathOf(statuses[from], statuses[to], height);
  const attributes = { d: path, class: "edge", "marker-end": "url(#arrow)", "data-from": from, "data-to": to };
  return svg("path", attributes, svg("title", {}, `${from} → ${to}: ${actions.join(", ")}`));
}

function pathOf(from, to, height) {
  const { width } = from;
  const right = from.x + width;
  const middle = from.y + height / 2;
  if (from === to) {
    return `M${from.x} ${middle - 8}C${from.x - 22} ${middle - 14} ${from.x - 22} ${middle + 14} ${from.x} ${middle + 8}`;
  }
  const end = to.y + height / 2;
  if (to.x === from.x) {
    const isNext = to.y > from.y && to.y - from.y < 3 * height;
    if (isNext) return `M${from.x + width / 2} ${from.y + height}L${to.x + width / 2} ${to.y}`;
    // Around what is between them: the further, the wider.
    const out = from.x - Math.min(40, 14 + Math.abs(to.y - from.y) / 12);
    return `M${from.x} ${middle}C${out} ${middle} ${out} ${end} ${to.x} ${end}`;
  }
  return `M${right} ${middle}C${right + 60} ${middle} ${to.x - 130} ${end} ${to.x - 60} ${end}L${to.x} ${end}`;
}

/** Return the names of actions: beside each final status, and on the way between live ones. */
function endLabels({ statuses, edges, initial }) {
  const labels = new Map([[initial.to, new Set([initial.action])]]);
  for (const { from, to, actions } of edges) {
    if (from === to) continue;
    const known = labels.get(to) ?? new Set();
    for (const action of actions) known.add(action);
    labels.set(to, known);
  }
  return [...labels].map(([status, actions]) => {
    const { x, y, width, terminal } = statuses[status];
    const where = terminal
      ? { x: x - 10, y: y + 14, class: "action end" }
      : { x: x + width / 2 + 8, y: y - 14, class: "action" };
    const all = [...actions].join(", ");
    const label = all.length > LABEL_MAX ? `${all.slice(0, LABEL_MAX - 1)}…` : all;
    return svg("text", where, label, svg("title", {}, all));
  });
}
