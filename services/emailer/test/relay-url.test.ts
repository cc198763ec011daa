import { afterAll, describe, expect, it } from "@jest/globals";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../src/config.ts";

const DIR = mkdtempSync(join(tmpdir(), "wellsent-relay-url-"));
const PASSWORD = join(DIR, "password");
const RUBBISH = join(DIR, "rubbish.pem");
writeFileSync(PASSWORD, "from-the-file\n");
writeFileSync(RUBBISH, "no certificate");
const env = { AMQP_URL: "amqp://broker", MAIL_FROM: "ada@horn.example" };
const load = (SMTP_URLS: string, more = {}) => loadConfig({ ...env, SMTP_URLS, ...more });

afterAll(() => rmSync(DIR, { recursive: true }));

describe("SMTP_URLS", () => {
  it.each([
    ["smtp://u:hunter2@a.example?rate=fast", "rate must be mails a second"],
    ["smtp://a.example?rate=0", "rate must be"],
    ["smtp://a.example?rate=1/h", "rate must be"],
    ["smtp://a.example?rate=0.5/m", "rate must be"],
    ["smtp://a.example?rate=10001", "rate must be"],
    ["smtp://a.example?rate=700000/m", "rate must be"],
    ["smtp://a.example?rate=-1", "rate must be"],
    ["smtp://a.example?connections=0", "connections must be a whole number from 1 to 1000"],
    ["smtp://a.example?connections=ten", "connections must be a whole number"],
    ["smtp://a.example?tls=always", "tls must be opportunistic or required"],
    ["smtps://a.example?tls=required", "tls is for smtp://"],
    ["smtp://a.example?ca=/nowhere/hunter2", "ca must name a readable file"],
    [`smtp://a.example?ca=${RUBBISH}`, "ca must name a readable file of PEM certificates"],
    ["smtp://u@a.example?passwordFile=/nowhere/hunter2", "passwordFile must name a readable file"],
    [`smtp://a.example?passwordFile=${PASSWORD}`, "passwordFile must have a user in the URL"],
    [`smtp://u:hunter2@a.example?passwordFile=${PASSWORD}`, "passwordFile must not stand beside"],
    ["smtp://a.example?hunter2", "has an option that is none of ca, connections, "],
    ["smtp://a.example?rate=1&rate=2x", "rate must be"],
    ["http://a.example", "must be smtp:// or smtps:// URLs"],
    ["smtp://u:hunter%2@a.example", "must be smtp:// or smtps:// URLs"],
  ])("%s is refused: %s", (url, message) => {
    const tried = () => load(`smtp://first.example,${url}`);

    expect(tried).toThrow(`SMTP_URLS: relay 2: ${message}`);
    expect(tried).not.toThrow("hunter2");
  });

  it("names every fault of every relay at once", () => {
    expect(() => load("smtp://a?rate=x&tls=y,smtp://b?connections=z")).toThrow(
      /relay 1: rate .*relay 1: tls .*relay 2: connections /s,
    );
  });

  it("reads the options of each relay", () => {
    const { relays } = load("smtp://a.example?connections=3&rate=0.5,smtps://b.example?rate=90/m");

    expect(relays).toMatchObject([
      { name: "a.example", port: 587, connections: 3, rate: { mails: 1, periodMs: 2_000 } },
      { name: "b.example", port: 465, connections: 10, rate: { mails: 90, periodMs: 60_000 } },
    ]);
  });

  it.each([
    ["smtp://a.example", "opportunistic", false],
    ["smtp://u:p@a.example", "required", true],
    ["smtp://u:p@127.0.0.1", "opportunistic", false],
    ["smtp://u:p@a.example?tls=opportunistic", "opportunistic", false],
    ["smtp://127.0.0.1?tls=required", "required", true],
    ["smtps://a.example", "implicit", true],
  ])("%s has TLS %s, a good certificate: %s", (url, tls, verified) => {
    expect(load(url).relays).toMatchObject([{ tls, verified }]);
  });

  it("tells two accounts at one relay apart", () => {
    const { relays } = load("smtp://a:1@a.example:25,smtp://b:2@a.example:25,smtp://c.example");

    expect(relays.map(({ name }) => name)).toEqual(["a.example:25", "a.example:25#2", "c.example"]);
  });

  it("gives the password as it is now, from its file or from SMTP_URLS_FILE", () => {
    const urls = join(DIR, "urls");
    writeFileSync(urls, `smtp://u@a.example?passwordFile=${PASSWORD},smtp://u:old@b.example`);
    const { relays } = loadConfig({ ...env, SMTP_URLS_FILE: urls });
    const shown = () => relays.map((relay) => relay.credentials?.());

    expect(shown()).toEqual([
      { user: "u", pass: "from-the-file" },
      { user: "u", pass: "old" },
    ]);
    writeFileSync(PASSWORD, "rotated\n");
    writeFileSync(urls, `smtp://u@a.example?passwordFile=${PASSWORD},smtp://u:n%65w@b.example`);
    expect(shown()).toEqual([
      { user: "u", pass: "rotated" },
      { user: "u", pass: "new" },
    ]);
    writeFileSync(urls, "rubbish");
    expect(shown()).toEqual([
      { user: "u", pass: "" },
      { user: "u", pass: "" },
    ]);
    writeFileSync(PASSWORD, "from-the-file\n");
  });

  it("never sends one relay's password to another that took its place in the file", () => {
    const urls = join(DIR, "swapped");
    writeFileSync(urls, "smtp://u:one@a.example,smtp://u:two@b.example");
    const { relays } = loadConfig({ ...env, SMTP_URLS_FILE: urls });
    writeFileSync(urls, "smtp://u:two@b.example,smtp://u:one@a.example");

    expect(relays.map((relay) => relay.credentials?.().pass)).toEqual(["", ""]);
  });

  it("holds no more deliveries than the slowest relay takes in ten minutes", () => {
    expect(load("smtp://a.example?rate=1/m,smtp://b.example").prefetch).toBe(10);
    expect(load("smtp://a.example?rate=14", { PREFETCH: "200" }).prefetch).toBe(200);
  });
});
