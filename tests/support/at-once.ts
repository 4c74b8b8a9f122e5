/** Work on many things, of which most waits for another program: some at once. */

/** Calls `work` for each of `items`, three at a time. Throws what it throws first. */
export async function atOnce<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const left = items.values();
  const take = async () => {
    for (const item of left) await work(item);
  };
  await Promise.all([take(), take(), take()]);
}
