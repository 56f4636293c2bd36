import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

import { openPage } from "./browser.mjs";

const DIST = new URL("../../web/dist", import.meta.url).pathname;
const TYPES = { ".js": "text/javascript", ".wasm": "application/wasm", ".map": "application/json" };
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ws: http:";

/** An empty page beside the npm package, as a developer would serve it: strict policy, no bundler. */
export async function packagePage(t, context) {
  const server = createServer((request, response) => void answer(request, response));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { page, complaints } = await openPage(context, `http://127.0.0.1:${server.address().port}/`);
  await page.evaluate(async () => {
    globalThis.braidcast = await import("/braidcast/index.js");
  });
  return { page, complaints };
}

async function answer(request, response) {
  const path = new URL(request.url, "http://localhost").pathname;
  response.setHeader("content-security-policy", POLICY);
  if (path === "/") return response.setHeader("content-type", "text/html").end("<!doctype html><title>test</title>");
  if (path === "/favicon.ico") return response.writeHead(204).end();
  try {
    const body = await readFile(join(DIST, normalize(path.replace(/^\/braidcast\//, "/"))));
    response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream").end(body);
  } catch {
    response.writeHead(404).end();
  }
}
