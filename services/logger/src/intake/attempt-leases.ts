import { LEASE_MS, type LeaseNotice, type Query } from "@wellsent/contract";
import { remember } from "@wellsent/runtime";

/** Deliveries whose lease is remembered: several times the messages that all emailers have in flight. */
const REMEMBERED = 20_000;

/** The lease of one delivery. */
interface Lease {
  /** The emailer that holds it, or held it last. */
  holder: string;
  /** When it lapses unless it is renewed, by the monotonic clock in milliseconds; 0 after its end. */
  until: number;
  /** When an outcome ended it, by the same clock; undefined while there is none. */
  endedAt?: number;
  /** Whether a holder's lease lapsed and no outcome has been recorded since: a relay may have the mail. */
  isUnresolved: boolean;
}

/** What a query is told about the leases of its delivery. */
export interface LeaseAnswer {
  /** Another emailer holds a valid lease. */
  leased: boolean;
  /** Another emailer's lease lapsed without an outcome. */
  possibleDuplicate: boolean;
}

/**
 * Keeps, in memory, which emailer may attempt a delivery. An emailer acquires a lease by a query and renews it by lease
 * messages; it need not acquire one for a first copy, so its renewal alone makes a lease too.
 *
 * | lease       | event                | answer                    | lease then                                 |
 * | ----------- | -------------------- | ------------------------- | ------------------------------------------ |
 * | none, ended | A looks              | free                      | unchanged                                  |
 * | none, ended | A acquires           | free                      | A's                                        |
 * | A's         | A acquires           | free                      | A's, renewed                               |
 * | A's         | B looks or acquires  | leased                    | unchanged                                  |
 * | A's, lapsed | B looks              | free, possible duplicate  | unchanged                                  |
 * | A's, lapsed | B acquires           | free, possible duplicate  | B's, unresolved until an outcome           |
 * | any         | A renews             |                           | A's: a fact at a relay outranks a grant    |
 * | ended       | A renews, after A's  |                           | ended: the renewal was published before it |
 * | A's         | A releases           |                           | none, or unresolved if it was              |
 * | any         | outcome recorded     |                           | ended                                      |
 */
export class AttemptLeases {
  readonly #leases = new Map<string, Lease>();
  readonly #now: () => number;

  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  /**
   * Grants the lease of a delivery if the query wants it and no other emailer holds it. `lateMs`: how long the query waited
   * for the logger. Leases are judged as of the moment of asking, because renewals have waited as long as the query.
   */
  tryAcquire({ delivery, holder, acquire = false }: Query, lateMs = 0): LeaseAnswer {
    if (holder === undefined) return { leased: false, possibleDuplicate: false };
    const lease = this.#leases.get(delivery);
    const isOthers = lease !== undefined && lease.holder !== holder && lease.until > 0;
    if (isOthers && lease.until >= this.#now() - lateMs) {
      return { leased: true, possibleDuplicate: lease.isUnresolved };
    }
    const isUnresolved = isOthers || lease?.isUnresolved === true;
    if (acquire) this.#set(delivery, holder, isUnresolved);
    return { leased: false, possibleDuplicate: isUnresolved };
  }

  /** Takes a holder's word for the deliveries that it holds, and for those that it gives up. */
  apply({ holder, held, released }: LeaseNotice): void {
    for (const delivery of held) this.#renew(delivery, holder);
    for (const delivery of released) this.#release(delivery, holder);
  }

  /** Ends the lease of a delivery, because an outcome of it is recorded. */
  end(delivery: string): void {
    const lease = this.#leases.get(delivery);
    if (!lease) return;
    lease.until = 0;
    lease.endedAt = this.#now();
    lease.isUnresolved = false;
  }

  #renew(delivery: string, holder: string): void {
    const lease = this.#leases.get(delivery);
    const endedAt = lease?.holder === holder ? lease.endedAt : undefined;
    if (endedAt !== undefined && this.#now() - endedAt < LEASE_MS) return;
    this.#set(delivery, holder, lease?.isUnresolved ?? false);
  }

  #release(delivery: string, holder: string): void {
    const lease = this.#leases.get(delivery);
    if (lease?.holder !== holder || lease.endedAt !== undefined) return;
    if (lease.isUnresolved) lease.until = 0;
    else this.#leases.delete(delivery);
  }

  #set(delivery: string, holder: string, isUnresolved: boolean): void {
    const lease = { holder, until: this.#now() + LEASE_MS, isUnresolved };
    remember(this.#leases, delivery, lease, REMEMBERED);
  }
}
