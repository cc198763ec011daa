/**
 * Watches whether a relay is slow: each of its places is taken, and none was returned for a while.
 *
 * | state    | event                           | next     |
 * | -------- | ------------------------------- | -------- |
 * | idle     | the last free place is taken    | watching |
 * | watching | a place is returned             | idle     |
 * | watching | the time is over                | slow     |
 * | slow     | a place is returned             | idle     |
 */
export class SlowWatch {
  readonly #ms: number;
  readonly #onChange: (isSlow: boolean) => void;
  #timer: NodeJS.Timeout | undefined;
  #isSlow = false;

  /** `ms` is how long no place is returned. */
  constructor(ms: number, onChange: (isSlow: boolean) => void) {
    this.#ms = ms;
    this.#onChange = onChange;
  }

  /** Whether the relay is slow. */
  get isSlow(): boolean {
    return this.#isSlow;
  }

  /** The last free place was taken. */
  start(): void {
    this.#timer = setTimeout(() => this.#set(true), this.#ms).unref();
  }

  /** A place was returned. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#set(false);
  }

  #set(isSlow: boolean): void {
    if (this.#isSlow === isSlow) return;
    this.#isSlow = isSlow;
    this.#onChange(isSlow);
  }
}
