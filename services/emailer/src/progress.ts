import type { Readable } from "node:stream";

/** What ends a mail early, and who wants to know how far it has come. */
export interface Course {
  /** Aborts when nobody wants it any more: it is broken off unless the relay asked for the body. */
  unwanted?: AbortSignal;
  /** Aborts when it is broken off wherever it is. */
  givenUp?: AbortSignal;
  /** Called when the relay asks for the body. */
  onBody?: () => void;
}

/** How far a mail has come, which only its stream tells: every lost connection has the same error. */
export class Progress {
  /** Whether MAIL was sent: the stream is made just before. */
  begun = false;
  /** n.b. the stream's last stage ends when the connection has read all of it, which is after the reply to DATA. */
  bodyRead = false;
  readonly #patience = new AbortController();
  /**
   * Aborts when the relay does not ask for the body in time, or nobody wants it any more; once it has asked, only when the
   * mail is given up.
   */
  readonly signal = this.#patience.signal;
  readonly #timer: NodeJS.Timeout;
  readonly #course: Course;

  constructor(patienceMs: number, course: Course) {
    this.#timer = setTimeout(this.#abort, patienceMs);
    this.#course = course;
    const { unwanted, givenUp } = course;
    unwanted?.addEventListener("abort", this.#abort);
    givenUp?.addEventListener("abort", this.#abort);
    if (unwanted?.aborted) this.#abort();
  }

  watch(body: Readable): Readable {
    this.begun = true;
    this.#timer.refresh();
    // n.b. else nodemailer takes what happens on a kept connection for the end of that, and a 421 is not seen.
    Object.defineProperty(body, "readableDidRead", { value: true });
    return body.once("resume", () => this.#asked()).once("end", () => (this.bodyRead = true));
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#course.unwanted?.removeEventListener("abort", this.#abort);
  }

  #asked(): void {
    this.end();
    this.#course.onBody?.();
  }

  readonly #abort = (): void => this.#patience.abort();
}
