/**
 * Decoding of requests, whose bytes anybody may have chosen: a message becomes no
 * more objects than a request may have, however many its bytes could make. Decoded
 * as they are, 4 MiB of two bytes each took 250 to 340 MiB and held up everybody for
 * more than a second.
 *
 *  - Fields that this build does not know are passed over.
 *  - Of a list one element more than a list may have is decoded, and nothing behind
 *    it: the handler sees that the list is too long, and refuses the whole.
 */
import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { BATCH_KEYS_MAX, BATCH_MUTATIONS_MAX } from "../base/limits.js";

/** The most elements that any list of a request may have. */
const LIST_MAX = Math.max(BATCH_KEYS_MAX, BATCH_MUTATIONS_MAX);
/** The least that an element of a list takes: its tag and its length, in bytes. */
const ELEMENT_BYTES_MIN = 2;

const listNumbers = new WeakMap<DescMessage, ReadonlySet<number>>();

/** The request; throws for bytes that are none. */
export function decodeRequestBytes<Request extends DescMessage>(
  schema: Request,
  bytes: Uint8Array,
): MessageShape<Request> {
  return fromBinary(schema, bytes.subarray(0, boundOf(schema, bytes)), {
    readUnknownFields: false,
  });
}

/** Where the first list ends that is too long; else the end of the message. */
function boundOf(schema: DescMessage, bytes: Uint8Array): number {
  const lists = listsOf(schema);
  if (lists.size === 0 || bytes.length <= LIST_MAX * ELEMENT_BYTES_MIN) return bytes.length;
  const counts = new Map<number, number>();
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    reader.skip(wireType, number);
    if (!lists.has(number)) continue;
    const count = (counts.get(number) ?? 0) + 1;
    if (count > LIST_MAX) return reader.pos;
    counts.set(number, count);
  }
  return bytes.length;
}

/** The numbers of the fields of a message that are lists. */
function listsOf(schema: DescMessage): ReadonlySet<number> {
  let numbers = listNumbers.get(schema);
  if (numbers === undefined) {
    const lists = schema.fields.filter(({ fieldKind }) => fieldKind === "list");
    numbers = new Set(lists.map(({ number }) => number));
    listNumbers.set(schema, numbers);
  }
  return numbers;
}
