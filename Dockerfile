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
# Address of an index of PyTorch builds. Without one, PyTorch comes from the default index, whose
# builds for x86 bring CUDA along even for DEVICE=cpu and make the image some gigabytes larger.
ARG TORCH_INDEX=""

WORKDIR /opt/mer_mlflow
COPY requirements.txt ./
RUN case "$DEVICE" in \
        cpu) : >extras.txt ;; \
        cuda) sed -n 's/^tensorflow==/tensorflow[and-cuda]==/p' requirements.txt >extras.txt ;; \
        *) echo "DEVICE=$DEVICE: must be cpu or cuda" >&2; exit 1 ;; \
    esac \
    && pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
        -r requirements.txt -r extras.txt \
    && rm extras.txt

COPY MLproject python_env.yaml ./
COPY entrypoints entrypoints
COPY mer_mlflow mer_mlflow
RUN python -m compileall -q entrypoints mer_mlflow

# Volumes take the owner of the folders that they are first mounted on.
RUN useradd --create-home --uid 1000 mer \
    && mkdir /cache /output \
    && chown mer:mer /cache /output
USER mer
WORKDIR /output
VOLUME ["/cache", "/output"]
ENV PYTHONPATH=/opt/mer_mlflow \
    PYTHONUNBUFFERED=1 \
    MER_CACHE_ROOT=/cache \
    MER_JOURNAL_ROOT=/output/journals \
    MPLCONFIGDIR=/cache/matplotlib \
    NUMBA_CACHE_DIR=/cache/numba

# Last, so that a new commit leaves the packages above as they are.
ARG GIT_COMMIT=unknown
ENV MER_GIT_COMMIT=$GIT_COMMIT

# The first argument names the entry point, the rest are its parameters.
ENTRYPOINT ["sh", "-c", "name=$1; shift; exec python -m \"entrypoints.$name\" \"$@\"", "sh"]
CMD ["train", "--method=svm"]
