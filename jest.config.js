const base = {
  testEnvironment: "node",
  injectGlobals: false,
  transform: {
    "\\.ts$": ["@swc/jest", { jsc: { parser: { syntax: "typescript" }, target: "es2024" } }],
  },
  cacheDirectory: "<rootDir>/node_modules/.cache/jest",
  modulePathIgnorePatterns: ["<rootDir>/.wellsent/"],
};
const withBroker = {
  ...base,
  globalSetup: "<rootDir>/test/support/global-setup.ts",
  globalTeardown: "<rootDir>/test/support/global-teardown.ts",
};

/** Sources run as CommonJS under swc; the spawned-process tests prove that they run as ES modules. */
export default {
  testTimeout: 90_000,
  // There are more workers than cores, because tests mostly wait for brokers, deadlines and rungs.
  maxWorkers: 4,
  projects: [
    {
      ...base,
      displayName: "unit",
      testMatch: ["<rootDir>/{packages,services}/*/test/**/*.test.ts"],
      testPathIgnorePatterns: ["/node_modules/", "\\.broker\\.test\\.ts$"],
    },
    {
      ...withBroker,
      displayName: "broker",
      testMatch: ["<rootDir>/{packages,services}/*/test/**/*.broker.test.ts"],
    },
    { ...withBroker, displayName: "e2e", testMatch: ["<rootDir>/test/e2e/**/*.test.ts"] },
    {
      ...base,
      displayName: "compose",
      globalSetup: "<rootDir>/test/support/compose-images.ts",
      testMatch: ["<rootDir>/test/compose/**/*.test.ts"],
    },
    { ...base, displayName: "chaos", testMatch: ["<rootDir>/test/{adversary,chaos}/**/*.test.ts"] },
    {
      ...base,
      displayName: "chart",
      globalSetup: "<rootDir>/test/support/helm.ts",
      testMatch: ["<rootDir>/test/chart/**/*.test.ts"],
    },
  ],
};
