/**
 * A TCP proxy between clients and server that breaks what real networks break: each
 * connection has a delay of its own each way, and any can be cut in the midst of what
 * it carries, so that an answer is lost though its write happened.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { SimRandom } from "../../support/sim-random.js";

const delayMsMax = 6;

/** Listens on a free port of the loopback until it is closed. */
export class CuttingProxy {
  readonly #server: Server;
  readonly #links = new Set<Socket>();
  readonly #random: SimRandom;

  private constructor(target: string, random: SimRandom) {
    this.#random = random;
    const [host = "", port] = target.split(":");
    this.#server = createServer({ noDelay: true }, (client) => {
      const server = connect({ host, port: Number(port), noDelay: true });
      this.#links.add(client);
      client.once("close", () => this.#links.delete(client));
      this.#carry(client, server);
      this.#carry(server, client);
    });
  }

  /** `target`: "HOST:PORT". */
  static async start(target: string, random: SimRandom): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target, random);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  /** "HOST:PORT". */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resets one connection, if there is any. */
  cut(): boolean {
    const links = [...this.#links];
    if (links.length === 0) return false;
    this.#random.pick(links).destroy();
    return true;
  }

  /** Ends it and all that it carries. */
  close(): void {
    this.#server.close();
    for (const link of this.#links) link.destroy();
  }

  #carry(from: Socket, to: Socket): void {
    const delayMs = this.#random.below(delayMsMax + 1);
    from.on("data", (piece) => setTimeout(() => to.write(piece), delayMs));
    from.on("end", () => setTimeout(() => to.end(), delayMs));
    from.on("error", () => to.destroy());
    // What was read before a cut still arrives: the network had it.
    from.on("close", () => setTimeout(() => to.destroy(), delayMs));
  }
}
