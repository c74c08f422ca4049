// Connects the parts of the page: the stream fills the model, and the model is drawn.

import { readAddress, writeAddress } from "./address.js";
import { Details } from "./details.js";
import { Diagram, StatusButtons } from "./diagram.js";
import { counted, setText } from "./elements.js";
import { OperationList } from "./list.js";
import { Model, keyOf } from "./model.js";
import { Runs } from "./runs.js";
import { ChangeStream } from "./stream.js";

/** How often the page is drawn at most while operations change. */
const DRAW_MS = 150;
const TOKEN_KEY = "opslifecycle-token";
const CONNECTIONS = {
  connecting: "connecting …",
  live: "live",
  disconnected: "disconnected",
  token: "the token is needed",
};

const $ = (id) => document.getElementById(id);

class Page {
  constructor(machine) {
    this.machine = machine;
    this.noun = (number) => counted(number, machine.entity, machine.entities);
    this.name();
    this.model = new Model();
    this.filters = readAddress();
    this.drawing = null;
    const toggle = (status) => this.toggleStatus(status);
    this.diagram = new Diagram($("diagram"), machine, toggle);
    this.buttons = new StatusButtons($("statuses"), [...Object.keys(machine.statuses), ...machine.of_owners], toggle);
    this.runs = new Runs($("run-list"), $("older-runs"), machine, (name) =>
      this.change({ run: this.filters.run === name ? null : name }),
    );
    this.list = new OperationList(machine, {
      onOpen: (row) => this.change({ shown: row.id, shownRun: this.runOf(row) }, { push: true }),
      onOrder: (order) => this.sortBy(order),
    });
    this.details = new Details($("details"), machine, {
      tokenOf: () => sessionStorage.getItem(TOKEN_KEY),
      onClose: () => this.close(),
    });
    this.stream = new ChangeStream(
      (kind, data) => this.take(kind, data),
      (state, detail) => this.showConnection(state, detail),
    );
    this.listen();
    this.draw();
    this.stream.start(sessionStorage.getItem(TOKEN_KEY));
  }

  /** Call records what the machine calls them. */
  name() {
    const { machine, entities, has_times: hasTimes, statuses } = this.machine;
    const title = entities[0].toUpperCase() + entities.slice(1);
    document.title = this.machine.is_work ? "opslifecycle" : `${machine} · opslifecycle`;
    $("machine-name").textContent = this.machine.is_work ? "Machine" : `Machine: ${machine}`;
    for (const id of ["operations", "list"]) $(id).setAttribute("aria-label", title);
    $("details").setAttribute("aria-label", `One ${this.machine.entity}`);
    document.body.classList.toggle("own", !this.machine.is_work);
    document.body.classList.toggle("no-times", !hasTimes);
    if (this.machine.is_work) return;
    const longest = Math.max(...Object.keys(statuses).map((status) => status.length));
    document.body.style.setProperty("--status-width", `${Math.min(22, Math.max(13, longest))}ch`);
  }

  /** Return the run that an address needs: ids of operations are unique, others may not be. */
  runOf(row) {
    return this.machine.is_work ? null : row.registry;
  }

