import type { Publisher } from "@wellsent/amqp";
import type { Log } from "@wellsent/runtime";
import type { Pause } from "../control/pause.ts";
import type { Mail, Sender } from "../mail/mime.ts";
import type { EmailerMetrics } from "../metrics.ts";
import type { SendOptions, SendResult } from "../relay/relays.ts";
import type { Guard } from "./guard.ts";
import type { Limits, Recorder } from "./outcome.ts";
import type { PermissionOptions } from "./permission.ts";
import type { Transfers } from "./transfers.ts";

/** The parts and limits that handling a message needs. */
export interface HandlerOptions extends Limits {
  sender: Sender;
  publisher: Pick<Publisher, "publishUntilConfirmed">;
  /** Sends a mail by a relay, waiting out the relays' own trouble. */
  send: (mail: Mail, options: SendOptions) => Promise<SendResult>;
  guard: Pick<Guard, "ask" | "releaseLease" | "wait">;
  transfers: Pick<Transfers, "enter" | "begin" | "leave">;
  /** Resolves to false when an operator's pause lasts too long for a mail to wait for its end. */
  pause: Pick<Pause, "over">;
  metrics: EmailerMetrics;
  log: Log;
}

/** The parts that each step of handling a message needs. */
export interface HandlerContext extends HandlerOptions, Omit<PermissionOptions, "metrics"> {
  record: Recorder;
}
