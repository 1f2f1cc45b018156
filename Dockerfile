# The playground on a CPU.
#   docker build --tag rwkv-playground .
#   docker run --rm --publish 7860:7860 rwkv-playground
FROM python:3.12-slim

# The kernels are compiled for the processor they run on, so the compiler stays in the image.
# Debian keeps one version of a package, so pinning it would break the build one day.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app

# From this index comes a torch without CUDA, gigabytes smaller.
COPY requirements.txt .
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
    --requirement requirements.txt

COPY . .

RUN useradd --create-home --uid 1000 user
USER 1000

ENV GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    GRADIO_ANALYTICS_ENABLED=False \
    HF_HUB_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# Into the user's cache; on another processor the first start compiles again.
RUN python -m kernels.build

EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/', timeout=4)"]

CMD ["python", "app.py"]
