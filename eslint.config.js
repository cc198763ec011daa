import js from "@eslint/js";
import jest from "eslint-plugin-jest";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

/** Who may import whom; the table with its reasons is in docs/architecture.md. */
const otherService = {
  group: ["@wellsent/api*", "@wellsent/emailer*", "@wellsent/logger*", "**/services/*"],
  message: "Services never import each other.",
};
const deep = {
  group: ["@wellsent/*/*", "**/packages/*"],
  message: "Packages are entered through their index.ts.",
};
const testing = {
  group: ["@wellsent/testing"],
  message: "For tests only; it is in no image.",
};
const forbid = (...names) => ({
  group: names,
  message: "Not in this room: see docs/architecture.md, Boundaries.",
});
const imports = (...patterns) => ({
  "no-restricted-imports": ["error", { patterns: [deep, otherService, testing, ...patterns] }],
});

const BROKER = ["amqplib", "amqplib/*"];
const WEB = ["express", "express/*"];
const MAIL = ["nodemailer", "nodemailer/*"];
const LOG = ["winston", "winston-*"];

export default defineConfig(
  { ignores: ["node_modules/", ".wellsent/", "coverage/"] },
  js.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "no-console": "error",
      curly: ["error", "multi-line", "consistent"],
      "no-duplicate-imports": "error",
      "no-nested-ternary": "error",
      eqeqeq: "error",
    },
  },
  {
    files: ["packages/*/src/**/*.ts", "services/*/src/**/*.ts"],
    ignores: ["packages/runtime/src/run-main.ts", "packages/testing/**"],
    rules: {
      "no-restricted-globals": [
        "error",
        { name: "process", message: "Only run-main.ts touches the process." },
      ],
    },
  },
  {
    files: ["packages/contract/src/**/*.ts"],
    rules: imports(forbid("@wellsent/*", ...BROKER, ...WEB, ...MAIL, ...LOG, "prom-client")),
  },
  {
    files: ["packages/runtime/src/**/*.ts"],
    rules: imports(forbid("@wellsent/*", ...BROKER, ...WEB, ...MAIL, ...LOG)),
  },
  {
    files: ["packages/ledger/src/**/*.ts"],
    rules: imports(forbid("@wellsent/amqp", "@wellsent/http", ...BROKER, ...WEB, ...MAIL, ...LOG)),
  },
  {
    files: ["packages/amqp/src/**/*.ts"],
    rules: imports(forbid("@wellsent/contract", ...WEB, ...MAIL, ...LOG)),
  },
  {
    files: ["packages/runtime/src/log.ts"],
    rules: imports(forbid("@wellsent/*", ...BROKER, ...WEB, ...MAIL)),
  },
  {
    files: ["packages/http/src/**/*.ts"],
    rules: imports(forbid("@wellsent/contract", "@wellsent/amqp", ...BROKER, ...MAIL, ...LOG)),
  },
  {
    files: ["services/api/src/**/*.ts"],
    rules: imports(forbid(...BROKER, ...WEB, ...MAIL, ...LOG)),
  },
  {
    files: ["services/emailer/src/**/*.ts"],
    rules: imports(forbid(...BROKER, ...WEB, ...MAIL, ...LOG)),
  },
  {
    // A rejection that nobody handles ends the process, and `void` hides it.
    files: ["services/emailer/src/**/*.ts"],
    rules: { "@typescript-eslint/no-floating-promises": ["error", { ignoreVoid: false }] },
  },
  {
    files: ["services/emailer/src/relay/smtp-transport.ts"],
    rules: imports(forbid(...BROKER, ...WEB, ...LOG)),
  },
  {
    files: ["services/logger/src/**/*.ts"],
    rules: imports(forbid(...BROKER, ...WEB, ...MAIL, ...LOG)),
  },
  {
    files: ["services/logger/src/audit/sinks.ts"],
    rules: imports(forbid(...BROKER, ...WEB, ...MAIL)),
  },
  {
    files: ["**/test/**/*.ts"],
    plugins: { jest },
    rules: {
      ...jest.configs["flat/recommended"].rules,
      "jest/expect-expect": "error",
      "jest/no-disabled-tests": "error",
      "jest/no-restricted-jest-methods": [
        "error",
        {
          mock: "Real parts, or a function as an argument.",
          doMock: "",
          unstable_mockModule: "",
          spyOn: "",
        },
      ],
    },
  },
  {
    files: ["**/*.js", "**/*.mjs"],
    languageOptions: {
      globals: Object.fromEntries(
        ["console", "fetch", "process", "setInterval", "URL"].map((name) => [name, "readonly"]),
      ),
    },
  },
  {
    files: ["scripts/**", "test/{adversary,bench,chaos,cluster}/**"],
    rules: { "no-console": "off" },
  },
);
