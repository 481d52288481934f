/**
 * One call on its way: what it holds, what it waits for, and when its time is
 * up. See call-gate.ts for the way.
 *
 *     receiving -> received -> answering -> closed
 *
 * It waits at most once at a time: for its request, or for its answer. The answers of a
 * report come one at a time, and each counts until the next one goes out.
 */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { ServerInterceptingCallInterface } from "@grpc/grpc-js";
import { KvixError } from "../base/kvix-error.js";
import { toCallStatus } from "../rpc/status.js";
import { type Account, type Admission, Hold, largeBytes, SMALL_BYTES_MAX } from "./admission.js";
import { AdmittedRoom } from "./admitted-room.js";
import { dropEndlessTimeout, requireMetadata } from "./call-headers.js";
import { MessageMeter } from "./message-meter.js";

/** What every call is held to. */
export interface CallLimits {
  readonly admissionTimeoutMs: number;
  readonly messageTimeoutMs: number;
  readonly metadataBytesMax: number;
  /** Longer requests are refused by grpc-js as soon as it knows their length. */
  readonly receiveBytesMax: number;
}

/**
 * The memory for requests and that for answers. They are apart so that nobody who
 * holds the one while it waits for the other can be waited for in turn.
 */
export interface Rooms {
  readonly requests: Admission;
  readonly answers: Admission;
}

/** What a connection holds of both. */
export interface Accounts {
  readonly requests: Account;
  readonly answers: Account;
}

/** What a call takes beside its messages: a stream, its metadata, grpc-js's objects. */
const CALL_BYTES = 4096;
/** What a status that is not out counts as. */
const STATUS_BYTES = 1;
/** The most that deflate makes of one byte. */
const INFLATION_MAX = 1032;
/** A message has its timeout, and a second more for each so many bytes. */
const BYTES_PER_SECOND = 1_048_576;
const MS_PER_SECOND = 1000;

/** A call and its stream. */
export class GatedCall {
  /** Whether its requests are a stream. */
  isConversation = false;
  /** Of a stream in both directions: what its handler has at hand. */
  room: AdmittedRoom | undefined;
  /** Whether one request is answered with a stream. */
  isReport = false;
  /** Whether they are, and have one answer: then each is read when the handler asks for it. */
  isIntake = false;
  readonly #stream: ServerHttp2Stream;
  readonly #rooms: Rooms;
  readonly #limits: CallLimits;
  /** What it holds and waits for as a request, and as an answer. */
  readonly #request: Hold;
  readonly #answer: Hold;
  readonly #meter = new MessageMeter((length, packed) => this.#onRequest(length, packed));
  #call: ServerInterceptingCallInterface | undefined;
  /** Why the call is refused before it begins. */
  #refusal: KvixError | undefined;
  /** Nobody reads the request any more. */
  #isOver = false;
  /** Its stream is closed: it has given back all, and nobody would give back what it took now. */
  #isClosed = false;
  /** Since when the request is arriving. */
  #sinceMs: number;
  /** Since when the call was seen to wait; 0: it does not. */
  #waitingSinceMs = 0;
  #requestBytes = 0;
  #heldForRequest = 0;
  /** Of a stream with a room: what is held for each message that was not handed over, in order. */
  readonly #requestHolds: number[] = [];
  /** Of an intake: whether its handler waits for a request, and whether it was given the first. */
  #isAsked = false;
  #isUnderWay = false;
  /** The length of a request that begins to arrive before it is asked for; 0: none does. */
  #waitingLength = 0;
  /** How many had begun to arrive when it was last looked at. */
  #begun = 0;
  #heldForAnswer = 0;
  #isPacked = false;
  /** What was not taken when it was last looked at, and since when. */
  #unsentBytes = 0;
  #unsentSinceMs = 0;
  #wasFinished = false;
  readonly #answersAccount: Account;

  constructor(
    stream: ServerHttp2Stream,
    accounts: Accounts,
    rooms: Rooms,
    limits: CallLimits,
    startedMs: number,
  ) {
    this.#stream = stream;
    this.#rooms = rooms;
    this.#limits = limits;
    this.#request = new Hold(accounts.requests);
    this.#answer = new Hold(accounts.answers);
    this.#answersAccount = accounts.answers;
    this.#sinceMs = startedMs;
  }

  /** Takes what every call takes, and listens to its bytes. */
  watch(headers: IncomingHttpHeaders): void {
    dropEndlessTimeout(headers);
    const encoding = headers["grpc-encoding"];
    this.#isPacked = encoding !== undefined && encoding !== "identity";
    try {
      requireMetadata(headers, this.#limits.metadataBytesMax);
      this.#rooms.requests.takeSmall(this.#request, CALL_BYTES);
      this.#stream.on("data", (chunk: Buffer) => this.#meter.take(chunk));
    } catch (error) {
      this.#refusal = error as KvixError;
    }
  }

  /** False: the call was refused, and goes no further. */
  begin(call: ServerInterceptingCallInterface): boolean {
    this.#call = call;
    if (this.#refusal === undefined) return true;
    this.#refuse(this.#refusal);
    return false;
  }

  /**
   * Calls `go` when the request may be read. A compressed one has to wait here:
   * its bytes would be inflated as they come.
   */
  whenReadable(go: () => void): void {
    if (!this.#isPacked) {
      go();
      return;
    }
    const bytes = 2 * this.#limits.receiveBytesMax;
    this.#requestRoom(bytes, () => {
      this.#heldForRequest = bytes;
      go();
    });
  }

