/**
 * Changes of the manifest by those who run a store: the log, compactions, and
 * whoever finds damage. What is known to be damaged goes along with every change.
 *
 * A change that failed before anything was synced left the old manifest standing,
 * and is told as NO_SPACE or WRITE_FAILED. After any later failure nobody knows
 * which of the two a power cut would show, and the latch closes.
 */
import type { Manifest } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import type { Host } from "../host/host.js";
import { type ManifestFile, ManifestUncertainError } from "../storage/manifest-file.js";
import type { DamageRegister } from "./damage.js";
import { type DiskSpace, isDiskFull } from "./disk-space.js";
import type { Latch } from "./latch.js";

/** What the keeper works with. */
export interface ManifestKeeperContext {
  readonly host: Host;
  readonly manifest: ManifestFile;
  readonly latch: Latch;
  readonly damage: DamageRegister;
  readonly space: DiskSpace;
}

/** Changes the manifest of an open store. */
export class ManifestKeeper {
  readonly #context: ManifestKeeperContext;
  #savingDamage: Promise<void> | undefined;
  /** Whether the session has begun: before that nothing is changed but to begin it. */
  hasBegun = false;
  #isClosed = false;

  constructor(context: ManifestKeeperContext) {
    this.#context = context;
  }

  /** Makes `edit` of the manifest durable. Throws NO_SPACE, WRITE_FAILED, STORE_READ_ONLY. */
  async change(edit: (draft: Manifest) => void): Promise<void> {
    const { manifest, latch, damage, space } = this.#context;
    if (this.#isClosed) throw new KvixError("STORE_CLOSING");
    if (latch.isClosed) throw latch.readOnly();
    let saved = 0;
    try {
      await manifest.change((draft) => {
        edit(draft);
        this.#putDamage(draft);
        saved = damage.changes;
      });
    } catch (cause) {
      if (!(cause instanceof ManifestUncertainError)) throw await writeFailure(cause, space);
      latch.close("a change of the manifest failed", cause);
      throw latch.readOnly();
    }
    damage.markSaved(saved);
  }

  /** Puts damage that a read has found into the manifest; only once the session has begun. */
  saveDamageSoon(): void {
    const { damage, latch, host } = this.#context;
    if (!this.hasBegun || this.#isClosed || latch.isClosed) return;
    if (this.#savingDamage !== undefined) return;
    this.#savingDamage = (async () => {
      while (damage.hasUnsaved) await this.change(() => undefined);
    })()
      .catch((err: unknown) => host.log.warn({ err }, "damage could not be remembered yet"))
      .finally(() => {
        this.#savingDamage = undefined;
      });
  }

  /** Resolves when no damage is being saved. */
  async idle(): Promise<void> {
    await this.#savingDamage;
  }

  /** Finishes what is being saved, and changes nothing more: the locks go, and others may open the store. */
  async close(): Promise<void> {
    while (this.#savingDamage !== undefined) await this.#savingDamage;
    this.#isClosed = true;
  }

  #putDamage(draft: Manifest): void {
    const { damage } = this.#context;
    if (!damage.hasUnsaved) return;
    draft.damagedRanges = damage.toMessages();
    // A change that cannot be read can never be told to a watcher.
    for (const { versions } of draft.damagedRanges) {
      if (versions !== undefined && versions.last > draft.historyFloor) {
        draft.historyFloor = versions.last;
      }
    }
  }
}

/** What a refused write is to those who asked for it; a full disk gives its reserve back. */
export async function writeFailure(cause: unknown, space: DiskSpace): Promise<KvixError> {
  if (cause instanceof KvixError) return cause;
  if (!isDiskFull(cause)) return new KvixError("WRITE_FAILED", "", { cause });
  await space.exhausted().catch(() => undefined);
  return new KvixError("NO_SPACE", "", { cause });
}
