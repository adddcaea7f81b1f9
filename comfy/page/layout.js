// The layout of a graph: the place of each node and the way of each link. Nothing here
// knows the page.
import { layered } from "./layers.js";
import { way } from "./way.js";

export const card = { w: 184, h: 60 }; // the size of a node

const gap = { along: 56, across: 20, row: 44 };
const gapDown = { along: 44, across: 20, row: 44 };
const bendSize = 10;
const tallest = 14; // nodes in one column, if columns are side by side
const sweeps = 8; // that move the nodes of a column towards their neighbours
const enough = 440; // the height of a drawing that need not be less high
const least = 0.7; // the scale below which a small drawing is hard to read

// best returns the layout of a graph that is large and yet needs little height in a room of
// this width, and its scale: columns side by side, the same in several rows, or columns
// below each other. A large graph is drawn smaller.
export function best(ids, links, room) {
  const scale = ids.length > 120 ? 0.6 : ids.length > 40 ? 0.8 : 1;
  const all = ["right", "rows", "down"].map((flow) => {
    const plan = layout(ids, links, room / scale, flow);
    plan.scale = Math.min(scale, Math.max(room / plan.w, scale * least));
    const height = Math.max(plan.h * plan.scale, enough);
    plan.cost = (height / plan.scale ** 2) * (flow === "rows" ? 1.6 : 1) * Math.max(1, (plan.w * plan.scale) / room) ** 6;
    return plan;
  });
  return all.reduce((a, b) => (b.cost < a.cost ? b : a));
}

// layout returns the places of the nodes of a graph, { at: Map of { x, y }, w, h, down,
// path(link) }. The links lead to the right, or down. With the flow "rows", columns that do
// not fit into the room begin a new row. path returns the path of a link { from, to, out,
// into } as SVG reads it: out and into are the places of its ends on the sides of the nodes,
// from 0 to 1.
export function layout(ids, links, room, flow) {
  const down = flow === "down";
  const size = down ? { along: card.h, across: card.w, gap: gapDown } : { along: card.w, across: card.h, gap };
  const most = down ? Math.max(1, Math.floor((room / least + gap.across) / (card.w + gap.across))) : tallest;
  const { columns: whole, items } = layered(ids, links);
  const columns = whole.flatMap((column) => split(column, most));
  columns.forEach((column, i) => column.forEach((item) => (item.column = i)));
  spread(columns, size.across);
  const perRow = flow === "rows" ? Math.max(2, Math.floor((room + gap.along) / (card.w + gap.along))) : columns.length || 1;
  const { across, along } = fold(columns, perRow, size);
  const at = new Map();
  for (const { id, along: a, across: c } of items.values()) at.set(id, down ? { x: c, y: a } : { x: a, y: c });
  const path = ({ from, to, out, into }) => way(stops(items.get(from), items.get(to)), { out, into, down, length: size.along, gap: size.gap });
  return { at, down, w: down ? across : along, h: down ? along : across, path };
}

// split cuts a column with too many nodes into several columns.
function split(column, most) {
  const nodes = column.filter(({ id }) => id !== undefined).length;
  if (nodes <= most) return [column];
  const parts = Math.ceil(nodes / most);
  const each = Math.ceil(column.length / parts);
  return Array.from({ length: parts }, (_, i) => column.slice(i * each, (i + 1) * each)).filter((part) => part.length);
}

// spread sets the position of each item across its column: near the items that it is
// linked with, and apart from the others.
function spread(columns, across) {
  const height = (item) => (item.id === undefined ? bendSize : across);
  for (const column of columns) {
    let from = 0;
    for (const item of column) {
      item.size = height(item);
      item.across = from;
      from += item.size + gap.across;
    }
    for (const item of column) item.across -= from / 2;
  }
  for (let i = 0; i < sweeps; i++) {
    const forward = i % 2 === 0;
    for (const column of forward ? columns : columns.toReversed()) settle(column, forward);
  }
}

const middle = (item) => item.across + item.size / 2;

// settle moves the items of a column as near as possible to the mean of their neighbours,
// without a change of their order: items that would overlap form a block that moves
// together.
function settle(column, forward) {
  const blocks = [];
  for (const item of column) {
    const near = (forward ? item.before : item.after).filter((other) => other.column !== item.column);
    const wish = near.length ? near.reduce((sum, other) => sum + middle(other), 0) / near.length - item.size / 2 : item.across;
    let block = { items: [item], length: item.size, wish, weight: near.length ? 1 : 0.2 };
    for (let last; (last = blocks.at(-1)) && last.wish + last.length + gap.across > block.wish; ) {
      blocks.pop();
      const offset = last.length + gap.across;
      const weight = last.weight + block.weight;
      block = {
        items: last.items.concat(block.items),
        length: offset + block.length,
        wish: (last.wish * last.weight + (block.wish - offset) * block.weight) / weight,
        weight,
      };
    }
    blocks.push(block);
  }
  for (const { items, wish } of blocks) {
    let from = wish;
    for (const item of items) {
      item.across = from;
      from += item.size + gap.across;
    }
  }
}

// fold sets the position of each item along the links, with perRow columns in each row, and
// moves the rows below each other.
function fold(columns, perRow, size) {
  let top = 0;
  let along = 0;
  for (let from = 0, row = 0; from < columns.length; from += perRow, row++) {
    const part = columns.slice(from, from + perRow);
    const all = part.flat();
    const least = all.reduce((min, item) => Math.min(min, item.across), Infinity);
    const most = all.reduce((max, item) => Math.max(max, item.across + item.size), -Infinity);
    part.forEach((column, i) => {
      for (const item of column) {
        item.row = row;
        item.top = top;
        item.along = i * (size.along + size.gap.along);
        item.across += top - least;
      }
    });
    along = Math.max(along, part.length * (size.along + size.gap.along) - size.gap.along);
    top += most - least + gap.row;
  }
  return { across: Math.max(top - gap.row, 0), along: Math.max(along, 0) };
}

// stops returns the items that a link passes on its way, its ends included.
function stops(from, to) {
  const between = from.bends.filter((item) => item.column > from.column && item.column < to.column);
  return [from, ...between, to];
}
