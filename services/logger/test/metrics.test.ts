import { describe, expect, it } from "@jest/globals";
import { temporaryDirectory, testMetrics } from "./support.ts";

describe("createLoggerMetrics", () => {
  it("tells the room on the disk, and NaN where there is no directory", async () => {
    const known = await testMetrics(temporaryDirectory()).registry.metrics();
    const unknown = await testMetrics("/nowhere/audit").registry.metrics();

    expect(known).toMatch(/\nwellsent_audit_disk_free_bytes [1-9]\d+\n/);
    expect(unknown).toMatch(/\nwellsent_audit_disk_free_bytes Nan\n/);
  });
});
