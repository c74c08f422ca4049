// The filters, in the address of the page, so that a view can be bookmarked and sent.

import { ORDERS } from "./model.js";

const DEFAULT_ORDER = "created";

/** Return the filters of the address. */
export function readAddress() {
  const query = new URLSearchParams(location.search);
  const order = query.get("order");
  const isOrder = order !== null && Object.hasOwn(ORDERS, order);
  return {
    statuses: new Set(query.getAll("status")),
    search: query.get("search") ?? "",
    run: query.get("run"),
    order: isOrder ? order : DEFAULT_ORDER,
    descending: isOrder ? query.get("descending") === "true" : true,
    shown: query.get("operation"),
    shownRun: query.get("of"),
  };
}

/** Write filters into the address; `push` adds an entry to the history of the browser. */
export function writeAddress(filters, { push = false } = {}) {
  const query = new URLSearchParams();
  for (const status of filters.statuses) query.append("status", status);
  if (filters.search !== "") query.set("search", filters.search);
  if (filters.run !== null) query.set("run", filters.run);
  if (filters.order !== DEFAULT_ORDER || !filters.descending) {
    query.set("order", filters.order);
    query.set("descending", String(filters.descending));
  }
  if (filters.shown !== null) query.set("operation", filters.shown);
  if (filters.shown !== null && filters.shownRun !== null) query.set("of", filters.shownRun);
  const text = query.toString();
  const address = location.pathname + (text === "" ? "" : `?${text}`);
  if (address === location.pathname + location.search) return;
  if (push) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}