  /** Calls `go` when there is room for the answer, and for the record that it is made of. */
  whenAnswerable(answerBytes: number, go: () => void): void {
    const bytes = 2 * answerBytes;
    const enter = () => {
      this.#heldForAnswer = bytes;
      go();
    };
    try {
      if (this.#rooms.answers.takeLarge(this.#answer, bytes, "received", enter)) enter();
    } catch (error) {
      this.#refuse(error as KvixError);
    }
  }

  /** Its requests and its answers are streams: each request is held back until it is asked for. */
  openRoom(): AdmittedRoom {
    this.room = new AdmittedRoom(this.#rooms.answers, this.#answersAccount);
    return this.room;
  }

  /** A message was given to the handler of a stream, which holds it from here on. */
  handedOver(): void {
    const bytes = this.#requestHolds.shift() ?? 0;
    if (bytes > 0) this.#holdForRequest(this.#heldForRequest - bytes);
  }

  /** An answer goes out; or is made too late, when its caller is gone. */
  answered(answerBytes: number): void {
    if (this.#isClosed) return;
    if (this.isReport) {
      // The one before it is on its way, or it would not be made (rpc/calls.ts).
      this.#rooms.answers.addSmall(this.#answer, -this.#answer.smallBytes);
      if (answerBytes <= SMALL_BYTES_MAX && this.#heldForAnswer > 0) {
        this.#rooms.answers.adjust(this.#answer, -this.#heldForAnswer);
        this.#heldForAnswer = 0;
      }
    }
    if (this.#heldForAnswer === 0 && answerBytes <= SMALL_BYTES_MAX) {
      if (answerBytes > CALL_BYTES) this.#rooms.answers.addSmall(this.#answer, answerBytes);
      return;
    }
    // What could not be foreseen is there already.
    this.#rooms.answers.adjust(this.#answer, answerBytes - this.#heldForAnswer);
    this.#heldForAnswer = answerBytes;
  }

  /** The handler of an intake wants the next request, and so is done with the one before. */
  ask(): void {
    this.#isAsked = true;
    // A compressed one keeps its room, for each of its messages may need it.
    if (this.isIntake && !this.#isPacked && this.#waitingLength === 0) this.#holdForRequest(0);
  }

  /** To be called when it was asked for: from here on the stream is read. */
  asked(): void {
    const length = this.#waitingLength;
    this.#waitingLength = 0;
    if (length > 0) this.#takeRequest(length);
  }

  /** A request, or the end of them, goes to the handler. */
  hand(): void {
    this.#isAsked = false;
    this.#isUnderWay = this.isIntake;
  }

  /** The caller gave up. */
  leave(): void {
    this.#rooms.requests.leave(this.#request);
    this.#rooms.answers.leave(this.#answer);
  }

  refuseIfWaiting(error: KvixError): void {
    if (this.#isWaiting) this.#refuse(error);
    this.room?.refuse(error);
  }

  /** Nobody reads the request: what comes is dropped, and the client asked to stop. */
  abandon(): void {
    this.#isOver = true;
    this.#stream.resume();
  }

  /** The stream is closed. */
  close(): void {
    this.#isClosed = true;
    this.#rooms.requests.release(this.#request);
    this.#rooms.answers.release(this.#answer);
    this.room?.close();
  }

  /** Ends the call if its time is up. True: its client was too slow. */
  look(nowMs: number): boolean {
    if (this.#isWaiting) {
      // Its client is not to blame for the time it waits.
      this.#sinceMs = nowMs;
      if (this.#waitingSinceMs === 0) this.#waitingSinceMs = nowMs;
      const waitedMs = nowMs - this.#waitingSinceMs;
      // What was let in is not turned away in the middle.
      if (!this.#isUnderWay && waitedMs > this.#limits.admissionTimeoutMs) {
        this.#refuse(this.#rooms.requests.overloaded());
      }
      return false;
    }
    this.#waitingSinceMs = 0;
    this.room?.look(nowMs, this.#limits.admissionTimeoutMs);
    return this.#lookAtRequest(nowMs) || this.#lookAtAnswer(nowMs);
  }

  get #isWaiting(): boolean {
    return this.#request.place !== undefined || this.#answer.place !== undefined;
  }

  #lookAtRequest(nowMs: number): boolean {
    const stream = this.#stream;
    if (stream.writableFinished) {
      // The answer is out with its status, and the client has still not ended its request.
      const isUnended = this.#isStatusOut && !stream.readableEnded;
      if (this.#wasFinished && isUnended) stream.close(constants.NGHTTP2_NO_ERROR);
      this.#wasFinished = true;
      return false;
    }
    if (this.#isOver) return false;
    // What follows a message that nobody has asked for yet is not read.
    if (this.room?.isHolding === true) this.#sinceMs = nowMs;
    // An intake has the time of a request for each of its requests, while it is asked for.
    const goesOn = this.isIntake && this.#meter.messages !== this.#begun;
    this.#begun = this.#meter.messages;
    if (goesOn || this.#isReceived) {
      this.#sinceMs = nowMs;
      return false;
    }
    const dueMs = this.#sinceMs + this.#timeoutMs(this.#requestBytes);
    if (nowMs <= dueMs) return false;
    this.#refuse(new KvixError("REQUEST_TOO_SLOW"));
    return true;
  }

  get #isReceived(): boolean {
    if (this.isIntake) return !this.#isAsked;
    if (this.isConversation) return !this.#meter.isInside;
    return this.#meter.messages > 0 && !this.#meter.isInside;
  }

  #lookAtAnswer(nowMs: number): boolean {
    const isStatusHeldUp = this.#stream.writableFinished && !this.#isStatusOut;
    const unsentBytes = isStatusHeldUp ? STATUS_BYTES : this.#stream.writableLength;
    if (unsentBytes === 0 || unsentBytes !== this.#unsentBytes) {
      this.#unsentBytes = unsentBytes;
      this.#unsentSinceMs = nowMs;
      return false;
    }
    if (nowMs - this.#unsentSinceMs <= this.#timeoutMs(unsentBytes)) return false;
    // A status would queue behind the answer that is not taken.
    this.#stream.close(constants.NGHTTP2_CANCEL);
    return true;
  }

  /** A status goes out behind all that the connection has to carry before it. */
  get #isStatusOut(): boolean {
    return this.#stream.state.localClose === 1;
  }

  #timeoutMs(bytes: number): number {
    return this.#limits.messageTimeoutMs + (bytes / BYTES_PER_SECOND) * MS_PER_SECOND;
  }

  /** A request has begun: from here on its length is known. */
  #onRequest(lengthBytes: number, isPacked: boolean): void {
    this.#requestBytes = lengthBytes;
    const isRefusedByGrpc = lengthBytes > this.#limits.receiveBytesMax;
    if (isRefusedByGrpc || this.#isOver || this.#stream.writableEnded) return;
    if (this.#isPacked) {
      // Room was made for the largest before anything was known. A conversation keeps it.
      const inflated = Math.min(this.#limits.receiveBytesMax, lengthBytes * INFLATION_MAX);
      if (!this.isConversation) this.#holdForRequest(2 * (isPacked ? inflated : lengthBytes));
      return;
    }
    // Only when the handler asks is it known that the one before is done with, and that the call is wanted.
    if (this.isIntake && this.#meter.messages > 1 && !this.#isAsked) {
      this.#waitingLength = lengthBytes;
      return;
    }
    this.#takeRequest(lengthBytes);
  }

  #takeRequest(lengthBytes: number): void {
    if (this.room !== undefined) this.#requestHolds.push(largeBytes(lengthBytes));
    // The request before this one was answered, or waits in grpc-js's queue of one.
    else if (this.isConversation && this.#heldForRequest > 0) this.#holdForRequest(0);
    if (largeBytes(lengthBytes) === 0) this.#takeSmall(lengthBytes);
    else this.#takeLarge(largeBytes(lengthBytes));
  }

  #takeSmall(bytes: number): void {
    // A conversation's small messages follow one another; grpc-js holds one at a time.
    if (this.isConversation) return;
    try {
      this.#rooms.requests.takeSmall(this.#request, bytes);
    } catch (error) {
      this.#refuse(error as KvixError);
    }
  }

  #takeLarge(bytes: number): void {
    this.#requestRoom(bytes, () => {
      this.#heldForRequest += bytes;
      this.#stream.resume();
    });
    if (this.#request.place !== undefined) this.#stream.pause();
  }

  #holdForRequest(bytes: number): void {
    this.#rooms.requests.adjust(this.#request, bytes - this.#heldForRequest);
    this.#heldForRequest = bytes;
  }

  #requestRoom(bytes: number, go: () => void): void {
    try {
      const arrival = this.#isUnderWay ? "under way" : "arriving";
      if (this.#rooms.requests.takeLarge(this.#request, bytes, arrival, go)) go();
    } catch (error) {
      this.#refuse(error as KvixError);
    }
  }

  #refuse(error: KvixError): void {
    this.leave();
    this.#isOver = true;
    // Whoever has answers to give gives them first; until then nothing more is read.
    if (this.room?.stop(error) === true) return;
    this.#call?.sendStatus(toCallStatus(error));
    // What the client has sent or will send is nobody's any more.
    this.#stream.resume();
  }
}
