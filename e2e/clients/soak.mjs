// Clients of the JavaScript module, some over a bad way, that print what they receive.
// Arguments: the transport, the URLs of the good and of the bad way, and the numbers of
// clients, of prompts that each watches, and of all prompts.
import { soak } from "./soakclient.mjs";
import * as nodebus from "../../js/nodebus.js";

const [transport, good, bad, clients, follows, prompts] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${line}\n`);
const fail = (why) => {
  console.error(why);
  process.exit(1);
};
await soak(nodebus, { transport, good, bad, clients, follows, prompts, say, fail });
process.exit(0);
