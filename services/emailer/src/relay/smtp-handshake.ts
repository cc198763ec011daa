import { isIP } from "node:net";
import type { ConnectionOptions } from "node:tls";
import type { RelayConfig } from "../config.ts";
import { connectTo, type Addresses } from "./addresses.ts";
import { authenticate } from "./smtp-auth.ts";
import { SmtpConnection } from "./smtp-connection.ts";
import { expectYes, SmtpError } from "./smtp-error.ts";
import type { Reply } from "./reply-reader.ts";
import { withFailover, type Timeouts } from "./timeouts.ts";

/**
 * Opens a connection that is ready for MAIL: connected, greeted, encrypted and authenticated as the relay's URL wants it.
 * Tries the addresses of the name one after the other until one is ready. A refused password is not shown to the next
 * address. `signal` breaks it off.
 * @throws {SmtpError} the fault of the address that was tried last
 */
export async function openConnection(
  relay: RelayConfig,
  addresses: Addresses,
  timeouts: Timeouts,
  signal: AbortSignal,
): Promise<SmtpConnection> {
  let failure = new SmtpError("ECONNECTION", "CONN");
  const tried = await addresses.inOrder(signal);
  for (const [index, address] of tried.entries()) {
    const isLast = index === tried.length - 1;
    const limits = isLast ? timeouts : withFailover(timeouts);
    try {
      const connection = await openAt(address, relay, limits, signal);
      addresses.note(address, true);
      return connection;
    } catch (error) {
      if (signal.aborted || !(error instanceof SmtpError) || isPasswordRefused(error)) throw error;
      addresses.note(address, false);
      failure = error;
    }
  }
  throw failure;
}

async function openAt(
  address: string,
  relay: RelayConfig,
  timeouts: Timeouts,
  signal: AbortSignal,
): Promise<SmtpConnection> {
  const socket = await connectTo(address, relay.port, timeouts.connect, signal);
  const connection = new SmtpConnection(socket, timeouts.stray);
  const breakOff = () => void connection.destroy("EABORT");
  signal.addEventListener("abort", breakOff);
  try {
    await greet(connection, relay, timeouts);
    await introduce(connection, relay, timeouts.command);
    if (relay.credentials) {
      await authenticate(connection, relay.credentials(), timeouts.command);
    }
    return connection;
  } catch (error) {
    if (error instanceof SmtpError && error.reply) await connection.quit(timeouts.quit);
    else connection.destroy("EABORT");
    await connection.closed;
    throw error;
  } finally {
    signal.removeEventListener("abort", breakOff);
  }
}

async function greet(
  connection: SmtpConnection,
  relay: RelayConfig,
  timeouts: Timeouts,
): Promise<void> {
  if (relay.tls === "implicit") await connection.startTls(tlsOptions(relay), timeouts.command);
  expectYes(await connection.read("CONN", timeouts.greeting), "EPROTOCOL", "CONN");
}

/** Each address of a relay has the same accounts, and some lock an account after a few wrong passwords. */
function isPasswordRefused({ code, reply }: SmtpError): boolean {
  return code === "EAUTH" && (reply === undefined || reply.code >= 500);
}

/** EHLO, STARTTLS and EHLO again. A relay that does not know EHLO gets HELO, unless TLS is required. */
async function introduce(
  connection: SmtpConnection,
  relay: RelayConfig,
  timeoutMs: number,
): Promise<void> {
  const { ehloName, tls } = relay;
  const reply = await connection.command("EHLO", `EHLO ${ehloName}`, timeoutMs);
  if (Math.floor(reply.code / 100) === 5 && tls !== "required") {
    const helo = await connection.command("HELO", `HELO ${ehloName}`, timeoutMs);
    expectYes(helo, "EPROTOCOL", "HELO");
    return;
  }
  expectYes(reply, "EPROTOCOL", "EHLO");
  connection.extensions = extensionsOf(reply);
  const isOffered = connection.extensions.has("STARTTLS");
  if (tls === "required" || (tls === "opportunistic" && isOffered)) {
    await encrypt(connection, relay, timeoutMs);
  }
}

/** A relay that refuses STARTTLS with a reply may get the mail in clear text; one whose handshake breaks never does. */
async function encrypt(
  connection: SmtpConnection,
  relay: RelayConfig,
  timeoutMs: number,
): Promise<void> {
  const reply = await connection.command("STARTTLS", "STARTTLS", timeoutMs);
  if (reply.code !== 220 && relay.tls === "opportunistic" && reply.code !== 421) return;
  expectYes(reply, "ETLS", "STARTTLS");
  await connection.startTls(tlsOptions(relay), timeoutMs);
  const again = await connection.command("EHLO", `EHLO ${relay.ehloName}`, timeoutMs);
  connection.extensions = extensionsOf(expectYes(again, "EPROTOCOL", "EHLO"));
}

/** SNI and the certificate's check go by the name in the relay's URL, whatever address it has. */
function tlsOptions({ host, verified, ca }: RelayConfig): ConnectionOptions {
  const certificates = ca?.();
  return {
    host,
    rejectUnauthorized: verified,
    ...(isIP(host) ? {} : { servername: host }),
    ...(certificates === undefined ? {} : { ca: certificates }),
  };
}

/** The parameters of each keyword. A keyword of several lines, such as `AUTH` beside the old `AUTH=`, has those of all. */
function extensionsOf({ text }: Reply): Map<string, string> {
  const extensions = new Map<string, string>();
  for (const line of text.split("\n").slice(1)) {
    const [keyword = "", ...parameters] = line
      .slice(4)
      .trim()
      .toUpperCase()
      .split(/[\s=]+/);
    const known = extensions.get(keyword) ?? "";
    extensions.set(keyword, `${known} ${parameters.join(" ")}`.trim());
  }
  return extensions;
}
