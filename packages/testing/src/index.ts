export { createVhost, ctl, deleteVhost, probe, type Probe } from "./broker.ts";
export { createFakeLog, type FakeLog, type LogLine } from "./fake-log.ts";
export { seeded, type Random } from "./seeded.ts";
export { startSink, type Rule, type SinkOptions, type SmtpSink, type Taken } from "./smtp-sink.ts";
export { joinTopologies } from "./topology.ts";
export { waitFor } from "./wait-for.ts";
