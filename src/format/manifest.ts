/**
 * The manifest's file: an envelope, little-endian, around the proto's Manifest.
 *
 *     0       8                12       16      20
 *     | magic | format version | length | crc32 | Manifest ...
 *       8       u32              u32      u32     `length` bytes, to the end
 *
 * The CRC covers bytes 0..15 and the payload.
 *
 * Invariants
 *  1. The envelope is the same for all format versions, so that an older kvix
 *     tells a newer manifest ("too-new", V9) from a damaged one.
 *  2. Nothing invalid is written: encoding checks what decoding checks.
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Manifest, ManifestSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { crc32 } from "./checksum.js";
import { findManifestFault } from "./manifest-rules.js";

/** The version of everything below the data directory. On disk. */
export const FORMAT_VERSION = 1;

/** "KVIXMANI". On disk. */
export const MANIFEST_MAGIC = Uint8Array.of(0x4b, 0x56, 0x49, 0x58, 0x4d, 0x41, 0x4e, 0x49);
const VERSION_AT = 8;
const LENGTH_AT = 12;
const CRC_AT = 16;
const ENVELOPE_BYTES = 20;

/** What a manifest file is. */
export type ManifestVerdict =
  | { readonly kind: "manifest"; readonly manifest: Manifest }
  /** Sound, and written by a later kvix: refuse the directory. */
  | { readonly kind: "too-new"; readonly formatVersion: number }
  | { readonly kind: "damaged"; readonly why: string };

/** The whole file. A manifest that breaks a rule is a defect of the caller: INTERNAL_BUG. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const fault = findManifestFault(manifest);
  if (fault !== undefined) throw new KvixError("INTERNAL_BUG", `a manifest with ${fault}`);
  const payload = toBinary(ManifestSchema, manifest);
  const file = new Uint8Array(ENVELOPE_BYTES + payload.length);
  const view = new DataView(file.buffer);
  file.set(MANIFEST_MAGIC);
  view.setUint32(VERSION_AT, FORMAT_VERSION, true);
  view.setUint32(LENGTH_AT, payload.length, true);
  file.set(payload, ENVELOPE_BYTES);
  view.setUint32(CRC_AT, checksum(file), true);
  return file;
}

/** What the whole file says. */
export function decodeManifest(file: Uint8Array): ManifestVerdict {
  if (file.length < ENVELOPE_BYTES) return damaged("fewer bytes than an envelope");
  if (MANIFEST_MAGIC.some((byte, index) => file[index] !== byte)) return damaged("another magic");
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (view.getUint32(LENGTH_AT, true) !== file.length - ENVELOPE_BYTES) {
    return damaged("another length than it claims");
  }
  if (view.getUint32(CRC_AT, true) !== checksum(file)) return damaged("a wrong checksum");
  const formatVersion = view.getUint32(VERSION_AT, true);
  if (formatVersion > FORMAT_VERSION) return { kind: "too-new", formatVersion };
  if (formatVersion !== FORMAT_VERSION) return damaged("an unknown format version");
  const manifest = parseManifest(file.subarray(ENVELOPE_BYTES));
  if (manifest === undefined) return damaged("no Manifest inside");
  const fault = findManifestFault(manifest);
  return fault === undefined ? { kind: "manifest", manifest } : damaged(fault);
}

function parseManifest(payload: Uint8Array): Manifest | undefined {
  try {
    return fromBinary(ManifestSchema, payload);
  } catch {
    // The library throws on malformed protobuf; here that is a verdict.
    return undefined;
  }
}

function checksum(file: Uint8Array): number {
  return crc32(file.subarray(ENVELOPE_BYTES), crc32(file.subarray(0, CRC_AT)));
}

function damaged(why: string): ManifestVerdict {
  return { kind: "damaged", why };
}
