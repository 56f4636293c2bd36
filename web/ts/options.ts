import { InvalidError } from "./errors.js";
import { fromHex } from "./hex.js";
import type { ValidatorOptions } from "./validator.js";
import type { WasmTopicSettings } from "./wasm/braidcast_web.js";

/** How this node takes part in a topic. Each value that is not given has its default. */
export interface TopicOptions extends ValidatorOptions {
  /** `open`, the default: anybody takes part, and pieces are verified one by one. `closed`: only who proves to hold `key`;
   * members mix what they hold into new shards (full RLNC) and verify the whole. The same at all nodes. */
  mode?: "open" | "closed";
  /** Of a closed topic: 32 random bytes, or the same as 64 hexadecimal digits, as in a file that
   * `braidcast keygen --topic-key` makes. Whoever knows it is a member. It encrypts nothing. */
  key?: Uint8Array | string;
  /** K: source pieces of each generation that this node publishes, 1 to 256; fewer where they would be shorter than 1 KiB.
   * By its length when not given: 8 to 128. */
  shardFactor?: number;
  /** n / K, from 1 (no parity) up, where n counts source and parity pieces; to the hundredth. K and parity pieces are 256 at
   * most together. In a closed topic n is how many shards go out before neighbours may ask for more. By its length when not
   * given: 1.5 to 2; in a closed topic 1. */
  shardMultiplier?: number;
  /** Share of K, 0 to 1 and to the hundredth, that must be here before others' pieces or shards are passed on unasked; 0 when
   * not given: each at once. */
  threshold?: number;
  /** Neighbours to aim for; 8 when not given. A page has at most 8 links to other pages for all its topics. */
  meshTarget?: number;
  /** Fewest neighbours before more are taken; 6 when not given, or `meshTarget` if that is less. */
  meshMin?: number;
  /** Most neighbours before some are let go; 12 when not given, or `meshTarget` if that is more. */
  meshMax?: number;
}

/** Bytes of a key. */
const KEY_BYTES = 32;

/** As the module takes them; it checks how the numbers fit each other. */
export function toSettings(options: TopicOptions): WasmTopicSettings {
  const { mode = "open", shardFactor, shardMultiplier, threshold, meshTarget, meshMin, meshMax } = options;
  if (mode !== "open" && mode !== "closed") {
    throw new InvalidError(`mode is ${JSON.stringify(mode)}, expected "open" or "closed"`);
  }
  if (mode === "closed" && options.key === undefined) {
    throw new InvalidError('mode "closed" needs a key: 32 bytes that all members share, from crypto.getRandomValues');
  }
  if (mode === "open" && options.key !== undefined) {
    throw new InvalidError('a key is given for an open topic: add mode: "closed", or leave it out');
  }
  return {
    ...(options.key !== undefined && { key: toKey(options.key) }),
    ...whole({ shardFactor, meshTarget, meshMin, meshMax }),
    ...percent("shardMultiplierPercent", "shardMultiplier", shardMultiplier, 1, 256),
    ...percent("thresholdPercent", "threshold", threshold, 0, 1),
  };
}

/** No text of an error has the key, or a part of it, in it. */
function toKey(key: Uint8Array | string): Uint8Array {
  if (typeof key === "string") {
    const bytes = fromHex(key.trim());
    if (bytes?.byteLength === KEY_BYTES) return bytes;
    throw new InvalidError(`key is a text of ${key.length} characters, expected 64 hexadecimal digits`);
  }
  if (!(key instanceof Uint8Array)) throw new InvalidError("key is neither a Uint8Array nor a text of hexadecimal digits");
  if (key.byteLength !== KEY_BYTES) throw new InvalidError(`key is ${key.byteLength} bytes, expected ${KEY_BYTES}`);
  return key;
}

function whole(values: Record<string, number | undefined>): Record<string, number> {
  const given = Object.entries(values).filter((entry): entry is [string, number] => entry[1] !== undefined);
  for (const [name, value] of given) {
    if (!Number.isInteger(value) || value < 1 || value > 65_535) {
      throw new InvalidError(`${name} is ${value}, expected a whole number from 1 to 65535`);
    }
  }
  return Object.fromEntries(given);
}

function percent(key: string, name: string, value: number | undefined, min: number, max: number): Record<string, number> {
  if (value === undefined) return {};
  if (!(value >= min && value <= max)) throw new InvalidError(`${name} is ${value}, expected a number from ${min} to ${max}`);
  return { [key]: Math.round(value * 100) };
}
