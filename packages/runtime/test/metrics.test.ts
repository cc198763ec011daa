import { describe, expect, it } from "@jest/globals";
import { createRegistry, meter } from "../src/metrics.ts";

describe("createRegistry", () => {
  it("has the metrics of the process", async () => {
    const text = await createRegistry("api").metrics();

    expect(text).toMatch(/^process_cpu_seconds_total /m);
    expect(text).toMatch(/^nodejs_active_handles\{/m);
  });

  it("has no gauge with the name of a counter", async () => {
    const metrics = await createRegistry("api").getMetricsAsJSON();
    const gauges = metrics.filter(({ type }) => String(type) === "gauge").map(({ name }) => name);

    expect(gauges).toContain("nodejs_active_requests");
    expect(gauges.filter((name) => name.endsWith("_total"))).toEqual([]);
  });

  it("reports the service and its version", async () => {
    const text = await createRegistry("api").metrics();

    expect(text).toMatch(/^wellsent_build_info\{service="api",version="\d+\.\d+\.\d+[^"]*"\} 1$/m);
  });
});

describe("meter", () => {
  it("creates metrics with the help text of their names", async () => {
    const registry = createRegistry("api");
    const { counter } = meter(registry, { tests_total: "Tests by result" });

    counter("tests_total", "result").inc({ result: "passed" });

    const text = await registry.getSingleMetricAsString("tests_total");
    expect(text).toContain("# HELP tests_total Tests by result\n");
    expect(text).toContain('tests_total{result="passed"} 1');
  });

  it("sets a sampled gauge each time the metrics are read", async () => {
    const registry = createRegistry("api");
    let value = 0;
    meter(registry, { value: "A value" }).sampled("value", (gauge) => {
      value += 1;
      gauge.set(value);
    });

    expect(await registry.getSingleMetricAsString("value")).toContain("value 1");
    expect(await registry.getSingleMetricAsString("value")).toContain("value 2");
  });
});
