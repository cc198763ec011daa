import { Worker } from "node:worker_threads";
import type { Reply } from "./worker.ts";
import { workerUrl } from "./worker-url.ts";

/** A thread that calls SQLite, because every call may wait for a disk that has stalled; the event loop goes on meanwhile. */
export class DiskThread {
  readonly #path: string;
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>();
  #worker: Worker | undefined;
  #id = 0;

  /** `path` is the database's. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Calls a method of the thread's program; calls are made one after the other. Rejects with the method's error. */
  call(method: string, args: readonly unknown[]): Promise<unknown> {
    this.#worker ??= this.#begin();
    this.#id += 1;
    const called = Promise.withResolvers<unknown>();
    this.#calls.set(this.#id, called);
    this.#worker.postMessage({ id: this.#id, method, args });
    return called.promise;
  }

  /** Ends the thread. It begins again at the next call. */
  async end(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #begin(): Worker {
    const worker = new Worker(workerUrl, { workerData: this.#path });
    worker.on("message", (reply: Reply) => this.#settle(reply));
    worker.on("error", (error) => this.#lose(worker, error));
    worker.on("exit", () => this.#lose(worker, new Error("the ledger's thread has ended")));
    return worker;
  }

  #settle({ id, result, error }: Reply): void {
    const called = this.#calls.get(id);
    this.#calls.delete(id);
    if (error) called?.reject(Object.assign(new Error(error.message), error));
    else called?.resolve(result);
  }

  #lose(worker: Worker, error: unknown): void {
    if (this.#worker === worker) this.#worker = undefined;
    for (const called of this.#calls.values()) called.reject(error);
    this.#calls.clear();
  }
}
