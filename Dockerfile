# The image of the service. The model is trained during the build, natively, also for other architectures.
#
#   docker build --build-arg SOURCE_DATE_EPOCH="$(date +%s)" --tag crypto-predict .
#
# Without SOURCE_DATE_EPOCH the engine may reuse a model from its cache. The target `live` adds the collector and the
# database libraries, the target `trainer` trains again and again; compose.yaml starts them.

# A release names the base by its digest, so that it is the same in all stages and architectures.
ARG BASE=python:3.13-slim

# What trains: the packages, with those of the database, and the program.
FROM --platform=$BUILDPLATFORM $BASE AS training
COPY requirements-train.txt requirements-live.txt requirements-uv.txt crypto_predict/launch/install.py /packages/
RUN PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore python -B /packages/install.py \
        /packages/requirements-train.txt /packages/requirements-live.txt
# What models of other people need, if they need anything. If it cannot be installed, the next build tries it again.
COPY rivals/requirements.txt* /training/rivals/
COPY crypto_predict/launch/rivals.py /packages/
RUN PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore python -B /packages/rivals.py /training/rivals || true
# In a build these models run as another user than the training, so that they cannot read its secrets.
ENV RIVAL_USER=65534
COPY train.py /training/
COPY crypto_predict /training/crypto_predict

