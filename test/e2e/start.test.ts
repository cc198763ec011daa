import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "@wellsent/testing";

const ROOT = process.cwd();
const COPIED = ["packages", "services", "scripts", "package.json", "package-lock.json", ".npmrc"];
const clone = mkdtempSync(join(tmpdir(), "wellsent-start-"));
const runFile = join(clone, ".wellsent/run.json");
let program: ChildProcess | undefined;
let output = "";

interface Run {
  api: string;
  apiAdmin: string;
  emailerAdmin: string;
  loggerAdmin: string;
  internal: string;
  internalToken: string;
  inbox: string;
  smtp: string;
  amqp: string;
  audit: string;
  pids: Record<"api" | "emailer" | "logger" | "rabbitmq" | "maildev", number>;
}

beforeAll(() => {
  for (const name of COPIED) cpSync(join(ROOT, name), join(clone, name), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(clone, "node_modules"));
});

afterAll(() => {
  program?.kill("SIGKILL");
  rmSync(clone, { recursive: true, force: true });
});

describe("npm start", () => {
  it("takes an email from curl to the inbox and the audit log", async () => {
    const run = await start();

    const { id } = await send(run, "first@example.com");

    const mails = await waitFor("the mail in the inbox", async () => {
      const all = (await (await fetch(`${run.inbox}/api/email`)).json()) as {
        subject: string;
        text: string;
      }[];
      return all.length > 0 ? all : undefined;
    });
    expect(mails).toEqual([expect.objectContaining({ subject: "First light" })]);
    await waitFor("its record", () => audit(run).includes("email.sent"));
    expect(audit(run)).toContain(id);
  });

  it("opens the internal port to who has the token that it made", async () => {
    const run = read();
    const ask = (token: string) =>
      fetch(`${run.internal}/pause`, { headers: { authorization: `Bearer ${token}` } });

    const answer = await ask(readFileSync(run.internalToken, "utf8").trim());

    expect(await answer.json()).toEqual({ paused: false });
    expect((await ask("x".repeat(64))).status).toBe(401);
    expect(statSync(run.internalToken).mode & 0o777).toBe(0o600);
  });

  it("starts a part again that died, and says so", async () => {
    const before = read();
    process.kill(before.pids.emailer, "SIGKILL");

    const after = await waitFor("another emailer", () => {
      const now = read();
      return now.pids.emailer && now.pids.emailer !== before.pids.emailer ? now : undefined;
    });

    expect(output).toContain("emailer ended by itself");
    await waitFor("it is ready", async () => (await fetch(`${after.emailerAdmin}/readyz`)).ok);
  });

  it("refuses to run twice, in one line", async () => {
    const second = spawn("npm", ["start"], { cwd: clone, env: { ...process.env, AMQP_URL: "" } });
    let said = "";
    second.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    const [code] = (await once(second, "exit")) as [number];

    expect(code).toBe(1);
    expect(said).toContain("runs here already");
  });

  it("leaves no process and no port at Ctrl-C, and keeps the data", async () => {
    const run = read();

    expect(await interrupt()).toBe(0);

    expect(Object.entries(run.pids).filter(([, pid]) => isAlive(pid))).toEqual([]);
    const places = [
      run.api,
      run.apiAdmin,
      run.emailerAdmin,
      run.loggerAdmin,
      run.inbox,
      run.smtp,
      run.amqp,
    ];
    expect(await Promise.all(places.map(answers))).toEqual(places.map(() => false));
    expect(existsSync(runFile)).toBe(false);
    expect(audit(run)).toContain("email.sent");
  });

  it("begins anew with --fresh", async () => {
    const run = await start("--", "--fresh");

    expect(audit(run)).toBe("");
    expect(await interrupt()).toBe(0);
  });
});

async function start(...args: string[]): Promise<Run> {
  output = "";
  // In a group of its own, as a shell would run it, so that a Ctrl-C reaches all of it.
  program = spawn("npm", ["start", ...args], {
    cwd: clone,
    env: { ...process.env, AMQP_URL: "" },
    detached: true,
  });
  for (const stream of [program.stdout, program.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => (output += text));
  }
  await waitFor(`it is ready`, () => output.includes("Ready after"), 55_000).catch(
    (error: unknown) => {
      throw new Error(output, { cause: error });
    },
  );
  return read();
}

async function interrupt(): Promise<number> {
  if (!program) throw new Error("nothing runs");
  const exited = once(program, "exit") as Promise<[number]>;
  process.kill(-(program.pid ?? 0), "SIGINT");
  return (await exited)[0];
}

async function send(run: Run, toaddr: string): Promise<{ id: string }> {
  const body = JSON.stringify({ toaddr, subject: "First light", body: "It works." });
  const response = await fetch(`${run.api}/send`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body,
  });
  expect(response.status).toBe(202);
  return (await response.json()) as { id: string };
}

function read(): Run {
  return JSON.parse(readFileSync(runFile, "utf8")) as Run;
}

function audit({ audit: directory }: Run): string {
  const files = readdirSync(directory).filter((name) => name.endsWith(".jsonl"));
  return files.map((name) => readFileSync(join(directory, name), "utf8")).join("");
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function answers(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  return once(socket, "connect").then(
    () => Boolean(socket.destroy()),
    () => false,
  );
}
