import { ConfigError } from "@wellsent/runtime";
import { describe, expect, it } from "@jest/globals";
import { loadConfig } from "../src/config.ts";

const ENV = { AMQP_URL: "amqp://broker", API_ANONYMOUS: "true" };

function faultOf(env: Record<string, string>): string {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
  }
  return "";
}

describe("loadConfig", () => {
  it("has defaults for all variables except the broker and the keys", () => {
    expect(loadConfig(ENV)).toMatchObject({
      http: { host: "::", port: 8080 },
      publish: { windowSize: 500, timeoutMs: 10_000 },
      limits: { bodyMaxBytes: 1_048_576, emailerQueueMax: 500_000 },
      apiKeysFile: undefined,
    });
  });

  it("requires API_KEYS_FILE or API_ANONYMOUS, and names both", () => {
    const fault = faultOf({ AMQP_URL: "amqp://broker" });

    expect(fault).toContain("API_KEYS_FILE: is required");
    expect(fault).toContain("API_ANONYMOUS=true");
  });

  it("starts with a file of keys and without API_ANONYMOUS", () => {
    expect(loadConfig({ AMQP_URL: "amqp://broker", API_KEYS_FILE: "/keys" }).apiKeysFile).toBe(
      "/keys",
    );
  });

  it("reports every fault at once, without values", () => {
    const fault = faultOf({
      HTTP_PORT: "http-secret",
      BODY_MAX_BYTES: "99999999",
      API_ANONYMOUS: "maybe",
    });

    expect(
      fault
        .match(/^ {2}\w+/gm)
        ?.map((name) => name.trim())
        .sort(),
    ).toEqual(["AMQP_URL", "API_ANONYMOUS", "BODY_MAX_BYTES", "HTTP_PORT"]);
    expect(fault).not.toMatch(/secret|99999999|maybe/);
  });
});
