/** Many small asynchronous jobs, a bounded number at the same time. */

/**
 * Runs `work` for each item. After a failure nothing new is started; it ends when nothing is under way any more.
 * @throws the first failure
 */
export async function forEachConcurrently<Item>(
  items: readonly Item[],
  inFlight: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failure: { error: unknown } | undefined;
  const worker = async () => {
    while (next < items.length && failure === undefined) {
      try {
        await work(items[next++]);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, items.length) }, worker));
  if (failure !== undefined) throw failure.error;
}
