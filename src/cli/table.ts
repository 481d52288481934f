/**
 * Small tables of text for a terminal: columns as wide as what is in them.
 * Cells are printable text; who has other text escapes it first.
 */

/** Which columns hold numbers and are set flush right. */
export type RightColumns = ReadonlySet<number>;

/** The table with its head, one line a row. */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: RightColumns = new Set(),
): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((row) => widthAt(row, column))));
  return lines.map((row) => `${formatRow(row, widths, right)}\n`).join("");
}

/** One row in columns of these widths; a longer cell takes the room it needs. */
export function formatRow(
  cells: readonly string[],
  widths: readonly number[],
  right: RightColumns = new Set(),
): string {
  const padded = cells.map((cell, column) => {
    const width = widths[column] ?? 0;
    return right.has(column) ? cell.padStart(width) : cell.padEnd(width);
  });
  return padded.join("  ").trimEnd();
}

function widthAt(row: readonly string[], column: number): number {
  return row[column]?.length ?? 0;
}

/** Names and values, one a line: "keys  17". */
export function formatPairs(pairs: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join("");
}
