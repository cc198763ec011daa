export * from "./address.ts";
export * from "./adopted-id.ts";
export * from "./attempts.ts";
export * from "./email.ts";
export * from "./ids.ts";
export * from "./message.ts";
export * from "./outcome.ts";
export * from "./topology.ts";
