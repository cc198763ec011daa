import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import {
  commonVariables,
  integer,
  isSecret,
  milliseconds,
  port,
  readEnv,
  SECRET,
  secretReader,
  type Env,
} from "../src/config.ts";
import { ConfigError } from "../src/errors.ts";

const AMQP_URL = "amqp://user:secret@rabbitmq.example:5672/vhost";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "wellsent-config-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

function file(name: string, content: string): string {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

/** Returns the reported faults, one a line, or empty text if there is none. */
function faultsOf(shape: z.ZodRawShape, env: Env): string[] {
  try {
    readEnv(z.object(shape), env);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.code).toBe("CONFIG_INVALID");
    const [title, ...faults] = error.message.split("\n");
    expect(title).toBe("Configuration:");
    return faults.map((fault) => fault.trim());
  }
}

describe("readEnv", () => {
  const shape = {
    ...commonVariables,
    LEVEL: z.enum(["a", "b"]),
    NAME: z.string().regex(/^[a-z]+$/),
    LONG: z.string().min(100),
    FLAG: z.stringbool(),
    LINK: z.url(),
    COUNT: integer(1, 10),
    TOKEN: z.string().min(32).meta(SECRET),
    SEVERAL: z.union([z.literal("x"), z.literal("y")]),
  };

  it("returns every variable, typed, with defaults", () => {
    expect(readEnv(z.object(commonVariables), { AMQP_URL, METRICS_PORT: "0" })).toMatchObject({
      AMQP_URL,
      LOG_LEVEL: "info",
      METRICS_HOST: "::",
      METRICS_PORT: 0,
      SHUTDOWN_DEADLINE_MS: 20_000,
    });
  });

  it("names all faults at once", () => {
    const env = {
      LEVEL: "c",
      NAME: "A",
      LONG: "short",
      FLAG: "maybe",
      LINK: "no",
      COUNT: "11",
      TOKEN: "t",
      SEVERAL: "z",
    };

    expect(faultsOf(shape, env).map((fault) => fault.split(":")[0])).toStrictEqual([
      "AMQP_URL",
      "LEVEL",
      "NAME",
      "LONG",
      "FLAG",
      "LINK",
      "COUNT",
      "TOKEN",
      "SEVERAL",
    ]);
  });

  it.each(["hunter2", "hunter2\nMORE: hunter2", "1e5hunter2", "https://hunter2@", "%hunter2"])(
    "prints no invalid value",
    (value) => {
      const env = Object.fromEntries(Object.keys(shape).map((name) => [name, value]));

      const faults = faultsOf(shape, env).join("\n");

      expect(faults).toMatch(/AMQP_URL[^]*SEVERAL/);
      expect(faults).not.toContain("hunter2");
    },
  );

  it.each(Object.keys(shape).filter((name) => name === name.toUpperCase()))(
    "takes an empty %s as absent",
    (name) => {
      expect(faultsOf(shape, { [name]: "" })).toStrictEqual(faultsOf(shape, {}));
    },
  );

  it("reports each absent variable as required", () => {
    expect(faultsOf({ ...shape, LEVEL: z.string(), SEVERAL: z.string() }, {})).toStrictEqual([
      "AMQP_URL: is required",
      "LEVEL: is required",
      "NAME: is required",
      "LONG: is required",
      "FLAG: is required",
      "LINK: is required",
      "COUNT: is required",
      "TOKEN: is required",
      "SEVERAL: is required",
    ]);
  });

  it("ignores variables that are not its own", () => {
    expect(readEnv(z.object({ A: z.string() }), { A: "a", PATH: "/bin" })).toStrictEqual({
      A: "a",
    });
  });
});

