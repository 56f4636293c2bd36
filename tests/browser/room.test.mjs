import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { launch, meet, Tab } from "../lib/browser.mjs";
import { png, sha256 } from "../lib/files.mjs";
import { publish, Relay, scratch, subscribe } from "../lib/native.mjs";

test("text goes both ways between two browsers and the command line", async (t) => {
  const relay = await Relay.start(t);
  const [ada, bob] = await Promise.all([
    launch(t).then((context) => Tab.open(context, relay.url, "tea", { nick: "Ada" })),
    launch(t).then((context) => Tab.open(context, relay.url, "tea", { nick: "Bob" })),
  ]);
  const terminal = await subscribe(t, "tea", relay.url);
  await meet(ada, bob);
  await ada.say("hello from Ada");
  await bob.hears("hello from Ada");
  await bob.say("hello from Bob");
  await ada.hears("hello from Bob");
  await terminal.json("Ada's line", (line) => line.text === "hello from Ada" && line.contentType === "text/plain");
  await terminal.json("Bob's line", (line) => line.text === "hello from Bob");
  await publish("tea", relay.url, ["--text", "hello from a terminal"]);
  await Promise.all([ada.hears("hello from a terminal"), bob.hears("hello from a terminal")]);
  await ada.at("person-name").getByText("Bob", { exact: true }).waitFor();
  await Promise.all([ada.assertClean(), bob.assertClean()]);
});

test("a file of 2 MiB arrives the same, and is shown when it is an image", async (t) => {
  const relay = await Relay.start(t);
  const dir = await scratch(t);
  const image = png(2 * 1024 * 1024);
  await writeFile(join(dir, "harbour.png"), image);
  const inbox = join(dir, "inbox");
  const terminal = await subscribe(t, "photos", relay.url, { output: `files:${inbox}` });
  const [ada, bob] = await Promise.all([
    launch(t).then((context) => Tab.open(context, relay.url, "photos", { nick: "Ada" })),
    launch(t).then((context) => Tab.open(context, relay.url, "photos", { nick: "Bob" })),
  ]);
  await meet(ada, bob);
  await ada.send(join(dir, "harbour.png"));
  const saved = await bob.save("harbour.png");
  assert.equal(saved.savedAs, "harbour.png");
  assert.equal(sha256(saved.bytes), sha256(image));
  await bob.page.waitForFunction(() => document.querySelector("[data-testid=file-image]")?.naturalWidth === 512);
  await terminal.line("the file's path", (text) => text === join(inbox, "harbour.png"));
  assert.equal(sha256(await readFile(join(inbox, "harbour.png"))), sha256(image));
  await Promise.all([ada.assertClean(), bob.assertClean()]);
});

test("names of strangers are shown as they are and do nothing", async (t) => {
  const relay = await Relay.start(t);
  const dir = await scratch(t);
  const [ada, bob] = await Promise.all([
    launch(t).then((context) => Tab.open(context, relay.url, "names", { nick: "<img src=x onerror=alert(1)>" })),
    launch(t).then((context) => Tab.open(context, relay.url, "names", { nick: "עדה 🌿" })),
  ]);
  await meet(ada, bob);
  await ada.at("person-name").getByText("עדה 🌿", { exact: true }).waitFor();
  await bob.at("person-name").getByText("<img src=x onerror=alert(1)>", { exact: true }).waitFor();
  await ada.say("<script>alert(1)</script><b>bold</b>");
  await bob.hears("<script>alert(1)</script><b>bold</b>");

  const names = {
    "<img src=x onerror=alert(1)>.txt": "_img src=x onerror=alert(1)_.txt",
    "🧵 пряжа שלום.txt": "🧵 пряжа שלום.txt",
    "invoice\u202Efdp.exe": "invoice fdp.exe",
    "..hidden": "hidden",
  };
  for (const [name, shown] of Object.entries(names)) {
    await writeFile(join(dir, name), name);
    await ada.send(join(dir, name));
    const { bytes, savedAs } = await bob.save(shown);
    assert.equal(bytes.toString(), name);
    assert.equal(savedAs, shown);
  }

  // A picture that is a program: neither drawn nor given a type that a browser would open.
  await writeFile(join(dir, "logo.svg"), '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>');
  await ada.send(join(dir, "logo.svg"));
  const card = await bob.file("logo.svg");
  assert.equal(await card.getByTestId("file-image").count(), 0);
  // From a program that keeps to none of our rules.
  await writeFile(join(dir, "page.html"), "<script>alert(1)</script>");
  const hostile = ["--name", "../../\u0007\u202Eetc/passwd", "--content-type", "text/html; charset=utf-8"];
  await publish("names", relay.url, ["--file", join(dir, "page.html"), ...hostile]);
  await bob.file("_.._ etc_passwd");
  await publish("names/presence", relay.url, ["--text", "[]", "--content-type", "application/vnd.braidcast.chat+json"]);
  await publish("names", relay.url, ["--text", "the last line"]);
  await bob.hears("the last line");
  await Promise.all([ada.assertClean(), bob.assertClean()]);
});

test("two tabs of one profile are two people", async (t) => {
  const relay = await Relay.start(t);
  const context = await launch(t);
  const [one, two] = [await Tab.open(context, relay.url, "twins"), await Tab.open(context, relay.url, "twins")];
  await meet(one, two);
  const ids = await Promise.all([one, two].map((tab) => tab.id()));
  assert.notEqual(ids[0], ids[1]);
  assert.equal(await one.at("person").getAttribute("data-id"), ids[1]);
});

test("a room without a name gets one, and another room is another room", async (t) => {
  const relay = await Relay.start(t);
  const context = await launch(t);
  const ada = await Tab.open(context, relay.url, "");
  const room = decodeURIComponent(new URL(ada.page.url()).hash.slice(1));
  assert.match(room, /^[a-z]+-[a-z]+-\d\d$/);
  const bob = await Tab.open(context, relay.url, "elsewhere");
  await bob.say("nobody hears this");
  await bob.page.evaluate((room) => (location.hash = room), room);
  await meet(ada, bob);
  await bob.say("here I am");
  await ada.hears("here I am");
  assert.equal(await ada.at("text").filter({ hasText: "nobody hears" }).count(), 0);
  await bob.page.close({ runBeforeUnload: true });
  await ada.sees();
});
