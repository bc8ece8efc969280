# The static binary and nothing else. It runs as a user of its own, with a root
# file system that may be read-only: all that it writes goes to /data.
#
#   docker build -t covey .                                  builds in a container
#   make build && docker build --target local -t covey .     packs bin/covey
#
# Settings are variables (COVEY_DATA_DIR) or flags behind "serve".

# --- Both images are made of this stage's folder: user, empty data folder.
FROM scratch AS base
COPY deploy/docker/passwd /etc/passwd
# An arbitrary user of group 0, as some platforms choose one, may write to /data
# too. It is copied as an entry of a folder: --chmod leaves a target as it is.
COPY --chown=65532:0 --chmod=0770 deploy/docker/tree/ /
ENV COVEY_DATA_DIR=/data COVEY_HTTP_ADDR=0.0.0.0:8700 COVEY_PEER_ADDR=0.0.0.0:8701 COVEY_GOSSIP_ADDR=0.0.0.0:8702
VOLUME /data
EXPOSE 8700 8701 8702/tcp 8702/udp
USER 65532:0
# Whether it lives, not whether it is ready: a node without a quorum must not be
# restarted for that. "covey health --ready" asks the other question.
HEALTHCHECK --interval=10s --timeout=6s --start-period=20s --retries=3 CMD ["/covey", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/covey"]
CMD ["serve"]

# --- From a binary that was built on this machine.
FROM base AS local
COPY --chmod=0755 bin/covey /covey

# --- From source.
FROM golang:1.26 AS build
ARG VERSION=dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /covey ./cmd/covey
# Calls to the outside, such as webhooks, need the authorities' certificates.
RUN mkdir -p /tls && cp /etc/ssl/certs/ca-certificates.crt /tls/

FROM base AS image
COPY --from=build /tls/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chmod=0755 /covey /covey
