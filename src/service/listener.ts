/**
 * The port: every address of a name, a bound on connections, and the end of all
 * of them. What is spoken on a connection is not its business.
 *
 * Invariant: there are never more than `connectionsMax` connections (V11); one
 * above is closed before a byte is read, so its client can try elsewhere.
 */
import { lookup } from "node:dns/promises";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { KvixError } from "../base/kvix-error.js";
import { errorCode } from "../host/file-system.js";
import type { Log } from "../host/host.js";
import type { ListenAddress } from "./server-options.js";

/** What a listener needs. */
export interface ListenerContext {
  readonly connectionsMax: number;
  readonly log: Log;
  /** Takes over a new connection. */
  readonly accept: (socket: Socket) => void;
}

/** A name may have an address of a family that this machine does not speak. */
const absentAddressCodes = ["EADDRNOTAVAIL", "EAFNOSUPPORT"];

/** One refused connection in so many is logged. */
const REFUSALS_PER_LOG_LINE = 1000;

/** "HOST:PORT", with brackets around an IPv6 address. */
export function formatAddress({ host, port }: ListenAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A port that is listened on. */
export class Listener {
  readonly #context: ListenerContext;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #waiters: (() => void)[] = [];
  #refused = 0;
  #address: ListenAddress = { host: "", port: 0 };

  private constructor(context: ListenerContext) {
    this.#context = context;
  }

  /**
   * Listens on all addresses of the host that this machine has. OPTION_INVALID
   * if one of them is taken, or there is none.
   */
  static async open(listen: ListenAddress, context: ListenerContext): Promise<Listener> {
    const listener = new Listener(context);
    let { port } = listen;
    let failure: unknown;
    for (const { address } of await addressesOf(listen)) {
      try {
        port = await listener.#listen(address, port);
      } catch (error) {
        failure = error;
        if (!absentAddressCodes.includes(errorCode(error) ?? "")) break;
      }
    }
    const isWhole = failure === undefined || absentAddressCodes.includes(errorCode(failure) ?? "");
    if (listener.#servers.length === 0 || !isWhole) {
      listener.close();
      throw cannotListen(listen, failure);
    }
    listener.#address = { host: listen.host, port };
    return listener;
  }

  /** The host that was asked for, with the real port. */
  get address(): ListenAddress {
    return this.#address;
  }

  /** How many connections there are. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Takes no more connections; those that are there stay. */
  close(): void {
    for (const server of this.#servers) server.close();
  }

  /** Resolves when there is no connection. */
  async whenEmpty(): Promise<void> {
    if (this.#sockets.size > 0) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Cuts every connection. */
  destroyConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #listen(host: string, port: number): Promise<number> {
    const server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port }, () => {
        server.off("error", reject);
        // Out of descriptors, or a connection that broke before it was taken: the next one may do.
        server.on("error", (error) => this.#context.log.warn({ err: error }, "accept failed"));
        this.#servers.push(server);
        resolve((server.address() as AddressInfo).port);
      });
    });
  }

  #accept(socket: Socket): void {
    const { connectionsMax, log, accept } = this.#context;
    if (this.#sockets.size >= connectionsMax) {
      socket.destroy();
      if (this.#refused++ % REFUSALS_PER_LOG_LINE === 0) {
        log.warn({ connectionsMax, refused: this.#refused }, "a connection was refused");
      }
      return;
    }
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) for (const wake of this.#waiters.splice(0)) wake();
    });
    accept(socket);
  }
}

async function addressesOf(listen: ListenAddress): Promise<{ address: string }[]> {
  try {
    return await lookup(listen.host, { all: true, verbatim: true });
  } catch (error) {
    throw cannotListen(listen, error);
  }
}

function cannotListen(listen: ListenAddress, cause: unknown): KvixError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const detail = `cannot listen on ${formatAddress(listen)}: ${why}`;
  return new KvixError("OPTION_INVALID", detail, { cause });
}
