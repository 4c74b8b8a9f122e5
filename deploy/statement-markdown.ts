/** Markdown of the tables of the Conformance Statement. */

/** A table whose columns are padded, as oxfmt has them. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const escaped = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", String.raw`\|`)));
  const widths = head.map((_, column) => Math.max(3, ...escaped.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[], fill = " ") =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0, fill)).join(" | ")} |`;
  const [first = [], ...rest] = escaped;
  return [
    line(first),
    line(
      head.map(() => ""),
      "-",
    ),
    ...rest.map((row) => line(row)),
  ].join("\n");
}

/** Text in the type of programs. */
export function code(text: string): string {
  return `\`${text}\``;
}

/** A status or a reason as the standard writes it. */
export function hexadecimal(value: number): string {
  return `${value.toString(16).toUpperCase().padStart(4, "0")}H`;
}

/** A condition in words. */
export function yes(condition: boolean): string {
  return condition ? "yes" : "no";
}
