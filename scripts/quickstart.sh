#!/usr/bin/env bash
# Sets up a bare machine, then trains, resumes, tests and uses an ASID in a few minutes on two CPU cores, and compares
# it with the packaged weights.
#
# All output is in this checkout: .venv (unless an environment is active), datasets/demo, experiments, results.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

name=demo_ASID_x2
weights=experiments/$name/models/net_g_latest.pth
photo=results/photo_x2.png
large=results/photo_x4.png
evaluation=results/demo

step() { printf '\n==> %s\n' "$*"; }

step 'Data: the photographs of scikit-image, some held out'
asid prepare demo -o datasets/demo

step "Training, the first 100 iterations of options/$name.yml"
asid train "options/$name.yml" --force_yml train:total_iter=100

step 'Training resumes, to the end'
asid train "options/$name.yml" --auto_resume

step 'Testing on two held-out photographs'
asid test options/demo_test_ASID_x2.yml

step 'Upscaling another held-out photograph'
asid upscale datasets/demo/photo/rocket.png -o "$photo" --weights "$weights"

step 'The same with the packaged weights, x4'
asid upscale datasets/demo/photo/rocket.png -o "$large" --scale 4

step 'A detail, side by side, and PSNR / SSIM of the held-out photographs'
asid paper figure5 --gt datasets/demo/val/GTmod2/chelsea.png --lq datasets/demo/val/LRbicx2/chelsea.png \
    --scale 2 --network "demo=$weights" packaged=packaged:x2 --how whole --box 150 60 130 100 -o "$evaluation/detail.png"
asid evaluate datasets/demo/val --scale 2 --network "demo=$weights" packaged=packaged:x2 --how whole \
    --html -o "$evaluation"

printf '\nWritten:\n'
printf '  %s\n' "$weights" results/demo_test_ASID_x2 "$photo" "$large" "$evaluation/report.html"
