import { InvalidError, TooLargeError } from "./errors.js";

/**
 * What can be published: text as it is; bytes (`Uint8Array` or another view, `ArrayBuffer`) as they are; the contents
 * of a `Blob` or `File`; anything else as JSON.
 */
export type Publishable = string | Uint8Array | ArrayBuffer | Blob | object | number | boolean | null;

/** How receivers should take the payload. Either is guessed from the data when not given. */
export interface Labels {
  /** Media type, at most 127 bytes: of a `Blob` its own, else `text/plain`, `application/json` or
   * `application/octet-stream`. */
  contentType?: string;
  /** File name or title, at most 255 bytes of UTF-8: of a `File` its own, else empty. */
  name?: string;
}

/** A payload that is ready to cross into the module. */
export interface Content {
  bytes: Uint8Array;
  contentType: string;
  name: string;
}

/** Done at once unless `data` is a `Blob`, so that bytes changed right after `publish` are not sent changed. */
export function toContent(data: Publishable, labels: Labels, maxBytes: number): Content | Promise<Content> {
  if (data instanceof Blob) return fromBlob(data, labels, maxBytes);
  const { bytes, contentType } = encode(data);
  check(bytes.byteLength, maxBytes);
  return label(bytes, labels, contentType, "");
}

async function fromBlob(blob: Blob, labels: Labels, maxBytes: number): Promise<Content> {
  check(blob.size, maxBytes);
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const name = typeof File !== "undefined" && blob instanceof File ? blob.name : "";
  return label(bytes, labels, blob.type || "application/octet-stream", name);
}

function encode(data: Exclude<Publishable, Blob>): { bytes: Uint8Array; contentType: string } {
  if (typeof data === "string") return { bytes: utf8(data), contentType: "text/plain" };
  if (data instanceof ArrayBuffer) return raw(new Uint8Array(data));
  if (ArrayBuffer.isView(data)) return raw(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return { bytes: utf8(toJson(data)), contentType: "application/json" };
}

function raw(bytes: Uint8Array) {
  return { bytes, contentType: "application/octet-stream" };
}

function toJson(data: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(data);
  } catch (cause) {
    throw new InvalidError("data cannot be written as JSON", { cause });
  }
  if (text === undefined) throw new InvalidError(`data of type ${typeof data} cannot be written as JSON`);
  return text;
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function label(bytes: Uint8Array, labels: Labels, contentType: string, name: string): Content {
  return { bytes, contentType: labels.contentType ?? contentType, name: labels.name ?? name };
}

function check(size: number, limit: number): void {
  if (size > limit) throw new TooLargeError(size, limit);
}
