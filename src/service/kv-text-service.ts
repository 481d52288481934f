/**
 * KvTextService: KvService for people. The wire bytes are the same, for
 * `string` and `bytes` share a wire type; so its requests are decoded with
 * KvService's messages, and the text is checked here, where the field can be
 * named (a decoder of `string` would only say that the message is bad).
 *
 * A key is text because it was asked for as text. A value in the store may be
 * anything: Get refuses one that is no text, other answers leave it out.
 */
import { isUtf8 } from "node:buffer";
import type { KvTextService } from "../../gen/kvix/v1/kvix_pb.js";
import type { HandlersOf } from "../rpc/calls.js";
import type { Carrier } from "./carrier.js";
import type { KvServiceContext } from "./kv-context.js";
import { kvHandlers } from "./kv-service.js";
import { fieldInvalid } from "./validation.js";

/** KvTextService carries UTF-8 only. */
const textCarrier: Carrier = {
  check: (field, bytes) => {
    if (!isUtf8(bytes)) throw fieldInvalid(field, "UTF-8; use KvService for other bytes");
  },
  carries: isUtf8,
};

/** The handlers of KvTextService; they take KvService's messages and give encoded answers. */
export function kvTextHandlers(context: KvServiceContext): HandlersOf<typeof KvTextService> {
  // The twins of a message differ in nothing but `string` for `bytes`, and requests are decoded
  // as the bytes twin (see serviceDefinition's codec); a test holds the twins together.
  return kvHandlers(context, textCarrier) as unknown as HandlersOf<typeof KvTextService>;
}
