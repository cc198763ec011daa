import { afterEach, expect, it } from "@jest/globals";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createVhost, deleteVhost, waitFor } from "@wellsent/testing";

const COUNT = 5;
const READY_MS = 80_000;
const COPIED = ["packages", "services", "scripts", "package.json", "package-lock.json", ".npmrc"];
const PORTS = ["api", "apiAdmin", "emailerAdmin", "loggerAdmin", "internal", "inbox", "smtp"];

type Run = Record<string, string>;

interface Start {
  checkout: string;
  amqp: string;
  program: ChildProcess;
  output: () => string;
}

const running: Start[] = [];

afterEach(async () => {
  const hasEnded = ({ program }: Start) => program.exitCode !== null || program.signalCode !== null;
  for (const each of running) {
    if (!hasEnded(each)) process.kill(-(each.program.pid ?? 0), "SIGINT");
  }
  for (const each of running.splice(0)) {
    const { checkout, amqp, program } = each;
    if (!hasEnded(each)) await once(program, "exit");
    rmSync(checkout, { recursive: true });
    await deleteVhost(amqp);
  }
});

it("starts five times at once in five checkouts, each with an API, an inbox and a record of its own", async () => {
  for (let number = 0; number < COUNT; number += 1) await prepare();

  const runs = await Promise.all(running.map(ready));

  const places = runs.flatMap((run) => PORTS.map((name) => run[name]));
  expect(new Set(places).size).toBe(COUNT * PORTS.length);
  const ids = await Promise.all(runs.map((run, number) => send(run, `to${number}@example.com`)));
  for (const [number, run] of runs.entries()) {
    const recipients = await waitFor("a mail in the inbox", () => inboxOf(run));
    expect(recipients).toEqual([`to${number}@example.com`]);
    const token = readFileSync(run["internalToken"] ?? "", "utf8").trim();
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${run["internal"]}/emails/${ids[number]}`, { headers });
    expect(answer.status).toBe(200);
  }
});

/** Starts `npm start` in a checkout of its own, with a virtual host of the tests' broker. */
async function prepare(): Promise<void> {
  const checkout = mkdtempSync(join(tmpdir(), "wellsent-start-"));
  for (const name of COPIED) {
    cpSync(name, join(checkout, name), { recursive: true });
  }
  symlinkSync(join(process.cwd(), "node_modules"), join(checkout, "node_modules"));
  const amqp = await createVhost();
  const env = { ...process.env, AMQP_URL: amqp };
  const program = spawn("npm", ["start"], { cwd: checkout, env, detached: true });
  const chunks: string[] = [];
  for (const stream of [program.stdout, program.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => chunks.push(text));
  }
  running.push({ checkout, amqp, program, output: () => chunks.join("") });
}

async function ready({ checkout, output }: Start): Promise<Run> {
  await waitFor("it is ready", () => output().includes("Ready after"), READY_MS).catch(
    (cause: unknown) => {
      throw new Error(output(), { cause });
    },
  );
  return JSON.parse(readFileSync(join(checkout, ".wellsent/run.json"), "utf8")) as Run;
}

async function send(run: Run, toaddr: string): Promise<string> {
  const response = await fetch(`${run["api"]}/send`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ toaddr, subject: "Hello", body: "It works." }),
  });
  return ((await response.json()) as { id: string }).id;
}

async function inboxOf(run: Run): Promise<string[] | undefined> {
  const mails = (await (await fetch(`${run["inbox"]}/api/email`)).json()) as {
    to: { address: string }[];
  }[];
  const recipients = mails.flatMap(({ to }) => to.map(({ address }) => address));
  return recipients.length > 0 ? recipients : undefined;
}
