import { once } from "node:events";
import type { TLSSocket } from "node:tls";
import { SmtpError } from "./smtp-error.ts";

/**
 * Waits until a TLS handshake is done. A socket that is destroyed here reports no error, so its end is waited for as well.
 * `timeoutMs` is for the whole handshake. Resolves to the fault, ETLS or ETIMEDOUT, if there is one. Never rejects.
 */
export async function untilSecure(
  secured: TLSSocket,
  timeoutMs: number,
): Promise<SmtpError | undefined> {
  const late = AbortSignal.timeout(timeoutMs);
  const gone = new AbortController();
  secured.once("close", () => gone.abort());
  try {
    await once(secured, "secureConnect", { signal: AbortSignal.any([late, gone.signal]) });
    return undefined;
  } catch (cause) {
    if (late.aborted) return new SmtpError("ETIMEDOUT", "STARTTLS");
    return new SmtpError("ETLS", "STARTTLS", gone.signal.aborted ? {} : { cause });
  }
}
