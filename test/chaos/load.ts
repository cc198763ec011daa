import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { type Random } from "@wellsent/testing";
import { GONE, NEVER } from "./relay.ts";

const TICK_MS = 10;
/** A request without an answer by then has an unknown outcome. */
const PATIENCE_MS = 20_000;
const OUTSTANDING_MAX = 256;
const BODY_MAX = 1_500;

/**
 * What a client was told: `accepted` 202; `refused` certainly not accepted; `unknown` perhaps; `other` what should not
 * be.
 */
export type Outcome = "accepted" | "refused" | "unknown" | "other";

/** A request as its client remembers it. */
export interface Sent {
  recipients: string[];
  outcome?: Outcome;
  /** As the answer said. */
  id?: string;
  /** Of the answer; 0 where there was none. */
  status: number;
  /** Milliseconds since the epoch. */
  answeredAt?: number;
}

/** The clients: they send at a rate, and keep what they were told. */
export class Load {
  /** By number; the number stands in the recipients' addresses. */
  readonly sent: Sent[] = [];
  readonly counts: Record<Outcome, number> = { accepted: 0, refused: 0, unknown: 0, other: 0 };
  outstanding = 0;
  lastAcceptedAt = 0;
  readonly #url: URL;
  readonly #rate: number;
  readonly #random: Random;
  readonly #mayGoOn: () => boolean;
  readonly #agent = new Agent({ keepAlive: true });
  #timer: NodeJS.Timeout | undefined;
  #due = 0;

  /** `mayGoOn`: false while the system has enough to do. */
  constructor(url: string, rate: number, random: Random, mayGoOn: () => boolean) {
    this.#url = new URL("/send", url);
    this.#rate = rate;
    this.#random = random;
    this.#mayGoOn = mayGoOn;
  }

  start(): void {
    let last = performance.now();
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#due = Math.min(this.#due + ((now - last) * this.#rate) / 1_000, this.#rate);
      last = now;
      while (this.#due >= 1) {
        this.#due -= 1;
        if (this.outstanding < OUTSTANDING_MAX && this.#mayGoOn()) void this.#sendOne();
      }
    }, TICK_MS);
  }

  /** Sends so many more at once. */
  burst(count: number): void {
    for (let each = 0; each < count; each++) void this.#sendOne();
  }

  /** Sends one email to so many recipients. */
  sendTo(recipients: number): void {
    void this.#sendOne(recipients);
  }

  /** Sends no more. */
  stop(): void {
    clearInterval(this.#timer);
  }

  /** Once all have their answers. */
  close(): void {
    this.#agent.destroy();
  }

  async #sendOne(count = this.#recipientCount()): Promise<void> {
    const number = this.sent.length;
    const sent: Sent = { recipients: this.#recipients(number, count), status: 0 };
    this.sent.push(sent);
    this.outstanding += 1;
    const body = ".".repeat(this.#random.whole(1, BODY_MAX));
    const email = { toaddr: sent.recipients, subject: `Number ${number}`, body };
    Object.assign(sent, await this.#post(JSON.stringify(email)));
    this.outstanding -= 1;
    sent.answeredAt = Date.now();
    this.counts[sent.outcome ?? "other"] += 1;
    if (sent.outcome === "accepted") this.lastAcceptedAt = sent.answeredAt;
  }

  #recipientCount(): number {
    return this.#random.chance(0.03) ? this.#random.whole(2, 4) : 1;
  }

  /** Some recipients are never accepted, each in its way. */
  #recipients(number: number, count: number): string[] {
    return Array.from({ length: count }, (_, index) => `n${number}-${index}@${this.#domain()}`);
  }

  #domain(): string {
    const fate = this.#random.next();
    if (fate < 0.003) return NEVER;
    return fate < 0.013 ? GONE : "well.example";
  }

  async #post(body: string): Promise<Pick<Sent, "outcome" | "id" | "status">> {
    let connected = false;
    const options = { method: "POST", agent: this.#agent, timeout: PATIENCE_MS };
    const headers = {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    };
    return new Promise((resolve) => {
      const posting = request(this.#url, { ...options, headers }, (response) => {
        const { statusCode: status = 0 } = response;
        text(response).then(
          (answer) => resolve({ status, ...read(status, answer) }),
          () => resolve({ status: 0, outcome: "unknown" }),
        );
      });
      posting.on("socket", (socket) => {
        connected = !socket.connecting;
        if (socket.connecting) socket.once("connect", () => (connected = true));
      });
      posting.on("timeout", () => posting.destroy());
      posting.on("error", () => resolve({ status: 0, outcome: connected ? "unknown" : "refused" }));
      posting.end(body);
    });
  }
}

function read(status: number, answer: string): Pick<Sent, "outcome" | "id"> {
  try {
    const { id, outcome } = JSON.parse(answer) as { id?: string; outcome?: string };
    if (status === 202 && id !== undefined) return { outcome: "accepted", id };
    if (status === 503 && outcome === "not_accepted") return { outcome: "refused" };
    if (status === 503 && outcome === "unknown") {
      return { outcome: "unknown", ...(id !== undefined && { id }) };
    }
  } catch {
    // No answer of ours.
  }
  return { outcome: "other" };
}
