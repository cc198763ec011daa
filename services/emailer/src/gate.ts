/** Lets at most so many in at a time; the others wait in the order of their coming. */
export class Gate {
  #free: number;
  #left = 0;
  readonly #waiting: ((entered: boolean) => void)[] = [];

  constructor(places: number) {
    this.#free = places;
  }

  /** Resolves to true when there is a place, to false when those who wait are sent away. */
  enter(): Promise<boolean> {
    if (this.#free === 0) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#free -= 1;
    return Promise.resolve(true);
  }

  /** The same, but resolves to undefined when nobody leaves for so long. n.b. with a timer only, as every mail comes by. */
  enterUnlessStuck(patienceMs: number): Promise<boolean | undefined> {
    const { promise, resolve } = Promise.withResolvers<boolean | undefined>();
    let before = this.#left;
    let isStuck = false;
    const timer = setInterval(() => {
      isStuck = before === this.#left;
      before = this.#left;
      if (isStuck) settle(undefined);
    }, patienceMs);
    const settle = (entered: boolean | undefined) => {
      clearInterval(timer);
      resolve(entered);
    };
    void this.enter().then((entered) => (isStuck && entered ? this.leave() : settle(entered)));
    return promise;
  }

  /** Gives a place back. */
  leave(): void {
    this.#left += 1;
    const next = this.#waiting.shift();
    if (next) next(true);
    else this.#free += 1;
  }

  /** Sends away those who wait. */
  clear(): void {
    for (const sendAway of this.#waiting.splice(0)) sendAway(false);
  }
}
