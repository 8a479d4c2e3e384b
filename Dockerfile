# A static binary in an image without a shell: it runs as nobody, and needs to write
# only where config.yaml's sink points. A read-only root file system works.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# What fhirkiln --version and its User-Agent say: docker build --build-arg VERSION=$(git describe --always --tags) .
ARG VERSION=""
RUN mkdir /data
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.release=$VERSION" -o /fhirkiln ./cmd/fhirkiln

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /fhirkiln /fhirkiln
# A new volume that is mounted there gets its owner from this.
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
ENTRYPOINT ["/fhirkiln"]
CMD ["run", "-c", "/etc/fhirkiln/config.yaml"]
