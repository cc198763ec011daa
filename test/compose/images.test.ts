import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it, jest } from "@jest/globals";
import { NODE_FLAGS } from "../../scripts/node-flags.ts";
import { docker } from "../support/compose.ts";
import { waitFor } from "@wellsent/testing";

jest.setTimeout(600_000);

const VERSION = `test-${randomUUID().slice(0, 8)}`;
const BASE = "gcr.io/distroless/nodejs24-debian12:nonroot";
const OVER_BASE_MAX = 25e6;
const SERVICES = ["api", "emailer", "logger"];
const MISSING = {
  api: [
    "AMQP_URL: is required",
    "API_KEYS_FILE: is required, unless API_ANONYMOUS=true lets everyone send",
  ],
  emailer: ["AMQP_URL: is required", "MAIL_FROM: is required", "SMTP_URLS: is required"],
  logger: ["AMQP_URL: is required", "AUDIT_DIR: is required"],
};
const NETWORK = `wellsent-${VERSION}`;

const image = (service: string) => `wellsent-${service}:${VERSION}`;
const begun: string[] = [];

/** Starts a container in the background; it is removed after the tests. */
async function start(name: string, ...args: string[]): Promise<string> {
  const named = ["--name", `${NETWORK}-${name}-${begun.length}`, "--network-alias", name];
  const id = await docker("run", "-d", "--network", NETWORK, ...named, ...args);
  begun.push(id);
  return id;
}

const BARE = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"];
const BROKER = ["-e", "AMQP_URL=amqp://wellsent:secret@rabbit"];

beforeAll(async () => {
  execFileSync("docker", ["buildx", "bake", "--load"], {
    env: { ...process.env, VERSION, REVISION: "0123abc", SOURCE: "https://example.com/wellsent" },
    stdio: "ignore",
  });
  await docker("network", "create", NETWORK);
});
afterAll(async () => {
  if (begun.length > 0) await docker("rm", "-f", "-v", ...begun);
  await docker("network", "rm", NETWORK);
  await docker("rmi", ...SERVICES.map(image));
});

interface Image {
  Size: number;
  Config: {
    User: string;
    Entrypoint: string[];
    ExposedPorts: Record<string, object>;
    Labels: Record<string, string>;
    Env: string[];
  };
}

const inspect = async (name: string) => (JSON.parse(await docker("inspect", name)) as Image[])[0];

describe.each(SERVICES)("the image of %s", (service) => {
  it("runs as user 65532, by number, with the flags of the services", async () => {
    const { User, Entrypoint } = (await inspect(image(service)))?.Config ?? {};

    expect(User).toBe("65532:65532");
    expect(Entrypoint).toEqual(["/nodejs/bin/node", ...NODE_FLAGS, "--enable-source-maps"]);
  });

  it("adds at most 25 MB to its base", async () => {
    const [own, base] = await Promise.all([inspect(image(service)), inspect(BASE)]);

    expect((own?.Size ?? 0) - (base?.Size ?? 0)).toBeGreaterThan(1e6);
    expect((own?.Size ?? 0) - (base?.Size ?? 0)).toBeLessThan(OVER_BASE_MAX);
  });

  it("is labelled with version, revision and source, and exposes its ports", async () => {
    const { Labels, ExposedPorts } = (await inspect(image(service)))?.Config ?? {};

    expect(Labels).toMatchObject({
      "org.opencontainers.image.title": `wellsent-${service}`,
      "org.opencontainers.image.version": VERSION,
      "org.opencontainers.image.revision": "0123abc",
      "org.opencontainers.image.source": "https://example.com/wellsent",
      "org.opencontainers.image.licenses": "Apache-2.0",
    });
    const own = { api: ["8080/tcp"], emailer: [], logger: ["9465/tcp"] }[service] ?? [];
    expect(Object.keys(ExposedPorts ?? {}).sort()).toEqual([...own, "9464/tcp"].sort());
  });

  it("has no shell, no package manager and nothing else that could be started", async () => {
    const find = `
      const { globSync, statSync } = require("node:fs");
      const isProgram = (path) => { try { const s = statSync(path); return s.isFile() && s.mode & 0o111; } catch { return false; } };
      const places = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/app", "/nodejs/bin"];
      console.log(JSON.stringify(places.flatMap((place) => globSync(place + "/*")).filter(isProgram)));`;
    const programs = JSON.parse(
      await docker("run", "--rm", image(service), "-e", find),
    ) as string[];
    const known = JSON.parse(
      await docker("run", "--rm", "--entrypoint=/nodejs/bin/node", BASE, "-e", find),
    ) as string[];

    expect(programs).toEqual(known);
    expect(programs.filter((path) => /\/(\w*sh|busybox|npm|npx|apt\S*|dpkg)$/.test(path))).toEqual(
      [],
    );
    await expect(docker("run", "--rm", "--entrypoint=/bin/sh", image(service))).rejects.toThrow(
      /no such file/,
    );
  });

  it("ends with 78 without configuration, and names every variable that is missing", () => {
    const run = () => execFileSync("docker", ["run", "--rm", image(service)], { stdio: "pipe" });
    const error = thrown(run) as { status: number; stderr: Buffer };

    expect(error.status).toBe(78);
    const named = error.stderr
      .toString()
      .split("\n")
      .slice(1, -1)
      .map((line) => line.trim());
    expect(named).toEqual(MISSING[service as keyof typeof MISSING]);
  });
});

