/** What {@link createRecent} creates. */
export type Recent<Result> = ReturnType<typeof createRecent<Result>>;

/**
 * Remembers what was done, by key. While it is under way or remembered, doing it again gives the first result:
 * so what the broker hands over again after a lost connection or a kill is done once.
 * `limit`: most results remembered; `onRepeat` is called for each that was not done again.
 */
export function createRecent<Result>(limit: number, onRepeat?: () => void) {
  const done = new Map<string, Result>();
  const underWay = new Map<string, Promise<Result>>();
  /** Remembers what was done elsewhere or before. */
  const add = (key: string, result: Result): void => remember(done, key, result, limit);
  return {
    add,
    /**
     * Does the work unless it was done. Work that failed is done again, by whoever waited for it.
     * `fresh`: it is known to be the first time, so that what is remembered does not count.
     */
    async once(key: string, work: () => Promise<Result>, fresh = false): Promise<Result> {
      while (!fresh && underWay.has(key)) await underWay.get(key)?.catch(() => undefined);
      if (!fresh && done.has(key)) {
        onRepeat?.();
        return done.get(key) as Result;
      }
      const working = work().finally(() => underWay.delete(key));
      underWay.set(key, working);
      const result = await working;
      add(key, result);
      return result;
    },
  };
}

/** Keeps a value in a map, as its newest, and at most so many. */
export function remember<T>(map: Map<string, T>, key: string, value: T, limit: number): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > limit && oldest !== undefined) map.delete(oldest);
}
