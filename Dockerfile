# The program, on a small Debian, as a user without rights. It needs no server binaries: docker-compose.yml runs those.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
# The caches outlive the layer, so a change of one line does not build the dependencies again.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --profile dist --locked --package valera-analytics \
    && cp target/dist/valera-analytics /usr/local/bin/

FROM debian:bookworm-slim
# The directories' owner becomes that of the volumes which docker-compose.yml keeps the keys and the spool in.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin valera \
    && install --directory --owner valera --mode 700 /keys /spool
# Whom the channels of alerts trust; the small image has none.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /usr/local/bin/valera-analytics /usr/local/bin/
USER 10001:10001
ENTRYPOINT ["valera-analytics"]
CMD ["--help"]
