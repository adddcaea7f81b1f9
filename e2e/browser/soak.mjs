// Runs the clients of clients/soakclient.mjs in a page. Arguments: see clients/soak.mjs. All
// clients use the bad way, because a page may use only its own server.
import { readFileSync } from "node:fs";
import { open } from "./browser.mjs";

const [transport, , bad, clients, follows, prompts] = process.argv.slice(2);
const { page, problems, close } = await open(new URL(bad).host);
try {
  await page.exposeFunction("say", (lines) => process.stdout.write(lines));
  const code = readFileSync(new URL("../clients/soakclient.mjs", import.meta.url), "utf8");
  let fail;
  const hangs = new Promise((_, failed) => (fail = (why) => failed(new Error(why))));
  await page.exposeFunction("fail", fail);
  const done = page.evaluate(
    async ({ code, options }) => {
      const load = (text) => import(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
      const [{ soak }, nodebus] = await Promise.all([load(code), import("/nodebus/nodebus.js")]);
      let lines = "";
      const flush = () => {
        const text = lines;
        lines = "";
        return text && window.say(text);
      };
      const timer = setInterval(flush, 200);
      await soak(nodebus, { ...options, fail: window.fail, say: (line) => (lines += `${line}\n`) });
      clearInterval(timer);
      await flush();
    },
    { code, options: { transport, good: bad, bad, clients: +clients, follows: +follows, prompts: +prompts } },
  );
  await Promise.race([done, hangs]);
} catch (error) {
  console.error(problems);
  throw error;
} finally {
  await close();
}
