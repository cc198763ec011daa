import {
  createHttpApp,
  noteKeyName,
  parseJsonBody,
  readBody,
  refuseWebPages,
  requireJson,
  requireJsonAccepted,
  withOpenapi,
  type RequestHandler,
} from "@wellsent/http";
import type { Log } from "@wellsent/runtime";
import type { ApiMetrics } from "./metrics.ts";
import { describeApi } from "./openapi.ts";
import { publishProblem } from "./problems.ts";
import { createAdmission, type AdmissionOptions } from "./send/admission.ts";
import { createSendHandler, type SendOptions } from "./send/route.ts";
import { sendOperation } from "./send/operation.ts";

/** JSON escapes one byte as six at most (`\u001f`). The rest is for addresses and subject. */
const JSON_ESCAPE = 6;
const JSON_REST_BYTES = 65_536;

/** Options of {@link createApp}. */
export interface AppOptions extends Omit<SendOptions, "admission">, AdmissionOptions {
  /** Returns the name of the key in an `Authorization` header. @throws {Problem} API_KEY_MISSING, API_KEY_UNKNOWN */
  authenticate: (authorization: string | undefined) => string;
  /** Where an API without authentication listens. It refuses web pages. */
  anonymousOn?: "loopback" | "network" | undefined;
  metrics: ApiMetrics;
  log: Log;
}

/** Creates the HTTP API. */
export function createApp(options: AppOptions) {
  const { authenticate, anonymousOn, bodyMaxBytes, metrics, log } = options;
  const admission = createAdmission(options);
  const limitBytes = JSON_ESCAPE * bodyMaxBytes + JSON_REST_BYTES;
  const routes = withOpenapi(describeApi(bodyMaxBytes), [
    {
      method: "post",
      path: "/send",
      operation: sendOperation,
      handlers: [
        requireKey(authenticate),
        // A request with an invalid head is refused before its body is read.
        requireJsonAccepted,
        requireJson,
        admission.refuseAtOnce,
        readBody(limitBytes),
        parseJsonBody(),
        createSendHandler({ ...options, admission }),
      ],
    },
  ]);
  return createHttpApp({
    routes,
    before: anonymousOn ? [refuseWebPages(anonymousOn === "loopback")] : [],
    explain: publishProblem,
    onProblem: (route, code) => {
      if (route === "/send") metrics.refused.inc({ code });
    },
    metrics,
    log,
  });
}

function requireKey(authenticate: AppOptions["authenticate"]): RequestHandler {
  return (request, response, next) => {
    noteKeyName(response, authenticate(request.get("Authorization")));
    next();
  };
}
