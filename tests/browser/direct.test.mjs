// A page reaches its relay by webrtc-direct: no TLS certificate, no WebSocket.
import assert from "node:assert/strict";
import { test } from "node:test";

import { launch } from "../lib/browser.mjs";
import { required } from "../lib/environment.mjs";
import { Relay } from "../lib/native.mjs";
import { Peer } from "../lib/peer.mjs";
import { Program, within } from "../lib/process.mjs";
import { packagePage } from "../lib/site.mjs";

const DIRECT = "/ip4/127.0.0.1/udp/0/webrtc-direct";

/** Writes down the version of each answer that a page invents for its listener. */
function watchVersions() {
  globalThis.versions = [];
  const { setRemoteDescription } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setRemoteDescription = function (answer) {
    globalThis.versions.push(/a=ice-ufrag:libp2p\+webrtc\+(v\d)/.exec(answer.sdp)?.[1]);
    return setRemoteDescription.call(this, answer);
  };
}

/** Chromium is about to let nobody change the credentials of its offer. */
function refuseChangedOffers() {
  const { createOffer, setLocalDescription } = RTCPeerConnection.prototype;
  const password = (sdp) => /a=ice-pwd:(.*)/.exec(sdp)?.[1];
  RTCPeerConnection.prototype.createOffer = async function () {
    this.offered = await createOffer.call(this);
    return this.offered;
  };
  RTCPeerConnection.prototype.setLocalDescription = async function (description) {
    if (password(description.sdp) !== password(this.offered.sdp)) throw new DOMException("SDP is modified", "InvalidModificationError");
    return setLocalDescription.call(this, description);
  };
}

async function meet(t, relays, { init } = {}) {
  const open = async () => {
    const context = await launch(t);
    await context.addInitScript(watchVersions);
    return Peer.open(t, context, relays, "direct", { init });
  };
  const peers = await Promise.all([open(), open()]);
  const [ada, bob] = peers;
  await Promise.all([ada.say("from Ada"), bob.say("from Bob")]);
  await Promise.all([ada.hears("from Bob"), bob.hears("from Ada")]);
  return peers;
}

/** The versions that a page has dialled its relay with. Between pages nobody has a version. */
async function dialled(peer) {
  return (await peer.page.evaluate(() => versions)).filter((version) => version !== undefined && version !== null);
}

test("pages whose relay's URL says so reach it by version 2, and each other through it", async (t) => {
  const relay = await Relay.start(t, { app: false, listen: DIRECT });
  const [ada, bob] = await meet(t, [relay.url]);
  // A busy machine may have to try again.
  for (const peer of [ada, bob]) {
    const versions = await dialled(peer);
    assert.ok(versions.length <= 2 && versions.every((version) => version === "v2"), versions.join());
  }
  const relayOf = (await ada.peers()).find(({ link }) => link === "relay");
  assert.ok(relayOf.address.includes("/webrtc-direct/"), relayOf.address);
  await Promise.all([ada.linked([bob.id]), bob.linked([ada.id])]);

  // Lost and found again, with the same certificate.
  await relay.kill();
  await Promise.all([ada.alone(), bob.alone()]);
  await relay.startAgain();
  await Promise.all([ada, bob].map((peer) => peer.page.evaluate(() => heard.until(() => node.relays()[0].state === "connected"))));
  assert.deepEqual([...ada.complaints, ...bob.complaints], []);
});

test("pages that are given a relay's address reach it by version 1", async (t) => {
  const relay = await Relay.start(t, { app: false, listen: DIRECT });
  const [ada, bob] = await meet(t, [relay.address]);
  for (const peer of [ada, bob]) assert.equal((await dialled(peer))[0], "v1");
  const sent = await ada.sendNoise("file", 1 << 20);
  assert.equal(await bob.receives("file"), sent);
  assert.deepEqual([...ada.complaints, ...bob.complaints], []);
});

