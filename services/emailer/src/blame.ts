import type { Mail } from "./mail.ts";

/** A mail on its way to a relay, and what it met. */
export interface Passage {
  mail: Mail;
  /** Aborts when nobody waits for it any more. */
  signal: AbortSignal;
  /** Whether it went again at once after its connection was lost: one that was kept open may have been lost long before. */
  again: boolean;
  /** How often a relay left it without an answer. */
  stalls: number;
  /** How often it broke a connection, less those that were not its doing. */
  breaks: number;
  /** The relay whose circuit it opened by that. */
  opened?: Blame;
  /** How many mails each relay had taken when this one came to it, or broke it last. */
  taken: Map<Blame, number>;
}

/** Decides whether a broken connection is one relay's doing, or the mail's that was under way. */
export class Blame {
  #taken = 0;
  /** Who broke a connection since a mail was taken: one, or two for several. */
  readonly #breakers = new Set<Passage>();

  /** A mail is handed over. */
  begins({ taken }: Passage): void {
    if (!taken.has(this)) taken.set(this, this.#taken);
  }

  /** A mail was taken. */
  took(): void {
    this.#taken += 1;
    this.#breakers.clear();
  }

  /** A mail's connection broke. */
  broke(passage: Passage): void {
    if (this.#breakers.size < 2) this.#breakers.add(passage);
  }

  /** Whether others were taken since a mail came, or was judged last. */
  othersPassed({ taken }: Passage): boolean {
    return this.#taken > (taken.get(this) ?? this.#taken);
  }

  /** Whether it was the mail: others pass; or it alone broke this relay, and opened another one's circuit before. */
  isOf(passage: Passage): boolean {
    const alone = this.#breakers.size === 1 && this.#breakers.has(passage);
    const elsewhere = passage.opened !== undefined && passage.opened !== this;
    const guilty = this.othersPassed(passage) || (alone && elsewhere);
    passage.taken.set(this, this.#taken);
    if (guilty) passage.breaks += 1;
    return guilty;
  }
}
