/**
 * The limits of the contract. Outside one of them a request is refused with
 * the reason that names it; nothing is clamped. The bytes on disk hold them
 * too, so raising one is a new format version.
 */

/** The longest key, in bytes; the shortest is one byte. */
export const KEY_BYTES_MAX = 65_535;

/** The longest value, in bytes (100 MiB); the shortest is empty. */
export const VALUE_BYTES_MAX = 104_857_600;

/** The last version a store can give; versions start at 1. An index entry keeps 48 bits. */
export const VERSION_MAX = 2 ** 48 - 1;

/** The largest segment id; the smallest is 0. Ids return to use, so this bounds live segments. */
export const SEGMENT_ID_MAX = 65_535;

/** The last instant an expiry or update time can name, in Unix ms: the end of the year 9999. */
export const EXPIRES_AT_MS_MAX = 253_402_300_799_999;

/** The most mutations one atomic batch may have. */
export const BATCH_MUTATIONS_MAX = 10_000;

/** The largest payload of a batch's frame, in bytes (128 MiB): any one record fits with room. */
export const BATCH_BYTES_MAX = 134_217_728;

/** The shortest id of a request, in bytes: that of a UUID. */
export const REQUEST_ID_BYTES_MIN = 16;

/** The longest id of a request, in bytes. */
export const REQUEST_ID_BYTES_MAX = 64;

/** The length of a store's id, in bytes. */
export const STORE_ID_BYTES = 16;

/** The most records of a page of List. */
export const PAGE_RECORDS_MAX = 10_000;

/** How many records a page has at most if nobody says. */
export const PAGE_RECORDS_DEFAULT = 1_000;

/** The most bytes of a page (4 MiB): what every gRPC client takes. */
export const PAGE_BYTES_MAX = 4_194_304;

/** The most keys of a BatchGet. */
export const BATCH_KEYS_MAX = 10_000;

/** The most records that one DeleteRange removes. */
export const RANGE_DELETES_MAX = 10_000;
