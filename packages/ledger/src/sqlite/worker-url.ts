/** The program of the thread; scripts/bundle.ts puts the bundled one in its place. */
export const workerUrl: URL | string = new URL("./worker.ts", import.meta.url);
