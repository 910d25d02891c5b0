# The image of the service: the model is trained while the image is built, natively, whatever machine the image is for.
#
#   docker build --build-arg SOURCE_DATE_EPOCH="$(date +%s)" --tag crypto-predict .
#
# Without SOURCE_DATE_EPOCH the engine may take a model that it trained before from its cache.

FROM --platform=$BUILDPLATFORM python:3.13-slim AS train
WORKDIR /training
COPY requirements-train.txt ./
RUN pip install --no-cache-dir --root-user-action=ignore --require-hashes --requirement requirements-train.txt
COPY train.py ./
COPY crypto_predict crypto_predict
# What the last release left, if there was one: model.pkl and model.ledger.jsonl.
COPY champion* champion/
# Every option of train.py is read from the environment too, where an empty one counts as unset; `train.py --help`.
ARG PAIR="BTC/USD"
ARG SOURCE="alpaca"
ARG DAYS=""
ARG EVERY=""
ARG HORIZONS=""
ARG UNTIL=""
ARG SEED=""
ARG LEDGER=""
ARG CHAMPION=""
ARG ALPACA_DATA_URL=""
ARG MODEL_VERSION=""
ARG GIT_REVISION=""
# The one timestamp of a build. A new one trains anew: a cached step would ship a stale model.
ARG SOURCE_DATE_EPOCH=""
RUN --mount=type=secret,id=alpaca_api_key \
    --mount=type=secret,id=alpaca_secret_key \
    mkdir --parents /layer/app \
    # NumPy reads it too, and takes an empty one for no number
    && if [ -z "$SOURCE_DATE_EPOCH" ]; then unset SOURCE_DATE_EPOCH; fi \
    && ALPACA_API_KEY="$(cat /run/secrets/alpaca_api_key 2>/dev/null)" \
       ALPACA_SECRET_KEY="$(cat /run/secrets/alpaca_secret_key 2>/dev/null)" \
       python train.py --output /layer/app/model.pkl \
    && chmod 444 /layer/app/* \
    && touch --date="@${SOURCE_DATE_EPOCH:-0}" /layer/app/* /layer/app

# Whatever machine the image is for, nothing is executed on it, so that none is emulated: its wheels are only unpacked.
FROM --platform=$BUILDPLATFORM python:3.13-slim AS serving
ARG TARGETARCH
COPY requirements-api.txt /build/
RUN case "$TARGETARCH" in \
        amd64) machine=x86_64 ;; \
        arm64) machine=aarch64 ;; \
        *) echo "there are no wheels for $TARGETARCH" >&2; exit 1 ;; \
    esac \
    && pip install --no-cache-dir --root-user-action=ignore --no-compile --target /packages \
        --only-binary=:all: --platform "manylinux_2_28_$machine" --platform "manylinux2014_$machine" \
        --require-hashes --requirement /build/requirements-api.txt \
    # commands, and the variants of Swagger UI that its page does not load
    && rm -rf /packages/bin \
        /packages/flask_swagger_ui/dist/swagger-ui.js \
        /packages/flask_swagger_ui/dist/swagger-ui-standalone-preset.js
WORKDIR /app
COPY LICENSE api.py ./
# What api.py imports, directly or not, and nothing else; tests/test_image.py compares.
COPY crypto_predict/__init__.py crypto_predict/errors.py crypto_predict/logs.py crypto_predict/market.py \
     crypto_predict/settings.py crypto_predict/version.py crypto_predict/
COPY crypto_predict/baked crypto_predict/baked
COPY crypto_predict/web crypto_predict/web
COPY crypto_predict/release/bytecode.py /build/
# The last ones are what only some answers import, and the health check.
RUN PYTHONPATH=/app:/packages python -B /build/bytecode.py /pycache \
        api crypto_predict.web.openapi flask_swagger_ui importlib.readers encodings.idna http.client
# Equal content makes equal layers, which a registry stores and sends once: no file keeps the time of its copying or the
# permissions of a checkout, and what rarely changes lies apart.
RUN chmod --recursive u=rwX,go=rX /app /packages /pycache \
    && mkdir --parents /layers/packages /layers/program/pycache \
    && cp --recursive /app /layers/program/ \
    && mv /pycache/app /layers/program/pycache/ \
    && mv /packages /pycache /layers/packages/ \
    && find /layers -exec touch --no-dereference --date=@0 {} +

FROM python:3.13-slim AS api
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
    PYTHONDONTWRITEBYTECODE=1
COPY --from=serving /layers/packages/ /
COPY --from=serving /layers/program/ /
WORKDIR /app
USER 65532:65532
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; server = http.client.HTTPConnection(os.environ.get('HOST') or '127.0.0.1', int(os.environ.get('PORT') or 8000), timeout=4); server.request('GET', '/readyz'); sys.exit(server.getresponse().status != 200)"]
CMD ["python", "api.py"]
COPY --from=train /layer/ /
