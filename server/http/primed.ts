/** Bodies whose first chunk is read before they are sent: what cannot be read then still has a status. */

/** A body that can be given up, begun or not. */
export interface PrimedBody<Chunk> extends AsyncIterableIterator<Chunk, undefined, undefined> {
  return(): Promise<IteratorResult<Chunk, undefined>>;
}

/**
 * Reads the first chunk of `source`, and gives a body that begins with it. Whoever does not read the body to its end
 * calls `return`, which closes the source (a generator that was never begun would keep it open).
 * @throws what the source throws before its first chunk
 */
export async function primed<Chunk>(source: AsyncIterable<Chunk>): Promise<PrimedBody<Chunk>> {
  const iterator = source[Symbol.asyncIterator]();
  let waiting: IteratorResult<Chunk> | undefined = await iterator.next();
  const body: PrimedBody<Chunk> = {
    async next() {
      const result = waiting ?? (await iterator.next());
      waiting = undefined;
      return result.done === true ? { done: true, value: undefined } : result;
    },
    async return() {
      waiting = undefined;
      await iterator.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => body,
  };
  return body;
}
