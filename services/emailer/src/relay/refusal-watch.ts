/**
 * Notices that a relay refuses nearly all mail for good, which no table of replies can tell: such a relay means us, or is
 * broken, whatever its words.
 *
 * | state    | event                                                  | next     |
 * | -------- | ------------------------------------------------------ | -------- |
 * | watching | a mail is taken                                        | watching |
 * | watching | a refusal for good, below the limits                   | watching |
 * | watching | a refusal for good that reaches both limits            | tripped  |
 * | tripped  | a refusal for good, of mails in flight or of the trial | tripped  |
 * | tripped  | a mail is taken                                        | watching |
 */

/** When a relay counts as refusing nearly all mail. */
export interface RefusalLimits {
  /** The period that is looked at, in milliseconds. */
  windowMs: number;
  /** How many different recipients are refused in it, at least. */
  recipients: number;
  /** The share of refusals in all that is taken or refused for good in it, from 0 to 1. */
  share: number;
}

/**
 * A minute, twenty recipients, 95 %: a wrong address now and then never comes near it, and a list of wrong addresses reaches
 * it only where nothing else is sent.
 */
export const REFUSAL_LIMITS: RefusalLimits = { windowMs: 60_000, recipients: 20, share: 0.95 };

/** Parts of the window, each forgotten as a whole: an event is remembered for a window less a tenth, at least. */
const SLOTS = 10;

interface Slot {
  number: number;
  taken: number;
  refused: number;
  /** As many as the limit, at most. */
  recipients: Set<string>;
}

/** Counts what one relay takes and refuses for good. `now`: a clock in milliseconds that never goes back. */
export class RefusalWatch {
  readonly #limits: RefusalLimits;
  readonly #now: () => number;
  #slots: Slot[] = [];
  #isTripped = false;

  constructor(limits: RefusalLimits = REFUSAL_LIMITS, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Whether nearly all mail is refused, and none was taken since that was noticed. */
  get isTripped(): boolean {
    return this.#isTripped;
  }

  /** Notes that a mail was taken. Whatever was refused before it is forgotten, if the relay was refusing nearly all. */
  noteTaken(): void {
    if (this.#isTripped) this.#slots = [];
    this.#isTripped = false;
    this.#slot().taken += 1;
  }

  /** Notes a refusal for good. Returns whether the relay refuses nearly all mail, so that this one is not to be believed. */
  noteRefused(recipient: string): boolean {
    const slot = this.#slot();
    slot.refused += 1;
    if (slot.recipients.size < this.#limits.recipients) slot.recipients.add(recipient);
    this.#isTripped ||= this.#isAtLimits();
    return this.#isTripped;
  }

  #isAtLimits(): boolean {
    const { recipients, share } = this.#limits;
    const different = new Set(this.#slots.flatMap((slot) => [...slot.recipients]));
    if (different.size < recipients) return false;
    const refused = this.#slots.reduce((sum, slot) => sum + slot.refused, 0);
    const taken = this.#slots.reduce((sum, slot) => sum + slot.taken, 0);
    return refused / (refused + taken) >= share;
  }

  /** The slot of this moment; those that have left the window go. */
  #slot(): Slot {
    const number = Math.floor((this.#now() / this.#limits.windowMs) * SLOTS);
    this.#slots = this.#slots.filter((slot) => slot.number > number - SLOTS);
    const last = this.#slots.at(-1);
    if (last?.number === number) return last;
    const slot = { number, taken: 0, refused: 0, recipients: new Set<string>() };
    this.#slots.push(slot);
    return slot;
  }
}
