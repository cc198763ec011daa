import { classify, isOfOneMail, isStall, type Fault } from "./classify.ts";
import { RefusalWatch } from "./refusal-watch.ts";
import type { Result, Transfer } from "./transfer.ts";

/** A mail that breaks this many connections in its transaction, or has the relay refuse us, goes one rung down. */
const BREAKS_MAX = 3;
/** This many lost connections in a row, of different mails, with no mail taken between them, open the circuit. */
const STRIKES_MAX = 3;

/** What a fault means. */
export interface Judgement {
  /** The mail's verdict; absent when the mail is sent again. */
  verdict?: Result["verdict"];
  /** Whether the relay works: `no` opens its circuit, `yes` closes it if the mail was the trial. */
  works: "yes" | "no" | "unknown";
  /** Whether the relay refuses nearly all mail, so that this refusal is not believed. */
  refusesAll?: boolean;
}

/** A mail that was not taken, and how. */
export interface Case {
  fault: Fault;
  transfer: Transfer;
  isTrial: boolean;
  /** How many mails the relay had taken when this one was begun. */
  takenBefore: number;
}

/**
 * Judges whose trouble a fault is, by what one relay took and refused lately.
 *
 * | verdict of the fault        | in addition                                  | the mail      | the relay works |
 * | --------------------------- | -------------------------------------------- | ------------- | --------------- |
 * | deferred, failed, …         |                                              | has it        | yes             |
 * | failed, sender-refused      | nearly all mail is refused for good          | deferred      | no              |
 * | relay                       | may be of one mail, and others were taken    | again; third time deferred | unknown |
 * | relay                       | else                                         | again         | no              |
 * | connection                  | of the trial, or the third in a row          | again; third time deferred | no |
 * | connection                  | else                                         | again; third time deferred | unknown |
 * | ambiguous                   | silence, the trial, or the third in a row    | ambiguous     | no              |
 * | ambiguous                   | else                                         | ambiguous     | unknown         |
 */
export class Judge {
  readonly #relay: string;
  readonly #refusals = new RefusalWatch();
  #taken = 0;
  /** Lost connections since a mail was taken: the mail itself where it may be the cause, so that each counts once. */
  readonly #strikes = new Set<object>();

  /** `relay` is the relay's name. */
  constructor(relay: string) {
    this.#relay = relay;
  }

  /** How many mails the relay has taken. */
  get taken(): number {
    return this.#taken;
  }

  /** The relay took a mail. */
  noteTaken(): void {
    this.#taken += 1;
    this.#refusals.noteTaken();
    this.#strikes.clear();
  }

  /** The circuit opened or closed: lost connections are counted from here. */
  forgetStrikes(): void {
    this.#strikes.clear();
  }

  /** Judges a fault. It counts, so it is called once for each. */
  judge(of: Case): Judgement {
    const verdict = classify(of.fault);
    switch (verdict) {
      case "relay":
        return this.#judgeTrouble(of);
      case "connection":
        return this.#judgeLoss(of);
      case "ambiguous":
        return { verdict, works: this.#strike(of, isStall(of.fault)) };
      case "failed":
      case "sender-refused":
        if (
          of.fault.response !== undefined &&
          this.#refusals.noteRefused(of.transfer.mail.envelope.to)
        ) {
          return { verdict: "deferred", works: "no", refusesAll: true };
        }
        return this.#answered(verdict);
      case "deferred":
        return this.#answered(verdict);
    }
  }

  #answered(verdict: "deferred" | "failed" | "sender-refused"): Judgement {
    this.#strikes.clear();
    return { verdict, works: this.#refusals.isTripped ? "unknown" : "yes" };
  }

  #judgeTrouble({ fault, transfer, isTrial, takenBefore }: Case): Judgement {
    if (!fault.begun || !isOfOneMail(fault)) return { works: "no" };
    this.#noteBreak(transfer);
    const works = !isTrial && this.#taken > takenBefore ? "unknown" : "no";
    const othersPass = this.#taken > (transfer.met.get(this.#relay) ?? 0);
    const isItsOwn = othersPass && transfer.breaks >= BREAKS_MAX;
    return isItsOwn ? { verdict: "deferred", works } : { works };
  }

  #judgeLoss(of: Case): Judgement {
    if (isOfOneMail(of.fault)) this.#noteBreak(of.transfer);
    const works = this.#strike(of, false);
    return of.transfer.breaks < BREAKS_MAX ? { works } : { verdict: "deferred", works };
  }

  #strike({ fault, transfer, isTrial }: Case, isDecisive: boolean): "no" | "unknown" {
    this.#strikes.add(isOfOneMail(fault) ? transfer : {});
    return isTrial || isDecisive || this.#strikes.size >= STRIKES_MAX ? "no" : "unknown";
  }

  #noteBreak(transfer: Transfer): void {
    transfer.breaks += 1;
    if (!transfer.met.has(this.#relay)) transfer.met.set(this.#relay, this.#taken);
  }
}
