/**
 * Generated sections of the documents. A section lies between two lines,
 *
 *     <!-- generated: NAME -->
 *     <!-- end -->
 *
 * and is written by a program, never by hand; a test holds page and program
 * together.
 */

/** What lies in the section of that name; undefined if the page has no such section. */
export function readSection(page: string, name: string): string | undefined {
  const bounds = findSection(page, name);
  return bounds === undefined ? undefined : page.slice(bounds.start, bounds.end);
}

/** The page with the section's content replaced. Throws if the page has no such section. */
export function replaceSection(page: string, name: string, content: string): string {
  const bounds = findSection(page, name);
  if (bounds === undefined) throw new Error(`the page has no section ${name}`);
  return page.slice(0, bounds.start) + content + page.slice(bounds.end);
}

/** A table in Markdown; a bar inside a cell is escaped. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
  return `${line(head)}|${"---|".repeat(head.length)}\n${rows.map(line).join("")}`;
}

function findSection(page: string, name: string): { start: number; end: number } | undefined {
  const opening = `<!-- generated: ${name} -->\n`;
  const at = page.indexOf(opening);
  if (at === -1) return undefined;
  const start = at + opening.length;
  const end = page.indexOf("<!-- end -->", start);
  return end === -1 ? undefined : { start, end };
}
