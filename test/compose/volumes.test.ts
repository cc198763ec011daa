import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, jest } from "@jest/globals";
import { createProject, docker, type Project } from "../support/compose.ts";
import { waitFor } from "@wellsent/testing";

jest.setTimeout(600_000);

let project: Project;
let dir: string;
beforeAll(async () => {
  project = await createProject("test/compose/relay.yaml");
  dir = mkdtempSync(join(tmpdir(), "wellsent-audit-"));
  await project.up();
});
afterAll(async () => {
  await project.remove();
  // What the logger wrote belongs to another user than ours.
  const image = "node:24-bookworm-slim";
  await docker("run", "--rm", "-v", `${dir}:/audit`, image, "rm", "-rf", "/audit/logs");
  rmSync(dir, { recursive: true });
});

/** The kinds of what is on record, as often as they are. */
const kinds = async () => (await project.record()).map(({ kind }) => kind);
const count = (all: string[], one: string) => all.filter((each) => each === one).length;
/** Sends one to the inbox and resolves to its recipient. */
async function deliver(): Promise<string> {
  const { accepted } = await project.send({ count: 1, clients: 1 });
  await project.sent(accepted.values());
  return [...accepted.keys()].join();
}

describe("docker compose down", () => {
  it("keeps inbox, queues, ladder and record", async () => {
    const delivered = await deliver();
    const relay = { SMTP_URLS: "smtp://relay:2525", REFUSE: "yes" };
    await project.compose(["up", "-d", "--wait"], relay);
    await project.compose(["restart", "emailer"]);
    const { accepted } = await project.send({ count: 10 });
    const deferred = async () => count(await kinds(), "email.deferred") >= 10;
    await waitFor("ten deferred", deferred, 60_000);
    await project.compose(["stop", "emailer"]);
    const { accepted: queued } = await project.send({ count: 10 });

    await project.compose(["down"]);
    await project.compose(["up", "-d", "--wait"], { REFUSE: "" });

    expect(await project.inbox()).toEqual([delivered]);
    const lines = await project.sent([...accepted.values(), ...queued.values()], 180_000);
    const all = lines.map(({ kind }) => kind);
    expect(count(all, "email.accepted")).toBe(21);
    expect(count(all, "email.sent")).toBe(21);
    const deferredIds = new Set(accepted.values());
    const later = lines.filter(({ kind, id }) => kind === "email.sent" && deferredIds.has(id));
    expect(later.every(({ attempt = 0 }) => attempt > 1)).toBe(true);
  });

  it("forgets all of them with -v", async () => {
    await project.compose(["down", "-v"]);
    await project.compose(["up", "-d", "--wait"], { SMTP_URLS: "", AUDIT_DIR: join(dir, "logs") });

    expect(await project.inbox()).toEqual([]);
    expect(await project.record()).toEqual([]);
  });
});

describe("AUDIT_DIR", () => {
  it("is made where it is missing, and holds the record", async () => {
    await deliver();

    expect(readdirSync(join(dir, "logs"))).toContainEqual(expect.stringMatching(/^audit-.*jsonl$/));
  });

  it("ends the logger with 78, path and uid where it cannot be written", async () => {
    const ours = join(dir, "ours");
    mkdirSync(ours, { mode: 0o755 });
    await project.compose(["up", "-d", "logger"], { AUDIT_DIR: ours });
    const [id = ""] = await project.containers("logger");
    const said = await waitFor("a refusal", async () => {
      const log = await project.compose(["logs", "--no-log-prefix", "logger"]);
      return /^AUDIT_DIR: .*$/m.exec(log)?.[0];
    });

    expect(said).toBe("AUDIT_DIR: /var/lib/wellsent cannot be written by user id 65532 (EACCES)");
    const status = () => docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", id);
    await waitFor("78", async () => (await status()) === "restarting 78");
    expect(readdirSync(ours)).toEqual([]);
  });
});
