# syntax=docker/dockerfile:1
#
#   docker build --build-arg VERSION="$(git describe --tags --always)" -t porchlight .
#   docker run -d --name porchlight --network host --cap-drop ALL --cap-add NET_RAW \
#     -v porchlight:/var/lib/porchlight porchlight
#
# It needs the host's network: on a Docker bridge no ARP and no DHCP arrives.
# compose.yaml has it with a broker. scripts/image builds and tries the last
# stage without Docker.

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends libcap2-bin \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH TARGETVARIANT
ARG VERSION=unknown
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOARM=${TARGETVARIANT#v} \
    go build -tags nethttpomithttp2 -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o /out/porchlight .
# The program runs as a user who is nobody; the file itself carries the right
# to open packet sockets. BuildKit's COPY keeps that attribute (it changes the
# owner first), the builder of old Docker versions does not.
# packaging/compose.connections.yaml has other rights.
ARG CAPABILITIES=cap_net_raw
RUN setcap "$CAPABILITIES=ep" /out/porchlight && mkdir /out/data
# Whoever passes the image on passes on the licences of what is in it.
RUN cp LICENSE /out/ && scripts/notice /out/porchlight >/out/NOTICE

FROM scratch
ARG VERSION=unknown
LABEL org.opencontainers.image.title="Porchlight" \
      org.opencontainers.image.description="Tells Home Assistant who is home, from ARP and DHCP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/porchlight /porchlight
COPY --from=build /out/LICENSE /out/NOTICE /
COPY --from=build --chown=65532:65532 /out/data /var/lib/porchlight
ENV PORCHLIGHT_DATA_DIR=/var/lib/porchlight
VOLUME /var/lib/porchlight
WORKDIR /var/lib/porchlight
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s CMD ["/porchlight", "health"]
ENTRYPOINT ["/porchlight"]
CMD ["run"]
