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
