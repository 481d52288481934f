/**
 * Every field of every request of kvix.v1: what it must be, and what it is when
 * it is left out. docs/api.md shows this table, and a test sends each field with
 * a wrong value and holds the answer against it.
 */
import type { DescMessage, DescService } from "@bufbuild/protobuf";
import { AdminService, KvService } from "../../gen/kvix/v1/kvix_pb.js";

/** One row: the field in all rpcs that have it. */
export interface RequestField {
  /** As the proto names it, with a dot before a field of a message; a field of a part stands for itself. */
  readonly field: string;
  /** Methods as "Service.Method"; those of KvService stand for their twins in KvTextService. */
  readonly rpcs: readonly string[];
  /** What an error says that it must be; "" where nothing can be wrong with it. */
  readonly range: string;
  /** What it means when it is left out. */
  readonly leftOut: string;
  /** Fields of a request in which this one is wrong. */
  readonly wrong?: object;
  /** What an error calls it, if not as the table does: which of several it is in. */
  readonly saidAs?: string;
}

const kv = (...names: readonly string[]): string[] => names.map((name) => `KvService.${name}`);
const writes = kv("Set", "Delete", "Touch", "Upload");
const instant = (seconds: bigint) => ({ expiry: { case: "expireTime", value: { seconds } } });
const condition = (of: object) => ({ precondition: { condition: of } });
const tooLong = new Uint8Array(65_536);

type Row = Pick<RequestField, "range" | "leftOut"> & { readonly wrong?: object | undefined };

/** Rows of fields in the messages of a Commit; `wrap` puts a wrong field into a request. */
function nested(
  path: string,
  rows: Readonly<Record<string, Row>>,
  wrap: (wrong: object) => object,
): RequestField[] {
  const [list = "", ...inner] = path.split(".");
  return Object.entries(rows).map(([name, { range, leftOut, wrong }]) => {
    const row = { field: `${path}.${name}`, rpcs: kv("Commit"), range, leftOut };
    if (wrong === undefined) return row;
    const saidAs = [`${list}[0]`, ...inner, name].join(".");
    return { ...row, wrong: wrap(wrong), saidAs };
  });
}

const keyRow = { range: "1 to 65535 bytes", leftOut: "refused", wrong: { key: new Uint8Array(0) } };
const ttlRows = {
  ttl: {
    range: "more than zero, and end by 9999-12-31T23:59:59.999Z",
    leftOut: "see below",
    wrong: { expiry: { case: "ttl", value: { seconds: -1n } } },
  },
  expire_time: {
    range: "from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999Z",
    leftOut: "see below",
    wrong: instant(2n ** 40n),
  },
};
const persistRow = {
  range: "true, or left out",
  leftOut: "see below",
  wrong: { expiry: { case: "persist", value: false } },
};

const mutationOf =
  (kind: string, more: object = {}) =>
  (wrong: object): object => ({
    mutations: [{ mutation: { case: kind, value: { key: Uint8Array.of(1), ...more, ...wrong } } }],
  });
const conditionOf = (wrong: object): object => ({
  conditions: [{ key: Uint8Array.of(1), ...condition({ case: "absent", value: true }), ...wrong }],
});
const isTrue = (name: string) => ({
  range: "true, or left out",
  leftOut: "refused, unless another is there",
  wrong: condition({ case: name, value: false }),
});

const commitFields: readonly RequestField[] = [
  ...nested("conditions", { key: keyRow }, conditionOf),
  ...nested(
    "conditions.precondition",
    {
      absent: isTrue("absent"),
      present: isTrue("present"),
      version: {
        range: `from 1 to ${2 ** 48 - 1}`,
        leftOut: "refused, unless another is there",
        wrong: condition({ case: "version", value: 0n }),
      },
    },
    conditionOf,
  ),
  ...nested(
    "mutations.set",
    {
      key: keyRow,
      value: {
        range: "at most 104857600 bytes",
        leftOut: "empty",
        wrong: { value: new Uint8Array(104_857_601) },
      },
      ...ttlRows,
      keep_ttl: {
        range: "true, or left out",
        leftOut: "a former expiry is cleared",
        wrong: { expiry: { case: "keepTtl", value: false } },
      },
    },
    mutationOf("set"),
  ),
  ...nested("mutations.delete", { key: keyRow }, mutationOf("delete")),
  ...nested(
    "mutations.touch",
    { key: keyRow, ...ttlRows, persist: persistRow },
    mutationOf("touch", { expiry: { case: "persist", value: true } }),
  ),
  ...nested(
    "mutations.increment",
    {
      key: keyRow,
      delta: { range: "", leftOut: "1" },
      ...ttlRows,
      persist: persistRow,
      initial: { range: "", leftOut: "0" },
    },
    mutationOf("increment"),
  ),
];

