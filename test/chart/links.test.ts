import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "@jest/globals";

const PAGES = ["*.md", "docs/**/*.md", "charts/**/*.md"].flatMap((pattern) => globSync(pattern));
const CODE = /^```[^]*?^```/gm;

/** A heading's anchor, as GitHub makes it. */
const anchorOf = (heading: string) =>
  heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-");

const anchorsIn = (page: string) =>
  (
    readFileSync(page, "utf8")
      .replaceAll(CODE, "")
      .match(/^#+ .+$/gm) ?? []
  ).map((line) => anchorOf(line.replace(/^#+ /, "").replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")));

describe("links between pages", () => {
  it.each(PAGES)("lead somewhere: %s", (page) => {
    const text = readFileSync(page, "utf8").replaceAll(CODE, "");
    const links = [...text.matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)].map(
      ([, link = ""]) => link,
    );

    const broken = links.filter((link) => {
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? page : join(dirname(page), path);
      if (!existsSync(target)) return true;
      return anchor !== undefined && !anchorsIn(target).includes(anchor);
    });

    expect(broken).toEqual([]);
  });
});
