/**
 * Remembers what was done, by key. While it is under way or remembered, doing it again gives the first result:
 * so what the broker hands over again after a lost connection or a kill is done once.
 */
export class Recent<Result> {
  readonly #limit: number;
  readonly #onRepeat: () => void;
  readonly #done = new Map<string, Result>();
  readonly #underWay = new Map<string, Promise<Result>>();

  /** `limit`: most results remembered; `onRepeat` is called for each that was not done again. */
  constructor(limit: number, onRepeat: () => void = () => undefined) {
    this.#limit = limit;
    this.#onRepeat = onRepeat;
  }

  /** Remembers what was done elsewhere or before. */
  add(key: string, result: Result): void {
    this.#done.set(key, result);
    const [oldest] = this.#done.keys();
    if (this.#done.size > this.#limit && oldest !== undefined) this.#done.delete(oldest);
  }

  /**
   * Does the work unless it was done. Work that failed is done again, by whoever waited for it.
   * `fresh`: it is known to be the first time, so that what is remembered does not count.
   */
  async once(key: string, work: () => Promise<Result>, fresh = false): Promise<Result> {
    while (!fresh && this.#underWay.has(key)) await this.#underWay.get(key)?.catch(() => undefined);
    if (!fresh && this.#done.has(key)) {
      this.#onRepeat();
      return this.#done.get(key) as Result;
    }
    const working = work().finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, working);
    const result = await working;
    this.add(key, result);
    return result;
  }
}
