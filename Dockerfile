# The worker: an image that runs the entry points.
#
#   docker build --build-arg DEVICE=cpu --tag mer-mlflow-worker:cpu .
#   docker run --rm mer-mlflow-worker:cpu train --method=svm
#
# --build-arg GIT_COMMIT= is what runs carry as their commit, because the image has no git to ask;
# server/build gives it to Compose.
#
# CUDA comes with the Python packages: DEVICE=cuda needs no other base image, only NVIDIA's driver
# and container toolkit on the host.

FROM python:3.11.14-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends ffmpeg \
    && rm -rf /var/lib/apt/lists/*

# cpu or cuda
ARG DEVICE=cpu
# Address of an index of PyTorch builds and the hash of its wheel (sha256, 64 digits; the index names
# it). Without them PyTorch is that of the lock, whose builds for x86 bring CUDA along even for
# DEVICE=cpu and make the image some gigabytes larger.
ARG TORCH_INDEX=""
ARG TORCH_SHA256=""

WORKDIR /opt/mer_mlflow
COPY requirements.lock requirements-cuda.lock ./
# Only files whose hash is in a lock are installed. A lock is complete: nothing is resolved here.
RUN case "$DEVICE" in \
        cpu) cat requirements.lock >all.lock ;; \
        cuda) cat requirements.lock requirements-cuda.lock >all.lock ;; \
        *) echo "DEVICE=$DEVICE: must be cpu or cuda" >&2; exit 1 ;; \
    esac \
    && if [ "$DEVICE" = cpu ] && [ -n "$TORCH_INDEX" ]; then \
        if [ -z "$TORCH_SHA256" ]; then \
            echo "TORCH_INDEX needs TORCH_SHA256, the hash of its wheel" >&2; exit 1; \
        fi \
        && version="$(sed -n 's/^torch==\([^ ]*\).*/\1/p' all.lock)" \
        && echo "torch==$version --hash=sha256:$TORCH_SHA256" >torch.lock \
        && pip install --no-cache-dir --no-deps --require-hashes --index-url "$TORCH_INDEX" \
            -r torch.lock \
        && awk '/^[^ ]/ {keep = !/^(torch|triton|cuda-[a-z]+|nvidia-[a-z0-9-]+)==/} keep' all.lock >rest.lock \
        && mv rest.lock all.lock; \
    fi \
    && pip install --no-cache-dir --no-deps --require-hashes -r all.lock \
    && rm -f all.lock torch.lock

COPY MLproject python_env.yaml ./
COPY entrypoints entrypoints
COPY mer_mlflow mer_mlflow
RUN python -m compileall -q entrypoints mer_mlflow

COPY --chmod=755 server/start /server/

# Volumes take the owner and mode of the folders that they are first mounted on; Compose runs the
# image as the owner of the secrets, whom the image may not know by name.
RUN useradd --create-home --uid 1000 mer \
    && mkdir /cache /output \
    && chown mer:mer /cache /output \
    && chmod 1777 /cache /output
USER mer
WORKDIR /output
VOLUME ["/cache", "/output"]
ENV PYTHONPATH=/opt/mer_mlflow \
    HOME=/home/mer \
    USER=mer \
    PYTHONUNBUFFERED=1 \
    MER_CACHE_ROOT=/cache \
    MER_JOURNAL_ROOT=/output/journals \
    MPLCONFIGDIR=/cache/matplotlib \
    NUMBA_CACHE_DIR=/cache/numba

# Last, so that a new commit leaves the packages above as they are.
ARG GIT_COMMIT=unknown
ENV MER_GIT_COMMIT=$GIT_COMMIT

# The first argument names the command, the rest are its parameters.
ENTRYPOINT ["/server/start", "python", "-m", "mer_mlflow"]
CMD ["train", "--method=svm"]
