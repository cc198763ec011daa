import type { Trouble } from "./classify.ts";

/** The pauses double up to so many of the first: a relay that is back is noticed within the last one. */
const PAUSES_MAX = 4;
/** A relay that asks us to slow down is left alone for longer. */
const PAUSES_MAX_THROTTLED = 10;

/** Options of {@link Circuit}. */
export interface CircuitOptions {
  /** The first pause before a probe. */
  pauseMs: number;
  /** Aborts when there is to be no further probe. */
  ending: AbortSignal;
  /** Tries the relay; resolves to its trouble, or to undefined. */
  probe: () => Promise<Trouble | undefined>;
  /** Called when it opens, with the reason, and when it closes. */
  onSwitch: (reason?: string) => void;
  /** Called when a probe succeeded: one mail may enter, and its fate says whether the circuit closes. */
  onTurn: () => void;
}

/** What {@link createCircuit} creates. */
export type Circuit = ReturnType<typeof createCircuit>;

/** Creates a relay's circuit: closed while it works; open from its first trouble until a mail went through. */
export function createCircuit({ pauseMs, ending, probe, onSwitch, onTurn }: CircuitOptions) {
  let trouble: Trouble | undefined;
  let turn = false;
  let pause = pauseMs;
  let closedAt = -Infinity;
  let timer: NodeJS.Timeout | undefined;
  /** n.b. a probe that a stalling relay leaves without an answer does not put off the next. */
  const probeLater = ({ throttled }: Trouble): void => {
    const longest = pauseMs * (throttled ? PAUSES_MAX_THROTTLED : PAUSES_MAX);
    const thisPause = Math.min(pause, longest);
    pause = Math.min(thisPause * 2, longest);
    timer = setTimeout(() => {
      if (!trouble || ending.aborted) return;
      probeLater(trouble);
      void tryAgain();
    }, thisPause).unref();
  };
  const tryAgain = async (): Promise<void> => {
    const found = await probe();
    if (trouble === undefined) return;
    trouble = found ?? trouble;
    if (found) return;
    turn = true;
    onTurn();
    // Nobody waits that could take it.
    if (circuit.enter()) circuit.close();
  };
  const circuit = {
    /** Why it is open; undefined while it is closed. */
    get trouble(): Trouble | undefined {
      return trouble;
    },
    /** Whether a mail may go to the relay: any while it is closed, one after each probe that succeeded while it is open. */
    get admits(): boolean {
      return trouble === undefined || turn;
    },
    /** A mail goes. Returns whether it is the one whose fate decides. */
    enter(): boolean {
      const decides = turn;
      turn = false;
      return decides;
    },
    /** The mail whose fate was to decide was not sent: another one may enter. */
    leave(): void {
      turn = trouble !== undefined;
    },
    /** Opens it, or says why it stays open. Returns whether it was closed. */
    open(found: Trouble): boolean {
      const wasClosed = trouble === undefined;
      trouble = found;
      if (!wasClosed) return false;
      // Trouble that comes back sooner than the last pause was long goes on where that one ended.
      if (performance.now() - closedAt > pause) pause = pauseMs;
      probeLater(found);
      onSwitch(found.reason);
      return true;
    },
    /** Closes it: mail flows. */
    close(): void {
      if (trouble === undefined) return;
      clearTimeout(timer);
      trouble = undefined;
      turn = false;
      closedAt = performance.now();
      onSwitch();
    },
  };
  return circuit;
}
