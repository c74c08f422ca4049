// Elements, texts and times. All text becomes text nodes: names and outputs are not trusted.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element with attributes and children; texts become text nodes. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** Return an element of SVG. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Set the text of an element, if it is another one: writing it again would cost a layout. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Return a duration as text, in its two largest units. */
export function duration(milliseconds) {
  if (milliseconds === null) return "";
  const ms = Math.max(0, milliseconds);
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1000)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** Return a moment as text, with its date unless it is of the same day as another one. */
export function moment(milliseconds, now) {
  const date = new Date(milliseconds);
  const isToday = date.toDateString() === new Date(now).toDateString();
  return (isToday ? CLOCK : MOMENT).format(date);
}

/** Return a number with the noun that fits it. */
export function counted(number, one, many) {
  return `${number.toLocaleString()} ${number === 1 ? one : many}`;
}
