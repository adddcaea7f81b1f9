import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fold } from "../nodebus.js";
import { test } from "./helpers.mjs";

// The Go package fold is held to the same vectors.
const vectors = JSON.parse(readFileSync(process.env.VECTORS ?? new URL("../../fold/testdata/vectors.json", import.meta.url)));

const plain = (value) => JSON.parse(JSON.stringify(value));
const foldAll = (run, events) => plain(plain(events).reduce((state, message) => fold(state, message), run));

for (const { name, events, run } of vectors) {
  test(`fold: ${name}`, () => {
    assert.deepEqual(foldAll(fold(null, { type: "" }), events), run);
    for (let cut = 0; cut <= events.length; cut++) {
      const snapshot = foldAll(fold(null, { type: "" }), events.slice(0, cut));
      assert.deepEqual(foldAll(plain(snapshot), events.slice(cut)), run, `cut after ${cut} events`);
      const message = { type: "nodebus.run", data: snapshot, prompt_id: snapshot.prompt_id };
      assert.deepEqual(foldAll(null, [message, ...events.slice(cut)]), run, `a snapshot after ${cut} events`);
    }
  });
}

test("fold: a snapshot does not change the prototype of a run", () => {
  const data = '{"prompt_id":"p","__proto__":{"closed":true},"nodes":{},"order":[],"waiting":[]}';
  const run = fold(null, { type: "nodebus.run", data: JSON.parse(data) });
  const copy = fold(JSON.parse(data), { type: "execution_start", data: { prompt_id: "p", timestamp: 1 } });
  for (const { closed, ...own } of [run, copy]) assert.deepEqual([closed, Object.hasOwn(own, "__proto__")], [undefined, false]);
  for (const state of [run, copy]) assert.equal(Object.getPrototypeOf(state), Object.prototype);
  assert.equal(copy.state, "running");
});
