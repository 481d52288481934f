/** Counts the calls that handlers answer, by rpc; an operation of a pipeline is a call of its rpc. */
import type { DescService } from "@bufbuild/protobuf";
import type { HandlersOf } from "../rpc/calls.js";

/** The calls of one rpc. */
export interface RpcCount {
  /** "package.Service/Method". */
  readonly method: string;
  /** Answered, errors included. */
  calls: number;
  errors: number;
}

type Handler = (...args: readonly unknown[]) => unknown;

/** The counts of a server's rpcs since it was started. */
export class RpcCounters {
  readonly #counts = new Map<string, RpcCount>();

  /** The counts, in the order in which the services were counted. */
  get all(): readonly RpcCount[] {
    return [...this.#counts.values()];
  }

  /** Begins to count a service, so that rpcs show before they are called. */
  declare(service: DescService): void {
    for (const method of Object.values(service.method)) this.#countOf(service, method.name);
  }

  /** The counts of a service's rpcs, by their local names, for whoever counts by itself. */
  countsOf<Service extends DescService>(
    service: Service,
  ): Readonly<Record<keyof Service["method"], RpcCount>> {
    const counts = Object.entries(service.method).map(
      ([localName, method]) => [localName, this.#countOf(service, method.name)] as const,
    );
    return Object.fromEntries(counts) as Record<keyof Service["method"], RpcCount>;
  }

  /** The same unary handlers, whose answers are counted. An exchange counts by itself. */
  counting<Service extends DescService>(
    service: Service,
    handlers: HandlersOf<Service>,
  ): HandlersOf<Service> {
    const counted: Record<string, unknown> = {};
    for (const [localName, method] of Object.entries(service.method)) {
      const count = this.#countOf(service, method.name);
      const handler: unknown = handlers[localName as keyof typeof handlers];
      // Each handler is wrapped in one that takes and gives the same.
      counted[localName] =
        typeof handler === "function" ? counting(handler as Handler, count) : handler;
    }
    return counted as HandlersOf<Service>;
  }

  #countOf(service: DescService, methodName: string): RpcCount {
    const name = `${service.typeName}/${methodName}`;
    const count = this.#counts.get(name) ?? { method: name, calls: 0, errors: 0 };
    this.#counts.set(name, count);
    return count;
  }
}

/** An answer that is there at once stays so: most reads are. */
function counting(handler: Handler, count: RpcCount): Handler {
  const failed = (error: unknown): never => {
    count.calls += 1;
    count.errors += 1;
    throw error;
  };
  const answered = (answer: unknown): unknown => {
    count.calls += 1;
    return answer;
  };
  return (...args) => {
    let answer: unknown;
    try {
      answer = handler(...args);
    } catch (error) {
      return failed(error);
    }
    return answer instanceof Promise ? answer.then(answered, failed) : answered(answer);
  };
}
