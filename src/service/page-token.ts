/**
 * What a client sends back to get the next page: where the page ended, and a
 * digest that ties it to its request.
 *
 *     01 | digest (8 bytes) | where the page ended          as base64url
 *
 * The digest is of the request's fields and of the place, so a token that was
 * cut, altered or taken from another request is refused. It hides nothing and
 * protects nothing: whoever may list may list from anywhere.
 */
import { createHash } from "node:crypto";
import { fieldInvalid } from "./validation.js";

const FORMAT = 1;
const DIGEST_BYTES = 8;
const PLACE_START = 1 + DIGEST_BYTES;
const RANGE = "empty, or the next_page_token of a request that is otherwise the same";

/** The fields of a request that a token holds for, in a fixed order. */
export type TokenScope = readonly (string | boolean | Uint8Array)[];

/** The token of a page that ended at `place`; none: "". */
export function pageToken(scope: TokenScope, place: Uint8Array | undefined): string {
  if (place === undefined) return "";
  const head = Buffer.of(FORMAT);
  return Buffer.concat([head, digest(scope, place), place]).toString("base64url");
}

/** Where the page before ended; undefined for "". Throws FIELD_INVALID for any other text. */
export function placeOfToken(scope: TokenScope, token: string): Uint8Array | undefined {
  if (token === "") return undefined;
  const bytes = Buffer.from(token, "base64url");
  const place = bytes.subarray(PLACE_START);
  const isSound =
    bytes.length > PLACE_START &&
    bytes[0] === FORMAT &&
    // The decoder passes over what is no base64url.
    bytes.toString("base64url") === token &&
    digest(scope, place).equals(bytes.subarray(1, PLACE_START));
  if (!isSound) throw fieldInvalid("page_token", RANGE);
  return place;
}

function digest(scope: TokenScope, place: Uint8Array): Buffer {
  const hash = createHash("sha256");
  for (const part of [...scope, place]) {
    const bytes = part instanceof Uint8Array ? part : Buffer.from(String(part));
    // With its length before it, no part can be taken for the end of another.
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    hash.update(length).update(bytes);
  }
  return hash.digest().subarray(0, DIGEST_BYTES);
}
