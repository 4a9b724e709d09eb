# One image for operator and relays. docs/decisions/0011-the-image.md says why it is made like this.
FROM node:26-slim AS build
WORKDIR /postroad
COPY image/system.ts image/
RUN node image/system.ts /out/system

COPY package.json package-lock.json ./
COPY image/sbom.ts image/
# Whoever needs a registry or an authority of their own gives their npmrc as a secret: it is in no layer.
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc npm ci --omit=dev --ignore-scripts
# npm lists what is installed only where nothing is missing, so the copy of package.json that it reads wants nothing for development.
RUN mkdir -p /out/packages/app && cp package.json /out/packages/app/ \
 && npm pkg delete devDependencies && npm sbom --sbom-format=cyclonedx > npm.json \
 && node image/sbom.ts npm.json /out/system > /out/packages/app/sbom.cdx.json \
 && find node_modules -type f \( -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.map' \) -delete \
 && rm -rf node_modules/.package-lock.json node_modules/.bin && mv node_modules /out/packages/app/

COPY image/strip-types.ts image/
COPY LICENSE /out/sources/app/
COPY crds /out/sources/app/crds
COPY relay /out/sources/app/relay
COPY operator /out/sources/app/operator
RUN node --disable-warning=ExperimentalWarning image/strip-types.ts /out/sources/app

FROM scratch
COPY --from=build /out/system/ /
COPY --from=build /out/packages/ /
COPY --from=build /out/sources/ /
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Postroad" \
      org.opencontainers.image.description="A Kubernetes-native mail relay: operator and relay." \
      org.opencontainers.image.source="https://github.com/postroad/postroad" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
ENV NODE_ENV=production PATH=/usr/local/bin
WORKDIR /app
# The chart's own user; any other does as well.
USER 10001:10001
CMD ["node", "/app/operator/main.ts"]
