import { afterEach, describe, expect, it } from "@jest/globals";
import { linesOf, messagesOf, runProgram, type Program } from "./support/run-program.ts";

const running: Program[] = [];

function run(name: string, ...args: string[]): Program {
  const program = runProgram(name, ...args);
  running.push(program);
  return program;
}

afterEach(async () => {
  for (const program of running.splice(0)) {
    program.kill("SIGKILL");
    await program.ended;
  }
});

describe("runMain", () => {
  it.each(["SIGTERM", "SIGINT"] as const)(
    "stops in reverse order on %s and exits with 0",
    async (signal) => {
      const program = run("busy");
      await program.logged("started");

      program.kill(signal);

      const { code, stdout, stderr } = await program.ended;
      expect(code).toBe(0);
      expect(stderr).toBe("");
      expect(messagesOf(stdout)).toStrictEqual([
        "start first",
        "start second",
        "started",
        "stopping",
        "stop second",
        "stop first",
        "stopped",
      ]);
      expect(linesOf(stdout)).toContainEqual(
        expect.objectContaining({ message: "stopping", reason: signal }),
      );
    },
  );

  it("logs a warning of Node or a library as JSON, without its message", async () => {
    const program = run("warns");
    await program.logged("Node warning");
    await program.logged("started");

    program.kill("SIGTERM");

    const { stdout, stderr } = await program.ended;
    const warnings = linesOf(stdout).filter(({ message }) => message === "Node warning");
    expect(warnings).toMatchObject([
      { level: "warn", error: "MaxListenersExceededWarning" },
      { level: "warn", code: "LIB001" },
    ]);
    expect(stdout + stderr).not.toContain("secret");
    expect(stderr).toBe("");
  });

  it("exits with 78 and prints the reason when the configuration is invalid", async () => {
    expect(await run("build-fails", "config").ended).toStrictEqual({
      code: 78,
      stdout: "",
      stderr: "Configuration:\n  SOME_VARIABLE: is required\n",
    });
  });

  it("exits with 1 when the build fails for another reason", async () => {
    const { code, stderr } = await run("build-fails").ended;

    expect(code).toBe(1);
    expect(stderr).toContain("a fault while building");
  });

  it("stops the started components and exits with 1 when a component does not start", async () => {
    const { code, stdout } = await run("start-fails").ended;

    expect(code).toBe(1);
    expect(messagesOf(stdout)).toStrictEqual(["failed", "stopping", "stop first", "stopped"]);
    expect(stdout).toContain("EADDRINUSE");
    expect(stdout).not.toContain("secret");
  });

  it.each(["exception", "rejection", "text", "fail"])(
    "stops in order and exits with 1 after an unexpected fault: %s",
    async (fault) => {
      const { code, stdout, stderr } = await run("fails-later", fault).ended;

      expect(code).toBe(1);
      expect(messagesOf(stdout)).toStrictEqual([
        "started",
        "failed",
        "stopping",
        "stop component",
        "stopped",
      ]);
      expect(stdout + stderr).not.toContain("secret");
    },
  );

  it("stops in order, logs the reason and exits with 78 when the configuration fails after the start", async () => {
    const { code, stdout, stderr } = await run("fails-later", "config").ended;

    expect(code).toBe(78);
    expect(stderr).toBe("Something of ours does not match\n");
    expect(messagesOf(stdout)).toContain("stop component");
  });

  it.each(["handle", "nothing"])(
    "exits with 1 when the deadline has passed and what hangs leaves the event loop %s",
    async (what) => {
      const program = run("stop-hangs", what);
      await program.logged("started");

      program.kill("SIGTERM");

      const { code, stdout } = await program.ended;
      expect(linesOf(stdout)).toContainEqual(
        expect.objectContaining({ message: "stopped", clean: false }),
      );
      expect(code).toBe(1);
    },
  );

  it.each([
    ["SIGTERM", "SIGTERM"],
    ["SIGTERM", "SIGINT"],
    ["SIGINT", "SIGINT"],
  ] as const)("ends at once with 1 on a second signal: %s, %s", async (first, second) => {
    const program = run("stop-hangs", "handle", "20000");
    await program.logged("started");

    program.kill(first);
    await program.logged("stopping");
    program.kill(second);

    const { code, stdout } = await program.ended;
    expect(code).toBe(1);
    expect(messagesOf(stdout)).not.toContain("stopped");
  });

  it("exits with 0 when a stopped component leaks a handle", async () => {
    const program = run("leaks");
    await program.logged("started");

    program.kill("SIGTERM");

    expect((await program.ended).code).toBe(0);
  });

  it("loses no log line that is still in the pipe when it ends", async () => {
    const program = run("talkative", "5000");
    await program.logged("started");

    program.kill("SIGTERM");

    const { code, stdout } = await program.ended;
    expect(code).toBe(0);
    expect(linesOf(stdout).flatMap(({ line }) => line ?? [])).toStrictEqual(
      Array.from({ length: 5_000 }, (_, line) => line),
    );
  });
});
