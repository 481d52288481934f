/**
 * grpc.health.v1: which services an orchestrator may send calls to.
 *
 *     state                  ""           each service   kvix.write
 *     starting, draining     NOT_SERVING  NOT_SERVING    NOT_SERVING
 *     serving, degraded      SERVING      SERVING        SERVING
 *     full, latched          SERVING      SERVING        NOT_SERVING
 *
 * A store that takes no writes goes on answering reads, so it is kept in the
 * pool, as its peers do; who needs to write asks for "kvix.write", which is a
 * name for this question and no service. Damage alone takes nothing out: only
 * the damaged records fail. GetStatus says why.
 */
import { create } from "@bufbuild/protobuf";
import {
  type Health,
  type HealthCheckResponse,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../gen/grpc/health/v1/health_pb.js";
import { StatusCode } from "../base/error-catalogue.js";
import type { HandlersOf } from "../rpc/calls.js";
import { ForeignStatus } from "../rpc/status.js";
import type { ServerLife, ServerState } from "./server-life.js";

/** The name under which readiness for writes is asked for. */
export const WRITE_READINESS = "kvix.write";
/** The name of the server as a whole. */
const WHOLE_SERVER = "";

const readStates: readonly ServerState[] = ["serving", "degraded", "full", "latched"];
const writeStates: readonly ServerState[] = ["serving", "degraded"];

/** Whether a server in this state is SERVING under a name; docs/api.md has the table. */
export function isServing(state: ServerState, name: string): boolean {
  return (name === WRITE_READINESS ? writeStates : readStates).includes(state);
}

/** The handlers of Health; `services` are the names of all services of the server. */
export function healthHandlers(
  life: ServerLife,
  services: readonly string[],
): HandlersOf<typeof Health> {
  const names = [WHOLE_SERVER, WRITE_READINESS, ...services];
  const statusOf = (name: string): ServingStatus =>
    isServing(life.status().state, name) ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  return {
    check: ({ service }) => {
      if (names.includes(service)) return answer(statusOf(service));
      throw new ForeignStatus(StatusCode.NOT_FOUND, "this server has no such service");
    },

    list: () => ({
      $typeName: "grpc.health.v1.HealthListResponse",
      statuses: Object.fromEntries(names.map((name) => [name, answer(statusOf(name))])),
    }),

    watch: async function* ({ service }, { signal }) {
      const isKnown = names.includes(service);
      let told: ServingStatus | undefined;
      while (!signal.aborted) {
        const status = isKnown ? statusOf(service) : ServingStatus.SERVICE_UNKNOWN;
        const changed = nextChange(life, signal);
        if (status !== told) yield answer(status);
        told = status;
        await changed;
      }
    },
  };
}

function answer(status: ServingStatus): HealthCheckResponse {
  return create(HealthCheckResponseSchema, { status });
}

/** Resolves when the state may have changed, or at the end. */
function nextChange(life: ServerLife, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      forget();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const forget = life.onChange(done);
    signal.addEventListener("abort", done);
  });
}
