# cnitest with Debian's CNI plugins and the programs that they call.
#
#   docker build --tag cnitest .
#   docker run --rm --privileged cnitest                                   # cnitest doctor
#   docker run --rm --privileged --volume "$PWD:/work" cnitest run 10-mynet.conflist --cni-path ./bin
#
# docs/ci.md says which rights are enough without --privileged, and how an ordinary user runs it (--user cnitest).

FROM debian:12-slim AS build
# Debian 12 has one version of each for its whole life, with security fixes.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN python3 -m venv /opt/cnitest \
    && /opt/cnitest/bin/pip install --no-cache-dir /source

FROM debian:12-slim
# The first line is what labs need, the second what single tests and fault injection need, the third what CI does.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 containernetworking-plugins iptables nftables iproute2 mount \
        dnsmasq-base conntrack procps \
        ca-certificates git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 cnitest \
    && install --directory --mode=1777 /work
COPY --from=build /opt/cnitest /opt/cnitest
ENV PATH=/opt/cnitest/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /work
# What Ctrl-C sends: the first process of a container ignores SIGTERM.
STOPSIGNAL SIGINT
ENTRYPOINT ["cnitest"]
CMD ["doctor"]
