"""The model card of a network, README.md on the hub, made only from the metadata of its weights."""

from collections.abc import Mapping

from asid_plugin import markdown
from asid_plugin.archs.windowed import WindowedSR
from asid_plugin.published.variants import find

from .origin import metadata_of, results_of

LIBRARY = 'asid-plugin'
TAGS = ('super-resolution', 'image-restoration', 'pytorch', 'pytorch_model_hub_mixin', 'model_hub_mixin')
TASK = 'image-to-image'
PAPERS = {
    'ASID': 'Park, Soh, Cho: *Efficient Attention-Sharing Information Distillation Transformer for Lightweight Single '
    'Image Super-Resolution*, AAAI 2025 ([code](https://github.com/saturnian77/ASID))',
    'OmniSR': 'Wang et al.: *Omni Aggregation Networks for Lightweight Image Super-Resolution*, CVPR 2023',
}
PROTOCOL = (
    'PSNR in dB and SSIM on Y of 8-bit images, with as many pixels cropped on each side as the scale. *tiles*: 64x64 '
    'LR pixels with an overlap of 24, averaged; *whole*: the whole image at once.'
)


def model_card(net: WindowedSR, license: str | None = None, repo_id: str = '') -> str:
    """The card of a network.

    Args:
        net: The network.
        license: Identifier of the licence of the weights; by default from the metadata, else 'unknown'.
        repo_id: OWNER/NAME, if known.
    """
    metadata = metadata_of(net)
    license = license or metadata.get('license') or 'unknown'
    title, arguments = f'{_network(net)} x{net.upscale}', sorted(net.arguments.items())
    parts = [
        f'---\n{_front_matter(title, license, net, metadata)}\n---',
        f'# {title}',
        _summary(net),
        f'## Use\n\n{_use(net, repo_id)}',
        f'## Training\n\n{_training(metadata)}',
        f'## Results\n\n{_results(metadata)}',
        f'## Arguments\n\n{markdown.table(["argument", "value"], [[key, str(value)] for key, value in arguments])}',
    ]
    return '\n\n'.join(parts) + '\n'


def _network(net: WindowedSR) -> str:
    """The name of a network in the paper, else the name of its class."""
    variant = find({'type': type(net).__name__, **net.arguments})
    return variant.name if variant else type(net).__name__


def _front_matter(title: str, license: str, net: WindowedSR, metadata: Mapping[str, str]) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    figures = [
        EvalResult(
            task_type=TASK,
            dataset_type=name,
            dataset_name=f'{name} x{net.upscale}',
            metric_name=f'{metric.upper()} on Y, {how}',
            metric_type=metric,
            metric_value=value,
        )
        for name, how, psnr, ssim in results_of(metadata)
        for metric, value in (('psnr', psnr), ('ssim', ssim))
    ]
    data = ModelCardData(
        license=license,
        library_name=LIBRARY,
        pipeline_tag=TASK,
        tags=sorted({type(net).__name__.lower(), *TAGS}),
        metrics=['psnr', 'ssim'],
        **({'model_name': title, 'eval_results': figures} if figures else {}),
    )
    return data.to_yaml().strip()


def _summary(net: WindowedSR) -> str:
    num = sum(parameter.numel() for parameter in net.parameters())
    name = type(net).__name__
    return (
        f'A network for x{net.upscale} image super-resolution with {num:,} parameters. '
        f'{PAPERS.get(name, name)}. Read and written by the Python package `{LIBRARY}`.'
    )


def _use(net: WindowedSR, repo_id: str) -> str:
    name, channels = type(net).__name__, net.arguments['num_in_ch']
    module = 'asid_plugin' if name == 'ASID' else 'asid_plugin.archs'
    return f"""```python
import torch
from {module} import {name}

net = {name}.from_pretrained({repo_id or 'FOLDER_OR_REPOSITORY'!r})
lq = torch.rand(1, {channels}, 48, 64)  # (B, C, H, W), RGB in [0, 1]
with torch.inference_mode():
    sr = net(lq).clamp(0, 1)  # (1, {net.arguments['num_out_ch']}, {48 * net.upscale}, {64 * net.upscale})
```

`asid upscale photo.jpg -o large.png --weights model.safetensors` enlarges files."""


def _training(metadata: Mapping[str, str]) -> str:
    param_keys = {'params': 'last iteration', 'params_ema': 'running average'}
    facts = {
        'Data': metadata.get('data'),
        'Iterations': metadata.get('iterations'),
        'Weights': param_keys.get(metadata.get('param_key', ''), metadata.get('param_key')),
        'Terms of the data': metadata.get('terms'),
        'Options': metadata.get('options'),
        'SHA-256 of the option file': metadata.get('options_sha256'),
    }
    lines = [f'- {key}: {markdown.text(value)}' for key, value in facts.items() if value]
    return '\n'.join(lines) or 'The file of weights does not describe the training.'


def _results(metadata: Mapping[str, str]) -> str:
    rows = [
        [markdown.text(name), markdown.text(how), f'{psnr:.2f}', f'{ssim:.4f}']
        for name, how, psnr, ssim in results_of(metadata)
    ]
    if not rows:
        return 'The file of weights has no results.'
    return f'{markdown.table(["set", "how", "PSNR", "SSIM"], rows)}\n\n{PROTOCOL}'
