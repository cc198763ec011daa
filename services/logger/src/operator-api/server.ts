import type { Publisher } from "@wellsent/amqp";
import {
  BEARER_CHALLENGE,
  bearerToken,
  createHttpApp,
  hashToken,
  HttpServer,
  isSameHash,
  Problem,
  withOpenapi,
  type HttpMetrics,
  type RequestHandler,
} from "@wellsent/http";
import type { Ledger } from "@wellsent/ledger";
import type { Component, Log } from "@wellsent/runtime";
import manifest from "../../package.json" with { type: "json" };
import type { Config } from "../config.ts";
import { selectionSchema } from "../parked/list.ts";
import { emailRoutes } from "./emails.ts";
import { ledgerRoutes } from "./ledger.ts";
import { parkedRoutes, type ParkedRoutesOptions } from "./parked.ts";
import { pauseRoutes } from "./pause.ts";
import { explain, PROBLEMS } from "./problems.ts";

/** Describes the internal port beyond its routes. */
const DESCRIPTION = {
  info: {
    title: "Wellsent's internal port",
    description: "For operators: parked mail, the pause, the ledger",
    version: manifest.version,
  },
  securitySchemes: { token: { type: "http", scheme: "bearer" } },
  schemas: { Selection: selectionSchema },
};

/** Options of {@link createInternalApp}. */
export interface InternalOptions extends ParkedRoutesOptions {
  ledger: ParkedRoutesOptions["ledger"] & Pick<Ledger, "emailOf" | "rebuild">;
  /** Returns the token that a request must have, as it is at this moment. */
  token: () => string;
  publisher: Publisher;
  metrics: HttpMetrics;
  log: Log;
}

/** Creates the HTTP server of the internal port. It stays closed without a token. */
export function createInternalServer(options: InternalOptions & Config["internal"]): Component {
  const { host, port, metrics, log, token } = options;
  const handle = createInternalApp(options);
  const name = "internal port";
  const server = new HttpServer({ name, host, port, handle, lingerMaxMs: 0, metrics, log });
  return {
    name,
    async start() {
      if (token() === "") log.info("internal port closed: no INTERNAL_TOKEN");
      else await server.start();
    },
    stop: (signal) => server.stop(signal),
  };
}

/** Creates the routes of the internal port. */
export function createInternalApp(options: InternalOptions) {
  const { token, ledger, publisher, metrics, log } = options;
  const routes = withOpenapi(DESCRIPTION, [
    ...emailRoutes(ledger),
    ...parkedRoutes(options),
    ...pauseRoutes(publisher),
    ...ledgerRoutes(ledger),
  ]);
  return createHttpApp({ routes, before: [requireToken(token)], explain, metrics, log });
}

/** The hashes are compared, so that the time says nothing, not even of lengths. */
function requireToken(token: () => string): RequestHandler {
  return (request, _response, next) => {
    const wanted = token();
    const given = bearerToken(request.get("Authorization")) ?? "";
    if (wanted === "" || !isSameHash(hashToken(given), hashToken(wanted))) {
      throw new Problem(PROBLEMS.TOKEN_INVALID, { headers: BEARER_CHALLENGE });
    }
    next();
  };
}
