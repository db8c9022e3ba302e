// Turns a ThumbHash (about 25 bytes) into a small blurred picture, as a data address.
// Source: the format's description at https://evanw.github.io/thumbhash/. Layout: 24 bits of means and scales, 16 bits of colour scales and size, then 4-bit waves.

const SIDE = 14;

// Bytes of a hexadecimal text.
export function bytesOf(digits) {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

// Reads the numbers packed into the hash.
function unpack(hash) {
  const low = hash[0] | (hash[1] << 8) | (hash[2] << 16);
  const high = hash[3] | (hash[4] << 8);
  const hasAlpha = low >> 23 !== 0;
  const isLandscape = high >> 15 !== 0;
  const most = hasAlpha ? 5 : 7;
  const least = high & 7;
  const across = Math.max(3, isLandscape ? most : least);
  const down = Math.max(3, isLandscape ? least : most);
  let nibble = (hasAlpha ? 6 : 5) * 2;
  const waves = (columns, rows, scale) => {
    const found = [];
    for (let y = 0; y < rows; y += 1) {
      for (let x = y ? 0 : 1; x * rows < columns * (rows - y); x += 1) {
        const value = (hash[nibble >> 1] >> ((nibble & 1) * 4)) & 15;
        nibble += 1;
        found.push({ x, y, weight: (value / 7.5 - 1) * scale });
      }
    }
    return found;
  };
  return {
    ratio: (isLandscape ? most : least) / (isLandscape ? least : most),
    light: { mean: (low & 63) / 63, waves: waves(across, down, ((low >> 18) & 31) / 31) },
    yellow: { mean: ((low >> 6) & 63) / 31.5 - 1, waves: waves(3, 3, (((high >> 3) & 63) / 63) * 1.25) },
    red: { mean: ((low >> 12) & 63) / 31.5 - 1, waves: waves(3, 3, (((high >> 9) & 63) / 63) * 1.25) },
  };
}

// The pixels: `{ width, height, rgb }`, three bytes a pixel, row by row from the top.
export function decode(hash) {
  const { ratio, light, yellow, red } = unpack(hash);
  const width = Math.max(1, Math.round(ratio > 1 ? SIDE : SIDE * ratio));
  const height = Math.max(1, Math.round(ratio > 1 ? SIDE / ratio : SIDE));
  const cosines = (size) => Array.from({ length: size }, (_, at) => Array.from({ length: 8 }, (_, wave) => Math.cos((Math.PI / size) * (at + 0.5) * wave)));
  const along = cosines(width);
  const under = cosines(height);
  const at = (channel, x, y) => channel.waves.reduce((sum, wave) => sum + wave.weight * along[x][wave.x] * under[y][wave.y] * 2, channel.mean);
  const byte = (value) => Math.max(0, Math.min(255, Math.round(value * 255)));
  const rgb = new Uint8Array(width * height * 3);
  let to = 0;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const lightness = at(light, x, y);
      const redGreen = at(red, x, y);
      const blue = lightness - (2 / 3) * at(yellow, x, y);
      const redness = (3 * lightness - blue + redGreen) / 2;
      rgb[to] = byte(redness);
      rgb[to + 1] = byte(redness - redGreen);
      rgb[to + 2] = byte(blue);
      to += 3;
    }
  }
  return { width, height, rgb };
}

// The picture as an uncompressed bitmap in a data address: no canvas, and small enough to make hundreds a frame.
export function toDataUrl(hash) {
  const { width, height, rgb } = decode(hash);
  const stride = (width * 3 + 3) & ~3;
  const file = new Uint8Array(54 + stride * height);
  const view = new DataView(file.buffer);
  view.setUint16(0, 0x424d);
  view.setUint32(2, file.length, true);
  view.setUint32(10, 54, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, width, true);
  view.setInt32(22, -height, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, 24, true);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const from = (y * width + x) * 3;
      const to = 54 + y * stride + x * 3;
      file[to] = rgb[from + 2];
      file[to + 1] = rgb[from + 1];
      file[to + 2] = rgb[from];
    }
  }
  return `data:image/bmp;base64,${btoa(String.fromCharCode(...file))}`;
}
