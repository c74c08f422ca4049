// One operation: what is known of it, its history, and the end of its output.

import { counted, duration, element, moment } from "./elements.js";
import { headersOf } from "./stream.js";

const LOG_BYTES = 65_536;
/** How often a live operation is read again. */
const REFRESH_MS = 2000;
const STREAMS = ["stdout", "stderr"];
// What a terminal does not print: colours, and the movements of a cursor.
const ESCAPES = /\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(\u0007|\u001b\\)/g;

export class Details {
  /**
   * `machine` is machine.json; `tokenOf()` returns the token; `onClose()` is called when the
   * operation is closed.
   */
  constructor(place, machine, { tokenOf, onClose }) {
    this.place = place;
    this.machine = machine;
    this.tokenOf = tokenOf;
    this.onClose = onClose;
    this.id = null;
    this.run = null;
    this.stream = STREAMS[0];
    this.timer = null;
    this.build();
  }

  build() {
    const close = element("button", { type: "button", class: "close" }, "Close");
    close.addEventListener("click", () => this.onClose());
    this.title = element("h2");
    this.problem = element("p", { class: "problem", role: "status" });
    this.facts = element("dl", { class: "facts" });
    this.history = element("ol", { class: "history" });
    this.outcome = element("pre", { class: "outcome", tabindex: "0" });
    this.log = element("pre", { class: "log", tabindex: "0" });
    this.tabs = STREAMS.map((stream) => {
      const tab = element("button", { type: "button", "data-stream": stream }, stream);
      tab.addEventListener("click", () => {
        this.stream = stream;
        this.log.replaceChildren();
        this.refresh();
      });
      return tab;
    });
    this.place.replaceChildren(
      close, this.title, this.problem, this.facts,
      element("h3", {}, "History"), this.history,
      ...(this.machine.is_work
        ? [
            element("h3", {}, "Outcome"), this.outcome,
            element("h3", {}, "Output ", ...this.tabs), this.log,
          ]
        : []),
    );
  }

  /** Show an operation of a run, or of the only run that has it; null for none. */
  show(id, run, now) {
    this.now = now;
    if (id === this.id && run === this.run) return;
    this.id = id;
    this.run = run;
    this.place.hidden = id === null;
    document.body.classList.toggle("has-details", id !== null);
    clearTimeout(this.timer);
    if (id === null) return;
    for (const part of [this.title, this.problem, this.facts, this.history, this.outcome, this.log]) {
      part.replaceChildren();
    }
    this.place.scrollTop = 0;
    this.refresh();
  }

  /** Read the operation again, for instance because it has changed. */
  async refresh() {
    clearTimeout(this.timer);
    const { id, stream } = this;
    if (id === null) return;
    if (!this.machine.is_work) return this.refreshRecord(id);
    const path = `v1/operations/${encodeURIComponent(id)}`;
    let found = null;
    let problem = "";
    let text = "";
    try {
      found = await (await this.read(path)).json();
      text = await (await this.read(`${path}/log?stream=${stream}&bytes=${LOG_BYTES}`)).text();
    } catch (error) {
      problem = error.message;
    }
    // Another operation, or another output, was chosen meanwhile.
    if (this.id !== id || this.stream !== stream) return;
    clearTimeout(this.timer);
    this.problem.textContent = problem;
    if (found !== null) this.fill(found, text);
    const isLive = found === null || !found.terminal;
    this.timer = isLive ? setTimeout(() => this.refresh(), REFRESH_MS) : null;
  }

  /** Read a record of a machine of one's own, which has no output. */
  async refreshRecord(id) {
    const query = this.run === null ? "" : `?registry=${encodeURIComponent(this.run)}`;
    let found = null;
    let problem = "";
    try {
      found = await (await this.read(`${this.machine.path}/${encodeURIComponent(id)}${query}`)).json();
    } catch (error) {
      problem = error.message;
    }
    if (this.id !== id) return;
    this.problem.textContent = problem;
    if (found !== null) {
      this.title.replaceChildren(element("bdi", {}, nameOf(found)));
      this.fillFacts([...factsOf(found), ...fieldsOf(found)]);
      this.history.replaceChildren(...this.recordHistoryOf(found));
    }
    const isLive = found === null || !found.ended;
    this.timer = isLive ? setTimeout(() => this.refresh(), REFRESH_MS) : null;
  }

