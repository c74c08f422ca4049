// What the page knows: the operations and registries of the store, and which of them are shown.

/** The columns by which the list can be sorted, each with the value that is compared. */
export const ORDERS = {
  created: (row) => row.created_at_ms,
  name: (row) => row.name,
  status: (row) => row.status,
  run: (row) => row.registry,
  duration: (row, now) => durationOf(row, now),
  progress: (row) => (row.kind === undefined ? row.message : (row.percent ?? -1)),
};

/**
 * Return for how long an operation has run, or did; if it never started, for how long it waited.
 * Null if its machine does not note the times.
 */
export function durationOf(row, now) {
  const start = row.started_at_ms ?? row.created_at_ms;
  const end = row.completed_at_ms ?? (row.ended ? null : now);
  return start === null || end === null ? null : end - start;
}

/** Return what distinguishes an operation from all others: two registries may have the same id. */
export function keyOf(row) {
  return `${row.registry}/${row.id}`;
}

export class Model {
  constructor() {
    this.rows = new Map();
    this.registries = [];
    this.isComplete = false;
    this.aheadMs = 0;
  }

  /** The time of the server. */
  now() {
    return Date.now() + this.aheadMs;
  }

  /** Take up an event. Return whether what is known is consistent again, so that it can be shown. */
  take(kind, data) {
    if (kind === "reset") {
      // What is shown stays until the new contents are complete.
      this.rows = new Map();
      this.isComplete = false;
    } else if (kind === "operations") {
      for (const row of data) this.rows.set(keyOf(row), row);
    } else if (kind === "removed") {
      for (const [registry, id] of data) this.rows.delete(`${registry}/${id}`);
    } else if (kind === "registries") {
      this.registries = data.registries;
      this.aheadMs = data.now_ms - Date.now();
      return this.isComplete;
    } else if (kind === "version") {
      this.isComplete = true;
      return true;
    }
    return false;
  }

  /**
   * Return the shown operations in order, the number of each status among those that the other
   * filters let through, and for each registry how many of its operations there are and have ended.
   */
  view({ statuses, search, run, order, descending }) {
    const now = this.now();
    const wanted = search.toLowerCase();
    const counts = new Map();
    const runs = new Map(this.registries.map(({ name }) => [name, { total: 0, ended: 0 }]));
    const rows = [];
    for (const row of this.rows.values()) {
      const totals = runs.get(row.registry);
      if (totals !== undefined) {
        totals.total += 1;
        if (row.ended) totals.ended += 1;
      }
      if (run !== null && row.registry !== run) continue;
      if (wanted !== "" && !isFound(row, wanted)) continue;
      counts.set(row.status, (counts.get(row.status) ?? 0) + 1);
      if (statuses.size === 0 || statuses.has(row.status)) rows.push(row);
    }
    return { rows: sorted(rows, ORDERS[order], descending, now), counts, runs };
  }
}

function isFound(row, wanted) {
  return row.name.toLowerCase().includes(wanted) || row.id.toLowerCase().includes(wanted);
}

function sorted(rows, valueOf, descending, now) {
  const sign = descending ? -1 : 1;
  const values = new Map(rows.map((row) => [row, valueOf(row, now)]));
  return rows.sort((a, b) => {
    const left = values.get(a);
    const right = values.get(b);
    if (left !== right) return left < right ? -sign : sign;
    // Ids of operations are in the order of creation, numbers in that of their size.
    if (a.id.length !== b.id.length) return a.id.length < b.id.length ? -sign : sign;
    if (a.id !== b.id) return a.id < b.id ? -sign : sign;
    return a.registry < b.registry ? -sign : sign;
  });
}