describe("the images together", () => {
  it("find the broker by name on a network of the user's, and deliver a mail", async () => {
    const user = ["-e", "RABBITMQ_DEFAULT_USER=wellsent", "-e", "RABBITMQ_DEFAULT_PASS=secret"];
    await start("rabbit", "--user=999:999", ...user, "rabbitmq:4.3-management");
    const inbox = await start("inbox", "maildev/maildev:3.0.0");
    const api = await start("api", ...BARE, ...BROKER, "-e", "API_ANONYMOUS=true", image("api"));
    const relay = ["-e", "SMTP_URLS=smtp://inbox:1025", "-e", "MAIL_FROM=post@horn.example"];
    const emailer = await start("emailer", ...BARE, ...BROKER, ...relay, image("emailer"));
    const record = ["-e", "AUDIT_DIR=/var/lib/wellsent", "-v", "/var/lib/wellsent"];
    const logger = await start("logger", ...BARE, ...BROKER, ...record, image("logger"));
    const services = [api, emailer, logger];
    const ready = async (id: string) =>
      (await docker("exec", id, "/nodejs/bin/node", "healthcheck.cjs", "/readyz")).includes(
        "ready",
      );
    for (const id of services) await waitFor("readiness", () => ready(id), 60_000);

    const body = JSON.stringify({ toaddr: "ada@example.com", subject: "Hello", body: "It works." });
    const send = `fetch("http://api:8080/send", { method: "POST", body: process.argv[1],
      headers: { "content-type": "application/json" } }).then(({ status }) => console.log(status))`;
    const status = await docker("exec", inbox, "node", "-e", send, body);
    const read = `fetch("http://localhost:1080/api/email").then((a) => a.text()).then(console.log)`;
    const mails = await waitFor("a mail", async () => {
      const text = await docker("exec", inbox, "node", "-e", read);
      return text.includes("ada@example.com") && text;
    });

    expect(status).toBe("202");
    expect(mails).toContain("It works.");
    await waitFor("the record", async () => (await docker("logs", logger)).includes("sent "));
    const health = "{{.State.Health.Status}}";
    const healthy = async (id: string) => (await docker("inspect", "-f", health, id)) === "healthy";
    for (const id of services) await waitFor("health", () => healthy(id));

    // As process 1, to which the kernel delivers no signal that it does not handle.
    await docker("stop", "-t", "20", ...services);
    const ended = await docker("inspect", "-f", "{{.State.ExitCode}}", ...services);
    expect(ended.split("\n")).toEqual(["0", "0", "0"]);
  });

  it("show the sources in a stack trace", () => {
    const fail = "process.on = () => { throw new Error('here'); }; require('/app/main.cjs');";
    const args = ["run", "--rm", ...BROKER, "-e", "API_ANONYMOUS=true", image("api"), "-e", fail];
    const error = thrown(() => execFileSync("docker", args, { stdio: "pipe" }));

    const said = (error as { stderr: Buffer }).stderr.toString();
    expect(said).toMatch(/Error: here[^]*packages\/runtime\/src\/run-main\.ts:\d+/);
  });
});

function thrown(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}
