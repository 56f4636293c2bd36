import assert from "node:assert/strict";
import { mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { launch, meet, Tab } from "../lib/browser.mjs";
import { postcard } from "../lib/files.mjs";
import { publish, Relay, scratch } from "../lib/native.mjs";

/** Pictures go where SCREENSHOTS says (docs/screenshots, to renew those in the docs), else to a scratch folder. */
test("the demo app as a person sees it: a conversation, by night, on a phone, without its relay", async (t) => {
  const relay = await Relay.start(t);
  const dir = await scratch(t);
  const pictures = process.env.SCREENSHOTS || join(dir, "pictures");
  await mkdir(pictures, { recursive: true });
  const shoot = async (tab, name, { width, height }) => {
    await tab.page.setViewportSize({ width, height });
    const path = join(pictures, `${name}.png`);
    await tab.page.screenshot({ path, animations: "disabled" });
    assert.ok((await stat(path)).size > 10_000, `${name}.png shows something`);
  };

  const [ada, bob, mia] = await Promise.all(
    [["Ada", "light"], ["Bob", "dark"], ["Mia", "light"]].map(async ([nick, colorScheme]) => {
      return Tab.open(await launch(t, { colorScheme }), relay.url, "harbour", { nick });
    }),
  );
  await meet(ada, bob, mia);
  await ada.say("Morning! The light over the harbour was something else today.");
  await bob.hears("something else today");
  await bob.say("Did you take pictures?");
  await ada.hears("Did you take pictures?");
  await writeFile(join(dir, "harbour.png"), postcard());
  await ada.send(join(dir, "harbour.png"));
  await Promise.all([bob.at("file-image").waitFor(), mia.at("file-image").waitFor()]);
  await publish("harbour", relay.url, ["--text", "build 512 is green"]);
  await Promise.all([ada, bob, mia].map((tab) => tab.hears("build 512 is green")));

  await shoot(ada, "room-light", { width: 1280, height: 800 });
  await shoot(bob, "room-dark", { width: 1280, height: 800 });
  await shoot(mia, "room-phone", { width: 390, height: 780 });
  await relay.kill();
  await ada.connection("lost");
  await shoot(ada, "relay-lost", { width: 1280, height: 800 });
});
