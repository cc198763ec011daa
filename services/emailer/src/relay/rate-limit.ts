import type { Rate } from "./relay-url.ts";

/** No clock is trusted with a relay's limit to the millisecond. */
const MARGIN_MS = 10;

/**
 * A relay's rate, as tokens. A used token is returned a period after the relay's answer, so no period at the relay ever sees
 * more mails than the rate, however long a mail was on its way. In a bucket that fills by itself, a delayed mail and the
 * next one could meet.
 */
export class RateLimit {
  readonly #periodMs: number;
  readonly #onToken: () => void;
  #tokens: number;

  /** `onToken` is called when a used token is returned. Without a rate there is no limit. */
  constructor(rate: Rate | undefined, onToken: () => void) {
    this.#tokens = rate?.mails ?? Infinity;
    this.#periodMs = rate?.periodMs ?? 0;
    this.#onToken = onToken;
  }

  /** Whether {@link take} may be called. */
  get hasToken(): boolean {
    return this.#tokens > 0;
  }

  /** Reserves a token. */
  take(): void {
    this.#tokens -= 1;
  }

  /** Returns a token: at once if no mail was sent with it, else a period later. */
  giveBack(isUsed: boolean): void {
    if (!isUsed || this.#tokens === Infinity) {
      this.#tokens += 1;
      return;
    }
    setTimeout(() => {
      this.#tokens += 1;
      this.#onToken();
    }, this.#periodMs + MARGIN_MS).unref();
  }
}
