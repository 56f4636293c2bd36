/** The one function of Node.js that is used, so that its types need not be installed beside the DOM's. */
declare module "node:fs/promises" {
  export function readFile(path: URL): Promise<Uint8Array<ArrayBuffer>>;
}
