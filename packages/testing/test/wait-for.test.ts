import { describe, expect, it } from "@jest/globals";
import { waitFor } from "../src/wait-for.ts";

describe("waitFor", () => {
  it("resolves to the first value that is truthy, and asks no more", async () => {
    const values = [undefined, 0, "", "yes", "too late"];

    expect(await waitFor("a value", () => values.shift())).toBe("yes");
    expect(values).toEqual(["too late"]);
  });

  it("asks again when the predicate throws or rejects", async () => {
    const answers = [
      () => Promise.reject(new Error("rejected")),
      () => {
        throw new Error("thrown");
      },
      () => true,
    ];

    expect(await waitFor("no error", () => answers.shift()?.())).toBe(true);
  });

  it("rejects after the deadline with what it waited for and the predicate's last error", async () => {
    const refuse = () => Promise.reject(new Error("refused"));

    await expect(waitFor("the relay", refuse, 20)).rejects.toMatchObject({
      message: "not within 20 ms: the relay",
      cause: expect.objectContaining({ message: "refused" }) as unknown,
    });
  });

  it("names no error in the rejection when the predicate only returns false", async () => {
    await expect(waitFor("the relay", () => false, 20)).rejects.toMatchObject({ cause: undefined });
  });
});
