/**
 * Answers of the AdminService as JSON for scripts: the names of the proto in
 * lower camel case, 64-bit numbers as numbers where those are exact (versions
 * and sizes are) and else as text, durations in milliseconds, instants as text, enum
 * values by name in lower case.
 */
import {
  type DescEnum,
  type DescField,
  type DescMessage,
  isMessage,
  type Message,
} from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { DurationSchema, durationMs, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { showTime } from "./record-text.js";

/** A message as a JSON object, every field of it that is set or has a zero that tells something. */
export function adminJson(
  schema: DescMessage,
  message: Message,
): Readonly<Record<string, unknown>> {
  const reflected = reflect(schema, message);
  const json: Record<string, unknown> = {};
  for (const field of schema.fields) {
    if (field.fieldKind === "message" && !reflected.isSet(field)) continue;
    json[nameOf(field)] = fieldJson(field, reflected);
  }
  return json;
}

function nameOf(field: DescField): string {
  const isDuration = field.fieldKind === "message" && field.message === DurationSchema;
  return isDuration ? `${field.localName}Ms` : field.localName;
}

function fieldJson(field: DescField, reflected: ReflectMessage): unknown {
  switch (field.fieldKind) {
    case "scalar":
      return scalarJson(reflected.get(field));
    case "enum":
      return enumName(field.enum, Number(reflected.get(field)));
    case "message":
      return messageJson(field.message, reflected.get(field).message);
    case "list":
      return Array.from(reflected.get(field), (item) => itemJson(field, item));
    case "map":
      throw new TypeError(`${field.name} is a map, and no answer has one`);
  }
}

function itemJson(field: DescField & { fieldKind: "list" }, item: unknown): unknown {
  if (field.listKind === "message") {
    return messageJson(field.message, (item as ReflectMessage).message);
  }
  return field.listKind === "enum" ? enumName(field.enum, Number(item)) : scalarJson(item);
}

function messageJson(schema: DescMessage, message: Message): unknown {
  if (isMessage(message, TimestampSchema)) return showTime(message);
  if (isMessage(message, DurationSchema)) return durationMs(message);
  return adminJson(schema, message);
}

function scalarJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (typeof value !== "bigint") return value;
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
}

/** A value of an enum without the enum's own name: "serving". */
export function enumName(schema: DescEnum, value: number): string {
  const name = schema.value[value]?.localName ?? String(value);
  return name.toLowerCase();
}
