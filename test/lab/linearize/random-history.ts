/**
 * Small random histories of one key for the tests of the checker: what some clients of
 * a sound register were told, some of it then falsified.
 */
import type { SimRandom } from "../../support/sim-random.js";
import type { Answer, Condition, Operation, Shown } from "./history.js";

/** One register, at work. */
class SoundRegister {
  value: string | undefined;
  version = 0;
  #last = 0;

  apply(kind: Operation["kind"], value: string | undefined, condition?: Condition): Answer {
    const shown = this.value === undefined ? null : { value: this.value, version: this.version };
    const unwritten = { version: 0, shown, storeVersion: 0 };
    if (kind === "get") return { ...unwritten, applied: true };
    if (!this.#meets(condition)) return { ...unwritten, applied: false };
    if (kind === "delete" && shown === null) return { ...unwritten, applied: true };
    this.#last += 1;
    this.value = value;
    this.version = this.#last;
    return { ...unwritten, applied: true, version: this.#last };
  }

  #meets(condition: Condition | undefined): boolean {
    if (condition?.kind === "version") {
      return this.value !== undefined && this.version === condition.version;
    }
    return condition === undefined || (condition.kind === "absent") === (this.value === undefined);
  }
}

/**
 * What `count` operations of `clients` clients came to; linearizable. Of those that could
 * be lost, `lostShare` are.
 */
export function soundHistory(
  random: SimRandom,
  count: number,
  clients: number,
  lostShare = 0.15,
): Operation[] {
  const register = new SoundRegister();
  const operations: Operation[] = [];
  const busy = new Map<number, Pick<Operation, "kind" | "value" | "condition" | "calledAt">>();
  const answers = new Map<number, Answer>();
  for (let place = 0; operations.length < count; place += 1) {
    const client = random.below(clients);
    const under = busy.get(client);
    if (under === undefined) {
      const kind = random.pick(["get", "set", "set", "delete"] as const);
      const value = kind === "set" ? `#${place}` : undefined;
      const condition = kind === "get" ? undefined : conditionOf(random, register.version);
      busy.set(client, { kind, value, condition, calledAt: place });
    } else if (!answers.has(client)) {
      // A client that gives up before its operation took effect may never see it happen.
      const isLost = random.chance(lostShare);
      if (isLost) operations.push({ ...under, client, key: 0, endedAt: place, answer: undefined });
      if (isLost) busy.delete(client);
      else answers.set(client, register.apply(under.kind, under.value, under.condition));
    } else {
      const whole = answers.get(client) as Answer;
      const hidesShown = under.kind !== "get" && whole.applied && random.chance(0.5);
      const told = hidesShown ? { ...whole, shown: undefined } : whole;
      const answer = random.chance(lostShare) ? undefined : told;
      operations.push({ ...under, client, key: 0, endedAt: place, answer });
      busy.delete(client);
      answers.delete(client);
    }
  }
  // Those under way at the end may have happened.
  for (const [client, under] of busy) {
    operations.push({ ...under, client, key: 0, endedAt: under.calledAt + 1, answer: undefined });
  }
  return operations.filter(({ kind, answer }) => kind !== "get" || answer !== undefined);
}

function conditionOf(random: SimRandom, version: number): Condition | undefined {
  if (random.chance(0.4)) return undefined;
  const near = Math.max(1, version - random.below(2));
  return random.pick<Condition>([
    { kind: "absent" },
    { kind: "present" },
    { kind: "version", version: near },
  ]);
}

/** The same history with one lie in it, if it has an answer: perhaps still linearizable. */
export function falsified(random: SimRandom, operations: readonly Operation[]): Operation[] {
  const answered = operations.filter(({ answer }) => answer !== undefined);
  if (answered.length === 0) return [...operations];
  const lied = random.pick(answered);
  const answer = lieOf(random, lied, operations);
  const shift = random.chance(0.3) ? random.below(6) : 0;
  const calledAt = Math.max(0, lied.calledAt - shift);
  return operations.map((each) => (each === lied ? { ...each, calledAt, answer } : each));
}

function lieOf(
  random: SimRandom,
  { kind, answer }: Operation,
  operations: readonly Operation[],
): Answer {
  const told = answer as Answer;
  const shown = told.shown === undefined ? undefined : shownOf(random, operations);
  const version = Math.max(1, told.version + random.below(5) - 2);
  return random.pick<Answer>([
    { ...told, shown },
    { ...told, version: told.version === 0 ? 0 : version },
    { ...told, applied: kind === "get" || !told.applied, version: kind === "get" ? 0 : version },
  ]);
}

function shownOf(random: SimRandom, operations: readonly Operation[]): Shown | null {
  const values = operations.flatMap(({ value }) => (value === undefined ? [] : [value]));
  if (values.length === 0 || random.chance(0.3)) return null;
  return { value: random.pick(values), version: 1 + random.below(5) };
}
