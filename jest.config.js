/** Sources run as CommonJS under swc; the spawned-process tests prove that they run as ES modules. */
export default {
  testEnvironment: "node",
  injectGlobals: false,
  testMatch: ["<rootDir>/{packages,services}/*/test/**/*.test.ts", "<rootDir>/test/**/*.test.ts"],
  transform: { "\\.ts$": ["@swc/jest", { jsc: { parser: { syntax: "typescript" }, target: "es2024" } }] },
  extensionsToTreatAsEsm: [],
  testTimeout: 30_000,
};
