# The playground, on a CPU or an NVIDIA GPU; docs/hosting.md has the commands.
#   docker build --tag rwkv-playground .
#   docker build --tag rwkv-playground:cuda --build-arg TORCH_BUILD=cu130 .
FROM python:3.12-slim

# "cpu" is gigabytes smaller; for a GPU the name of a CUDA build, as pytorch.org lists them.
ARG TORCH_BUILD=cpu

# The kernels are compiled for the processor they run on, so the compiler stays in the image.
# Debian keeps one version of a package, so pinning it would break the build one day.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app

COPY requirements.txt .
RUN pip install --no-cache-dir --extra-index-url "https://download.pytorch.org/whl/${TORCH_BUILD}" \
    --requirement requirements.txt

COPY . .

RUN useradd --create-home --uid 1000 user
USER 1000

ENV GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    GRADIO_ANALYTICS_ENABLED=False \
    HF_HUB_DISABLE_TELEMETRY=1 \
    HF_HOME=/home/user/.cache/huggingface \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# Into the user's cache; on another processor the first start compiles again.
RUN python -m kernels.build

# Compiled kernels and fetched models outlive the container.
VOLUME /home/user/.cache

EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]

CMD ["python", "app.py", "--log-requests"]
