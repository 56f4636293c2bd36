import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

import { chromium } from "playwright-core";

import { required } from "./environment.mjs";
import { PATIENCE_MS } from "./process.mjs";

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A Chromium process of its own, with an empty profile, and one window context in it. */
export async function launch(t, { colorScheme = "light" } = {}) {
  const browser = await chromium.launch({ executablePath: required("CHROMIUM"), headless: true, args: ARGUMENTS });
  t.after(() => browser.close());
  const context = await browser.newContext({ acceptDownloads: true, colorScheme });
  context.setDefaultTimeout(PATIENCE_MS);
  return context;
}

/** What a page runs first that is to have no WebRTC: it has nobody but its relay. */
export function withoutWebRtc() {
  delete globalThis.RTCPeerConnection;
  delete globalThis.webkitRTCPeerConnection;
}

/** What a page runs first: while `isBroken`, no peer connection can be made. */
export function breakable() {
  globalThis.RTCPeerConnection = new Proxy(RTCPeerConnection, {
    construct(target, settings) {
      if (globalThis.isBroken) throw new Error("broken for a test");
      return Reflect.construct(target, settings);
    },
  });
}

/** A page of which everything that goes wrong is kept. */
export async function openPage(context, url) {
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.addInitScript(() => {
    globalThis.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      globalThis.violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
    });
  });
  await page.goto(url);
  return { page, complaints };
}

/** The demo app in a tab, driven as a person would. */
export class Tab {
  /** Opens a room and waits until the relay answers, unless told otherwise. */
  static async open(context, base, room, { nick, connected = true } = {}) {
    const tab = new Tab();
    const { page, complaints } = await openPage(context, `${base}/#${encodeURIComponent(room)}`);
    tab.page = page;
    tab.complaints = complaints;
    if (nick) {
      await tab.at("nick-input").fill(nick);
      await tab.at("nick-input").press("Enter");
    }
    if (connected) await tab.connection("connected");
    return tab;
  }

  at(name) {
    return this.page.getByTestId(name);
  }

  /** Waits for a state of the connection. */
  async connection(state) {
    await this.page.locator(`[data-testid=connection][data-state=${state}]`).waitFor();
  }

  /** Waits until these tabs, and nobody else who said a name, are in the room. A linked terminal is listed too, unnamed. */
  async sees(...tabs) {
    const ids = await Promise.all(tabs.map((tab) => tab.id()));
    await this.page.waitForFunction((ids) => {
      const people = [...document.querySelectorAll("[data-testid=person]")];
      const named = people.filter((person) => person.dataset.named === "true").map((person) => person.dataset.id);
      return named.length === ids.length && ids.every((id) => named.includes(id));
    }, ids);
  }

  /** The peer id, once in a room. */
  async id() {
    const me = this.page.locator("[data-testid=me]:not([data-id=''])");
    return await me.getAttribute("data-id");
  }

  async say(text) {
    await this.at("composer").fill(text);
    await this.at("composer").press("Enter");
  }

  /** Waits for a line of someone else's with this in it; gives all of it. */
  hears(text) {
    const lines = this.page.locator("[data-testid=entry][data-mine=false] [data-testid=text]");
    return lines.filter({ hasText: text }).first().textContent();
  }

  /** Sends a file from disk: handing bytes over through the debugger would keep the page busy. */
  async send(path) {
    await this.at("file-input").setInputFiles(path);
  }

  /** The card of someone else's file, once it is all here. */
  async file(name) {
    const card = this.page
      .locator("[data-testid=entry][data-mine=false] [data-testid=file][data-state=here]")
      .filter({ has: this.page.getByTestId("file-name").getByText(name, { exact: true }) });
    await card.waitFor();
    return card;
  }

  /** Saves someone else's file as a person would; its bytes and the name it was saved under. */
  async save(name) {
    const card = await this.file(name);
    const [download] = await Promise.all([
      this.page.waitForEvent("download"),
      card.getByTestId("file-link").click(),
    ]);
    return { bytes: await readFile(await download.path()), savedAs: download.suggestedFilename() };
  }

  /** Nothing was blocked by the page's policy, logged as an error, or thrown. */
  async assertClean() {
    assert.deepEqual(await this.page.evaluate(() => globalThis.violations), []);
    assert.deepEqual(this.complaints, []);
  }
}

/** Waits until each of these tabs sees all the others. */
export async function meet(...tabs) {
  await Promise.all(tabs.map((tab) => tab.sees(...tabs.filter((other) => other !== tab))));
}