  listen() {
    $("search").addEventListener("input", () => this.change({ search: $("search").value }));
    $("clear").addEventListener("click", () => this.clear());
    $("keys-button").addEventListener("click", () => $("keys").showModal());
    $("notice").querySelector("button").addEventListener("click", () => this.notify(null));
    $("token-form").addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(TOKEN_KEY, $("token").value.trim());
      $("token").value = "";
      this.stream.start(sessionStorage.getItem(TOKEN_KEY));
    });
    document.addEventListener("keydown", (event) => this.onKey(event));
    addEventListener("popstate", () => {
      this.filters = readAddress();
      this.draw();
    });
    addEventListener("online", () => this.stream.hurry());
    setInterval(() => this.tick(), 1000);
  }

  tick() {
    if (document.hidden || !this.model.isComplete) return;
    this.list.tick(this.model.now());
  }

  /** Take up an event of the stream. */
  take(kind, data) {
    if (kind === "gap") this.notify(`Missed updates: ${data.reason}. Everything was read again.`);
    else if (kind === "unavailable") this.showUnavailable(data.detail);
    else {
      if (kind === "registries" && this.isUnavailable) this.showConnection("live");
      if (this.model.take(kind, data)) this.drawSoon();
      this.refreshShown(kind, data);
    }
  }

  refreshShown(kind, data) {
    if (kind !== "operations" || this.filters.shown === null) return;
    if (data.some(({ id }) => id === this.filters.shown)) this.details.refresh();
  }

  showConnection(state, detail) {
    this.isUnavailable = false;
    $("connection").dataset.state = state;
    const text = CONNECTIONS[state] + (detail ? `: ${detail}; trying again` : "");
    setText($("connection"), text);
    document.body.classList.toggle("stale", state !== "live");
    const isAsked = state === "token";
    $("token-form").hidden = !isAsked;
    if (isAsked) $("token").focus();
  }

  showUnavailable(detail) {
    this.isUnavailable = true;
    $("connection").dataset.state = "unavailable";
    setText($("connection"), `the store cannot be read: ${detail}`);
    document.body.classList.add("stale");
  }

  notify(text) {
    $("notice").hidden = text === null;
    setText($("notice").querySelector("span"), text ?? "");
  }

  change(changes, { push = false } = {}) {
    this.filters = { ...this.filters, ...changes };
    writeAddress(this.filters, { push });
    this.draw();
  }

  toggleStatus(status) {
    const statuses = new Set(this.filters.statuses);
    if (!statuses.delete(status)) statuses.add(status);
    this.change({ statuses });
  }

  sortBy(order) {
    const isSame = order === this.filters.order;
    this.change({ order, descending: isSame ? !this.filters.descending : order !== "name" });
  }

  clear() {
    this.change({ statuses: new Set(), search: "", run: null });
  }

  close() {
    this.change({ shown: null, shownRun: null });
    $("list").focus();
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
    if (event.key === "Escape") {
      if (this.filters.shown !== null) this.close();
      else if (document.activeElement === $("search")) $("list").focus();
      return;
    }
    // In a field, a letter is a letter.
    if (event.target.matches("input")) return;
    const actions = {
      "/": () => $("search").select(),
      l: () => $("list").focus(),
      c: () => this.clear(),
      "?": () => $("keys").showModal(),
    };
    if (!Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    actions[event.key]();
  }

  drawSoon() {
    this.drawing ??= setTimeout(() => requestAnimationFrame(() => this.draw()), DRAW_MS);
  }

  summaryOf(shown, total) {
    const all = this.noun(total);
    return shown === total ? all : `${shown.toLocaleString()} of ${all}`;
  }

  draw() {
    clearTimeout(this.drawing);
    this.drawing = null;
    const { filters, model } = this;
    const { rows, counts, runs } = model.view(filters);
    this.diagram.show(counts, filters.statuses);
    this.buttons.show(counts, filters.statuses);
    this.runs.show(model.registries, runs, filters.run);
    this.list.show(rows, filters, model.now());
    this.details.show(filters.shown, filters.shownRun, model.now());
    if ($("search").value !== filters.search) $("search").value = filters.search;
    const isFiltered = filters.statuses.size > 0 || filters.search !== "" || filters.run !== null;
    $("clear").disabled = !isFiltered;
    $("empty").hidden = rows.length > 0 || !model.isComplete;
    setText($("empty"), isFiltered ? `No ${this.machine.entity} passes the filters.` : `The store has no ${this.machine.entities} yet.`);
    if (model.isComplete) setText($("summary"), this.summaryOf(rows.length, model.rows.size));
    document.body.dataset.drawn = String(Number(document.body.dataset.drawn ?? 0) + 1);
    if (this.list.selectedKey === null && rows.length > 0) this.list.selectedKey = keyOf(rows[0]);
  }
}

const response = await fetch("machine.json");
new Page(await response.json());
