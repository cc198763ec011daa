import { readFileSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";

const read = (file: string) => readFileSync(file, "utf8");
const images = JSON.parse(read(".github/images.json")) as Record<string, string>;
const workflow = read(".github/workflows/release.yml");

describe("a release", () => {
  it("runs actions by commit, with the version beside it", () => {
    const uses = workflow.match(/uses: .*/g) ?? [];

    expect(uses.length).toBeGreaterThan(3);
    for (const line of uses) expect(line).toMatch(/@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });

  it("knows every image that the Dockerfile builds on, by a digest once one is looked up", () => {
    const stages = [...read("Dockerfile").matchAll(/^FROM (?:--\S+ )?(\S+)(?: AS (\S+))?/gm)];
    const own = new Set(stages.map(([, , name]) => name));
    const bases = stages.map(([, from = ""]) => from).filter((from) => !own.has(from));

    for (const base of bases.filter((from) => !from.startsWith("$"))) {
      expect(Object.keys(images)).toContain(base);
      expect(base).toMatch(/^(node:|gcr\.io\/)/);
    }
    for (const digest of Object.values(images)) expect(digest).toMatch(/^(sha256:[0-9a-f]{64})?$/);
  });

  it("publishes and signs by digest, and only after the tests", () => {
    const signed = workflow.match(/cosign sign .*/g) ?? [];
    const publish = workflow.slice(workflow.indexOf("\n  publish:"));

    expect(signed).toHaveLength(2);
    for (const line of signed) expect(line).toContain("@$");
    expect(publish).toContain("needs: [build, test]");
    expect(publish).not.toMatch(/bake|docker build /);
  });
});
