/** Where a node keeps what helps it to find its room again after a reload: where relays were, and which peers it was
 * linked to, by their public addresses and keys. One text, replaced as a whole. */
export interface Memory {
  /** The text that was saved last, if there is one. */
  load(): string | null | undefined | Promise<string | null | undefined>;
  save(text: string): void | Promise<void>;
}

/** In the page's `localStorage`; none where there is no page, or where it may store nothing. */
export function pageMemory(): Memory | undefined {
  if (typeof document === "undefined") return undefined;
  return {
    load: () => localStorage.getItem(KEY),
    save: (text) => localStorage.setItem(KEY, text),
  };
}

/** What is kept. */
export interface Recollection {
  /** The addresses that a relay's URL led to. */
  readonly relays: Readonly<Record<string, readonly string[]>>;
  /** Signed peer records; the node checks them. */
  readonly peers: readonly Uint8Array[];
}

/** Nothing, when there is nothing to be read: a memory is a help and never in the way. */
export async function recall(memory: Memory | undefined): Promise<Recollection> {
  try {
    const kept: unknown = JSON.parse((await memory?.load()) ?? "null");
    const { version, relays, peers } = (kept ?? {}) as { version?: unknown; relays?: unknown; peers?: unknown };
    if (version !== VERSION) return NOTHING;
    const pairs = Object.entries(relays ?? {}).filter((pair): pair is [string, string[]] => isTexts(pair[1]));
    return { relays: Object.fromEntries(pairs), peers: isTexts(peers) ? peers.map(fromBase64) : [] };
  } catch {
    return NOTHING;
  }
}

export async function keep(memory: Memory, { relays, peers }: Recollection): Promise<void> {
  try {
    await memory.save(JSON.stringify({ version: VERSION, relays, peers: peers.map(toBase64) }));
  } catch {
    // Full, or forbidden: then nothing is kept.
  }
}

const KEY = "braidcast";
const VERSION = 1;
const NOTHING: Recollection = { relays: {}, peers: [] };

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((text) => typeof text === "string");
}

function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
