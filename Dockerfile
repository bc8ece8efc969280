# The static binary and nothing else.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /covey ./cmd/covey

FROM scratch
COPY --from=build /covey /covey
VOLUME /data
EXPOSE 8700 8701 8702/tcp 8702/udp
ENTRYPOINT ["/covey"]
CMD ["serve"]
