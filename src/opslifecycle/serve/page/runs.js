// The runs: the registries of the store, with their owners and how far each is.

import { counted, element, setText } from "./elements.js";

/** How many runs are listed; the filter of the address knows all of them. */
const SHOWN_MAX = 100;

export class Runs {
  /** `machine` is machine.json; `onToggle(name)` is called when a run is chosen. */
  constructor(place, older, machine, onToggle) {
    this.place = place;
    this.machine = machine;
    this.older = older;
    this.onToggle = onToggle;
    this.items = new Map();
  }

  show(all, totals, chosen) {
    // The latest is first; the chosen one is listed however old it is.
    const latest = [...all].reverse();
    const registries = latest.filter(({ name }, index) => index < SHOWN_MAX || name === chosen);
    const hidden = latest.length - registries.length;
    this.older.hidden = hidden === 0;
    setText(this.older, `… and ${counted(hidden, "older run", "older runs")}`);
    const names = new Set(registries.map(({ name }) => name));
    for (const [name, { item }] of this.items) {
      if (names.has(name)) continue;
      item.remove();
      this.items.delete(name);
    }
    for (const [index, registry] of registries.entries()) {
      const parts = this.items.get(registry.name) ?? this.add(registry.name);
      if (this.place.children[index] !== parts.item) {
        this.place.insertBefore(parts.item, this.place.children[index] ?? null);
      }
      const { total, ended } = totals.get(registry.name) ?? { total: 0, ended: 0 };
      parts.bar.max = Math.max(1, total);
      parts.bar.value = ended;
      setText(parts.numbers, `${ended.toLocaleString()} of ${counted(total, this.machine.entity, this.machine.entities)} ended`);
      setText(parts.owner, this.ownerText(registry, total - ended));
      parts.owner.dataset.state = ownerState(registry);
      parts.button.setAttribute("aria-pressed", String(registry.name === chosen));
    }
  }

  add(name) {
    const bar = element("progress", { "aria-label": `ended ${this.machine.entities}` });
    const numbers = element("span", { class: "numbers" });
    const owner = element("bdi", { class: "owner" });
    const button = element(
      "button", { type: "button", "data-run": name },
      element("bdi", { class: "run-name", title: name }, name), owner, bar, numbers,
    );
    button.addEventListener("click", () => this.onToggle(name));
    const parts = { item: element("li", {}, button), button, bar, numbers, owner };
    this.items.set(name, parts);
    return parts;
  }

  ownerText({ holder, responds }, live) {
    // Where records outlive their owners, nothing is wrong.
    const isLost = live > 0 && this.machine.of_owners.length > 0;
    if (holder === null) return isLost ? "its process is gone" : "no owner";
    return responds ? holder : `${holder} does not respond`;
  }
}

function ownerState({ holder, responds }) {
  if (holder === null) return "none";
  return responds ? "live" : "silent";
}
