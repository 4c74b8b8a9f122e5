/** Iterates until a signal aborts, also in the middle of the wait for the next value. */

/**
 * The values of `values`; none any more as soon as `signal` aborts, whatever the next one takes. What was being waited for
 * is let go.
 */
export async function* untilAborted<Value>(
  values: AsyncIterable<Value>,
  signal: AbortSignal,
): AsyncGenerator<Value, void, undefined> {
  const iterator = values[Symbol.asyncIterator]();
  const waiting: { stop?: () => void } = {};
  const onAbort = () => waiting.stop?.();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    while (!signal.aborted) {
      const next = await new Promise<IteratorResult<Value>>((resolve, reject) => {
        waiting.stop = () => resolve({ done: true, value: undefined });
        iterator.next().then(resolve, reject);
      });
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    // It ends once what it waits for has come; nobody waits for that.
    iterator.return?.().catch(() => undefined);
  }
}
