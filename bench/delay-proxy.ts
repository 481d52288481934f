/**
 * A program: a TCP proxy that makes a round trip longer and does nothing else.
 * Every piece goes on so many milliseconds after it came, in order; any number of
 * pieces may be on their way.
 *
 *     node dist/bench/delay-proxy.js TARGET_PORT ONE_WAY_MS      prints its own port
 */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

const [targetPort, oneWayMs] = process.argv.slice(2).map(Number);

const server = createServer({ noDelay: true }, (client) => {
  const target = connect({ host: "127.0.0.1", port: targetPort ?? 0, noDelay: true });
  carry(client, target);
  carry(target, client);
});

function carry(from: Socket, to: Socket): void {
  from.on("data", (piece) => setTimeout(() => to.write(piece), oneWayMs));
  from.on("end", () => setTimeout(() => to.end(), oneWayMs));
  from.on("error", () => to.destroy());
  from.on("close", () => setTimeout(() => to.destroy(), oneWayMs));
}

server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
