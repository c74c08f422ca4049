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
  /** `tokenOf()` returns the token; `onClose()` is called when the operation is closed. */
  constructor(place, { tokenOf, onClose }) {
    this.place = place;
    this.tokenOf = tokenOf;
    this.onClose = onClose;
    this.id = null;
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
      element("h3", {}, "Outcome"), this.outcome,
      element("h3", {}, "Output ", ...this.tabs), this.log,
    );
  }

  /** Show an operation; null for none. */
  show(id, now) {
    this.now = now;
    if (id === this.id) return;
    this.id = id;
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

  async read(path) {
    const response = await fetch(path, { headers: headersOf(this.tokenOf()), cache: "no-store" });
    if (response.ok) return response;
    const problem = await response.json().catch(() => null);
    throw new Error(problem?.detail ?? `the server answers ${response.status}`);
  }

  fill(found, text) {
    this.title.replaceChildren(element("bdi", {}, found.display_name));
    this.facts.replaceChildren(...factsOf(found).flatMap(([name, value]) => [
      element("dt", {}, name), element("dd", {}, element("bdi", {}, value)),
    ]));
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
    ["kind", found.kind],
    ["owner", found.holder ?? "none"],
  ];
  if (found.holder !== null && !found.responds) facts.push(["owner responds", "no"]);
  return facts;
}
