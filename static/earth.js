// Land, sea and borders on a canvas, from a file of lines that the server brings along: no other machine is asked.

import { TILE } from "./mercator.js";

const UNIT = 65536;
const TURN = 3_600_000;
const LAST_LATITUDE = 850_511;

class Bytes {
  constructor(buffer) {
    this.bytes = new Uint8Array(buffer);
    this.at = 0;
  }

  number() {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = this.bytes[this.at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
  }

  signed() {
    const number = this.number();
    return number % 2 ? -(number + 1) / 2 : number / 2;
  }
}

function across(longitude) {
  return ((longitude + TURN / 2) / TURN) * UNIT;
}

function down(latitude) {
  const radians = (Math.max(-LAST_LATITUDE, Math.min(LAST_LATITUDE, latitude)) / 10_000 / 180) * Math.PI;
  return ((1 - Math.asinh(Math.tan(radians)) / Math.PI) / 2) * UNIT;
}

// A line or ring that grows, in 65,536ths of the earth's width: longitudes go on beyond 180° rather than jump.
class Shape {
  constructor() {
    this.points = [];
    this.west = Infinity;
    this.east = -Infinity;
    this.north = Infinity;
    this.south = -Infinity;
    this.turns = 0;
    this.last = null;
  }

  add(longitude, latitude) {
    if (this.last !== null) {
      const step = longitude + this.turns - this.last;
      if (step > TURN / 2) this.turns -= TURN;
      else if (step < -TURN / 2) this.turns += TURN;
    }
    this.last = longitude + this.turns;
    this.#put(across(this.last), down(latitude));
  }

  #put(x, y) {
    this.points.push(x, y);
    this.west = Math.min(this.west, x);
    this.east = Math.max(this.east, x);
    this.north = Math.min(this.north, y);
    this.south = Math.max(this.south, y);
  }

  // What goes all around a pole is closed along the map's edge.
  close() {
    const { points } = this;
    const [x, y] = points;
    const last = points[points.length - 2];
    this.isAround = Math.abs(last - x) > UNIT / 2;
    if (this.isAround) {
      const edge = y > UNIT / 2 ? UNIT * 1.1 : -UNIT * 0.1;
      this.#put(last, edge);
      this.#put(x, edge);
    }
  }

  // Positive one way round, negative the other.
  get area() {
    const { points } = this;
    let area = 0;
    for (let at = 0; at < points.length; at += 2) {
      const next = (at + 2) % points.length;
      area += points[at] * points[next + 1] - points[next] * points[at + 1];
    }
    return area / 2;
  }
}

// The part of a ring on one side of an upright (`axis` 0) or level (1) line.
function cut(points, axis, limit, isAbove) {
  const kept = [];
  const isIn = (at) => points[at + axis] > limit === isAbove;
  for (let at = 0; at < points.length; at += 2) {
    const next = at + 2 < points.length ? at + 2 : 0;
    if (isIn(at)) kept.push(points[at], points[at + 1]);
    if (isIn(at) === isIn(next)) continue;
    const share = (limit - points[at + axis]) / (points[next + axis] - points[at + axis]);
    const other = points[at + 1 - axis] + share * (points[next + 1 - axis] - points[at + 1 - axis]);
    if (axis) kept.push(other, limit);
    else kept.push(limit, other);
  }
  return kept;
}

export class Earth {
  constructor(buffer) {
    const file = new Bytes(buffer);
    file.at = "hm world 1\n".length;
    const count = file.number();
    const coasts = file.number();
    const arcs = [];
    for (let arc = 0; arc < count; arc += 1) {
      const points = new Int32Array(file.number() * 2);
      let [x, y] = [0, 0];
      for (let at = 0; at < points.length; at += 2) {
        points[at] = x += file.signed();
        points[at + 1] = y += file.signed();
      }
      arcs.push(points);
    }
    this.borders = arcs.slice(coasts).map((points) => {
      const shape = new Shape();
      for (let at = 0; at < points.length; at += 2) shape.add(points[at], points[at + 1]);
      return shape;
    });
    this.rings = [];
    for (let ring = file.number(); ring > 0; ring -= 1) {
      const shape = new Shape();
      for (let part = file.number(); part > 0; part -= 1) {
        const arc = file.signed();
        const points = arcs[arc < 0 ? ~arc : arc];
        for (let step = 0; step < points.length; step += 2) {
          const at = arc < 0 ? points.length - 2 - step : step;
          shape.add(points[at], points[at + 1]);
        }
      }
      shape.close();
      this.rings.push(shape);
    }
    // Seas within the land run the other way round than the land.
    const areas = this.rings.map((ring) => ring.area);
    const largest = areas.reduce((one, other) => (Math.abs(other) > Math.abs(one) ? other : one));
    this.rings.forEach((ring, at) => {
      ring.isSea = Math.sign(areas[at]) !== Math.sign(largest) && !ring.isAround;
    });
    this.piece = null;
  }

