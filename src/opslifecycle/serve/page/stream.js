// The stream of changes. EventSource cannot send a token, so the events are read from a request.

const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 15_000;
// The server sends a comment every 15 seconds. After this long without one, the connection is dead.
const SILENCE_MS_MAX = 40_000;

/** Thrown when the server wants a token, or another one. */
export class TokenNeeded extends Error {}

/** Return the headers of a request: the token, if the page has one. */
export function headersOf(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/**
 * Follows `v1/changes`, and connects again whenever the connection ends.
 *
 * `onEvent(kind, data)` gets each event, and `onState(state, detail)` each state of the connection:
 * connecting, live, disconnected, or token.
 */
export class ChangeStream {
  constructor(onEvent, onState) {
    this.onEvent = onEvent;
    this.onState = onState;
    this.lastId = "";
    this.retryMs = RETRY_MS_MIN;
    this.timer = null;
    this.request = null;
  }

  /** Connect with a token, or with another one. */
  start(token) {
    this.token = token;
    this.stop();
    this.onState("connecting");
    this.connect();
  }

  stop() {
    clearTimeout(this.timer);
    this.request?.abort();
  }

  /** Connect now if the connection is lost, rather than after the pause. */
  hurry() {
    if (this.timer === null) return;
    clearTimeout(this.timer);
    this.connect();
  }

  async connect() {
    this.timer = null;
    const request = new AbortController();
    this.request = request;
    try {
      await this.follow(request);
      throw new Error("the server has ended the stream");
    } catch (error) {
      // Another request has taken its place.
      if (this.request !== request) return;
      if (error instanceof TokenNeeded) {
        this.onState("token");
        return;
      }
      this.onState("disconnected", error.message);
      this.timer = setTimeout(() => this.connect(), this.retryMs);
      this.retryMs = Math.min(RETRY_MS_MAX, this.retryMs * 2);
    }
  }

  async follow(request) {
    const headers = { Accept: "text/event-stream", ...headersOf(this.token) };
    if (this.lastId) headers["Last-Event-ID"] = this.lastId;
    const options = { headers, signal: request.signal, cache: "no-store" };
    const response = await fetch("v1/changes", options);
    if (response.status === 401) throw new TokenNeeded();
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    this.onState("live");
    this.retryMs = RETRY_MS_MIN;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new EventParser((event) => this.take(event));
    for (;;) {
      const { done, value } = await withDeadline(reader.read(), request);
      if (done) return;
      parser.add(value);
    }
  }

  take({ kind, id, data }) {
    this.onEvent(kind, data === "" ? null : JSON.parse(data));
    // What an event says is known only after it was taken up.
    if (id !== null) this.lastId = id;
  }
}

/** Return what a promise gives; abort the request if that takes too long. */
async function withDeadline(promise, request) {
  let timer;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("the server is silent")), SILENCE_MS_MAX);
  });
  try {
    return await Promise.race([promise, silence]);
  } catch (error) {
    request.abort();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Makes events of the text of a stream, which comes in pieces of any length. */
export class EventParser {
  constructor(onEvent) {
    this.onEvent = onEvent;
    this.rest = "";
    this.clear();
  }

  clear() {
    this.event = { kind: "message", id: null, lines: [] };
  }

  add(text) {
    const lines = (this.rest + text).split(/\r?\n/);
    this.rest = lines.pop();
    for (const line of lines) this.addLine(line);
  }

  addLine(line) {
    if (line === "") {
      const { kind, id, lines } = this.event;
      this.clear();
      if (lines.length > 0) this.onEvent({ kind, id, data: lines.join("\n") });
      return;
    }
    const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (name === "event") this.event.kind = value;
    else if (name === "id") this.event.id = value;
    else if (name === "data") this.event.lines.push(value);
  }
}
