import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, jest } from "@jest/globals";
import { createProject, docker, IMAGES_GIVEN, type Project } from "../support/compose.ts";
import { waitFor } from "@wellsent/testing";

jest.setTimeout(600_000);

const SCALED = { API_REPLICAS: "2", EMAILER_REPLICAS: "3" };
/** Minutes of one service's absence are the same as seconds of it; COMPOSE_OUTAGE_S makes them minutes. */
const OUTAGE_MS = Number(process.env["COMPOSE_OUTAGE_S"] ?? 5) * 1_000;
/** How often the API is replaced under load. */
const REPLACEMENTS = Number(process.env["COMPOSE_REPLACEMENTS"] ?? 1);
/** The promise is a minute after the build. */
const HEALTHY_S = "60";

let project: Project;
beforeAll(async () => {
  project = await createProject();
});
afterAll(() => project.remove());

/** Brings up with settings as `.env` would have them; they stay for what follows. */
async function up(settings: Record<string, string>): Promise<void> {
  await project.compose(["up", "-d", "--wait"], settings);
}

interface Container {
  Name: string;
  Config: { User: string; Env: string[]; Labels: Record<string, string> };
  State: { ExitCode: number; Health?: { Status: string } };
  HostConfig: {
    ReadonlyRootfs: boolean;
    CapDrop: string[] | null;
    CapAdd: string[] | null;
    SecurityOpt: string[];
    Memory: number;
  };
  NetworkSettings: { Ports: Record<string, { HostIp: string }[] | null> };
}

async function inspect(): Promise<Map<string, Container>> {
  const ids = (await project.compose(["ps", "-aq"])).split("\n");
  const all = JSON.parse(await docker("inspect", ...ids)) as Container[];
  const service = ({ Config }: Container) => Config.Labels["com.docker.compose.service"] ?? "";
  return new Map(all.map((container) => [service(container), container]));
}

describe("docker compose up", () => {
  it("is healthy within a minute, with nothing configured", async () => {
    await project.up("--wait-timeout", HEALTHY_S);

    const containers = await inspect();
    expect(containers.get("secrets")?.State.ExitCode).toBe(0);
    containers.delete("secrets");
    const health = [...containers].map(([name, { State }]) => [name, State.Health?.Status]);
    expect(Object.fromEntries(health)).toEqual({
      api: "healthy",
      emailer: "healthy",
      haproxy: "healthy",
      logger: "healthy",
      maildev: "healthy",
      rabbitmq: "healthy",
    });
  });

  it("delivers to the inbox and shows the record in the logger's log", async () => {
    const { accepted } = await project.send({ count: 1, clients: 1 });
    const [[recipient = "", id = ""] = []] = accepted;
    await project.sent(accepted.values());

    expect(await project.inbox()).toContain(recipient);
    const log = await project.compose(["logs", "--no-log-prefix", "logger"]);
    expect(log).toContain(`accepted ${id}.0.0 to ${recipient}`);
    expect(log).toContain(`sent ${id}.0.0 to ${recipient} via maildev:1025`);
  });

  it("publishes the API and the inbox, on loopback, and nothing else", async () => {
    const published = [...(await inspect())].flatMap(([name, { NetworkSettings }]) =>
      Object.entries(NetworkSettings.Ports).flatMap(([port, hosts]) =>
        (hosts ?? []).map(({ HostIp }) => `${name} ${port} ${HostIp}`),
      ),
    );

    expect(published.sort()).toEqual(["haproxy 8080/tcp 127.0.0.1", "maildev 1080/tcp 127.0.0.1"]);
  });

  it("runs everything read-only, without rights and capabilities, under a memory limit", async () => {
    const containers = await inspect();
    containers.delete("secrets");

    for (const { HostConfig } of containers.values()) {
      const { ReadonlyRootfs, CapDrop, CapAdd, SecurityOpt, Memory } = HostConfig;
      expect({ ReadonlyRootfs, CapDrop, CapAdd, SecurityOpt }).toEqual({
        ReadonlyRootfs: true,
        CapDrop: ["ALL"],
        CapAdd: null,
        SecurityOpt: ["no-new-privileges:true"],
      });
      expect(Memory).toBeGreaterThan(0);
    }
    const users = ["api", "emailer", "logger"].map((name) => containers.get(name)?.Config.User);
    expect(users).toEqual(["65532:65532", "65532:65532", "65532:65532"]);
    expect(containers.get("rabbitmq")?.Config.User).toBe("999:999");
  });

  it("keeps every secret out of what docker inspect shows, and from other users", async () => {
    const read = "console.log(require('fs').readFileSync(process.argv[1], 'utf8'))";
    const cat = (service: string, file: string) =>
      project.compose(["exec", service, "/nodejs/bin/node", "-e", read, `/secrets/${file}`]);
    const url = new URL(await cat("emailer", "amqp-url"));
    const token = await cat("logger", "internal-token");
    const shown = JSON.stringify([...(await inspect())]);

    expect(url.password).toMatch(/^[\da-f]{48}$/);
    expect(token).toMatch(/^[\da-f]{64}$/);
    expect(shown).not.toContain(url.password);
    expect(shown).not.toContain(token);
    await expect(cat("api", "rabbitmq.conf")).rejects.toThrow("EACCES");
  });
});

