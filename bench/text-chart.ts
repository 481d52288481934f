/** A series of figures as a chart of characters. */

/** Rows of a chart: enough to see a trend, few enough for two charts on a terminal. */
const rows = 6;
/** Eighths of a character, from none to full. */
const blocks = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;

/** A chart with one column for each figure, from `lowest` at its foot to the largest of them. */
export function textChart(title: string, figures: readonly number[], lowest: number): string {
  const highest = Math.max(...figures, lowest + 0.01);
  const lines = Array.from({ length: rows }, (_, index) => {
    const row = rows - 1 - index;
    const label = row === rows - 1 ? highest.toFixed(2) : row === 0 ? lowest.toFixed(2) : "";
    const cells = figures.map((figure) => {
      const height = ((figure - lowest) / (highest - lowest)) * rows - row;
      return blocks[Math.round(Math.min(1, Math.max(0, height)) * (blocks.length - 1))];
    });
    return `${label.padStart(6)} |${cells.join("")}`;
  });
  return [title, ...lines].join("\n");
}
