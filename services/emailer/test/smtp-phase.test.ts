import { afterEach, describe, expect, it } from "@jest/globals";
import MailComposer from "nodemailer/lib/mail-composer";
import { toContent, type Mail } from "../src/mail/mime.ts";
import { SmtpError } from "../src/relay/smtp-error.ts";
import { isReusable, toBody } from "../src/relay/smtp-phase.ts";
import type { SmtpConnection } from "../src/relay/smtp-connection.ts";
import { SmtpTransport } from "../src/relay/smtp-transport.ts";
import { TIMEOUTS } from "../src/relay/timeouts.ts";
import { startBodySink, unstuff } from "./body-sink.ts";
import { mailTo, relayAt } from "./support.ts";

const live = new AbortController().signal;
const ended: (() => void)[] = [];

afterEach(() => {
  for (const end of ended.splice(0)) end();
});

describe("toBody", () => {
  it.each([
    ["", "\r\n.\r\n"],
    ["a", "a\r\n.\r\n"],
    ["a\r\n", "a\r\n.\r\n"],
    ["a\r\n\r\n", "a\r\n\r\n.\r\n"],
    ["a\nb", "a\r\nb\r\n.\r\n"],
    ["a\rb", "a\r\nb\r\n.\r\n"],
    ["a\n\rb", "a\r\n\r\nb\r\n.\r\n"],
    ["a\r\r\nb", "a\r\n\r\nb\r\n.\r\n"],
    ["a\r", "a\r\n.\r\n"],
    [".", "..\r\n.\r\n"],
    [".\r\n", "..\r\n.\r\n"],
    ["..", "...\r\n.\r\n"],
    [".a\r\n.b", "..a\r\n..b\r\n.\r\n"],
    ["a.\r\nb.c", "a.\r\nb.c\r\n.\r\n"],
    ["a\r\n.\r\nb", "a\r\n..\r\nb\r\n.\r\n"],
    ["a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"],
    ["a\r.\rb", "a\r\n..\r\nb\r\n.\r\n"],
    ["a\n.\r\nMAIL FROM:<x>", "a\r\n..\r\nMAIL FROM:<x>\r\n.\r\n"],
    ["a\r\n.\nb", "a\r\n..\r\nb\r\n.\r\n"],
  ])("makes of %j the body %j", (message, body) => {
    expect(toBody(Buffer.from(message)).toString()).toBe(body);
  });

  it("keeps every byte but those of line ends", () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const others = bytes.filter((byte) => byte !== 10 && byte !== 13);

    expect(toBody(Buffer.from(others))).toEqual(
      Buffer.concat([Buffer.from(others), Buffer.from("\r\n.\r\n")]),
    );
  });
});

describe("the bytes on the wire", () => {
  it.each([
    ["lines that begin with dots", ".one\n..two\n...three\n"],
    ["a dot alone", "before\n.\nafter\n"],
    ["the end of a body", "before\r\n.\r\nMAIL FROM:<eve@example.com>\r\n"],
    ["the end of a body with bare line feeds", "before\n.\nRCPT TO:<eve@example.com>\n"],
    ["the end of a body with bare carriage returns", "before\r.\rDATA\r"],
    ["a mixed end of a body", "before\n.\r\nQUIT\r\n.\nafter"],
    ["no last line end", "text"],
    ["a last line that is a dot", "text\n."],
    ["nothing", ""],
    ["line ends only", "\r\n\n\r"],
    ["other letters", "größe ✓ 日本語 🎉\n.größe\n"],
    ["NUL and control characters", "a\0b\u0007c\u001b\n.\u0000\n"],
    ["long lines with dots", `${"x".repeat(75)}.${"y".repeat(2_000)}\n${".".repeat(5_000)}`],
    ["just one block", ".".repeat(65_536)],
    ["five megabytes", ".line of a large mail\n..\n.\n\r\n".repeat(190_000)],
  ])("are the composed message, dots doubled: %s", async (_, text) => {
    const { bodies, transport } = await start();
    const mail = { ...mailTo("ada@example.com"), text };

    const sent = await transport.send(mail, TIMEOUTS, live);

    expect(sent).toMatchObject({ taken: true });
    expect(bodies).toHaveLength(1);
    const unstuffed = unstuff(bodies[0] ?? Buffer.alloc(0));
    expect(unstuffed.equals(await composed(mail))).toBe(true);
  });

  it("are the same for each size around the end of a block", async () => {
    const { bodies, transport } = await start();
    const mail = (extra: number) => ({
      ...mailTo("ada@example.com"),
      text: `${"x".repeat(70)}\n`.repeat(900) + "\n.".repeat(extra),
    });
    const sizes = Array.from({ length: 40 }, (_, number) => number * 15);

    for (const extra of sizes) await transport.send(mail(extra), TIMEOUTS, live);

    const differing: number[] = [];
    for (const [number, extra] of sizes.entries()) {
      const unstuffed = unstuff(bodies[number] ?? Buffer.alloc(0));
      if (!unstuffed.equals(await composed(mail(extra)))) differing.push(extra);
    }
    expect(differing).toEqual([]);
    expect(bodies.some(({ length }) => length < 65_536)).toBe(true);
    expect(bodies.some(({ length }) => length > 65_536)).toBe(true);
  });
});

describe("isReusable", () => {
  const refused = (code: number) =>
    new SmtpError("EENVELOPE", "RCPT TO", { reply: { code, text: String(code) } });
  const connection = (isSound: boolean, isLost = false) =>
    ({ isSound, isLost }) as unknown as SmtpConnection;

  it.each([
    [refused(550), connection(true), true],
    [refused(450), connection(true), true],
    [refused(421), connection(true), false],
    [refused(250), connection(true), false],
    [refused(0), connection(true), false],
    [new SmtpError("ETIMEDOUT", "RCPT TO"), connection(true), false],
    [refused(550), connection(false), false],
    [refused(550), connection(true, true), false],
  ])("of case %# says so", (error, over, answer) => {
    expect(isReusable(error, over)).toBe(answer);
  });
});

async function start() {
  const { port, bodies, close } = await startBodySink();
  const transport = new SmtpTransport(relayAt(port), TIMEOUTS);
  ended.push(close, () => void transport.close());
  return { bodies, transport };
}

/** The message as nodemailer composes it, with CRLF for each line end, also after the last line. */
async function composed(mail: Mail): Promise<Buffer> {
  const message = await new MailComposer(toContent(mail)).compile().build();
  const text = message.toString("latin1").replaceAll("\r\n", "\n").replaceAll("\r", "\n");
  const lines = text.endsWith("\n") ? text : `${text}\n`;
  return Buffer.from(lines.replaceAll("\n", "\r\n"), "latin1");
}
