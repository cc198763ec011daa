/** Lets at most so many in at a time. */
export class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];
  readonly #next: (waiting: number) => number;

  /** `next` picks who goes next among so many; the first come by default. */
  constructor(places: number, next: (waiting: number) => number = () => 0) {
    this.#free = places;
    this.#next = next;
  }

  /** Does the work when there is a place. */
  async through<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#free -= 1;
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  #leave(): void {
    const [next] = this.#waiting.splice(this.#next(this.#waiting.length), 1);
    if (next) next();
    else this.#free += 1;
  }
}
