import type { MailTransport, Sent } from "./smtp-transport.ts";
import type { Passage, Patience } from "./passage.ts";

/** What {@link createUnderWay} creates. */
export type UnderWay = ReturnType<typeof createUnderWay>;

/**
 * Keeps the mails that a relay has at this moment, and sees whether it answers any. `silent` is called when a mail waits for
 * its final reply, and none has had an answer meanwhile.
 */
export function createUnderWay(transport: MailTransport, { alone }: Patience, silent: () => void) {
  /** In the order of their coming, each with what gives it up. */
  const mails = new Set<AbortController>();
  /** How many were given up since one was taken. */
  let givenUp = 0;
  let stalled = new AbortController();
  let answeredAt = 0;
  const watch = () => {
    const since = performance.now();
    return setTimeout(() => answeredAt < since && silent(), alone[0]).unref();
  };
  return {
    /** Sends one; resolves to nothing when it was taken back, or as the transport's `send` does. */
    async send({ mail, signal }: Passage, patienceMs: number): Promise<Sent | undefined> {
      const giving = new AbortController();
      let watching: NodeJS.Timeout | undefined;
      mails.add(giving);
      const sent = await transport.send(mail, patienceMs, {
        unwanted: AbortSignal.any([signal, stalled.signal]),
        givenUp: giving.signal,
        onBody: () => (watching = watch()),
      });
      clearTimeout(watching);
      mails.delete(giving);
      if (sent) answeredAt = performance.now();
      if (sent?.taken) givenUp = 0;
      return sent;
    },
    /** Takes those back whose body was not asked for, so that they keep no others from their places. */
    takeBack(): void {
      stalled.abort();
      stalled = new AbortController();
    },
    /**
     * Gives up the mail that has waited longest, which is in doubt then, so that there is a connection to see by whether the
     * relay is back. n.b. each may be a duplicate, so it waits longer each time.
     */
    giveUpOldest(): void {
      const [oldest] = mails;
      if (!oldest || performance.now() - answeredAt < (alone[givenUp] ?? Infinity)) return;
      givenUp += 1;
      oldest.abort();
    },
  };
}
