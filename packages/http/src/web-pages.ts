import type { RequestHandler } from "express";
import { Problem } from "./problem.ts";
import { HTTP_PROBLEMS } from "./problems.ts";

/**
 * Protects a server that asks for no key from web pages in a browser on its network. A page can name itself after an
 * address of the server (DNS rebinding), and then send what it likes; but the browser names the page in `Origin`, and the
 * name by which it found the server in `Host`. `onLoopback`: the server listens on a loopback address only, so every
 * honest client names one.
 */
export function refuseWebPages(onLoopback: boolean): RequestHandler {
  return (request, _response, next) => {
    const host = request.get("Host");
    if (onLoopback && host !== undefined && !isLoopback(`http://${host}`))
      throw new Problem(HTTP_PROBLEMS.HOST_REFUSED);
    const origin = request.get("Origin");
    if (origin !== undefined && !isLoopback(origin))
      throw new Problem(HTTP_PROBLEMS.ORIGIN_REFUSED);
    next();
  };
}

/** Whether the host in a URL is this machine. A URL's host is in lower case, and an IPv4 address in its usual form. */
export function isLoopback(url: string): boolean {
  const host = (URL.parse(url)?.hostname ?? "").replace(/\.$/, "");
  return /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\]|\[::ffff:7f[\da-f]{2}:[\da-f]+\])$/.test(
    host,
  );
}
