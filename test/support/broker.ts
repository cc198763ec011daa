import { randomUUID } from "node:crypto";
import { connect, type ChannelModel, type ConfirmChannel } from "amqplib";

/** Runs rabbitmqctl against the run's broker. */
export async function ctl(...args: string[]): Promise<string> {
  const response = await fetch(env("BROKER_CTL"), { method: "POST", body: JSON.stringify(args) });
  if (!response.ok) throw new Error(await response.text());
  return response.text();
}

/** Makes a virtual host of the test's own, so that files can use the fixed names side by side. Returns its URL. */
export async function createVhost(): Promise<string> {
  const name = `test-${randomUUID()}`;
  const any = '<<".*">>';
  await ctl(
    "eval",
    `rabbit_vhost:add(<<"${name}">>, <<"t">>), rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"${name}">>, ${any}, ${any}, ${any}, <<"t">>).`,
  );
  return `${env("BROKER_URL")}/${name}`;
}

/** Deletes a virtual host with all that is in it. */
export async function deleteVhost(url: string): Promise<void> {
  await ctl("delete_vhost", new URL(url).pathname.slice(1));
}

/** A channel of the test's own, to publish, count and look. */
export interface Probe {
  model: ChannelModel;
  channel: ConfirmChannel;
  /** Ready messages of a queue. */
  depth(queue: string): Promise<number>;
  close(): Promise<void>;
}

/** Connects to a broker as any program would. */
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
