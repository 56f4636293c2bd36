import { reasonOf } from "./engine.js";
import { ConfigError, RelayError } from "./errors.js";

/** How long a relay may take to say where it listens. */
const LOOKUP_MS = 10_000;

/** How long one may take whose addresses are remembered. */
const REMEMBERED_LOOKUP_MS = 2_000;

/** Where a relay listens. */
export interface Found {
  readonly addresses: readonly string[];
  /** Whether it takes version 2 of webrtc-direct, as far as is known. */
  readonly v2?: boolean;
}

/** Multiaddrs as they are; `http(s)` URLs looked up at `<url>/.well-known/braidcast`, or, when that does not answer, by what
 * is `remembered` of them. */
export async function resolveRelays(
  relays: readonly string[],
  remembered: Readonly<Record<string, readonly string[]>>,
  signal: AbortSignal | undefined,
): Promise<Map<string, Found>> {
  const resolve = async (relay: string) =>
    [relay, isUrl(relay) ? await find(relay, remembered[relay], signal) : { addresses: [relay] }] as const;
  return new Map(await Promise.all(relays.map(resolve)));
}

async function find(url: string, remembered: readonly string[] | undefined, signal: AbortSignal | undefined): Promise<Found> {
  if (!remembered?.length) return lookUp(url, LOOKUP_MS, signal);
  return lookUp(url, REMEMBERED_LOOKUP_MS, signal).catch((error: unknown) => {
    if (error instanceof RelayError) return { addresses: remembered };
    throw error;
  });
}

function isUrl(relay: string): boolean {
  if (relay.startsWith("/")) return false;
  if (/^https?:/.test(relay) && URL.canParse(relay)) return true;
  throw new ConfigError(`relay "${relay}" is neither a multiaddr (/dns4/...) nor an http(s) URL`);
}

async function lookUp(url: string, timeoutMs: number, signal: AbortSignal | undefined): Promise<Found> {
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
  const found = choose((card ?? {}) as Card, new URL(url).hostname);
  if (found.addresses.length === 0) throw new RelayError(url, "it names no address that can be dialled from here");
  return found;
}

interface Card {
  peerId?: unknown;
  addresses?: unknown;
  webrtcDirect?: unknown;
}

/** The addresses most like the one that just answered: at its host, encrypted. A WebSocket costs no peer
 * connection, of which a page may make few; webrtc-direct is for relays without a TLS certificate. */
function choose({ peerId, addresses, webrtcDirect }: Card, hostname: string): Found {
  if (!Array.isArray(addresses)) return { addresses: [] };
  const host = hostname === "localhost" ? "127.0.0.1" : hostname.replace(/^\[|\]$/g, "");
  const score = (address: string) => Number(address.split("/")[2] === host) * 2 + Number(ENCRYPTED.test(address));
  const best = (usable: string[]) => {
    const most = Math.max(...usable.map(score));
    return usable.filter((address) => score(address) === most);
  };
  const all = addresses
    .filter((address): address is string => typeof address === "string")
    .map((address) => (address.includes("/p2p/") || typeof peerId !== "string" ? address : `${address}/p2p/${peerId}`));
  const sockets = all.filter((address) => /\/wss?(\/|$)/.test(address) && !isMixed(address));
  if (sockets.length > 0 || typeof RTCPeerConnection === "undefined") return { addresses: best(sockets) };
  const direct = all.filter((address) => address.includes("/webrtc-direct/certhash/"));
  const v2 = Array.isArray(webrtcDirect) && webrtcDirect.includes(2);
  return { addresses: nearest(direct, host), v2 };
}

/** Most webrtc-direct addresses of one relay: each costs peer connections. */
const MOST_DIRECT = 2;

/** Those at `host`, or else public ones first; others each time, since which of them lead there is not known. */
function nearest(addresses: string[], host: string): string[] {
  const here = addresses.filter((address) => address.split("/")[2] === host);
  if (here.length > 0) return here.slice(0, MOST_DIRECT);
  const isLocal = host === "::1" || host.startsWith("127.");
  const usable = addresses.filter((address) => isLocal || !LOOPBACK.test(address));
  const turns = usable.map((address) => ({ address, turn: Number(PRIVATE.test(address)) + Math.random() }));
  return turns.sort((a, b) => a.turn - b.turn).map(({ address }) => address).slice(0, MOST_DIRECT);
}

const LOOPBACK = /^\/ip4\/127\.|^\/ip6\/::1\//;

/** Of a local network: RFC 1918, RFC 6598 and link-local ones; RFC 4193 and link-local ones. */
const PRIVATE = /^\/ip4\/(10\.|172\.(1[6-9]|2\d|3[01])\.|192\.168\.|169\.254\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.)|^\/ip6\/f([cd]|e[89ab])/i;

const ENCRYPTED = /\/wss(\/|$)|\/tls\/|\/webrtc-direct\//;

/** Whether an https page may not open it. Loopback is fine, as on the machine of a developer. */
function isMixed(address: string): boolean {
  const isSecure = globalThis.location?.protocol === "https:";
  return isSecure && !ENCRYPTED.test(address) && !LOOPBACK.test(address);
}
