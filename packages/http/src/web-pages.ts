import type { RequestHandler } from "express";
import { Problem } from "./problem.ts";
import { HTTP_PROBLEMS } from "./problems.ts";

/**
 * Protects a server without authentication from web pages in a browser on its network. A page can point its own host name
 * to the address of the server (DNS rebinding) and then send any request. But the browser sends the page's origin in
 * `Origin`, and that host name in `Host`. `onLoopback`: the server listens on a loopback address only, so `Host` must be one.
 */
export function refuseWebPages(onLoopback: boolean): RequestHandler {
  return (request, _response, next) => {
    const host = request.get("Host");
    if (onLoopback && host !== undefined && !isLoopback(`http://${host}`)) {
      throw new Problem(HTTP_PROBLEMS.HOST_REFUSED);
    }
    const origin = request.get("Origin");
    if (origin !== undefined && !isLoopback(origin)) {
      throw new Problem(HTTP_PROBLEMS.ORIGIN_REFUSED);
    }
    next();
  };
}

/** Whether the host of a URL is this machine. `URL` converts the host to lower case and an IPv4 address to four numbers. */
export function isLoopback(url: string): boolean {
  const host = (URL.parse(url)?.hostname ?? "").replace(/\.$/, "");
  return /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\]|\[::ffff:7f[\da-f]{2}:[\da-f]+\])$/.test(
    host,
  );
}
