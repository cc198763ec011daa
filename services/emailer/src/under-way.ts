import type { MailTransport, Sent } from "./mail-transport.ts";
import type { Passage } from "./passage.ts";
import type { Patience } from "./patience.ts";

/** The mails that a relay has at this moment, and whether it answers any. */
export class UnderWay {
  readonly #transport: MailTransport;
  readonly #alone: Patience["alone"];
  readonly #onSilent: () => void;
  /** In the order of their coming, each with what gives it up. */
  readonly #mails = new Set<AbortController>();
  /** How many were given up since one was taken. */
  #givenUp = 0;
  #stalled = new AbortController();
  #answeredAt = 0;

  /** `onSilent` is called when a mail waits for its final reply, and none has had an answer meanwhile. */
  constructor(transport: MailTransport, { alone }: Patience, onSilent: () => void) {
    this.#transport = transport;
    this.#alone = alone;
    this.#onSilent = onSilent;
  }

  /** Sends one; resolves to nothing when it was {@link takeBack taken back}, or as the transport's `send` does. */
  async send({ mail, signal }: Passage, patienceMs: number): Promise<Sent | undefined> {
    const givenUp = new AbortController();
    let watch: NodeJS.Timeout | undefined;
    this.#mails.add(givenUp);
    const sent = await this.#transport.send(mail, patienceMs, {
      unwanted: AbortSignal.any([signal, this.#stalled.signal]),
      givenUp: givenUp.signal,
      onBody: () => (watch = this.#watch()),
    });
    clearTimeout(watch);
    this.#mails.delete(givenUp);
    if (sent) this.#answeredAt = performance.now();
    if (sent?.taken) this.#givenUp = 0;
    return sent;
  }

  /** Takes those back whose body was not asked for, so that they keep no others from their places. */
  takeBack(): void {
    this.#stalled.abort();
    this.#stalled = new AbortController();
  }

  /**
   * Gives up the mail that has waited longest, which is in doubt then, so that there is a connection to see by whether the
   * relay is back. n.b. each may be a duplicate, so it waits longer each time.
   */
  giveUpOldest(): void {
    const [oldest] = this.#mails;
    const patience = this.#alone[this.#givenUp] ?? Infinity;
    if (!oldest || performance.now() - this.#answeredAt < patience) return;
    this.#givenUp += 1;
    oldest.abort();
  }

  #watch(): NodeJS.Timeout {
    const since = performance.now();
    const judge = () => {
      if (this.#answeredAt < since) this.#onSilent();
    };
    return setTimeout(judge, this.#alone[0]).unref();
  }
}
