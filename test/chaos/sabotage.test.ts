import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { balance } from "./books.ts";
import { breakCopy, copySources, judgeSabotage, SABOTAGES, type Sabotage } from "./sabotage.ts";

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "wellsent-sabotage-"));
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
    expect(() => breakCopy(directory, "early-202")).toThrow(/send\/route\.ts/);
  });
});

describe("judgeSabotage", () => {
  const nothing = { sent: [], takes: [], refused: new Set<string>(), lines: [], parked: [] };
  const sums = balance({ ...nothing, confirmed: [], deaths: [] });

  it("takes the sum that a sabotage must show in for a catch", () => {
    const { status } = judgeSabotage("ignore-guard", { ...sums, twiceOutside: ["a.0.0"] });

    expect(status).toBe(1);
  });

  it("takes no other trouble for a catch", () => {
    const others = { lost: ["a.0.0"], unrecorded: ["a.0.0"], twiceUnflagged: ["a.0.0"] };

    expect(judgeSabotage("ignore-guard", { ...sums, ...others }).status).toBe(2);
  });
});
