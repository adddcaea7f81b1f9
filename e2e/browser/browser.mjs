// A headless browser with one page, and a record of everything in it that went
// wrong.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { tolerated } from "./tolerated.mjs";

const args = [
  "--no-sandbox", // it runs as root in containers
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// open starts the browser, with an empty profile, on the page of a server. Only
// that server is let through: the front end also asks for its makers' news.
export async function open(address, start = launch) {
  const profile = mkdtempSync(join(tmpdir(), "e2e-browser-"));
  const { context, stop } = await start(profile, `http://${address}`);
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(180_000);
  await context.route((url) => url.host !== address, (route) => route.abort("blockedbyclient"));
  const problems = watch(page, address);
  await page.goto(`http://${address}/`);
  return {
    page,
    problems,
    close: async () => {
      await stop();
      rmSync(profile, { recursive: true, force: true, maxRetries: 20 }); // its processes end one by one
    },
  };
}

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";

async function launch(profile, baseURL) {
  const viewport = { width: 1280, height: 800 };
  const context = await chromium.launchPersistentContext(profile, { executablePath, headless: true, viewport, baseURL, args });
  return { context, stop: () => context.close() };
}

// launchPlain starts a browser in which a tab is hidden when another one is in front, and
// can be frozen. playwright makes each tab of a browser that it starts believe that it is
// in front.
export async function launchPlain(profile) {
  const flags = [...args, "--headless", "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"];
  const process = spawn(executablePath, flags, { stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((done) => process.on("exit", done));
  const endpoint = await new Promise((found, failed) => {
    let said = "";
    process.stderr.on("data", (text) => {
      const [, url] = /DevTools listening on (ws:\S+)/.exec((said += text)) ?? [];
      if (url) found(url);
    });
    process.on("exit", () => failed(new Error(said)));
  });
  const browser = await chromium.connectOverCDP(endpoint, { noDefaults: true });
  const stop = async () => {
    const session = await browser.newBrowserCDPSession();
    await session.send("Browser.close").catch(() => {}); // it may end before it answers
    await ended;
  };
  return { context: browser.contexts()[0], stop };
}

// watch lists requests without an answer, answers that are errors, errors on the
// console and exceptions that nobody caught, but for those that are tolerated.
export function watch(page, address) {
  const problems = [];
  const add = (problem) => tolerated.some((t) => t.test(problem)) || problems.push(problem);
  const named = (r) => `${r.method()} ${r.url().replace(`http://${address}`, "")}`;
  page.on("requestfailed", async (r) => {
    const answered = await r.response().catch(() => null); // and the page did not care for the body
    if (!answered) add(`${r.failure().errorText} ${named(r)}`);
  });
  page.on("response", (r) => r.status() >= 400 && add(`${r.status()} ${named(r.request())}`));
  page.on("pageerror", (err) => add(`exception ${err.message}`));
  page.on("console", (m) => {
    // That a resource failed to load is known from the request.
    if (m.type() === "error" && !m.text().startsWith("Failed to load resource")) add(`console ${m.text().split("\n")[0]}`);
  });
  return problems;
}
