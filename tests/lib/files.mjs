import { createHash } from "node:crypto";
import { crc32, deflateSync } from "node:zlib";

export function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Bytes that do not compress, the same for the same seed (xorshift32). */
export function noise(length, seed = 1) {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed >>> 0 || 1;
  for (let i = 0; i < words.length; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return Buffer.from(words.buffer, 0, length);
}

/** A PNG image of about `bytes` bytes that no compression makes smaller. */
export function png(bytes, seed = 1) {
  const width = 512;
  const height = Math.ceil(bytes / (width * 3 + 1));
  const pixels = noise(height * width * 3, seed);
  return image(width, height, (x, y) => pixels.subarray((y * width + x) * 3), 0);
}

/** A PNG image of a sunset over water, for pictures that people look at. */
export function postcard(width = 960, height = 600) {
  const horizon = height * 0.58;
  const sun = { x: width * 0.62, y: horizon - height * 0.09, radius: height * 0.085 };
  const grain = noise(width * height, 7);
  return image(width, height, (x, y) => {
    const above = y < horizon;
    // Water shows the sky upside down, broken by waves.
    const wave = above ? 0 : Math.sin(y * 0.9 + Math.sin(x * 0.02 + y * 0.3) * 3) * 9;
    const [u, v] = [x + wave, above ? y : 2 * horizon - y + wave];
    const height01 = Math.max(0, Math.min(1, v / horizon));
    const glow = Math.exp(-Math.hypot(u - sun.x, (v - sun.y) * 1.4) / (height * 0.28));
    const isSun = Math.hypot(u - sun.x, v - sun.y) < sun.radius;
    const hills = horizon - 26 - 22 * Math.sin(x * 0.011) - 14 * Math.sin(x * 0.027 + 1);
    const isHill = above && y > hills && Math.abs(x - sun.x) > sun.radius * 2.2;
    const light = above ? 1 : 0.72;
    const colour = isHill
      ? [58, 44, 72]
      : isSun
        ? [255, 236, 190]
        : [40 + 200 * height01 + 60 * glow, 52 + 92 * height01 + 70 * glow, 110 + 20 * height01 - 30 * glow];
    return colour.map((part) => Math.max(0, Math.min(255, part * light + (grain[y * width + x] - 128) / 24)));
  });
}

/** `pixel(x, y)` gives red, green and blue. */
function image(width, height, pixel, level = 9) {
  // Each row starts with its filter; 0 is none.
  const rows = Buffer.alloc(height * (width * 3 + 1));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const [red, green, blue] = pixel(x, y);
      rows.set([red, green, blue], y * (width * 3 + 1) + 1 + x * 3);
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", deflateSync(rows, { level })), chunk("IEND")]);
}

function chunk(type, data = Buffer.alloc(0)) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}
