import { randomUUID } from "node:crypto";
import { connect, type ChannelModel, type ConfirmChannel } from "amqplib";

/**
 * Runs rabbitmqctl against the broker that Jest's global set-up started, and resolves to what it printed.
 * @throws {Error} with what it printed when it fails
 */
export async function ctl(...args: string[]): Promise<string> {
  const response = await fetch(env("BROKER_CTL"), { method: "POST", body: JSON.stringify(args) });
  if (!response.ok) throw new Error(await response.text());
  return response.text();
}

/** Creates a virtual host, so that test files can use the same queue names side by side. Resolves to its URL. */
export async function createVhost(): Promise<string> {
  const name = `test-${randomUUID()}`;
  const any = '<<".*">>';
  await ctl(
    "eval",
    `rabbit_vhost:add(<<"${name}">>, <<"t">>), rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"${name}">>, ${any}, ${any}, ${any}, <<"t">>).`,
  );
  return `${env("BROKER_URL")}/${name}`;
}

/** Deletes the virtual host of this URL with all its queues. */
export async function deleteVhost(url: string): Promise<void> {
  await ctl("delete_vhost", new URL(url).pathname.slice(1));
}

/** A connection and a confirm channel of a test. */
export interface Probe {
  model: ChannelModel;
  channel: ConfirmChannel;
  /** Resolves to the number of ready messages in a queue. */
  depth(queue: string): Promise<number>;
  close(): Promise<void>;
}

/** Connects to the broker of this URL. */
export async function probe(url: string): Promise<Probe> {
  const model = await connect(url);
  model.on("error", () => undefined);
  const channel = await model.createConfirmChannel();
  channel.on("error", () => undefined);
  return {
    model,
    channel,
    depth: async (queue) => (await channel.checkQueue(queue)).messageCount,
    close: () => model.close().catch(() => undefined),
  };
}

function env(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: the global set-up has not run`);
  return value;
}
