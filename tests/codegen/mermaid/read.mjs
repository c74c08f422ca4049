// Parses Mermaid diagrams with Mermaid's own parser: a JSON list of texts in, what each draws out.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(`${process.argv[2]}/package.json`));
const { JSDOM } = require("jsdom");
globalThis.window = new JSDOM("").window;
globalThis.document = window.document;
const place = require.resolve("mermaid/dist/mermaid.core.mjs");
const { default: mermaid } = await import(pathToFileURL(place));
// The first text registers the kinds of diagrams.
await mermaid.parse("stateDiagram-v2\n  first");

// The regions of a state stand in its document, those of the whole diagram in its own.
function shown({ id, descriptions, note, doc }) {
  return { id, descriptions, note, within: (doc ?? []).filter(({ stmt }) => stmt === "state").map(shown) };
}

const found = [];
for (const text of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    const { db } = await mermaid.mermaidAPI.getDiagramFromText(text);
    const states = [...db.getStates().values()].map(shown);
    found.push({ states, relations: db.getRelations() });
  } catch (error) {
    found.push({ refused: String(error.message ?? error) });
  }
}
console.log(JSON.stringify(found));
