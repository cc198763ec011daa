const base = {
  testEnvironment: "node",
  injectGlobals: false,
  transform: {
    "\\.ts$": ["@swc/jest", { jsc: { parser: { syntax: "typescript" }, target: "es2024" } }],
  },
  modulePathIgnorePatterns: ["<rootDir>/.posthorn/"],
};
const needsBroker = [
  "<rootDir>/{packages,services}/*/test/**/*.broker.test.ts",
  "<rootDir>/test/**/*.test.ts",
];

/** Sources run as CommonJS under swc; the spawned-process tests prove that they run as ES modules. */
export default {
  testTimeout: 60_000,
  projects: [
    {
      ...base,
      displayName: "unit",
      testMatch: ["<rootDir>/{packages,services}/*/test/**/*.test.ts"],
      testPathIgnorePatterns: ["/node_modules/", "\\.broker\\.test\\.ts$"],
    },
    {
      ...base,
      displayName: "broker",
      testMatch: needsBroker,
      globalSetup: "<rootDir>/test/support/global-setup.ts",
      globalTeardown: "<rootDir>/test/support/global-teardown.ts",
    },
  ],
};
