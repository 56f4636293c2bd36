// Unmodified js-libp2p: in Node.js as it is, in a page bundled (`bundle.mjs`).
import { circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import { identify } from "@libp2p/identify";
import { noise } from "@libp2p/noise";
import { ping } from "@libp2p/ping";
import { webRTC, webRTCDirect } from "@libp2p/webrtc";
import { webSockets } from "@libp2p/websockets";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";

const ECHO = "/echo/1.0.0";

/** A node with every transport that is tested, listening there; `more` are settings of js-libp2p. */
export function create(listen, more = {}) {
  return createLibp2p({
    addresses: { listen },
    transports: [webRTCDirect(), webSockets(), webRTC({ rtcConfiguration: {} }), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping() },
    // It would not dial loopback.
    connectionGater: { denyDialMultiaddr: () => false },
    ...more,
  });
}

/** A node that echoes. With a relay it can be dialled there over `/webrtc`. */
export async function start({ relay } = {}) {
  const node = await create(relay ? [`${relay}/p2p-circuit`, "/webrtc"] : []);
  await node.handle(ECHO, async (stream) => writeAll(stream, await readAll(stream)));
  return node;
}

/** Dials, and waits until the peer has said who it is and has answered a ping. */
export async function meet(node, address) {
  const identified = new Promise((resolve) => {
    node.addEventListener("peer:identify", ({ detail }) => resolve(detail), { once: true });
  });
  const connection = await node.dial(multiaddr(address));
  const { peerId, protocols } = await identified;
  if (!peerId.equals(connection.remotePeer)) throw new Error(`${peerId} identified itself, not ${connection.remotePeer}`);
  await pinged(node, connection);
  return { connection, protocols };
}

/** Waits until the peer, one of ours, has closed the circuit over which was signalled, which js-libp2p might take, and pings it. */
export async function pinged(node, { remotePeer }) {
  await new Promise((resolve) => {
    const look = () => {
      if (!node.getConnections(remotePeer).some(({ limits }) => limits)) resolve();
    };
    node.addEventListener("connection:close", look);
    look();
  });
  return node.services.ping.ping(remotePeer);
}

/** Waits until the relay lets others through; where they dial `/webrtc`. */
export function place(node) {
  return new Promise((resolve) => {
    const look = () => {
      const address = node.getMultiaddrs().map(String).find((text) => text.includes("/p2p-circuit/webrtc/"));
      if (address) resolve(address);
    };
    node.addEventListener("self:peer:update", look);
    look();
  });
}

/** Sends bytes, closes, and reads what comes back. */
export async function echo(connection, bytes) {
  const stream = await connection.newStream(ECHO);
  const [, got] = await Promise.all([writeAll(stream, bytes), readAll(stream)]);
  return got;
}

/** A mebibyte in which every place is told from its neighbours. */
export function mebibyte() {
  return Uint8Array.from({ length: 1 << 20 }, (_, at) => (at * 31) >> 5);
}

async function writeAll(stream, bytes) {
  for (let at = 0; at < bytes.length; at += 65_536) {
    if (!stream.send(bytes.subarray(at, at + 65_536))) await stream.onDrain();
  }
  await stream.close();
}

export async function readAll(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part.subarray());
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}
