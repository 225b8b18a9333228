# The two commands of the README in a container of the checkout:
#   docker build --tag pvnas-bench .                            both set-ups, and a first run
#   docker run --rm pvnas-bench                                 the checks and tests
#   docker run --rm --volume "$PWD/results:/pvnas_bench/results" pvnas-bench .venv/bin/pvnas-bench run --strategy pvnas
FROM python:3.11-slim-bookworm

# git: the commit in records. libgl1 and libglib2.0-0: libraries of video decoders. chromium: the tests of the report.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends chromium git libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home bench
WORKDIR /pvnas_bench
COPY --chown=bench:bench . .
RUN chown bench:bench /pvnas_bench
USER bench
ENV PVNAS_BENCH_CACHE=/home/bench/cache

RUN python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/python -m pvnas_bench run --strategy pvnas --space st_default

CMD ["bash", "-c", "python3 -m venv .venv-tox && .venv-tox/bin/pip install tox && .venv-tox/bin/tox"]
