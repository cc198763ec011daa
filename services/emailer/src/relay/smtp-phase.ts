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

/** What {@link createProgress} creates. */
export type Progress = ReturnType<typeof createProgress>;

/** Tells how far a mail has come, which only its stream does: every lost connection has the same error. */
export function createProgress(patienceMs: number, { unwanted, givenUp, onBody }: Course) {
  const breaking = new AbortController();
  const breakOff = (): void => breaking.abort();
  const timer = setTimeout(breakOff, patienceMs);
  unwanted?.addEventListener("abort", breakOff);
  givenUp?.addEventListener("abort", breakOff);
  if (unwanted?.aborted) breakOff();
  const progress = {
    /** Whether MAIL was sent: the stream is made just before. */
    begun: false,
    /** n.b. the stream's last stage ends when the connection has read all of it, which is after the reply to DATA. */
    bodyRead: false,
    /**
     * Aborts when the relay does not ask for the body in time, or nobody wants it any more; once it has asked, only when the
     * mail is given up.
     */
    signal: breaking.signal,
    watch(body: Readable): Readable {
      progress.begun = true;
      timer.refresh();
      // n.b. else nodemailer takes what happens on a kept connection for the end of that, and a 421 is not seen.
      Object.defineProperty(body, "readableDidRead", { value: true });
      return body.once("resume", asked).once("end", () => (progress.bodyRead = true));
    },
    end(): void {
      clearTimeout(timer);
      unwanted?.removeEventListener("abort", breakOff);
    },
  };
  const asked = () => {
    progress.end();
    onBody?.();
  };
  return progress;
}
