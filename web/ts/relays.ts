import { reasonOf } from "./engine.js";
import { ConfigError, RelayError } from "./errors.js";

/** How long a relay may take to say where it listens. */
const LOOKUP_MS = 10_000;

/** How long one may take whose addresses are remembered. */
const REMEMBERED_LOOKUP_MS = 2_000;

/** Multiaddrs as they are; `http(s)` URLs looked up at `<url>/.well-known/braidcast`, or, when that does not answer, by what
 * is `remembered` of them. */
export async function resolveRelays(
  relays: readonly string[],
  remembered: Readonly<Record<string, readonly string[]>>,
  signal: AbortSignal | undefined,
): Promise<Map<string, readonly string[]>> {
  const resolve = async (relay: string) => [relay, isUrl(relay) ? await find(relay, remembered[relay], signal) : [relay]] as const;
  return new Map(await Promise.all(relays.map(resolve)));
}

async function find(url: string, remembered: readonly string[] | undefined, signal: AbortSignal | undefined): Promise<readonly string[]> {
  if (!remembered?.length) return lookUp(url, LOOKUP_MS, signal);
  return lookUp(url, REMEMBERED_LOOKUP_MS, signal).catch((error: unknown) => {
    if (error instanceof RelayError) return remembered;
    throw error;
  });
}

function isUrl(relay: string): boolean {
  if (relay.startsWith("/")) return false;
  if (/^https?:/.test(relay) && URL.canParse(relay)) return true;
  throw new ConfigError(`relay "${relay}" is neither a multiaddr (/dns4/...) nor an http(s) URL`);
}

async function lookUp(url: string, timeoutMs: number, signal: AbortSignal | undefined): Promise<string[]> {
  let card: unknown;
  try {
    const timeout = AbortSignal.timeout(timeoutMs);
    const response = await fetch(`${url.replace(/\/+$/, "")}/.well-known/braidcast`, {
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      cache: "no-store",
    });
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    card = await response.json();
  } catch (cause) {
    signal?.throwIfAborted();
    throw new RelayError(url, reasonOf(cause), { cause });
  }
  const addresses = choose(card, new URL(url).hostname);
  if (addresses.length === 0) throw new RelayError(url, "it names no WebSocket address");
  return addresses;
}

/** The WebSocket addresses most like the one that just answered: at its host, encrypted. */
function choose(card: unknown, hostname: string): string[] {
  const { peerId, addresses } = (card ?? {}) as { peerId?: unknown; addresses?: unknown };
  if (!Array.isArray(addresses)) return [];
  const host = hostname === "localhost" ? "127.0.0.1" : hostname.replace(/^\[|\]$/g, "");
  const score = (address: string) => Number(address.split("/")[2] === host) * 2 + Number(/\/wss(\/|$)|\/tls\//.test(address));
  const usable = addresses
    .filter((address): address is string => typeof address === "string" && /\/wss?(\/|$)/.test(address))
    .map((address) => (address.includes("/p2p/") || typeof peerId !== "string" ? address : `${address}/p2p/${peerId}`));
  const best = Math.max(...usable.map(score));
  return usable.filter((address) => score(address) === best);
}
