import type { Route } from "@wellsent/http";
import type { Ledger } from "@wellsent/ledger";

/** `POST /ledger/rebuild`. */
export function ledgerRoutes(ledger: Pick<Ledger, "rebuild">): Route[] {
  return [
    {
      method: "post",
      path: "/ledger/rebuild",
      operation: {
        operationId: "rebuildLedger",
        summary: "Build the ledger again from the audit log",
        responses: { 202: { description: "The ledger is being built" } },
        problems: [],
      },
      handlers: [
        (_request, response) => {
          ledger.rebuild();
          response.status(202).json({ state: "building" });
        },
      ],
    },
  ];
}
