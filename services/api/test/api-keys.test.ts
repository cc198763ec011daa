import { createHash } from "node:crypto";
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Problem } from "@wellsent/http";
import { ConfigError } from "@wellsent/runtime";
import { createFakeLog, waitFor } from "@wellsent/testing";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { createApiKeys } from "../src/api-keys.ts";

const line = (key: string, name: string) =>
  `${createHash("sha256").update(key).digest("hex")}  ${name}\n`;

describe("createApiKeys", () => {
  let directory = "";
  let file = "";
  const log = createFakeLog();
  const { lines } = log;
  let keys: ReturnType<typeof createApiKeys> | undefined;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "api-keys-"));
    file = join(directory, "keys");
    lines.length = 0;
  });

  afterEach(() => {
    keys?.stop();
    rmSync(directory, { recursive: true });
  });

  const open = (text: string) => {
    writeFileSync(file, text);
    keys = createApiKeys(file, log, 20);
    keys.start();
    return keys;
  };
  const takes = (key: string) => {
    try {
      return keys?.authenticate(`Bearer ${key}`) !== undefined;
    } catch {
      return false;
    }
  };

  it("knows a key by its hash and gives its name", () => {
    const { authenticate } = open(
      `# keys\n\n${line("one", "shop")}${line("two", "*blog").replace("  *", " *")}`,
    );

    expect(authenticate("Bearer one")).toBe("shop");
    expect(authenticate("bearer  two")).toBe("blog");
  });

  it.each([undefined, "", "Basic b25l", "Bearer", "Bearer one two", "one"])(
    "says that a key is missing in %j",
    (header) => {
      const { authenticate } = open(line("one", "shop"));

      expect(() => authenticate(header)).toThrow(
        expect.objectContaining({ code: "API_KEY_MISSING" }),
      );
    },
  );

  it("says that a key is unknown, and never logs it", () => {
    const { authenticate } = open(line("one", "shop"));

    expect(() => authenticate("Bearer other")).toThrow(Problem);
    expect(() => authenticate("Bearer other")).toThrow(
      expect.objectContaining({ code: "API_KEY_UNKNOWN" }),
    );
    expect(JSON.stringify(lines)).not.toContain("other");
  });

  it("lets everyone send without a file, and says so", () => {
    const anonymous = createApiKeys(undefined, log);

    anonymous.start();
    anonymous.stop();

    expect(anonymous.authenticate(undefined)).toBe("anonymous");
    expect(lines.map(({ message }) => message)).toEqual(["everyone may send: API_ANONYMOUS=true"]);
  });

  it.each([
    ["a line without name", `${line("one", "shop")}${"a".repeat(64)}\n`, "line 2"],
    ["a short hash", "abc  shop\n", "line 1"],
    ["a name with a blank", line("one", "my shop"), "line 1"],
    ["no key", "# none yet\n", "has no key"],
  ])("refuses at start a file with %s", (_what, text, reason) => {
    writeFileSync(file, text);

    expect(() => createApiKeys(file, log)).toThrow(ConfigError);
    expect(() => createApiKeys(file, log)).toThrow(reason);
  });

  it("refuses at start a file that is not there", () => {
    expect(() => createApiKeys(file, log)).toThrow("names a file that cannot be read");
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
    keys = createApiKeys(file, log, 20);
    keys.start();

    symlinkSync("b", join(directory, "new"));
    renameSync(join(directory, "new"), file);

    await waitFor("the new key counts", () => takes("two"));
    expect(takes("one")).toBe(false);
  });

  it.each([
    [
      "malformed",
      () => {
        writeFileSync(file, "nonsense");
      },
    ],
    [
      "empty",
      () => {
        writeFileSync(file, "");
      },
    ],
    [
      "gone",
      () => {
        rmSync(file);
      },
    ],
  ])("keeps the old keys and says so when the file is %s", async (_what, spoil) => {
    open(line("one", "shop"));

    spoil();

    await waitFor("an error is logged", () => lines.some(({ level }) => level === "error"));
    expect(takes("one")).toBe(true);
  });

  it("reads a file that comes back", async () => {
    open(line("one", "shop"));
    rmSync(file);
    await waitFor("an error is logged", () => lines.some(({ level }) => level === "error"));

    writeFileSync(file, line("two", "shop"));

    await waitFor("the new key counts", () => takes("two"));
    expect(takes("two")).toBe(true);
  });
});
