/** The sending end of a call that takes a stream, which knows whether all of it is on its way. */
import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import type { ClientIntake } from "../rpc/client-intake.js";

/** What the parts of a stream are sent to. */
export class PartSender<Input extends DescMessage> {
  readonly #intake: ClientIntake<Input, DescMessage>;
  #isWhole = false;

  constructor(intake: ClientIntake<Input, DescMessage>) {
    this.#intake = intake;
  }

  /** Whether the last part was sent: before that the server does nothing. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** Whether the answer is there, and nothing more need be sent. */
  get isAnswered(): boolean {
    return this.#intake.isAnswered;
  }

  /** Resolves when the part is on its way, or the call is over. */
  async send(part: MessageInitShape<Input>): Promise<void> {
    await this.#intake.send(part);
  }

  /** The same for the part without which the server does nothing. */
  async sendLast(part: MessageInitShape<Input>): Promise<void> {
    this.#isWhole = true;
    await this.#intake.send(part);
  }
}