# WORKDIR depends on SOURCE_DATE_EPOCH. The slow steps come before it, so that they are cached.
FROM training AS train
# model.pkl and model.ledger.jsonl of the last release, if they exist.
COPY champion* /training/champion/
# CSV files for SOURCE=file:data/NAME.csv, if they exist.
COPY data* /training/data/
COPY rivals /training/rivals
# Every option of train.py can be an environment variable (`train.py --help`); an empty one counts as unset.
ARG PAIR=""
ARG SOURCE=""
ARG DAYS=""
ARG EVERY=""
ARG HORIZONS=""
ARG UNTIL=""
ARG SEED=""
ARG RIVALS=""
ARG RIVAL_EVERY=""
ARG RIVAL_SECONDS=""
ARG SERVE=""
ARG LEDGER=""
ARG CHAMPION=""
ARG ALPACA_DATA_URL=""
ARG BINANCE_API_URL=""
ARG COINBASE_API_URL=""
ARG POLONIEX_API_URL=""
ARG DERIBIT_API_URL=""
ARG SOURCE_SECONDS=""
ARG SOURCE_CANDLES=""
ARG MODEL_VERSION=""
ARG GIT_REVISION=""
ARG TRAINED_EVERY=""
# The timestamp of a build. A new one trains a new model instead of using the cache.
ARG SOURCE_DATE_EPOCH=""
WORKDIR /training
RUN PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore python -B /packages/rivals.py rivals || true
RUN --mount=type=secret,id=alpaca_api_key \
    --mount=type=secret,id=alpaca_secret_key \
    mkdir --parents /layer/app /picture \
    # -B: do not write byte code, which would only fill the cache
    && ALPACA_API_KEY="$(cat /run/secrets/alpaca_api_key 2>/dev/null)" \
       ALPACA_SECRET_KEY="$(cat /run/secrets/alpaca_secret_key 2>/dev/null)" \
       python -B train.py --output /layer/app/model.pkl --picture "/picture/{base}-{quote}.svg" \
    && chmod 444 /layer/app/* \
    && touch --date="@${SOURCE_DATE_EPOCH:-0}" /layer/app/* /layer/app

# The forecasts as pictures, one file a pair: docker build --target picture --output type=local,dest=picture .
# With the arguments of an earlier build, nothing is trained again.
FROM scratch AS picture
COPY --from=train /picture/ /

# The trainer of compose.yaml, which trains again and again: native, like everything above.
FROM training AS trainer
COPY data* /training/data/
COPY rivals /training/rivals
# A new volume at /model gets the model of the build, and its owner.
COPY --from=train --chown=65532:65532 /layer/app/ /model/
ENV PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp \
    OUTPUT=/model/model.pkl \
    REPEAT=6h
WORKDIR /training
USER 65532:65532
STOPSIGNAL SIGTERM
CMD ["python", "train.py"]

# The scripts of the page. They are the same for every architecture; the image contains them without Node.js.
FROM --platform=$BUILDPLATFORM $BASE AS page
COPY requirements-page.txt /page/
RUN pip install --no-cache-dir --root-user-action=ignore --require-hashes --requirement /page/requirements-page.txt
COPY page/package.json page/package-lock.json page/.npmrc /page/
# The registry of npm, if it is another one; an empty one counts as unset. Node.js has its own list of authorities.
ARG NPM_CONFIG_REGISTRY=""
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
RUN npm ci --prefix /page --omit=dev --ignore-scripts
COPY page /page/
# It writes /crypto_predict/web/page/built.
RUN npm run --prefix /page --silent build

# Nothing is executed for another architecture, so nothing is emulated: its wheels are only unpacked.
FROM --platform=$BUILDPLATFORM $BASE AS serving
ARG TARGETARCH
COPY requirements-api.txt /build/
RUN case "$TARGETARCH" in \
        amd64) machine=x86_64 ;; \
        arm64) machine=aarch64 ;; \
        *) echo "no wheels for the architecture $TARGETARCH" >&2; exit 1 ;; \
    esac \
    && echo "--no-cache-dir --root-user-action=ignore --no-compile --target /packages --only-binary=:all:" \
        "--platform manylinux_2_28_$machine --platform manylinux2014_$machine --require-hashes" > /build/options \
    && xargs pip install --requirement /build/requirements-api.txt < /build/options \
    # commands, the debugger, the lists of files for pip, what tests and other frameworks use, and the variants of
    # Swagger UI that its page does not load
    && rm -rf /packages/bin /packages/werkzeug/debug /packages/*.dist-info/RECORD \
        /packages/click/testing.py /packages/flask/testing.py /packages/werkzeug/middleware/lint.py \
        /packages/prometheus_client/openmetrics/parser.py \
        /packages/prometheus_client/aiohttp /packages/prometheus_client/django /packages/prometheus_client/twisted \
        /packages/flask_swagger_ui/dist/swagger-ui.js \
        /packages/flask_swagger_ui/dist/swagger-ui-standalone-preset.js \
    # the program decompresses them once; without the time (-n) they are the same in every build
    && gzip -9n /packages/flask_swagger_ui/dist/swagger-ui-bundle.js /packages/flask_swagger_ui/dist/swagger-ui.css
COPY LICENSE api.py /app/
# The modules that api.py imports, directly or not, and no others; tests/image/test_image.py compares.
COPY crypto_predict/__init__.py crypto_predict/command_line.py crypto_predict/errors.py crypto_predict/locks.py \
     crypto_predict/logs.py crypto_predict/prerequisites.py crypto_predict/settings.py crypto_predict/version.py \
     crypto_predict/wording.py /app/crypto_predict/
COPY crypto_predict/market /app/crypto_predict/market
COPY crypto_predict/baked /app/crypto_predict/baked
COPY crypto_predict/http_server /app/crypto_predict/http_server
COPY crypto_predict/web /app/crypto_predict/web
COPY --from=page /crypto_predict/web/page/built /app/crypto_predict/web/page/built
# Compile every module that these imports load, the standard library's too: the base has no byte code, and the image
# cannot write any when it runs. All but api are imported by some answers only, by templates and by the health check.
RUN PYTHONPATH=/app:/packages python -B -c "\
import sys, api, crypto_predict.web.documentation.openapi, crypto_predict.web.page.feed, _strptime, encodings.idna, encodings.unicode_escape, flask_swagger_ui, http.client, importlib.readers; \
crypto_predict.web.documentation.openapi.of_model(); \
specs = [getattr(module, '__spec__', None) for module in sys.modules.values()]; \
print(*sorted({spec.origin for spec in specs if spec and str(spec.origin).endswith('.py')}), sep='\n')" > /build/sources.txt \
    && PYTHONPYCACHEPREFIX=/pycache python -B -m compileall -q --invalidation-mode unchecked-hash -i /build/sources.txt
# Equal content must make equal layers, which a registry stores and sends once. So times and permissions are fixed, and
# files that rarely change have a separate layer.
RUN chmod --recursive u=rwX,go=rX /app /packages /pycache \
    && mkdir --parents /layers/packages /layers/program/pycache \
    && cp --recursive /app /layers/program/ \
    && mv /pycache/app /layers/program/pycache/ \
    && mv /packages /pycache /layers/packages/ \
    && find /layers -exec touch --no-dereference --date=@0 {} +

# The same for the target `live`, with the collector and its libraries. All of them are compiled, with the standard
# library, as those of another architecture cannot be imported here.
FROM serving AS collecting
COPY requirements-live.txt /build/
RUN rm -rf /layers \
    && xargs pip install --requirement /build/requirements-live.txt < /build/options \
    # all tests, and of pyarrow what C++ is compiled with and what a local folder does not need (Flight, S3)
    && find /packages -type d '(' -name tests -o -name SelfTest ')' -prune -exec rm -rf {} + \
    && rm -rf /packages/bin /packages/pyarrow/include /packages/pyarrow/includes /packages/pyarrow/src \
        /packages/pyarrow/*_flight* /packages/pyarrow/*_s3* /packages/pyarrow/libarrow_python*.so /packages/pyarrow/*.so.*.* \
        /packages/flask_swagger_ui/dist/swagger-ui.js \
        /packages/flask_swagger_ui/dist/swagger-ui-standalone-preset.js \
    && gzip -9n /packages/flask_swagger_ui/dist/swagger-ui-bundle.js /packages/flask_swagger_ui/dist/swagger-ui.css \
    && standard="$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && PYTHONPYCACHEPREFIX=/pycache python -B -m compileall -q --invalidation-mode unchecked-hash -j 0 \
        -x '/(test|idlelib|tkinter|turtledemo|lib2to3|ensurepip|pip|setuptools|pkg_resources)/' "$standard" /packages \
    && chmod --recursive u=rwX,go=rX /packages /pycache \
    && mkdir --parents /layers/packages \
    && mv /packages /pycache /layers/packages/ \
    && find /layers -exec touch --no-dereference --date=@0 {} +
COPY collect.py /app/
COPY crypto_predict/outages.py crypto_predict/threads.py /app/crypto_predict/
COPY crypto_predict/sources /app/crypto_predict/sources
COPY crypto_predict/history /app/crypto_predict/history
COPY crypto_predict/store /app/crypto_predict/store
COPY crypto_predict/dataset /app/crypto_predict/dataset
COPY crypto_predict/collecting /app/crypto_predict/collecting
# Of forecasting only the minutes, which need NumPy alone.
COPY crypto_predict/forecasting/__init__.py /app/crypto_predict/forecasting/
COPY crypto_predict/forecasting/distribution /app/crypto_predict/forecasting/distribution
COPY crypto_predict/forecasting/minutes /app/crypto_predict/forecasting/minutes
RUN PYTHONPYCACHEPREFIX=/pycache python -B -m compileall -q --invalidation-mode unchecked-hash /app \
    && chmod --recursive u=rwX,go=rX /app /pycache \
    && mkdir --parents /layers/program/pycache \
    && mv /app /layers/program/ \
    && mv /pycache/app /layers/program/pycache/ \
    && find /layers/program -exec touch --no-dereference --date=@0 {} +

FROM $BASE AS runtime
ARG MODEL_BUILD=""
ARG GIT_REVISION=""
ARG CREATED=""
ARG REPOSITORY_URL=""
LABEL org.opencontainers.image.title="Crypto Predict" \
      org.opencontainers.image.description="A live Bitcoin forecast over HTTP, its model inside" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.source="$REPOSITORY_URL" \
      org.opencontainers.image.version="$MODEL_BUILD" \
      org.opencontainers.image.revision="$GIT_REVISION" \
      org.opencontainers.image.created="$CREATED"
ENV PYTHONPATH=/packages \
    PYTHONPYCACHEPREFIX=/pycache \
    PYTHONDONTWRITEBYTECODE=1 \
    REPOSITORY_URL="$REPOSITORY_URL"
USER 65532:65532
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; server = http.client.HTTPConnection(os.environ.get('HOST') or '127.0.0.1', int(os.environ.get('PORT') or 8000), timeout=4); server.request('GET', '/readyz'); sys.exit(server.getresponse().status != 200)"]
CMD ["python", "api.py"]

# The collector, and a server with a database.
FROM runtime AS live
COPY --from=collecting /layers/packages/ /
COPY --from=collecting /layers/program/ /
WORKDIR /app
COPY --from=train /layer/ /

# The image that is released: forecasts only. It comes last, as the last stage is the one that is built by default.
FROM runtime AS api
COPY --from=serving /layers/packages/ /
COPY --from=serving /layers/program/ /
WORKDIR /app
COPY --from=train /layer/ /
