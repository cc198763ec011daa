/** Deliveries whose outcome is remembered: several times what can be in flight. */
const REMEMBERED = 10_000;

/**
 * Remembers what was done, by key. While it is under way or remembered, doing it again gives the first result:
 * so a redelivery after a lost connection is settled without a second sending.
 */
export class Recent<Result> {
  readonly #results = new Map<string, Promise<Result>>();
  readonly #onRepeat: () => void;

  constructor(onRepeat: () => void) {
    this.#onRepeat = onRepeat;
  }

  /** Does the work unless it was done; work that failed is forgotten and done again. */
  async once(key: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.#results.get(key);
    if (before) {
      const result = await before.catch(() => undefined);
      if (result === undefined) return this.once(key, work);
      this.#onRepeat();
      return result;
    }
    const result = work();
    this.#remember(key, result);
    return result;
  }

  #remember(key: string, result: Promise<Result>): void {
    this.#results.set(key, result);
    result.catch(() => this.#results.delete(key));
    const [oldest] = this.#results.keys();
    if (this.#results.size > REMEMBERED && oldest !== undefined) this.#results.delete(oldest);
  }
}
