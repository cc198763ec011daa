import type { Mail } from "../src/mail/mime.ts";
import type { RelayConfig } from "../src/config.ts";

/** A mail to a recipient. */
export function mailTo(to: string): Mail {
  return {
    envelope: { from: "bounces@horn.example", to },
    from: { name: "Wellsent", address: "post@horn.example" },
    to: [to],
    subject: "Subject",
    text: "Text",
    date: new Date(0),
    messageId: `<${to}>`,
  };
}

/** A relay on loopback, with a password. */
export function relayAt(port: number, config: Partial<RelayConfig> = {}): RelayConfig {
  return {
    name: `127.0.0.1:${port}`,
    host: "127.0.0.1",
    port,
    tls: "opportunistic",
    verified: false,
    credentials: () => ({ user: "user", pass: "secret" }),
    connections: 2,
    ehloName: "test.example",
    ...config,
  };
}

/** Waits for a condition, for ten seconds at most. @throws {Error} when it does not come true */
export async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 400; turn += 1) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`Not within ten seconds: ${String(condition)}`);
}
