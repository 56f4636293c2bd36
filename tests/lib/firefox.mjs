import puppeteer from "puppeteer-core";

/** A Firefox of its own, unmodified, by WebDriver BiDi: what `Peer` needs of a context. Playwright drives only its own Firefox. */
export async function launchFirefox(t, executablePath) {
  const browser = await puppeteer.launch({ browser: "firefox", executablePath, headless: true });
  t.after(() => browser.close());
  return {
    async newPage() {
      const page = await browser.newPage();
      page.addInitScript = (script) => page.evaluateOnNewDocument(script);
      return page;
    },
  };
}
