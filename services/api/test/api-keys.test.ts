import { createHash } from "node:crypto";
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Problem } from "@wellsent/http";
import { ConfigError } from "@wellsent/runtime";
import { createFakeLog, waitFor } from "@wellsent/testing";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { Registry } from "prom-client";
import { ApiKeys } from "../src/api-keys.ts";
import { createApiMetrics } from "../src/metrics.ts";

const line = (key: string, name: string) =>
  `${createHash("sha256").update(key).digest("hex")}  ${name}\n`;

describe("ApiKeys", () => {
  let directory = "";
  let file = "";
  const log = createFakeLog();
  const { lines } = log;
  let keys: ApiKeys | undefined;
  let registry = new Registry();

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "api-keys-"));
    file = join(directory, "keys");
    lines.length = 0;
    registry = new Registry();
  });

  afterEach(() => {
    keys?.stop();
    rmSync(directory, { recursive: true });
  });

  const create = (path: string | undefined, keepMs = 60_000) =>
    new ApiKeys({
      file: path,
      metrics: createApiMetrics(registry),
      log,
      times: { checkMs: 20, keepMs },
    });
  const open = (text: string, keepMs?: number) => {
    writeFileSync(file, text);
    keys = create(file, keepMs);
    keys.start();
    return keys;
  };
  const metric = async (name: string) => {
    const text = await registry.metrics();
    return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1]);
  };
  const takes = (key: string) => {
    try {
      return keys?.authenticate(`Bearer ${key}`) !== undefined;
    } catch {
      return false;
    }
  };

  it("finds a key by its hash and returns its name", () => {
    const { authenticate } = open(
      `# keys\n\n${line("one", "shop")}${line("two", "*blog").replace("  *", " *")}`,
    );

    expect(authenticate("Bearer one")).toBe("shop");
    expect(authenticate("bearer  two")).toBe("blog");
  });

  it.each([undefined, "", "Basic b25l", "Bearer", "Bearer one two", "one"])(
    "refuses %j with API_KEY_MISSING",
    (header) => {
      const { authenticate } = open(line("one", "shop"));

      expect(() => authenticate(header)).toThrow(
        expect.objectContaining({ code: "API_KEY_MISSING" }),
      );
    },
  );

  it("refuses an unknown key, and never logs it", () => {
    const { authenticate } = open(line("one", "shop"));

    expect(() => authenticate("Bearer other")).toThrow(Problem);
    expect(() => authenticate("Bearer other")).toThrow(
      expect.objectContaining({ code: "API_KEY_UNKNOWN" }),
    );
    expect(JSON.stringify(lines)).not.toContain("other");
  });

  it("lets everyone send without a file, and logs it", () => {
    const anonymous = create(undefined);

    anonymous.start();
    anonymous.stop();

    expect(anonymous.authenticate(undefined)).toBe("anonymous");
    expect(lines.map(({ message }) => message)).toEqual([
      "authentication disabled (API_ANONYMOUS=true)",
    ]);
  });

  it.each([
    ["a line without name", `${line("one", "shop")}${"a".repeat(64)}\n`, "line 2"],
    ["a short hash", "abc  shop\n", "line 1"],
    ["a name with a blank", line("one", "my shop"), "line 1"],
  ])("refuses at start a file with %s", (_what, text, reason) => {
    writeFileSync(file, text);

    expect(() => create(file)).toThrow(ConfigError);
    registry = new Registry();
    expect(() => create(file)).toThrow(reason);
  });

  it("does not start if the file is missing", () => {
    expect(() => create(file)).toThrow("names a file that cannot be read");
  });

  it("reads the file again when it changes", async () => {
    open(line("one", "shop"));

    writeFileSync(file, line("two", "shop"));

    await waitFor("the new key counts", () => takes("two"));
    expect(takes("one")).toBe(false);
  });

  it("follows a symbolic link that is swapped", async () => {
    writeFileSync(join(directory, "a"), line("one", "shop"));
    writeFileSync(join(directory, "b"), line("two", "shop"));
    symlinkSync("a", file);
    keys = create(file);
    keys.start();

    symlinkSync("b", join(directory, "new"));
    renameSync(join(directory, "new"), file);

    await waitFor("the new key counts", () => takes("two"));
    expect(takes("one")).toBe(false);
  });

  it.each(["", "# none yet\n", `# ${line("one", "shop")}`])(
    "lets nobody send if the file has no key, and reports it: %j",
    async (text) => {
      const { check } = open(line("one", "shop"));

      writeFileSync(file, text);

      await waitFor("the key is revoked", () => !takes("one"));
      expect(check()).toEqual({ reason: "no API key: nobody may send", blocks: false });
      expect(await metric("wellsent_api_keys")).toBe(0);
      expect(await metric("wellsent_api_key_faults")).toBe(0);
    },
  );

  it("starts with a file that has no key", () => {
    const { check } = open("# none yet\n");

    expect(takes("one")).toBe(false);
    expect(check()).toMatchObject({ blocks: false });
  });

  it.each([
    ["the hash has a typo", line("one", "shop").slice(1)],
    ["the name has a blank", line("one", "the shop")],
    ["the name is missing", `${line("one", "").trim()}\n`],
    ["the separator is a tab", line("one", "shop").replace("  ", "\t")],
  ])("keeps a key whose line is spoilt, and says so loudly: %s", async (_what, spoilt) => {
    const { check } = open(line("one", "shop") + line("two", "blog"));

    writeFileSync(file, spoilt + line("two", "blog"));

    await waitFor("a fault", () => check());
    expect(check()?.reason).toMatch(
      /^API_KEYS_FILE: line 1: .*; 1 earlier keys stay valid for an hour$/,
    );
    expect(lines.some(({ level }) => level === "error")).toBe(true);
    expect([takes("one"), takes("two")]).toEqual([true, true]);
    expect(await metric("wellsent_api_keys")).toBe(2);
    expect(await metric("wellsent_api_key_faults")).toBe(1);
  });

  it("revokes a key at once although another line is invalid", async () => {
    const { check } = open(line("one", "shop") + line("two", "blog") + line("three", "cron"));

    writeFileSync(file, `nonsense\n${line("two", "blog")}${line("three", "cron").slice(2)}`);

    await waitFor("a fault", () => check());
    expect([takes("one"), takes("two"), takes("three")]).toEqual([false, true, true]);
  });

  it("keeps a key for an hour at most, although the file becomes invalid again", async () => {
    open(line("one", "shop"), 150);

    const spoil = setInterval(() => writeFileSync(file, `spoilt shop ${Math.random()}\n`), 30);

    await waitFor("the key is dropped", () => !takes("one"));
    clearInterval(spoil);
    expect(log.messages).toContain("earlier API keys revoked: API_KEYS_FILE was not corrected");
  });

  it("keeps the keys for a while if the file is missing, and reports it", async () => {
    const { check } = open(line("one", "shop"), 300);

    rmSync(file);

    await waitFor("a fault", () => check());
    expect(check()).toMatchObject({
      reason: expect.stringContaining("names a file that cannot be read") as unknown,
      blocks: false,
    });
    expect(await metric("wellsent_api_key_faults")).toBe(1);
    await waitFor("the key is dropped", () => !takes("one"));
  });

  it("reads a file that exists again", async () => {
    open(line("one", "shop"));
    rmSync(file);
    await waitFor("an error is logged", () => lines.some(({ level }) => level === "error"));

    writeFileSync(file, line("two", "shop"));

    await waitFor("the new key counts", () => takes("two"));
    expect(takes("two")).toBe(true);
  });
});
