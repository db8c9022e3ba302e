// The projection of the web's maps, and a window onto it. Places on the map are x from the west and y from the north, 0 to 1.

export const TILE = 256;
export const CLOSEST = 19;
const LAST_LATITUDE = 85.0511287798;

export function project(latitude, longitude) {
  const radians = (Math.max(-LAST_LATITUDE, Math.min(LAST_LATITUDE, latitude)) * Math.PI) / 180;
  return [(longitude + 180) / 360, (1 - Math.asinh(Math.tan(radians)) / Math.PI) / 2];
}

export function unproject(x, y) {
  return [(Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI, (x - Math.floor(x)) * 360 - 180];
}

const clamp = (number, least, most) => Math.min(Math.max(number, least), most);

// What of the map is seen: its middle, its zoom (the earth is 256 × 2^zoom pixels wide), and the size of the window.
export class View {
  constructor() {
    this.x = 0.5;
    this.y = 0.4;
    this.zoom = 1;
    this.width = 1;
    this.height = 1;
  }

  get scale() {
    return TILE * 2 ** this.zoom;
  }

  // Farther away there would be more edge than earth.
  get farthest() {
    return Math.max(0, Math.log2(Math.max(this.height * 0.7, this.width * 0.45) / TILE));
  }

  set({ x = this.x, y = this.y, zoom = this.zoom }) {
    this.zoom = clamp(zoom, this.farthest, CLOSEST);
    this.x = x - Math.floor(x);
    const half = this.height / 2 / this.scale;
    this.y = half >= 0.5 ? 0.5 : clamp(y, half, 1 - half);
  }

  // Pixels of a place from the window's upper left corner, of the copy of the earth nearest to the middle.
  at(x, y) {
    const east = x - this.x;
    return [(east - Math.round(east)) * this.scale + this.width / 2, (y - this.y) * this.scale + this.height / 2];
  }

  // The place under a pixel.
  from(left, top) {
    return [this.x + (left - this.width / 2) / this.scale, this.y + (top - this.height / 2) / this.scale];
  }

  moveBy(left, top) {
    this.set({ x: this.x - left / this.scale, y: this.y - top / this.scale });
  }

  // Changes the zoom and holds the place under a pixel, by default the middle.
  zoomTo(zoom, left = this.width / 2, top = this.height / 2) {
    const [x, y] = this.from(left, top);
    this.set({ zoom });
    const [movedX, movedY] = this.from(left, top);
    this.set({ x: this.x + x - movedX, y: this.y + y - movedY });
  }

  // West, south, east and north in degrees.
  get box() {
    const wide = this.width / this.scale;
    const west = this.x - wide / 2;
    const half = this.height / 2 / this.scale;
    const [top] = unproject(0, Math.max(0, this.y - half));
    const [bottom] = unproject(0, Math.min(1, this.y + half));
    const side = (x) => clamp(unproject(x, 0.5)[1], -180, 180);
    return wide >= 1 ? [-180, bottom, 180, top] : [side(west), bottom, side(west + wide), top];
  }

  // The view that shows some places with room around them, each [x, y].
  fitting(places, most = 13) {
    if (!places.length) return { x: 0.5, y: 0.4, zoom: this.farthest };
    const ys = places.map(([, y]) => y);
    // The shortest stretch around the earth that holds them all begins behind the widest gap.
    const xs = places.map(([x]) => x).sort((one, other) => one - other);
    let [gap, begin] = [1 - xs[xs.length - 1] + xs[0], xs[0]];
    for (let at = 1; at < xs.length; at += 1) if (xs[at] - xs[at - 1] > gap) [gap, begin] = [xs[at] - xs[at - 1], xs[at]];
    const [wide, high] = [1 - gap, Math.max(...ys) - Math.min(...ys)];
    const room = (pixels, size) => Math.log2(Math.max(pixels - 140, 100) / TILE / Math.max(size, 1e-9));
    const zoom = Math.min(room(this.width, wide), room(this.height, high), most);
    return { x: begin + wide / 2, y: Math.min(...ys) + high / 2, zoom };
  }
}
