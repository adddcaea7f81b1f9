// The parts of the page of package comfy that need no browser: the layout of graphs, and
// what the page makes of the state of a run.
import assert from "node:assert/strict";
import { best, card, layout } from "../../comfy/page/layout.js";
import { sharing } from "../../comfy/page/shared.js";
import { viewsOf } from "../../comfy/page/views.js";
import { short, took } from "../../comfy/page/words.js";

const say = (observation) => console.log(JSON.stringify(observation));
const ids = (n) => Array.from({ length: n }, (_, i) => String(i));

// A generator of numbers that are the same in each run.
function random(seed) {
  return (below) => (seed = (seed * 48271) % 2147483647) % below;
}

const graphs = {
  empty: [[], []],
  alone: [ids(30), []],
  chain: [ids(25), ids(24).map((i) => ({ from: i, to: String(+i + 1) }))],
  fan: [ids(200), ids(199).map((i) => ({ from: "199", to: i }))],
  funnel: [ids(200), ids(199).map((i) => ({ from: i, to: "199" }))],
  circle: [ids(4), [["0", "1"], ["1", "2"], ["2", "0"], ["2", "3"], ["3", "3"]].map(([from, to]) => ({ from, to }))],
  unknown: [ids(2), [{ from: "7", to: "1" }, { from: "0", to: "1" }]],
};
const next = random(3);
graphs.thousand = [ids(1000), Array.from({ length: 2000 }, () => {
  const to = 1 + next(999);
  return { from: String(Math.max(0, to - 1 - next(30))), to: String(to) };
})];

for (const [name, [nodes, links]] of Object.entries(graphs)) {
  for (const room of [360, 700, 1200]) {
    for (const flow of ["right", "rows", "down"]) check(name, nodes, links, layout(nodes, links, room, flow), flow);
    check(name, nodes, links, best(nodes, links, room));
  }
  say({ scenario: "layout", graph: name, nodes: nodes.length });
}

// check finds nodes that overlap or are outside, and links that lead nowhere or, if there is
// no circle and there are no rows, back.
function check(name, nodes, links, plan, flow) {
  const at = nodes.map((id) => plan.at.get(id));
  for (const [i, a] of at.entries()) {
    assert.ok(a.x >= -0.1 && a.y >= -0.1 && a.x + card.w <= plan.w + 0.1 && a.y + card.h <= plan.h + 0.1, `${name} ${flow}: node ${i} is outside`);
    for (const b of at.slice(i + 1)) {
      assert.ok(Math.abs(a.x - b.x) >= card.w || Math.abs(a.y - b.y) >= card.h, `${name} ${flow}: two nodes overlap`);
    }
  }
  for (const { from, to } of links) {
    if (!plan.at.has(from)) continue;
    assert.match(plan.path({ from, to, out: 0.5, into: 0.5 }), /^M[-\d.]+ [-\d.]+([CLQ]([-\d.]+ ?)+)+$/);
    const [a, b] = [plan.at.get(from), plan.at.get(to)];
    if (name !== "circle" && flow === "right") assert.ok(a.x + card.w < b.x, `${name}: a link leads back`);
    if (name !== "circle" && flow === "down") assert.ok(a.y + card.h < b.y, `${name}: a link leads up`);
  }
}

const graph = { a: {}, b: {}, c: {}, d: {}, "__proto__x": {} };
const run = {
  state: "running",
  nodes: {
    a: { state: "cached", value: 1, max: 1 },
    b: { state: "running", value: 3, max: 12 },
    "b.1": { display_node_id: "b", state: "finished", value: 1, max: 1 },
    "b.2": { display_node_id: "b", state: "running", value: 0, max: 1 },
    c: { state: "running", value: 0, max: 1 },
  },
  waiting: [{ node_id: "c", name: "ok" }],
};
const brief = (views) => [...views.values()].map(({ id, state, part, told }) => [id, state, part, told].join(" "));
say({ scenario: "views", running: brief(viewsOf(graph, run)) });
say({ scenario: "views of a waiting run", waiting: brief(viewsOf(graph, { state: "" })) });
say({ scenario: "views of an end", ended: brief(viewsOf({ a: {}, b: {} }, { state: "error", nodes: { a: { state: "error", value: 0, max: 0 } } })) });
say({ scenario: "words", short: [short("Describe it", 8), short("写一段描述文字", 8), short("ok", 8)], took: [0.2, 999, 1500, 61_000, 3_700_000].map(took) });

// Two parts of the page follow each run. The runs of the client here change, end, fail, or
// cannot be followed.
const started = [];
const follow = sharing((id, changed) => {
  if (id === "refused") throw new Error("refused");
  const run = { changed, stop: () => started.push(`-${id}`) };
  run.done = new Promise((resolve, reject) => Object.assign(run, { resolve, reject }));
  started.push(`+${id}`);
  runs[id] = run;
  return run;
});
const runs = {};
const later = () => new Promise((resolve) => setTimeout(resolve));
for (const id of ["ends", "fails", "refused"]) {
  const heard = [[], []];
  const stop = [follow(id, (state) => heard[0].push(String(state)))];
  runs[id]?.changed("1");
  await later();
  if (id === "ends") runs[id].resolve("2");
  if (id === "fails") runs[id].reject(new Error("unknown"));
  await later();
  stop.push(follow(id, (state) => heard[1].push(String(state))));
  await later();
  stop.forEach((one) => one());
  follow(id, (state) => heard[1].push(`never: ${state}`))();
  await later();
  say({ scenario: "two parts follow a run", id, heard });
}
say({ scenario: "a run is followed once", started });
