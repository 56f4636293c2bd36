// js-libp2p doing what `crates/bench/links` does, in a page and in Node.js.
import { multiaddr } from "@multiformats/multiaddr";

import { create, place } from "./js-libp2p.mjs";

const PERF = "/perf/1.0.0";
const ECHO = "/echo/1.0.0";
const CHUNK = new Uint8Array(64 * 1024);
const PING_BYTES = 32;

/** A peer that answers everybody. */
export async function start(listen) {
  const node = await create(listen, { connectionMonitor: { enabled: false } });
  await node.handle(PERF, answer);
  await node.handle(ECHO, repeat);
  return node;
}

export class Page {
  #node;
  #connection;

  static async start() {
    const page = new Page();
    page.#node = await start(["/webrtc"]);
    return page;
  }

  async listen(relay) {
    await this.#node.components.transportManager.listen([multiaddr(`${relay}/p2p-circuit`)]);
    return place(this.#node);
  }

  async dial(address) {
    this.#connection = await this.#node.dial(multiaddr(address), { force: true });
    return this.#connection.remotePeer.toString();
  }

  async transfer(_peer, send, get) {
    const stream = await this.#connection.newStream(PERF);
    const head = new Uint8Array(8);
    new DataView(head.buffer).setBigUint64(0, BigInt(get));
    stream.send(head);
    const [, got] = await Promise.all([fill(stream, send), drain(stream)]);
    if (got !== get) throw new Error(`${got} bytes came instead of ${get}`);
  }

  async round_trips(_peer, count) {
    const stream = await this.#connection.newStream(ECHO);
    const answers = stream[Symbol.asyncIterator]();
    for (let turn = 0; turn < count; turn++) {
      stream.send(CHUNK.subarray(0, PING_BYTES));
      for (let got = 0; got < PING_BYTES; got += (await answers.next()).value.byteLength);
    }
    stream.abort(new Error("that was all"));
  }
}

async function answer(stream) {
  let head = new Uint8Array();
  for await (const part of stream) {
    if (head.length < 8) head = Uint8Array.from([...head, ...part.subarray()]).slice(0, 8);
  }
  await fill(stream, Number(new DataView(head.buffer).getBigUint64(0)));
}

async function repeat(stream) {
  for await (const part of stream) stream.send(part);
  await stream.close();
}

async function fill(stream, bytes) {
  for (let left = bytes; left > 0; left -= CHUNK.length) {
    if (!stream.send(CHUNK.subarray(0, left))) await stream.onDrain();
  }
  await stream.close();
}

async function drain(stream) {
  let bytes = 0;
  for await (const part of stream) bytes += part.byteLength;
  return bytes;
}
