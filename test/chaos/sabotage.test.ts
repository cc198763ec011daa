import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { breakCopy, copySources, SABOTAGES, type Sabotage } from "./sabotage.ts";

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "posthorn-sabotage-"));
  copySources(process.cwd(), directory);
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe("breakCopy", () => {
  it("finds what each sabotage edits, and leaves sources that still compile", () => {
    for (const name of Object.keys(SABOTAGES)) breakCopy(directory, name as Sabotage);

    const tsc = join(process.cwd(), "node_modules/typescript/bin/tsc");
    const { status, stdout } = spawnSync(process.execPath, [tsc, "--project", directory]);
    expect([status, String(stdout)]).toEqual([0, ""]);
  });

  it("refuses when the text is not there any more", () => {
    expect(() => breakCopy(directory, "early-202")).toThrow(/send-route\.ts/);
  });
});
