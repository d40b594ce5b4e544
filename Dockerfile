# Dependencies apart from sources: a change of code does not install again.
FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No install scripts: the one that is allowed fetches Node 24, which is here; LevelDB's binary comes prebuilt.
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force

# The libraries in few files (docs/adr/0015): what puts them together is a devDependency, and stays here.
FROM dependencies AS libraries
RUN npm ci --ignore-scripts && npm cache clean --force
COPY tools/libraries.js tools/library-hook.js tools/bundle-libraries.js ./tools/
RUN node tools/bundle-libraries.js /app/libraries

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
    GRAPEVINE_DATA_DIR=/data \
    GRAPEVINE_GENESIS=/app/deploy/devnet.genesis.json \
    GRAPEVINE_API_HOST=0.0.0.0 \
    GRAPEVINE_API_PORT=7401 \
    GRAPEVINE_LISTEN=/ip4/0.0.0.0/tcp/7501 \
    NODE_COMPILE_CACHE=/app/.compile-cache \
    MALLOC_ARENA_MAX=2 \
    MALLOC_MMAP_THRESHOLD_=131072 \
    MALLOC_TRIM_THRESHOLD_=131072
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=libraries /app/libraries ./libraries
COPY package.json ./
COPY tools/healthcheck.js ./tools/
COPY deploy/devnet.genesis.json ./deploy/
COPY crypto ./crypto
COPY chain ./chain
COPY node ./node
COPY sim ./sim
COPY scripts ./scripts
# Compiled once, for all starts: a third of the processor time of loading the program. Found by user id. Like
# the sources it stays root's, so that the node cannot change its own code; a new volume takes over /data's owner.
RUN install -d -o node -g node -m 0700 /data \
    && install -d -o node -g node "$NODE_COMPILE_CACHE" \
    && su node -s /bin/sh -c 'node --import /app/libraries/hook.js /app/scripts/cli.ts node --print-config' >/dev/null \
    && chown -R root:root "$NODE_COMPILE_CACHE" && chmod -R a+rX "$NODE_COMPILE_CACHE"
USER node
VOLUME /data
EXPOSE 7401 7501
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=3s --timeout=6s --start-period=60s --retries=3 CMD ["node", "/app/tools/healthcheck.js"]
# As the devnet starts its nodes (scripts/devnet/node-process.ts).
ENTRYPOINT ["node", "--max-semi-space-size=4", "--import", "/app/libraries/hook.js", "/app/scripts/cli.ts"]
CMD ["node"]
