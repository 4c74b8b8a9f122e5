/** Memory of its own for bytes that are kept. */

/**
 * The bytes of `parts`, copied into memory that nothing else shares. Node cuts small buffers out of blocks of 64 KiB: one
 * that is kept keeps its block, which is two thousand times a SHA-256.
 */
export function inOwnMemory(...parts: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.allocUnsafeSlow(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.byteLength;
  }
  return bytes;
}
