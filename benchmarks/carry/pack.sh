#!/usr/bin/env bash
# Packs TensorRT-RTX for a GPU machine (x86-64, CUDA 13, Python 3.12) that can install nothing, as
# small as it gets: about 64 MB in .trt/, which git ignores. unpack.py puts it together there.
# XZ_PRESET=0 packs quickly and larger.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=1.7.1.116
python_version=${PYTHON_VERSION:-3.12}
preset=${XZ_PRESET:-9e}
wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
fetch() {
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --python-version "$python_version" --implementation cp --abi none \
    --platform manylinux_2_28_x86_64 -d "$1" "$2==$version"
}
rm -rf .trt
mkdir .trt
fetch "$wheels" tensorrt-rtx-cu13-libs
fetch .trt tensorrt-rtx-cu13-bindings
for library in libtensorrt_rtx.so.1 libtensorrt_onnxparser_rtx.so.1; do
  unzip -p "$wheels"/*libs*.whl "tensorrt_rtx_libs/$library" |
    xz --x86 --lzma2=preset="$preset",dict=256MiB -c > ".trt/$library.xz"
done
unzip -p "$wheels"/*libs*.whl tensorrt_rtx_libs/__init__.py > .trt/libs_init.py
du -sh .trt