/** The rows, in the order of docs/api.md. */
export const requestFields: readonly RequestField[] = [
  {
    field: "key",
    rpcs: kv("Get", "Exists", "Set", "Delete", "Touch", "Increment", "Upload", "Download"),
    range: "1 to 65535 bytes",
    leftOut: "refused",
    wrong: { key: new Uint8Array(0) },
  },
  {
    field: "key",
    rpcs: kv("Watch"),
    range: "1 to 65535 bytes",
    leftOut: "all keys",
    wrong: { key: tooLong },
  },
  {
    field: "value",
    rpcs: kv("Set"),
    range: "at most 104857600 bytes",
    leftOut: "empty",
    wrong: { value: new Uint8Array(104_857_601) },
  },
  {
    field: "value_bytes",
    rpcs: kv("Upload"),
    range: "at most 104857600 bytes",
    leftOut: "0: the value is empty",
    wrong: { valueBytes: 2n ** 63n },
  },
  {
    field: "chunk",
    rpcs: kv("Upload"),
    range: "1 byte or more",
    leftOut: "see below",
    wrong: { part: { case: "chunk", value: new Uint8Array(0) } },
  },
  {
    field: "crc32",
    rpcs: kv("Upload"),
    range: "the CRC-32 of the value that came",
    leftOut: "0: that of an empty value",
    wrong: { part: { case: "end", value: { crc32: 1 } } },
  },
  {
    field: "ttl",
    rpcs: kv("Set", "Touch", "Increment", "Upload"),
    range: "more than zero, and end by 9999-12-31T23:59:59.999Z",
    leftOut: "see below",
    wrong: { expiry: { case: "ttl", value: { seconds: -1n } } },
  },
  {
    field: "expire_time",
    rpcs: kv("Set", "Touch", "Increment", "Upload"),
    range: "from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999Z",
    leftOut: "see below",
    wrong: instant(2n ** 40n),
  },
  {
    field: "keep_ttl",
    rpcs: kv("Set", "Upload"),
    range: "true, or left out",
    leftOut: "a former expiry is cleared",
    wrong: { expiry: { case: "keepTtl", value: false } },
  },
  {
    field: "persist",
    rpcs: kv("Touch", "Increment"),
    range: "true, or left out",
    leftOut: "see below",
    wrong: { expiry: { case: "persist", value: false } },
  },
  {
    field: "precondition.absent",
    rpcs: writes,
    range: "true, or left out",
    leftOut: "no condition",
    wrong: condition({ case: "absent", value: false }),
  },
  {
    field: "precondition.present",
    rpcs: writes,
    range: "true, or left out",
    leftOut: "no condition",
    wrong: condition({ case: "present", value: false }),
  },
  {
    field: "precondition.version",
    rpcs: writes,
    range: `from 1 to ${2 ** 48 - 1}`,
    leftOut: "no condition",
    wrong: condition({ case: "version", value: 0n }),
  },
  { field: "return_previous", rpcs: kv("Set", "Delete"), range: "", leftOut: "false" },
  { field: "delta", rpcs: kv("Increment"), range: "", leftOut: "1" },
  { field: "initial", rpcs: kv("Increment"), range: "", leftOut: "0" },
  { field: "operations.id", rpcs: kv("Pipeline"), range: "", leftOut: "0" },
  {
    field: "request_id",
    rpcs: kv("Increment", "Commit"),
    range: "16 to 64 bytes, or left out",
    leftOut: "a repeat is another request",
    wrong: { requestId: new Uint8Array(15) },
  },
  {
    field: "durability",
    rpcs: [...writes, ...kv("Increment", "Commit", "DeleteRange")],
    range: "DURABILITY_UNSPECIFIED, _SYNC or _BUFFERED",
    leftOut: "what the server was started with",
    wrong: { durability: 3 },
  },
  ...commitFields,
  {
    field: "prefix",
    rpcs: kv("List", "Scan", "DeleteRange", "Watch"),
    range: "at most 65535 bytes",
    leftOut: "all keys",
    wrong: { prefix: tooLong },
  },
  {
    field: "start",
    rpcs: kv("List", "Scan", "DeleteRange", "Watch"),
    range: "at most 65535 bytes",
    leftOut: "from the first key",
    wrong: { start: tooLong },
  },
  {
    field: "end",
    rpcs: kv("List", "Scan", "DeleteRange", "Watch"),
    range: "at or above start",
    leftOut: "to the last key",
    wrong: { start: Uint8Array.of(2), end: Uint8Array.of(1) },
  },
  {
    field: "all",
    rpcs: kv("DeleteRange"),
    range: "true where no prefix, start or end is given, else left out",
    leftOut: "a prefix, a start or an end is given",
    wrong: { all: false },
  },
  { field: "dry_run", rpcs: kv("DeleteRange"), range: "", leftOut: "false" },
  {
    field: "limit",
    rpcs: kv("DeleteRange"),
    range: "from 0 to 10000",
    leftOut: "10,000",
    wrong: { limit: 10_001, all: true },
  },
  { field: "limit", rpcs: kv("Scan"), range: "0 or more", leftOut: "all records" },
  {
    field: "keys",
    rpcs: kv("BatchGet"),
    range: "1 to 10000 keys",
    leftOut: "refused",
    wrong: { keys: [] },
  },
  {
    field: "after_version",
    rpcs: kv("Watch"),
    range: `from 0 to ${2 ** 48 - 1}`,
    leftOut: "what changes from now on",
    wrong: { afterVersion: 2n ** 48n },
  },
  {
    field: "include_current",
    rpcs: kv("Watch"),
    range: "left out where after_version is given",
    leftOut: "false",
    wrong: { includeCurrent: true, afterVersion: 0n },
  },
  {
    field: "progress_interval",
    rpcs: kv("Watch"),
    range: "from 100 ms to 1 h",
    leftOut: "10 s",
    wrong: { progressInterval: { nanos: 1 } },
  },
  { field: "reverse", rpcs: kv("List", "Scan"), range: "", leftOut: "false" },
  {
    field: "keys_only",
    rpcs: kv("List", "BatchGet", "Scan", "Watch"),
    range: "",
    leftOut: "false",
  },
  {
    field: "page_size",
    rpcs: [...kv("List"), "AdminService.ListSegments"],
    range: "0 or more",
    leftOut: "1,000; more than 10,000 counts as 10,000",
    wrong: { pageSize: -1 },
  },
  {
    field: "page_token",
    rpcs: [...kv("List"), "AdminService.ListSegments"],
    range: "empty, or the next_page_token of a request that is otherwise the same",
    leftOut: "the first page",
    wrong: { pageToken: "x" },
  },
];

/** "field rpc" of every request field that the services have. */
export function fieldsOfServices(): string[] {
  return [KvService, AdminService].flatMap((service: DescService) =>
    service.methods.flatMap((method) =>
      fieldsOf(method.input, new Set(service.methods.map(({ input }) => input))).map(
        (field) => `${field} ${service.name}.${method.name}`,
      ),
    ),
  );
}

/**
 * The fields of a message, those of kvix's own messages in it included. A request of
 * another rpc in it (an operation of a Pipeline) is that rpc's.
 */
function fieldsOf(message: DescMessage, requests: ReadonlySet<DescMessage>): string[] {
  return message.fields.flatMap((field) => {
    if (field.message?.file.proto.package !== "kvix.v1") return [field.name];
    if (requests.has(field.message)) return [];
    return fieldsOf(field.message, requests).map((inner) =>
      field.oneof?.name === "part" ? inner : `${field.name}.${inner}`,
    );
  });
}
