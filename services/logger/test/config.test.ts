import { describe, expect, it } from "@jest/globals";
import { loadConfig, variables } from "../src/config.ts";

const required = { AMQP_URL: "amqp://broker", AUDIT_DIR: "/audit" };

describe("loadConfig", () => {
  it("needs the broker and the audit log's directory, and has defaults for the rest", () => {
    const { audit, amqp, prefetch } = loadConfig(required);

    expect(audit).toEqual({
      directory: "/audit",
      fileMaxBytes: 104_857_600,
      retentionDays: 90,
    });
    expect(prefetch).toBe(500);
    expect(amqp.url()).toBe("amqp://broker");
  });

  it("names every faulty variable at once", () => {
    const load = () => loadConfig({ AUDIT_RETENTION_DAYS: "-1", PREFETCH: "many" });

    expect(load).toThrow(/AMQP_URL[^]*AUDIT_DIR: is required[^]*AUDIT_RETENTION_DAYS[^]*PREFETCH/);
  });

  it("describes every variable", () => {
    const undescribed = Object.entries(variables.shape).filter(
      ([, variable]) => !variable.meta()?.description,
    );

    expect(undescribed).toEqual([]);
  });
});
