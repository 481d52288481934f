/** The measures of a hash partition: blocks of slots of two words, hash and entry number + 1. */

/** Slots of a block. */
export const SLOTS_PER_BLOCK = 128;
/** 32-bit words of a block. */
export const BLOCK_WORDS = 2 * SLOTS_PER_BLOCK;
/** Bytes of a block. */
export const BLOCK_BYTES = 4 * BLOCK_WORDS;
/** The most blocks of a partition. */
export const PARTITION_BLOCKS_MAX = 24;
/** Entries that a block may hold on the average: 90 % of its slots. */
export const ENTRIES_PER_BLOCK = 115;
/** Entries of one hash that a partition takes; chance does not bring three. */
export const EQUAL_HASHES_MAX = 16;
