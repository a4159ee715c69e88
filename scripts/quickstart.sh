#!/usr/bin/env bash
# From a bare machine to an ASID that was trained, resumed, tested and used, in some minutes on two CPU cores, and the
# weights that come with the package beside it.
#
# Everything is written below this folder: .venv (unless an environment is active), datasets/demo, experiments, results.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

name=demo_ASID_x2
weights=experiments/$name/models/net_g_latest.pth
photo=results/photo_x2.png
large=results/photo_x4.png
evaluation=results/demo

step() { printf '\n==> %s\n' "$*"; }

step 'Data: the photographs that scikit-image carries, some held out'
asid prepare demo -o datasets/demo

step "Training, the first 100 iterations of options/$name.yml"
asid train "options/$name.yml" --force_yml train:total_iter=100

step 'Training resumes where it stopped and goes on to the end'
asid train "options/$name.yml" --auto_resume

step 'Testing on two photographs that were held out'
asid test options/demo_test_ASID_x2.yml

step 'Upscaling another photograph that was held out'
asid upscale datasets/demo/photo/rocket.png -o "$photo" --weights "$weights"

step 'The same by the weights that come with the package, at x4'
asid upscale datasets/demo/photo/rocket.png -o "$large" --scale 4

step 'A detail, side by side, and PSNR / SSIM of the photographs that were held out'
asid paper figure5 --gt datasets/demo/val/GTmod2/chelsea.png --lq datasets/demo/val/LRbicx2/chelsea.png \
    --scale 2 --network "demo=$weights" packaged=packaged:x2 --how whole --box 150 60 130 100 -o "$evaluation/detail.png"
asid evaluate datasets/demo/val --scale 2 --network "demo=$weights" packaged=packaged:x2 --how whole \
    --html -o "$evaluation"

printf '\nWritten:\n'
printf '  %s\n' "$weights" results/demo_test_ASID_x2 "$photo" "$large" "$evaluation/report.html"