describe("readEnv with secrets in files", () => {
  const shape = { TOKEN: z.string().min(3).meta(SECRET), NAME: z.string().optional() };

  it("reads a secret from its file, without the line break at the end", () => {
    const env = { TOKEN_FILE: file("token", "from file\n") };

    expect(readEnv(z.object(shape), env)).toMatchObject({ TOKEN: "from file" });
  });

  it("prefers the file to the variable", () => {
    const env = { TOKEN: "from variable", TOKEN_FILE: file("token", "from file") };

    expect(readEnv(z.object(shape), env)).toMatchObject({ TOKEN: "from file" });
  });

  it("uses the variable when no file is named", () => {
    const env = { TOKEN: "from variable", TOKEN_FILE: "" };

    expect(readEnv(z.object(shape), env)).toMatchObject({ TOKEN: "from variable" });
  });

  it("reports an unreadable file once, without its path", () => {
    expect(faultsOf(shape, { TOKEN_FILE: "/secret/place" })).toStrictEqual([
      "TOKEN_FILE: names a file that cannot be read",
    ]);
  });

  it("treats an empty file as an absent value", () => {
    expect(faultsOf(shape, { TOKEN_FILE: file("empty", "\n") })).toStrictEqual([
      "TOKEN: is required",
    ]);
  });

  it("prints no secret from a file", () => {
    expect(faultsOf(shape, { TOKEN_FILE: file("short", "x9") }).join()).not.toContain("x9");
  });

  it("reads no file for a variable that is not secret", () => {
    const env = { TOKEN: "token", NAME_FILE: file("name", "name") };

    expect(readEnv(z.object(shape), env).NAME).toBeUndefined();
  });

  it("reads the file of an optional secret", () => {
    const optional = z.object({ TOKEN: z.string().optional().meta(SECRET) });

    expect(readEnv(optional, { TOKEN_FILE: file("token", "from file") })).toStrictEqual({
      TOKEN: "from file",
    });
  });
});

describe("secretReader", () => {
  it("reads the file at each call", () => {
    const read = secretReader({ TOKEN_FILE: file("rotated", "old") }, "TOKEN");
    expect(read()).toBe("old");

    file("rotated", "new");

    expect(read()).toBe("new");
  });

  it("returns the variable when no file is named", () => {
    expect(secretReader({ TOKEN: "token" }, "TOKEN")()).toBe("token");
  });

  it("returns empty text while the file is missing", () => {
    expect(secretReader({ TOKEN_FILE: join(dir, "away") }, "TOKEN")()).toBe("");
  });
});

describe("isSecret", () => {
  it("recognizes secret variables", () => {
    expect(isSecret(commonVariables.AMQP_URL)).toBe(true);
    expect(isSecret(commonVariables.LOG_LEVEL)).toBe(false);
    expect(isSecret("AMQP_URL")).toBe(false);
  });
});

describe("commonVariables", () => {
  const faults = (env: Env) => faultsOf(commonVariables, { AMQP_URL, ...env });

  it.each(["amqp://rabbitmq", "amqps://user:p%40ss@rabbitmq.example:5671/%2Fvhost"])(
    "take %s as AMQP_URL",
    (url) => {
      expect(faults({ AMQP_URL: url })).toStrictEqual([]);
    },
  );

  it.each(["rabbitmq", "rabbitmq:5672", "http://rabbitmq", "amqp:", "amqp://", "amqps//x"])(
    "refuse %s as AMQP_URL",
    (url) => {
      expect(faults({ AMQP_URL: url })).toStrictEqual([
        "AMQP_URL: must be a URL that begins with amqp:// or amqps://",
      ]);
    },
  );

  it.each(["logs", "my.logs-2_x"])("take %s as ARTICLE_EXCHANGE", (name) => {
    expect(faults({ ARTICLE_EXCHANGE: name })).toStrictEqual([]);
  });

  it.each(["amq.fanout", "a b", "x".repeat(201), "lögs"])(
    "refuse %s as ARTICLE_EXCHANGE",
    (name) => {
      expect(faults({ ARTICLE_EXCHANGE: name })).toStrictEqual([
        "ARTICLE_EXCHANGE: must be 1 to 200 letters, digits, dots, dashes or underscores",
      ]);
    },
  );
});

describe("integer, port and milliseconds", () => {
  it.each([
    ["1", 1],
    ["10", 10],
    ["007", 7],
  ])("read %s", (text, number) => {
    expect(integer(1, 10).parse(text)).toBe(number);
  });

  it.each(["0", "11", "-1", "1.0", "1e1", "0x1", " 1", "1 ", "1_0", "one", "٣", "9".repeat(20)])(
    "refuse %j",
    (text) => {
      expect(integer(1, 10).safeParse(text).error?.issues[0]?.message).toBe(
        "must be a whole number from 1 to 10",
      );
    },
  );

  it("limits a port to 16 bits", () => {
    expect(port(80, "").parse(undefined)).toBe(80);
    expect(port(80, "").parse("65535")).toBe(65_535);
    expect(port(80, "").safeParse("65536").success).toBe(false);
  });

  it("limits a duration to the longest timer", () => {
    expect(milliseconds(5, "").parse(undefined)).toBe(5);
    expect(milliseconds(5, "").parse("2147483647")).toBe(2_147_483_647);
    expect(milliseconds(5, "").safeParse("2147483648").success).toBe(false);
    expect(milliseconds(5, "").safeParse("0").success).toBe(false);
  });
});
