# check=skip=InvalidDefaultArgInFrom
# One file for the three services: docker build --build-arg SERVICE=api .   (or emailer, or logger)
# `npm run images` builds them all, with version and revision; docs/images.md says what is in them.
ARG SERVICE

FROM --platform=$BUILDPLATFORM node:24-bookworm-slim AS dependencies
# The SBOM lists packages by their manifests, which are in this stage and not in the bundle.
ARG BUILDKIT_SBOM_SCAN_STAGE=true
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages/amqp/package.json packages/amqp/
COPY packages/http/package.json packages/http/
COPY packages/ledger/package.json packages/ledger/
COPY packages/runtime/package.json packages/runtime/
COPY packages/contract/package.json packages/contract/
COPY packages/testing/package.json packages/testing/
COPY services/api/package.json services/api/
COPY services/emailer/package.json services/emailer/
COPY services/logger/package.json services/logger/
# The Node.js packages are for machines with an older Node.js.
RUN --mount=type=cache,target=/root/.npm \
    npm ci --omit=dev --no-audit --no-fund && rm -rf node_modules/node-linux-* node_modules/.bin/node

FROM dependencies AS source
ARG SERVICE
COPY scripts/bundle.ts scripts/healthcheck.ts scripts/node-flags.ts scripts/
COPY packages packages
COPY services/$SERVICE services/$SERVICE

# The bundle is plain JavaScript, so images for other platforms are built without emulation.
FROM source AS bundle
ARG SERVICE
RUN node scripts/bundle.ts $SERVICE /bundle && mkdir /audit

# For `skaffold dev`: the sources, writable, so that files synced into the container restart the service.
FROM node:24-bookworm-slim AS dev
ARG SERVICE
WORKDIR /app
COPY --from=source --chown=65532:65532 /app /app
USER 65532:65532
ENV SERVICE=$SERVICE
EXPOSE 8080 9464
CMD ["sh", "-c", "exec node --watch --watch-preserve-output services/$SERVICE/src/main.ts"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --start-interval=1s \
    CMD ["node", "scripts/healthcheck.ts"]

FROM gcr.io/distroless/nodejs24-debian12:nonroot AS runtime
ARG SERVICE
ARG VERSION=dev
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="wellsent-$SERVICE" \
      org.opencontainers.image.description="Wellsent's $SERVICE: transactional email you can trust" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
WORKDIR /app
COPY LICENSE ./
COPY --from=bundle /bundle ./
# By number: Kubernetes cannot tell from a name that it is not root.
USER 65532:65532
EXPOSE 9464
# The flags of scripts/node-flags.ts, and source maps for stack traces.
ENTRYPOINT ["/nodejs/bin/node", "--max-semi-space-size=8", "--heap-growing-percent=50", "--enable-source-maps"]
CMD ["main.cjs"]
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --start-interval=500ms \
    CMD ["/nodejs/bin/node", "healthcheck.cjs"]

FROM runtime AS api
EXPOSE 8080

FROM runtime AS emailer

FROM runtime AS logger
EXPOSE 9465
# A new volume mounted here gets this owner.
COPY --from=bundle --chown=65532:65532 /audit /var/lib/wellsent

FROM $SERVICE
