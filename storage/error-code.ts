/** The code of what the system or PostgreSQL says when something fails. */

/** Such as ENOENT or 23505; empty for anything that has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}
