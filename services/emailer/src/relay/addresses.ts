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

  constructor(host: string, lookup: Lookup = lookupAll) {
    this.#host = host;
    this.#lookup = lookup;
  }

  /**
   * Resolves the name, each time again, and returns the addresses in the order to try them. RFC 5321 §5.1: the resolver's
   * order. @throws {SmtpError} ECONNECTION when the name has none
   */
  async inOrder(): Promise<string[]> {
    if (isIP(this.#host)) return [this.#host];
    const addresses = await this.#lookup(this.#host).catch((cause: unknown) => {
      throw new SmtpError("ECONNECTION", "CONN", { cause });
    });
    const isAvoided = (address: string) =>
      performance.now() - (this.#failedAt.get(address) ?? -Infinity) < AVOIDED_MS;
    return [
      ...addresses.filter((address) => !isAvoided(address)),
      ...addresses.filter((address) => isAvoided(address)),
    ];
  }

  /** Notes how it went with an address. */
  note(address: string, works: boolean): void {
    if (works) this.#failedAt.delete(address);
    else this.#failedAt.set(address, performance.now());
  }
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
