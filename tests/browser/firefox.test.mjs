// A smoke test: what differs from Chromium stands in docs/guides/browsers.md.
import assert from "node:assert/strict";
import { test } from "node:test";

import { launch } from "../lib/browser.mjs";
import { launchFirefox } from "../lib/firefox.mjs";
import { Relay } from "../lib/native.mjs";
import { Peer } from "../lib/peer.mjs";

const firefox = process.env.FIREFOX;
const skip = !firefox && "no Firefox: install Debian's firefox-esr, or set FIREFOX to its program";

test("Firefox and Chromium link directly and write to each other", { skip }, async (t) => {
  const relay = await Relay.start(t, { app: false });
  const contexts = await Promise.all([launchFirefox(t, firefox), launch(t)]);
  const [fay, ada] = await Promise.all(contexts.map((context) => Peer.open(t, context, [relay.url], "pair")));
  await Promise.all([fay.linked([ada.id]), ada.linked([fay.id])]);
  await relay.kill();
  await Promise.all([fay.alone(), ada.alone()]);
  await Promise.all([fay.say("from Firefox"), ada.say("from Chromium")]);
  await Promise.all([fay.hears("from Chromium"), ada.hears("from Firefox")]);
  for (const [from, to] of [[fay, ada], [ada, fay]]) {
    const start = performance.now();
    const sent = await from.sendNoise(from.id, 4 << 20);
    assert.equal(await to.receives(from.id), sent);
    t.diagnostic(`4 MiB from ${from === fay ? "Firefox" : "Chromium"} in ${Math.round(performance.now() - start)} ms`);
  }
  const start = performance.now();
  await ada.page.close();
  await fay.misses(ada.id);
  t.diagnostic(`Firefox knew after ${Math.round(performance.now() - start)} ms that the tab was closed`);
  assert.deepEqual(fay.complaints.filter((text) => !isFirefoxsOwn(text)), []);
});

/** Firefox itself logs a WebSocket that ends without a word, and that the page's policy allows no icon. */
function isFirefoxsOwn(text) {
  return /ws:\/\/127\.0\.0\.1|favicon\.ico/.test(text);
}
