// The way of a link as an SVG path. The direction of the links is called along, and the
// other direction across.

const round = 10; // the radius of corners

// way returns the path through the stops of a link. The first and the last stop are nodes,
// and the others are bends. length is the length of a node along the links.
export function way(stops, { out, into, down, length, gap }) {
  const first = stops[0];
  const last = stops.at(-1);
  const point = (along, across) => (down ? `${n(across)} ${n(along)}` : `${n(along)} ${n(across)}`);
  let along = first.along + length;
  let across = first.across + first.size * out;
  let path = `M${point(along, across)}`;
  const to = (a, c) => {
    const half = (along + a) / 2;
    path += `C${point(half, across)} ${point(half, c)} ${point(a, c)}`;
    [along, across] = [a, c];
  };
  for (let i = 1; i < stops.length; i++) {
    const stop = stops[i];
    const c = stop === last ? stop.across + stop.size * into : stop.across + stop.size / 2;
    if (stop.row === stops[i - 1].row && stop.along >= along) to(stop.along, c);
    else {
      const lane = stop.row === stops[i - 1].row ? Math.min(first.across, last.across) - gap.across / 2 : stop.top - gap.row / 2;
      path += corners([along, across], [stop.along, c], lane, gap.along / 3, point);
      [along, across] = [stop.along, c];
    }
    if (stop !== last) {
      along = stop.along + length;
      path += `L${point(along, c)}`;
    }
  }
  return path;
}

// corners leads a path back: away from its node, to a lane between the rows, and along the
// lane to the next node.
function corners([a, c], [toA, toC], lane, side, point) {
  const turn = (a1, c1, a2, c2, a3, c3) => {
    const near = (x, y, far) => x + Math.sign(y - x) * Math.min(far, Math.abs(y - x) / 2);
    return `L${point(near(a2, a1, round), near(c2, c1, round))}Q${point(a2, c2)} ${point(near(a2, a3, round), near(c2, c3, round))}`;
  };
  const out = a + side;
  const back = toA - side;
  return turn(a, c, out, c, out, lane) + turn(out, c, out, lane, back, lane) +
    turn(out, lane, back, lane, back, toC) + turn(back, lane, back, toC, toA, toC) + `L${point(toA, toC)}`;
}

const n = (x) => Math.round(x * 10) / 10;