  fillFacts(facts) {
    this.facts.replaceChildren(...facts.flatMap(([name, value]) => [
      element("dt", {}, name), element("dd", {}, element("bdi", {}, value)),
    ]));
  }

  recordHistoryOf(found) {
    const times = [["created", found.created_at_ms], [found.status, found.ended_at_ms]];
    const items = times
      .filter(([, at]) => at !== null)
      .map(([what, at]) => element("li", {}, element("b", {}, what), ` ${moment(at, this.now)}`));
    const steps = found.history.map((step) =>
      element("li", {}, element("bdi", {}, Object.entries(step).map(pairText).join(" · "))),
    );
    items.splice(found.created_at_ms === null ? 0 : 1, 0, ...steps);
    return items.length > 0 ? items : [element("li", {}, "The machine notes neither times nor steps.")];
  }

  async read(path) {
    const response = await fetch(path, { headers: headersOf(this.tokenOf()), cache: "no-store" });
    if (response.ok) return response;
    const problem = await response.json().catch(() => null);
    throw new Error(problem?.detail ?? `the server answers ${response.status}`);
  }

  fill(found, text) {
    this.title.replaceChildren(element("bdi", {}, found.display_name));
    this.fillFacts(factsOf(found));
    this.history.replaceChildren(...this.historyOf(found));
    const outcome = found.terminal_outcome;
    const shown = outcome === null ? "It has not ended." : JSON.stringify(outcome, null, 2);
    if (this.outcome.textContent !== shown) this.outcome.textContent = shown;
    for (const tab of this.tabs) {
      tab.setAttribute("aria-pressed", String(tab.dataset.stream === this.stream));
    }
    const output = text.replace(ESCAPES, "") || "Nothing was printed.";
    if (this.log.textContent === output) return;
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < 20;
    this.log.textContent = output;
    if (isAtEnd) this.log.scrollTop = this.log.scrollHeight;
  }

  historyOf(found) {
    const latest = found.latest_progress;
    const events = [
      ["registered", found.created_at_ms],
      ["started", found.started_at_ms],
      ...(found.terminal ? [[found.status, found.completed_at_ms]] : []),
    ].filter(([, at]) => at !== null && at !== undefined);
    let before = null;
    const items = events.map(([what, at]) => {
      const later = before === null ? "" : ` (${duration(at - before)} later)`;
      before = at;
      return element("li", {}, element("b", {}, what), ` ${moment(at, this.now)}${later}`);
    });
    if (found.progress_count > 0) {
      const percent = latest?.percent ?? null;
      const words = [`progress reported ${counted(found.progress_count, "time", "times")}; the last:`];
      if (percent !== null) words.push(`${percent} %`);
      if (latest?.message) words.push(latest.message);
      const item = element("li", {}, element("bdi", {}, words.join(" ")));
      items.splice(found.terminal ? items.length - 1 : items.length, 0, item);
    }
    return items;
  }
}

function factsOf(found) {
  const facts = [
    ["id", found.id],
    ["status", found.status],
    ["run", found.registry],
    ...(found.kind === undefined ? [] : [["kind", found.kind]]),
    ["owner", found.holder ?? "none"],
  ];
  if (found.holder !== null && !found.responds) facts.push(["owner responds", "no"]);
  return facts;
}

/** Return the fields of a record that have a value and are not shown already. */
function fieldsOf({ id, status, snapshot }) {
  return Object.entries(snapshot)
    .filter(([, value]) => value !== null && value !== id && value !== status)
    .map(([name, value]) => [name.replaceAll("_", " "), textOf(value)]);
}

function nameOf({ id, snapshot }) {
  const name = ["display_name", "name", "title"].find((key) => typeof snapshot[key] === "string");
  return name === undefined ? id : snapshot[name];
}

function pairText([name, value]) {
  return `${name.replaceAll("_", " ")}: ${textOf(value)}`;
}

function textOf(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}
