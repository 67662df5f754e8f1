# repro in a container:
#   docker build -t repro .
#   docker run --network host -v /etc/repro:/etc/repro:ro -v repro:/var/lib/repro repro
# The process is the user repro of the image (docker run --rm --entrypoint id repro): it has to be able to read /etc/repro.
# On the host's network, since SIP says in its messages which address it is reached at.
FROM rust:1.95-slim-trixie AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package apps --bin repro

FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/repro --create-home repro
COPY --from=build /src/target/release/repro /usr/local/bin/repro
USER repro
WORKDIR /var/lib/repro
VOLUME /var/lib/repro
STOPSIGNAL SIGTERM
# With [admin] in the configuration: whether it answers.
HEALTHCHECK --interval=30s --timeout=5s CMD ["repro", "--config", "/etc/repro/repro.toml", "ctl", "status"]
ENTRYPOINT ["repro"]
CMD ["--config", "/etc/repro/repro.toml"]
