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
  const rows = noise(height * (width * 3 + 1), seed);
  // Each row starts with its filter; 0 is none.
  for (let y = 0; y < height; y += 1) rows[y * (width * 3 + 1)] = 0;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", deflateSync(rows, { level: 0 })), chunk("IEND")]);
}

function chunk(type, data = Buffer.alloc(0)) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}
