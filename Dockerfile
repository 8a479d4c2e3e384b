# A static binary in an image without a shell. It runs as a non-root user, and only writes where
# config.yaml's sink and state point. A read-only root file system works.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# The version for fhirkiln --version and the User-Agent: docker build --build-arg VERSION=$(git describe --always --tags) .
ARG VERSION=""
RUN mkdir /data
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.release=$VERSION" -o /fhirkiln ./cmd/fhirkiln

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /fhirkiln /fhirkiln
# A new volume mounted there takes its owner from this folder.
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
ENTRYPOINT ["/fhirkiln"]
CMD ["run", "-c", "/etc/fhirkiln/config.yaml"]
