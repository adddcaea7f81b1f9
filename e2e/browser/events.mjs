// Reads Server-Sent Events with the browser's EventSource. The server ends the stream
// between events, politely or not, and the browser continues by itself.
import { open } from "./browser.mjs";

const { page, problems, close } = await open(process.argv[2]);
const say = (what) => console.log(JSON.stringify(what));

const post = (path) => page.evaluate((path) => fetch(path, { method: "POST" }).then(() => {}, () => {}), path);
const until = (n) => page.waitForFunction((n) => window.seen.length >= n, n);

try {
  await page.evaluate(
    () =>
      new Promise((opened) => {
        window.seen = [];
        window.preview = null;
        window.opened = 0;
        const source = (window.source = new EventSource("/events?clientId=me"));
        source.onopen = () => opened(++window.opened);
        source.onmessage = ({ data, lastEventId }) => {
          const message = JSON.parse(data);
          if (message.cursor !== lastEventId) throw new Error(`${message.cursor} is not ${lastEventId}`);
          if (message.type.startsWith("e2e.")) window.seen.push(message.data);
          if (message.type === "b_preview_with_metadata")
            document.getElementById("preview").src = new URL(message.data.url, source.url);
        };
      }),
  );

  let n = 0;
  for (const cut of ["", "?hard=1", "", "?hard=1"]) {
    await post(`/say?from=${n}&to=${n + 9}`);
    await until(n + 10);
    await post(`/cut${cut}`);
    await post(`/say?from=${n + 10}&to=${n + 19}`); // while the browser is away
    n += 20;
    await until(n);
  }
  const numbers = await page.evaluate(() => window.seen.map(({ n }) => n));
  say({ scenario: "each event once", events: numbers.length, ordered: numbers.every((seen, i) => seen === i) });
  say({ scenario: "came back", times: (await page.evaluate(() => window.opened)) - 1 });
  say({ scenario: "text", same: await page.evaluate(() => window.seen.every(({ text }) => text === "\r\n\u0085\u2028\u2029")) });

  await post("/show");
  await page.waitForFunction(() => document.getElementById("preview").naturalWidth > 0);
  say({ scenario: "preview", width: await page.evaluate(() => document.getElementById("preview").naturalWidth) });
  await page.evaluate(() => window.source.close());
  // A stream that breaks is no mistake of the server here, nor is the answer of /cut.
  say({ scenario: "problems", problems: problems.filter((p) => !/\/(events|cut)/.test(p)) });
} finally {
  await close();
}
