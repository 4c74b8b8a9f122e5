/** Entity tags (RFC 9110 8.8.3), and how long what they tag may be kept. */
import { createHash } from "node:crypto";

/**
 * Whoever keeps an answer asks each time whether it is still right: an instance may be removed, or replaced under the
 * same UIDs. What is named and how it is wrapped change with Accept.
 */
export const revalidated = { "Cache-Control": "private, no-cache", Vary: "Accept" } as const;

/** A strong tag: the same bytes in the same media type. `parts` tell what of the instance is sent, and as what. */
export function strongEtag(sha256: Buffer, ...parts: readonly (string | number)[]): string {
  return `"${parts.length === 0 ? sha256.toString("hex") : digest([sha256.toString("hex"), ...parts])}"`;
}

/** A weak tag: the same content, whatever the bytes (a boundary, a compression) that carry it. */
export function weakEtag(...parts: readonly (string | number)[]): string {
  return `W/"${digest(parts)}"`;
}

function digest(parts: readonly (string | number)[]): string {
  return createHash("sha256").update(parts.join("\n")).digest("base64url").slice(0, 27);
}
