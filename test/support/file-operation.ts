/** The operations of the file system seam, by name: what hooks and injectors are told. */

/** Operations that change what is on the disk, or what of it is durable. */
export const mutatingOperations = [
  "create",
  "makeDirectory",
  "rename",
  "link",
  "remove",
  "syncDirectory",
  "write",
  "syncData",
  "truncate",
] as const;

/** Operations that change neither. `lock` makes a file at most, once. */
export const readingOperations = [
  "open",
  "list",
  "freeBytes",
  "lock",
  "release",
  "size",
  "read",
  "close",
] as const;

export type MutatingOperation = (typeof mutatingOperations)[number];
export type FileOperation = MutatingOperation | (typeof readingOperations)[number];

const mutating: ReadonlySet<FileOperation> = new Set(mutatingOperations);

export function isMutating(operation: FileOperation): operation is MutatingOperation {
  return mutating.has(operation);
}

/** What an operation says of itself beside its name and path. */
export interface OperationDetails {
  /** Of a rename or a link: the new path. */
  readonly target?: string;
  /** Of a read, a write or a truncation. */
  readonly position?: number;
  /** Of a read or a write: bytes asked for. */
  readonly lengthBytes?: number;
}

/** An operation about to happen. */
export interface OperationFacts extends OperationDetails {
  readonly op: FileOperation;
  /** Of a rename or a link: the path that exists. */
  readonly path: string;
  /** Counts from 0, mutating operations and others apart: see `isMutating`. */
  readonly index: number;
}