describe(".env.example", () => {
  const settings = (isSet: (line: string) => boolean) =>
    readFileSync(".env.example", "utf8")
      .split("\n")
      .filter(isSet)
      .map((line) => /^#?([A-Z_]+)='?(.*?)'?$/.exec(line))
      .flatMap((match) => (match ? [[match[1] ?? "", match[2] ?? ""] as const] : []));

  it("changes nothing when it is copied", () => {
    expect(settings((line) => !line.startsWith("#"))).toEqual([]);
  });

  it("is refused by name when its relay is used as it is", async () => {
    const { SMTP_URLS = "" } = Object.fromEntries(
      settings((line) => line.startsWith("#SMTP_URLS")),
    );
    expect(SMTP_URLS).toMatch(/^smtps:/);

    await expect(up({ SMTP_URLS })).rejects.toThrow("exit 78");
    expect(await project.compose(["logs", "--no-log-prefix", "secrets"])).toContain(
      "SMTP_URLS in .env still names the example's relay",
    );
    await up({ SMTP_URLS: "" });
  });
});

describe("scaled out", () => {
  beforeAll(() => up(SCALED));

  it("gives each replica at least six tenths of its fair share", async () => {
    const { accepted } = await project.send({ count: 500 });
    await project.sent(accepted.values());

    expect(accepted.size).toBe(500);
    const emails = await project.metric("api", "wellsent_emails_accepted_total");
    const deliveries = await project.metric("emailer", "wellsent_emailer_outcomes_total");
    expect(emails).toHaveLength(2);
    expect(deliveries).toHaveLength(3);
    expect(Math.min(...emails)).toBeGreaterThanOrEqual((0.6 * 500) / 2);
    expect(Math.min(...deliveries)).toBeGreaterThanOrEqual((0.6 * 500) / 3);
  });

  it.each(["api", "emailer", "logger", "rabbitmq", "haproxy"])(
    "loses nothing that was accepted when a container is killed: %s",
    async (service) => {
      const [victim = ""] = await project.containers(service);
      let killed = false;
      const sending = project.send({ count: 500, until: () => killed });
      await sleep(500);
      await docker("kill", "--signal", "KILL", victim);
      await project.up();
      killed = true;
      const { accepted } = await sending;
      const lines = await project.sent(accepted.values(), 120_000);

      const sent = lines.filter(({ kind }) => kind === "email.sent");
      const inbox = await project.inbox();
      const count = (recipient: string) => inbox.filter((each) => each === recipient).length;
      const flagged = new Set(sent.flatMap((line) => (line.possibleDuplicate ? [line.id] : [])));
      const wrong = [...accepted].filter(
        ([recipient, id]) => count(recipient) !== 1 && !flagged.has(id),
      );
      expect(accepted.size).toBeGreaterThan(100);
      expect(wrong).toEqual([]);
      expect([...accepted.keys()].filter((recipient) => count(recipient) === 0)).toEqual([]);
    },
  );

  it.each(["2", "1"])("fails no request while the API is replaced: %s replicas", async (count) => {
    await up({ API_REPLICAS: count });
    let replaced = false;
    const sending = project.send({ count: 0, clients: 24, slow: 8, until: () => replaced });
    for (let round = 0; round < REPLACEMENTS; round++) {
      await sleep(2_000);
      const before = await project.containers("api");
      // As docs/compose.md says; --force-recreate, because nothing has changed.
      const build = IMAGES_GIVEN ? [] : ["--build"];
      await project.compose(["up", "-d", "--no-deps", ...build, "--force-recreate", "api"]);
      await sleep(3_000);
      const after = await project.containers("api");
      expect(after).toHaveLength(Number(count));
      expect(new Set(before).isDisjointFrom(new Set(after))).toBe(true);
    }
    replaced = true;
    const { accepted, others } = await sending;

    expect(others).toEqual({});
    expect(accepted.size).toBeGreaterThan(100);
    await project.sent(accepted.values());
  });
});

describe("while a service is away", () => {
  beforeAll(() => up({ API_REPLICAS: "1", EMAILER_REPLICAS: "1" }));
  afterAll(() => project.up());

  it("accepts without an emailer, and sends when there is one again", async () => {
    await project.compose(["stop", "emailer"]);
    const { accepted, others } = await project.send({ count: 100 });
    await sleep(OUTAGE_MS);
    await project.compose(["start", "emailer"]);

    expect(others).toEqual({});
    await project.sent(accepted.values());
  });

  it("sends without a logger, whose record catches up", async () => {
    await project.compose(["stop", "logger"]);
    const { accepted } = await project.send({ count: 100 });
    const arrived = async () => new Set(accepted.keys()).isSubsetOf(new Set(await project.inbox()));
    await waitFor("all mail", arrived, 60_000);
    await sleep(OUTAGE_MS);
    await project.compose(["start", "logger"]);

    const lines = await project.sent(accepted.values());
    const ids = new Set(accepted.values());
    const recorded = lines.filter(({ kind, id }) => kind === "email.accepted" && ids.has(id));
    expect(recorded).toHaveLength(100);
  });

  it("sends what was accepted while there is no API", async () => {
    await project.compose(["stop", "emailer"]);
    const { accepted } = await project.send({ count: 100 });
    await project.compose(["stop", "api"]);
    await project.compose(["start", "emailer"]);

    expect(accepted.size).toBe(100);
    await project.sent(accepted.values());
  });
});
