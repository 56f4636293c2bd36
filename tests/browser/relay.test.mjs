import assert from "node:assert/strict";
import { test } from "node:test";

import { launch, meet, openPage, withoutWebRtc, Tab } from "../lib/browser.mjs";
import { Relay } from "../lib/native.mjs";

test("a relay that dies while tabs are open is missed, and found again by itself", async (t) => {
  const relay = await Relay.start(t);
  const open = async (nick) => {
    const context = await launch(t);
    await context.addInitScript(withoutWebRtc);
    return Tab.open(context, relay.url, "storm", { nick });
  };
  const [ada, bob] = await Promise.all([open("Ada"), open("Bob")]);
  await meet(ada, bob);
  await relay.kill();
  await Promise.all([ada.connection("lost"), bob.connection("lost")]);
  await ada.at("banner").filter({ hasText: /Relay lost, trying again/ }).waitFor();
  await bob.say("said while nobody listened");
  await bob.page.locator("[data-testid=delivery][data-state=waiting]").waitFor();
  await relay.startAgain();
  await Promise.all([ada.connection("connected"), bob.connection("connected")]);
  await ada.at("banner").waitFor({ state: "hidden" });
  await ada.hears("said while nobody listened");
  await ada.say("we are back");
  await bob.hears("we are back");
});

for (const how of ["address", "url"]) {
  test(`a relay that is down at the start is waited for, given by ${how}`, async (t) => {
    const [app, relay] = await Promise.all([Relay.start(t), Relay.start(t)]);
    const where = relay[how];
    await relay.kill();
    const tab = await openWith(t, app, where);
    await tab.connection("lost");
    await tab.at("banner").filter({ hasText: "The relay does not answer" }).waitFor();
    await relay.startAgain();
    await tab.connection("connected");
  });
}

test("a relay that is somebody else is not taken for the right one", async (t) => {
  const [relay, other] = await Promise.all([Relay.start(t), Relay.start(t)]);
  const address = relay.address.replace(/12D3.*/, other.peerId);
  const tab = await openWith(t, relay, address);
  await tab.connection("lost");
});

test("a relay that makes no sense is said to make none", async (t) => {
  const relay = await Relay.start(t);
  const tab = await openWith(t, relay, "nonsense");
  await tab.connection("broken");
  assert.match(await tab.at("banner").textContent(), /"nonsense" is neither a multiaddr .* nor an http\(s\) URL/);
});

test("a tab that has tried too many direct links says so, and keeps what it has", async (t) => {
  const relay = await Relay.start(t);
  const open = async (nick) => Tab.open(await launch(t), relay.url, "hall", { nick });
  const others = await Promise.all([open("Bob"), open("Cid")]);
  const ada = await openAt(t, `${relay.url}/?links=1#hall`);
  await ada.connection("exhausted");
  await ada.at("banner").filter({ hasText: /as many direct links as a browser allows.* wait 60 min/ }).waitFor();
  await ada.say("one link, and the relay");
  for (const tab of others) await tab.hears("one link, and the relay");
});

function openWith(t, app, relay) {
  return openAt(t, `${app.url}/?relay=${encodeURIComponent(relay)}#hall`);
}

async function openAt(t, url) {
  return Object.assign(new Tab(), await openPage(await launch(t), url));
}
