import { once } from "node:events";
import { lookup } from "node:dns/promises";
import { connect, isIP, type Socket } from "node:net";
import { SmtpError } from "./smtp-error.ts";

/** How long an address that failed is tried after the others, in milliseconds. */
const AVOIDED_MS = 600_000;

/** Resolves a name to its addresses, the preferred one first. */
export type Lookup = (host: string) => Promise<string[]>;

/** The addresses of a relay's name. An address that failed lately is tried after the others. */
export class Addresses {
  readonly #host: string;
  readonly #lookup: Lookup;
  readonly #failedAt = new Map<string, number>();
  /** The address that worked last. */
  #last: string | undefined;
  /** The address at which the relay was in trouble last, although it could be reached. */
  #troubled: string | undefined;
  #troubledAt = -Infinity;

  constructor(host: string, lookup: Lookup = lookupAll) {
    this.#host = host;
    this.#lookup = lookup;
  }

  /**
   * Resolves the name, each time again, and returns the addresses in the order to try them. RFC 5321 §5.1: the resolver's
   * order. @throws {SmtpError} ECONNECTION when the name has none; EABORT when `signal` aborts
   */
  async inOrder(signal: AbortSignal): Promise<string[]> {
    if (isIP(this.#host)) return [this.#host];
    const addresses = await this.#resolve(signal);
    return addresses.toSorted((one, other) => this.#rank(one) - this.#rank(other));
  }

  /** Notes whether a connection to an address became ready for MAIL. */
  note(address: string, works: boolean): void {
    if (works) {
      this.#last = address;
      this.#failedAt.delete(address);
    } else {
      this.#failedAt.set(address, performance.now());
    }
  }

  /** The relay is in trouble at the address that worked last: others are tried before it, unless they failed. */
  avoidLast(): void {
    this.#troubled = this.#last;
    this.#troubledAt = performance.now();
  }

  /** 0 is tried first. */
  #rank(address: string): 0 | 1 | 2 {
    if (isLately(this.#failedAt.get(address))) return 2;
    return address === this.#troubled && isLately(this.#troubledAt) ? 1 : 0;
  }

  /** A resolver may take long, and a lookup cannot be broken off: its result is then ignored. */
  async #resolve(signal: AbortSignal): Promise<string[]> {
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const abort = () => reject(new SmtpError("EABORT", "CONN"));
    const found = this.#lookup(this.#host).catch((cause: unknown) => {
      throw new SmtpError("ECONNECTION", "CONN", { cause });
    });
    signal.addEventListener("abort", abort);
    try {
      return await Promise.race([found, aborted]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }
}

function isLately(time = -Infinity): boolean {
  return performance.now() - time < AVOIDED_MS;
}

async function lookupAll(host: string): Promise<string[]> {
  const found = await lookup(host, { all: true, order: "verbatim" });
  return [...new Set(found.map(({ address }) => address))];
}

/** Connects to one address. @throws {SmtpError} ETIMEDOUT, ECONNECTION or EABORT */
export async function connectTo(
  address: string,
  port: number,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Socket> {
  const socket = connect({ host: address, port });
  socket.on("error", () => undefined);
  const late = AbortSignal.timeout(timeoutMs);
  try {
    await once(socket, "connect", { signal: AbortSignal.any([signal, late]) });
    return socket;
  } catch (cause) {
    socket.destroy();
    if (signal.aborted) throw new SmtpError("EABORT", "CONN");
    if (late.aborted) throw new SmtpError("ETIMEDOUT", "CONN");
    throw new SmtpError("ECONNECTION", "CONN", { cause });
  }
}
