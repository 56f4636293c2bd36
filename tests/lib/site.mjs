import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

import { openPage } from "./browser.mjs";

const DIST = new URL("../../web/dist", import.meta.url).pathname;
const TYPES = { ".js": "text/javascript", ".wasm": "application/wasm", ".map": "application/json" };
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ws: http:";

/** An empty page beside the npm package, as a developer would serve it: strict policy, no bundler. */
export async function packagePage(t, context, more) {
  const { page, complaints } = await openPage(context, await serve(t, more));
  await page.evaluate(async () => {
    globalThis.braidcast = await import("/braidcast/index.js");
  });
  return { page, complaints };
}

/** Serves an empty page, the npm package, and `more`: folders by their path, or texts by that of a script. Returns its URL. */
export async function serve(t, more = {}) {
  const paths = { "/braidcast/": DIST, ...more };
  const server = createServer((request, response) => void answer(paths, request, response));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}/`;
}

async function answer(paths, request, response) {
  const path = new URL(request.url, "http://localhost").pathname;
  response.setHeader("content-security-policy", POLICY);
  if (path === "/") return response.setHeader("content-type", "text/html").end("<!doctype html><title>test</title>");
  if (path === "/favicon.ico") return response.writeHead(204).end();
  const found = Object.keys(paths).find((start) => path.startsWith(start));
  try {
    const body = found?.endsWith("/") ? await readFile(join(paths[found], normalize(path.slice(found.length)))) : paths[found];
    if (body === undefined) return response.writeHead(404).end();
    response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream").end(body);
  } catch {
    response.writeHead(404).end();
  }
}
