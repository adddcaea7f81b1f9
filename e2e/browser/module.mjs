// Uses the JavaScript module in a page that has a hard life: hidden, busy, behind a line
// that breaks, loaded again. Each scenario checks that the page misses nothing.
//
//	node module.mjs FRONT SERVER SCENARIO    # the addresses of the line and of the server
import assert from "node:assert/strict";
import { launchPlain, open } from "./browser.mjs";
import { scenarios } from "./scenarios.mjs";

const [front, server, scenario] = process.argv.slice(2);

/** Sends a command to the server, not over the line. */
async function command(path, query) {
  const answer = await fetch(`http://${server}/${path}?${new URLSearchParams(query)}`, { method: "POST" });
  assert.equal(answer.status, 200);
}

const { page, problems, close } = await open(front, launchPlain);
try {
  await scenarios[scenario]({
    page,
    server,
    problems,
    say: (count) => command("talk", { say: count }),
    ask: (name) => command("talk", { ask: name }),
    end: () => command("talk"),
    line: (how) => command("line", { break: how }),
    cdp: await page.context().newCDPSession(page),
  });
} finally {
  await close();
}