  static async load(address) {
    const response = await fetch(address);
    if (!response.ok) throw new Error(`${address}: ${response.status}`);
    return new Earth(await response.arrayBuffer());
  }

  // Cuts out what lies around the view, in its pixels from its middle: no coordinate is so large that drawing it fails, and moving about a
  // little needs no new piece.
  #cutOut(view) {
    const factor = view.scale / UNIT;
    const [x, y] = [view.x * UNIT, view.y * UNIT];
    const [wide, high] = [view.width / factor, view.height / factor];
    const sides = { west: x - wide, east: x + wide, north: y - high, south: y + high };
    const piece = { ...sides, x, y, factor, land: new Path2D(), sea: new Path2D(), borders: new Path2D() };
    const isNear = (shape, turn) =>
      shape.east + turn > sides.west && shape.west + turn < sides.east && shape.south > sides.north && shape.north < sides.south;
    const draw = (path, points, turn, isRing) => {
      for (let at = 0; at < points.length; at += 2) {
        const [left, top] = [(points[at] + turn - x) * factor, (points[at + 1] - y) * factor];
        if (at) path.lineTo(left, top);
        else path.moveTo(left, top);
      }
      if (isRing) path.closePath();
    };
    // As often as the earth lies side by side.
    for (let turn = Math.floor(sides.west / UNIT - 1) * UNIT; turn < sides.east + UNIT; turn += UNIT) {
      for (const ring of this.rings) {
        if (!isNear(ring, turn)) continue;
        let { points } = ring;
        if (ring.west + turn < sides.west) points = cut(points, 0, sides.west - turn, true);
        if (ring.east + turn > sides.east) points = cut(points, 0, sides.east - turn, false);
        if (ring.north < sides.north) points = cut(points, 1, sides.north, true);
        if (ring.south > sides.south) points = cut(points, 1, sides.south, false);
        draw(ring.isSea ? piece.sea : piece.land, points, turn, true);
      }
      for (const line of this.borders) if (isNear(line, turn)) draw(piece.borders, line.points, turn, false);
    }
    return piece;
  }

  draw(context, view, density, { sea, land, coast, border }) {
    const { width, height, scale } = view;
    const factor = scale / UNIT;
    let { piece } = this;
    const isInside = () => {
      const [x, y] = [view.x * UNIT, view.y * UNIT];
      const [wide, high] = [width / factor / 2, height / factor / 2];
      const zooms = factor / piece.factor;
      return x - wide >= piece.west && x + wide <= piece.east && y - high >= piece.north && y + high <= piece.south && zooms > 0.4 && zooms < 4;
    };
    if (!piece || !isInside()) piece = this.piece = this.#cutOut(view);
    context.setTransform(density, 0, 0, density, 0, 0);
    context.fillStyle = sea;
    context.fillRect(0, 0, width, height);
    const zooms = factor / piece.factor;
    const left = width / 2 + (piece.x - view.x * UNIT) * factor;
    const top = height / 2 + (piece.y - view.y * UNIT) * factor;
    context.setTransform(density * zooms, 0, 0, density * zooms, density * left, density * top);
    context.lineJoin = "round";
    context.lineWidth = 0.9 / zooms;
    context.strokeStyle = coast;
    for (const [path, colour] of [[piece.land, land], [piece.sea, sea]]) {
      context.fillStyle = colour;
      context.fill(path);
      context.stroke(path);
    }
    context.strokeStyle = border;
    context.stroke(piece.borders);
    context.setTransform(density, 0, 0, density, 0, 0);
  }
}

// Tiles of another server, where the owner named one.
export class Tiles {
  constructor(template, redraw) {
    this.template = template;
    this.redraw = redraw;
    this.images = new Map();
  }

  draw(context, view) {
    const level = Math.max(0, Math.min(19, Math.round(view.zoom)));
    const size = TILE * 2 ** (view.zoom - level);
    const count = 2 ** level;
    const [west, north] = view.from(0, 0);
    const first = [Math.floor(west * count), Math.max(0, Math.floor(north * count))];
    for (let y = first[1]; y < count && y * size < (north * count + view.height / size) * size; y += 1) {
      for (let x = first[0]; (x - west * count) * size < view.width; x += 1) {
        const image = this.#image(level, ((x % count) + count) % count, y);
        if (image.complete && image.naturalWidth) {
          context.drawImage(image, (x - west * count) * size, (y - north * count) * size, size + 0.5, size + 0.5);
        }
      }
    }
  }

  #image(z, x, y) {
    const address = this.template.replace("{z}", z).replace("{x}", x).replace("{y}", y);
    let image = this.images.get(address);
    if (!image) {
      image = new Image();
      image.addEventListener("load", this.redraw);
      image.src = address;
      this.images.set(address, image);
      if (this.images.size > 400) this.images.delete(this.images.keys().next().value);
    }
    return image;
  }
}
