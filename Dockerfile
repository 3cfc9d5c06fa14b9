# The server alone: its database is given by DATABASE_URL. docker-compose.yml runs both.

FROM rust:1.95.0-slim-bookworm AS build
# Else rustup would fetch the tools of rust-toolchain.toml that only developers need.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN cargo build --locked --release --bin jobpass

FROM debian:bookworm-slim
RUN useradd --system --uid 8787 --no-create-home --shell /usr/sbin/nologin jobpass
COPY --from=build /src/target/release/jobpass /usr/local/bin/jobpass
USER jobpass
EXPOSE 8787
# The image has no curl; bash can speak as much HTTP as this needs.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8787 && printf 'GET /readyz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["jobpass"]
CMD ["serve", "--listen", "0.0.0.0:8787", "--behind-tls-proxy"]