test("pages whose browser lets nobody change its offer reach it by version 2", async (t) => {
  const relay = await Relay.start(t, { app: false, listen: DIRECT });
  const [ada, bob] = await meet(t, [relay.address], { init: refuseChangedOffers });
  // A busy machine may have to try again.
  for (const peer of [ada, bob]) assert.deepEqual(new Set(await dialled(peer)), new Set(["v2"]));
  assert.deepEqual([...ada.complaints, ...bob.complaints], []);
});

test("of the many addresses of a relay those are dialled that may lead there from the page", async (t) => {
  const [loopback, lan, mine, yours] = ["127.0.0.1", "192.168.1.1", "203.0.113.1", "198.51.100.1"];
  const card = (address) => `/ip4/${address}/udp/4001/webrtc-direct/certhash/uEiAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA`;
  const addresses = [loopback, lan, mine, yours].map(card);
  for (const [host, expected] of [["relay.test", [mine, yours]], ["127.0.0.1", [loopback]], [lan, [lan]]]) {
    const { page, complaints } = await packagePage(t, await launch(t));
    await page.route(`http://${host}:4002/**`, (route) =>
      route.fulfill({ json: { addresses, webrtcDirect: [1, 2] }, headers: { "access-control-allow-origin": "*" } }),
    );
    const dialled = page.evaluate(tries, { url: `http://${host}:4002`, count: 3 * expected.length });
    assert.deepEqual(new Set(await within(dialled, "dials")), new Set(expected), host);
    assert.deepEqual(complaints, []);
  }
});

/** Has every dial fail at once; where the first `count` lead. */
function tries({ url, count }) {
  return new Promise((resolve, reject) => {
    const tried = [];
    RTCPeerConnection.prototype.setRemoteDescription = async ({ sdp }) => {
      tried.push(/a=candidate:\S+ \d+ \S+ \d+ (\S+)/.exec(sdp)[1]);
      if (tried.length === count) resolve(tried);
      throw new Error("not in this test");
    };
    braidcast.Braidcast.start({ relays: [url] }).catch(reject);
  });
}

test("a page proves itself to rust-libp2p, which knows version 1 only", async (t) => {
  const stranger = new Program(required("ECHO_BIN"), [DIRECT, "upstream"]);
  t.after(() => stranger.stop("SIGKILL"));
  const address = await stranger.line("its address", (text) => text.startsWith("/ip4") && text);
  const { page, complaints } = await packagePage(t, await launch(t));
  const id = await page.evaluate(async (address) => {
    const node = await braidcast.Braidcast.start({ relays: [address] });
    globalThis.node = node;
    return node.id;
  }, address);
  await stranger.line("our page", (text) => text === `connected ${id}`);
  assert.deepEqual(complaints, []);
});

test("a worker is told that WebRTC is not there, and has its WebSocket", async (t) => {
  const [direct, socket] = await Promise.all([Relay.start(t, { app: false, listen: DIRECT }), Relay.start(t, { app: false })]);
  const { page, complaints } = await packagePage(t, await launch(t), { "/worker.js": `(${work})()` });
  const said = page.evaluate((relays) => {
    const worker = new Worker("/worker.js", { type: "module" });
    worker.postMessage(relays);
    return new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
    });
  }, [direct.address, socket.address]);
  const { name, code, message } = await within(said, "the worker");
  assert.deepEqual([name, code], ["UnsupportedError", "UNSUPPORTED"]);
  assert.match(message, /WebRTC is not available here/);
  assert.deepEqual(complaints, []);
});

/** Runs in the worker: how the first relay fails, once the second has answered. */
function work() {
  onunhandledrejection = ({ reason }) => {
    throw reason;
  };
  onmessage = async ({ data: [direct, socket] }) => {
    const { Braidcast } = await import("/braidcast/index.js");
    const { name, code, message } = await Braidcast.start({ relays: [direct] }).catch((error) => error);
    const node = await Braidcast.start({ relays: [socket] });
    await new Promise((resolve) => node.on("relay", ({ state }) => state === "connected" && resolve()));
    await node.stop();
    postMessage({ name, code, message });
  };
}
