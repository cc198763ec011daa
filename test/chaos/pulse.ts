const BEAT_MS = 100;
/** A beat that comes later than that tells of a harness that stood still. */
const LATE_MS = 1_000;

/**
 * Takes note of when the harness itself stood still, because the machine had no time for it: then nothing passes its
 * proxies, and the system is not to blame.
 */
export class Pulse {
  readonly #stops: { from: number; to: number }[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor() {
    let last = Date.now();
    this.#timer = setInterval(() => {
      const now = Date.now();
      if (now - last > LATE_MS) this.#stops.push({ from: last, to: now });
      last = now;
    }, BEAT_MS);
  }

  /** How long it stood still since then, in milliseconds. */
  stoodStillSince(time: number): number {
    const since = this.#stops.filter(({ to }) => to > time);
    return since.reduce((sum, { from, to }) => sum + to - Math.max(from, time), 0);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
