// The first half of the layout of a graph: which column a node is in, and its place in
// the column. All functions are pure.

const sweeps = 6; // that put the nodes of a column in order
const mostBends = 4000; // above this number, long links get no places of their own

// layered returns the columns of a graph. Each item of a column is a node, or a bend: the
// place where a link passes a column. Links lead from columns to later columns, except
// links that close a cycle, which get no bends. ids are the nodes, and links is a list of
// { from, to }.
export function layered(ids, links) {
  const items = new Map(ids.map((id) => [id, { id, before: [], after: [], column: 0 }]));
  for (const link of links) {
    const from = items.get(link.from);
    const to = items.get(link.to);
    if (from && to && from !== to && !from.after.includes(to)) {
      from.after.push(to);
      to.before.push(from);
    }
  }
  const all = [...items.values()];
  const order = topological(all);
  const columns = bend(all, place(order), links.map(({ from, to }) => [items.get(from), items.get(to)]));
  for (let i = 0; i < sweeps; i++) sweep(columns, i % 2 === 0);
  return { columns, items };
}

// topological returns the nodes in an order in which links lead forward. It forgets the
// links that close a cycle.
function topological(all) {
  const state = new Map(); // 1: begun, 2: done
  const order = [];
  for (const root of all) {
    if (state.has(root)) continue;
    state.set(root, 1);
    for (const stack = [[root, 0]]; stack.length; ) {
      const top = stack.at(-1);
      const next = top[0].before[top[1]++];
      if (!next) {
        state.set(top[0], 2);
        order.push(top[0]);
        stack.pop();
      } else if (!state.has(next)) {
        state.set(next, 1);
        stack.push([next, 0]);
      } else if (state.get(next) === 1) {
        top[0].before.splice(--top[1], 1);
        next.after.splice(next.after.indexOf(top[0]), 1);
      }
    }
  }
  return order;
}

// place sets the column of each node: behind all nodes that it reads. A node that reads
// nothing stands just before its first reader.
function place(order) {
  for (const node of order) node.column = node.before.reduce((max, { column }) => Math.max(max, column + 1), 0);
  for (const node of order) {
    if (!node.before.length && node.after.length) node.column = Math.min(...node.after.map(({ column }) => column)) - 1;
  }
  return order;
}

// bend returns the columns, with a bend for each column that a link passes. The links of
// one output share their bends.
function bend(all, order, links) {
  const columns = [];
  const put = (item) => (columns[item.column] ??= []).push(item);
  order.forEach(put);
  const long = links.filter(([from, to]) => from && to && from.after.includes(to));
  const count = long.reduce((sum, [from, to]) => sum + to.column - from.column - 1, 0);
  for (const node of all) node.bends = [];
  if (count <= mostBends) {
    for (const [from, to] of long) {
      for (let column = from.column + 1; column < to.column; column++) {
        if (from.bends[column]) continue;
        const item = { before: [from.bends[column - 1] ?? from], after: [], column };
        item.before[0].after.push(item);
        put((from.bends[column] = item));
      }
      const last = from.bends[to.column - 1];
      if (!last) continue;
      from.after = from.after.filter((item) => item !== to);
      to.before = to.before.map((item) => (item === from ? last : item));
      last.after.push(to);
    }
  }
  return columns;
}

// sweep orders each column by the mean place of what its items read, or, backward, of what
// reads them.
function sweep(columns, forward) {
  columns.forEach((column) => column.forEach((item, i) => (item.at = i / column.length)));
  for (const column of forward ? columns : columns.toReversed()) {
    for (const item of column) {
      const near = forward ? item.before : item.after;
      item.at = near.length ? near.reduce((sum, { at }) => sum + at, 0) / near.length : item.at;
    }
    column.sort((a, b) => a.at - b.at);
    column.forEach((item, i) => (item.at = (i + 0.5) / column.length));
  }
}
