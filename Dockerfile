# The server alone. Build: docker build --build-arg REVISION=$(git rev-parse HEAD) -t roomcast .
ARG NODE_VERSION=24

FROM node:${NODE_VERSION}-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
COPY client/package.json client/
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY plugins plugins
COPY routes routes
COPY conformance conformance
COPY cli cli
COPY client client
COPY console console
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:${NODE_VERSION}-slim
ARG NODE_VERSION
ARG VERSION=0.2.0
ARG REVISION=
LABEL org.opencontainers.image.title="roomcast" \
  org.opencontainers.image.description="A self-hosted real-time hub: WebSocket clients, rooms, many nodes" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.base.name="docker.io/library/node:${NODE_VERSION}-slim"
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
# What `roomcast explain` reads.
COPY docs docs
# It writes nothing, so the files stay root's and the file system can be read-only.
USER node
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/live`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# Exec form: signals reach the server itself, which drains on SIGTERM.
CMD ["node", "dist/src/server.js"]
