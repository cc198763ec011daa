/**
 * Remembers the newest events of the audit log, so that an event stands in it once: one that is redelivered after a
 * kill between sync and ack, that came back with a lost channel, or that was published twice.
 */
export class RecentEvents {
  readonly #limit: number;
  readonly #skipped: () => void;
  readonly #written = new Set<string>();
  readonly #underWay = new Map<string, Promise<void>>();

  /** `limit`: events remembered; `skipped` is called for each that was not written again. */
  constructor(limit: number, skipped: () => void) {
    this.#limit = limit;
    this.#skipped = skipped;
  }

  /** Remembers an event that stands in the audit log. */
  add(eventId: string): void {
    this.#written.add(eventId);
    const [oldest] = this.#written;
    if (this.#written.size > this.#limit && oldest !== undefined) this.#written.delete(oldest);
  }

  /** Writes an event unless it stands there; resolves when it does. */
  once(eventId: string, write: () => Promise<void>): Promise<void> {
    const before = this.#written.has(eventId) ? Promise.resolve() : this.#underWay.get(eventId);
    if (before) {
      this.#skipped();
      return before;
    }
    const writing = write()
      .then(() => {
        this.add(eventId);
      })
      .finally(() => this.#underWay.delete(eventId));
    this.#underWay.set(eventId, writing);
    return writing;
  }
}
