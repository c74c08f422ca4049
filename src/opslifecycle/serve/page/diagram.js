// The machine as a picture, with the number of operations in each status.

import { element, setText, svg } from "./elements.js";

const WIDTH = 136;
const HEIGHT = 36;
/** What is shown instead of a live status whose owner is gone or silent; no record has it. */
export const OF_OWNERS = ["interrupted", "unresponsive"];

export class Diagram {
  /** `machine` is machine.json; `onToggle(status)` is called when a status is chosen. */
  constructor(place, machine, onToggle) {
    this.nodes = new Map();
    const lines = machine.edges.map((edge) => edgeOf(edge, machine.statuses));
    const nodes = Object.entries(machine.statuses).map(([status, where]) =>
      this.nodeOf(status, where, onToggle),
    );
    const picture = svg(
      "svg",
      { viewBox: "0 0 480 286", role: "group", "aria-label": "Statuses and their transitions" },
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

  nodeOf(status, { x, y, terminal }, onToggle) {
    const count = svg("text", { x: x + WIDTH - 12, y: y + 23, class: "count" });
    const node = svg(
      "g",
      {
        class: terminal ? "node terminal" : "node",
        role: "button", tabindex: "0", "data-status": status,
      },
      svg("rect", { x, y, width: WIDTH, height: HEIGHT, rx: terminal ? 18 : 6 }),
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

function edgeOf({ from, to, actions }, statuses) {
  const path = pathOf(statuses[from], statuses[to]);
  const attributes = { d: path, class: "edge", "marker-end": "url(#arrow)", "data-from": from, "data-to": to };
  return svg("path", attributes, svg("title", {}, `${from} → ${to}: ${actions.join(", ")}`));
}

function pathOf(from, to) {
  const right = from.x + WIDTH;
  const middle = from.y + HEIGHT / 2;
  if (from === to) {
    return `M${from.x} ${middle - 8}C${from.x - 22} ${middle - 14} ${from.x - 22} ${middle + 14} ${from.x} ${middle + 8}`;
  }
  if (to.x === from.x) {
    return `M${from.x + WIDTH / 2} ${from.y + HEIGHT}L${to.x + WIDTH / 2} ${to.y}`;
  }
  const end = to.y + HEIGHT / 2;
  return `M${right} ${middle}C${right + 60} ${middle} ${to.x - 130} ${end} ${to.x - 60} ${end}L${to.x} ${end}`;
}

/** Return the names of actions: beside each final status, and on the way between live ones. */
function endLabels({ statuses, edges, initial }) {
  const labels = new Map();
  for (const { from, to, actions } of edges) {
    if (from === to) continue;
    const known = labels.get(to) ?? new Set();
    for (const action of actions) known.add(action);
    labels.set(to, known);
  }
  labels.set(initial.to, new Set([initial.action]));
  return [...labels].map(([status, actions]) => {
    const { x, y, terminal } = statuses[status];
    const where = terminal ? { x: x - 10, y: y + 14, class: "action end" } : { x: x + 76, y: y - 14, class: "action" };
    return svg("text", where, [...actions].join(", "));
  });
}
