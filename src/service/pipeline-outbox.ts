/**
 * The results of a pipeline on their way out, and what it holds until they are there.
 *
 *     result -> message of results -> sent -> taken by the client: given back
 *
 * Results of one turn go out together; a message is longer than RESULT_MESSAGE_BYTES only
 * if one result alone is. What is held is counted here and in the server's memory alike.
 * Once the caller is gone nothing is added, sent or given back any more: the server has
 * taken back all that the stream held.
 */
import type { PipelineResponseSchema } from "../../gen/kvix/v1/kvix_pb.js";
import type { Clock } from "../host/host.js";
import type { ExchangeStream } from "../rpc/exchange.js";
import type { Message } from "./pipeline-operation.js";
import {
  PipelineResults,
  RESULT_OVERHEAD_BYTES_MAX,
  SET_RESULT_BYTES_MAX,
} from "./pipeline-results.js";

/** Results are sent at the end of the turn, or when there are so many bytes of them. */
const RESULT_MESSAGE_BYTES = 262_144;

/** The outgoing half of one pipeline. */
export class PipelineOutbox {
  readonly #stream: ExchangeStream<typeof PipelineResponseSchema>;
  readonly #clock: Pick<Clock, "soon">;
  readonly #onRoom: () => void;
  readonly #results = new PipelineResults();
  #heldBytes = 0;
  #isTurnAsked = false;
  #isGone = false;

  /** `onRoom` is called when results have left, and so there may be room for more. */
  constructor(
    stream: ExchangeStream<typeof PipelineResponseSchema>,
    clock: Pick<Clock, "soon">,
    onRoom: () => void,
  ) {
    this.#stream = stream;
    this.#clock = clock;
    this.#onRoom = onRoom;
    const leave = (): void => {
      this.#isGone = true;
    };
    if (stream.signal.aborted) leave();
    else stream.signal.addEventListener("abort", leave, { once: true });
  }

  /** The bytes of messages, operations and results on their way. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Nobody waits for results any more. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Counts what the server's memory has given already. */
  taken(bytes: number): void {
    this.#heldBytes += bytes;
  }

  /** Holds so much more, or less. */
  hold(bytes: number): void {
    if (this.#isGone) return;
    this.#heldBytes += bytes;
    if (bytes > 0) this.#stream.room.add(bytes);
    else this.#stream.room.give(-bytes);
  }

  /** The result of an operation of `message`: an answer, encoded. `costBytes` were held for it. */
  add(message: Message, index: number, field: number, answer: Uint8Array, costBytes: number): void {
    if (this.#isGone) return;
    const longest = answer.length + RESULT_OVERHEAD_BYTES_MAX;
    if (this.#results.bytes + longest > RESULT_MESSAGE_BYTES) this.flush();
    const { bytes, operations } = message;
    const idStart = operations.idStartOf(index);
    const idEnd = operations.idEndOf(index);
    const added = this.#results.add(bytes, idStart, idEnd, field, answer);
    this.#added(message, 1, added - costBytes);
  }

  /**
   * The results of the plain sets `first` to before `end` of `message`, which were applied:
   * the first with `version`, each other one with the next.
   */
  addSets(
    message: Message,
    first: number,
    end: number,
    version: number,
    storeVersion: number,
  ): void {
    if (this.#isGone || first === end) return;
    const { bytes, operations } = message;
    let added = 0;
    for (let index = first; index < end; index += 1) {
      if (this.#results.bytes + SET_RESULT_BYTES_MAX > RESULT_MESSAGE_BYTES) {
        this.hold(added);
        added = 0;
        this.flush();
      }
      const idStart = operations.idStartOf(index);
      const idEnd = operations.idEndOf(index);
      const own = version + index - first;
      added += this.#results.addSet(bytes, idStart, idEnd, own, storeVersion);
    }
    this.#added(message, end - first, added);
  }

  /** Sends what there is. */
  flush(): void {
    if (this.#results.isEmpty) return;
    const { bytes } = this.#results;
    this.#stream.write(this.#results.take(), () => {
      this.hold(-bytes);
      this.#onRoom();
    });
  }

  #added(message: Message, count: number, heldBytes: number): void {
    this.hold(heldBytes);
    message.unanswered -= count;
    if (message.unanswered === 0) this.hold(-message.costBytes);
    if (this.#isTurnAsked) return;
    this.#isTurnAsked = true;
    this.#clock.soon(() => {
      this.#isTurnAsked = false;
      if (this.#isGone) return;
      this.flush();
      this.#onRoom();
    });
  }
}
