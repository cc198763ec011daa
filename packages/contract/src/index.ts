export * from "./address.ts";
export * from "./delivery.ts";
export * from "./email.ts";
export * from "./message.ts";
export * from "./outcome.ts";
export * from "./topology.ts";
