/** Many small asynchronous jobs, a bounded number at the same time. */

/**
 * Runs `work` for each item, which is taken when there is room for it. After a failure, of work or of taking, nothing new is started;
 * it ends when nothing is under way any more.
 * @throws the first failure
 */
export async function forEachConcurrently<Item>(
  items: Iterable<Item>,
  inFlight: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  let failure: { error: unknown } | undefined;
  const worker = async () => {
    while (failure === undefined) {
      try {
        const next = iterator.next();
        if (next.done) return;
        await work(next.value);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  if (failure !== undefined) throw failure.error;
}
