// The clients of the soak, for Node and for a page.

const ignored = (type) => ["status", "nodebus.watching", "progress_state", "feature_flags"].includes(type);

// soak makes the clients and resolves when all have received the last event. Even clients
// use the bad way. Half of the clients watch prompts and say what they receive; the others
// follow prompts and say the state of each run, besides.
export async function soak({ Client }, { transport, good, bad, clients, follows, prompts, say, fail }) {
  const random = (n) => Math.floor(Math.random() * n);
  const all = [];
  const open = new Set(); // what is not done yet, to be shown if the soak hangs
  const hangs = setTimeout(() => fail(`the soak hangs: ${[...open].join(", ")}`), 120_000);
  for (let i = 0; i < clients; i++) {
    const names = [...new Set(Array.from({ length: follows * 4 }, () => `p${random(prompts)}`))].slice(0, follows);
    const url = i % 2 ? good : bad;
    all.push(i % 4 < 2 ? reads(`m${i}`, url, names) : followsRuns(`m${i}`, url, names));
  }
  await Promise.all(all);
  clearTimeout(hangs);

  function tell(client, { type, cursor, data, prompt_id }) {
    const line = { scenario: "soak", client, type, cursor, prompt: prompt_id ?? "" };
    const bytes = data?.base64 ? Uint8Array.from(atob(data.base64), (c) => c.charCodeAt()) : data; // of a stream
    if (bytes instanceof Uint8Array) Object.assign(line, { type: "blob", n: bytes[bytes[2] === 0x4e ? 4 : 0] });
    else if (type === "nodebus.text") line.n = data.offset;
    else if (type === "gap") Object.assign(line, { since: data.since, next: data.next });
    else if (type === "executing" && data.node === null) line.type = "executing end";
    else line.n = data?.n;
    say(JSON.stringify(line));
  }

  // reads says what a client receives that watches prompts from the start. Now and then it
  // is closed, and a new client continues after its cursor.
  async function reads(clientId, url, watch) {
    let since;
    open.add(clientId);
    for (let last = false, first = true; !last; first = false) {
      const client = new Client({ url, clientId, watch, since, transport, retry: 50 });
      await new Promise((resolve) => {
        const lines = [];
        let greeted = !first;
        client.addEventListener("message", ({ detail }) => {
          if (!greeted) {
            lines.push(detail);
            return;
          }
          if (!ignored(detail.type)) tell(clientId, detail.type === "nodebus.gap" ? { ...detail, type: "gap" } : detail);
          last = detail.type === "e2e.finish";
          if (!last && random(400)) return;
          since = client.cursor;
          client.close();
          if (last) open.delete(clientId);
          resolve();
        });
        client.ready.then(() => {
          if (greeted) return;
          greeted = true;
          tell(clientId, { type: "greeting", cursor: lines[0].cursor, prompt_id: watch.join(",") });
          for (const line of lines.slice(1)) if (!ignored(line.type)) tell(clientId, line);
        });
      });
    }
  }

  // followsRuns says the last states of runs, and what else the client receives.
  async function followsRuns(clientId, url, names) {
    const client = new Client({ url, clientId, transport, retry: 50 });
    let greeting;
    const finish = new Promise((resolve) => {
      client.addEventListener("message", ({ detail }) => {
        if (!greeting) {
          greeting = detail.cursor;
          tell(clientId, { type: "greeting", cursor: greeting, data: { n: 1 }, prompt_id: names.join(",") });
        }
        if (ignored(detail.type) || names.includes(detail.prompt_id)) return;
        tell(clientId, detail.type === "nodebus.gap" ? { ...detail, type: "gap" } : detail);
        if (detail.type === "e2e.finish") resolve();
      });
    });
    await client.ready;
    await Promise.all(
      names.map(async (prompt) => {
        await new Promise((resolve) => setTimeout(resolve, random(3000)));
        let run;
        open.add(`${clientId} follows ${prompt}`);
        for (let tries = 0; !run; tries++) {
          try {
            run = await client.follow(prompt).done;
          } catch (error) {
            if (error.status !== 404 || tries > 2000) throw error; // it has not begun
            await new Promise((resolve) => setTimeout(resolve, 100));
          }
        }
        open.delete(`${clientId} follows ${prompt}`);
        say(JSON.stringify({ scenario: "soak", client: clientId, type: "run", prompt, state: run.state, incomplete: Boolean(run.incomplete), text: Object.values(run.nodes["1"]?.texts ?? {}).join("|") }));
      }),
    );
    open.add(`${clientId} finishes`);
    await finish;
    open.delete(`${clientId} finishes`);
    client.close();
  }
}
