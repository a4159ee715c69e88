"""Methods to evaluate: bicubic, networks from checkpoints and option files, and existing SR images."""

import os
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import takewhile
from pathlib import Path

import torch
from torch import Tensor, nn

from asid_plugin import plain_yaml
from asid_plugin.archs import ASID, OmniSR
from asid_plugin.checkpoints import CheckpointError, build, read_state_dict
from asid_plugin.checkpoints.packaged import is_packaged, packaged_kind
from asid_plugin.cost.complexity import count_parameters
from asid_plugin.cost.yardstick import pad_to_windows
from asid_plugin.errors import one_line
from asid_plugin.inference.devices import is_out_of_memory
from asid_plugin.inference.tiling import Windows, self_ensemble, tiled, tiles_at_once
from asid_plugin.options.basicsr_keys import PathOptions
from asid_plugin.options.network import check_network
from asid_plugin.options.problems import Options, mapping, nearest
from asid_plugin.options.schema import registered
from asid_plugin.published.reported import table1
from asid_plugin.published.variants import find
from asid_plugin.tiles import OVERLAP, TILE

# isort: split
import basicsr.archs  # noqa: F401  # fills the registry
from basicsr.utils.registry import ARCH_REGISTRY

from .benchmarks import Pixels, Sample, list_images, read_rgb, set_name
from .protocol import bicubic, to_pixels, to_tensor
from .results import EvaluationError, Method


@dataclass(frozen=True)
class Running:
    """Settings for running networks.

    Attributes:
        scale: k.
        hows: 'tiles', 'whole', or both.
        tile: Side of a tile, LR pixels.
        overlap: Overlap of neighbouring tiles in LR pixels.
        self_ensemble: Average over the eight flips and rotations; marked by a '+' after the name of a network.
        device: 'cpu' or 'cuda'.
        dtype: Data type of the weights and the computation.
        borders: 'zeros', the paper's protocol, 'flush', or both; ignored for networks without windows.
    """

    scale: int
    hows: Sequence[str] = ('tiles',)
    tile: int = TILE
    overlap: int = OVERLAP
    self_ensemble: bool = False
    device: str = 'cpu'
    dtype: torch.dtype = torch.float32
    borders: Sequence[str] = ('zeros',)

    def label(self, how: str, borders: str = 'zeros') -> str:
        """The label of one of `hows`, with all differences from the paper's protocol: 'tiles 32/8 flush'."""
        is_paper = (self.tile, self.overlap) == (TILE, OVERLAP)
        size = '' if how == 'whole' or is_paper else f' {self.tile}/{self.overlap}'
        return f'{how}{size}{"" if borders == "zeros" else f" {borders}"}'

    def __str__(self) -> str:
        tiles = (
            f'tiles of {self.tile}x{self.tile} LR pixels that overlap by {self.overlap}, averaged with equal weights'
        )
        words = ', or '.join({'tiles': tiles, 'whole': 'whole images'}[how] for how in self.hows)
        borders = ', or '.join(_BORDERS[name] for name in self.borders)
        ensemble = '; averaged over flips and rotations (+)' if self.self_ensemble else ''
        return f'{words}; borders: {borders}{ensemble}; {str(self.dtype).removeprefix("torch.")} on {self.device}'


_BORDERS = {
    'zeros': "padded by the network, with zeros in ASID and Omni-SR (the paper's protocol)",
    'flush': 'windows of ASID and Omni-SR aligned with them, in blended tiles (flush)',
}


class Candidate(ABC):
    """A source of SR images, named by `method`."""

    method: Method

    @abstractmethod
    def __call__(self, sample: Sample) -> Pixels:
        """The SR image of a sample, with the size of HR.

        Raises:
            EvaluationError: There is no such image.
        """

    def called(self, method: Method) -> 'Candidate':
        """The same candidate with another `method`."""
        return replace(self, method=method)  # type: ignore[type-var]  # every candidate is a dataclass

    def check(self, sample: Sample) -> None:  # noqa: B027  # most have nothing to check
        """Raise the error of a call, if it is known without computing."""


@dataclass(frozen=True)
class Bicubic(Candidate):
    """MATLAB's bicubic interpolation."""

    scale: int
    method: Method = field(default_factory=lambda: Method('bicubic'))

    def __call__(self, sample: Sample) -> Pixels:
        """The image, interpolated."""
        return bicubic(sample.lq, self.scale)


@dataclass(frozen=True)
class Network(Candidate):
    """A network, run by tiles or on whole images.

    Attributes:
        net: Maps (B, 3, H, W) in [0, 1] to (B, 3, kH, kW), float32 on the device.
        tile: Side of a tile, LR pixels; None for whole images.
        windows: Align tiles with these windows, and feather them; None for the paper's protocol.
        batch: Tiles in a batch.
    """

    method: Method
    net: Callable[[Tensor], Tensor]
    running: Running
    tile: int | None
    windows: Windows | None = None
    batch: int = 1

    @torch.inference_mode()
    def __call__(self, sample: Sample) -> Pixels:
        """The network's output, in 8 bits.

        Raises:
            EvaluationError: The network fails, or its output has another size or is not finite.
        """
        run, feather = self.running, self.windows is not None
        net = partial(
            tiled,
            self.upscale,
            upscale=run.scale,
            tile=self.tile,
            overlap=run.overlap,
            batch=self.batch,
            feather=feather,
            windows=self.windows,
        )
        lq = to_tensor(sample.lq).to(run.device)
        try:
            sr = self_ensemble(net, lq) if run.self_ensemble else net(lq)
        except EvaluationError:
            raise
        except Exception as error:  # any network may fail in another way, most often out of memory
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            if is_out_of_memory(error):
                reason += ' (use --how tiles or a smaller --tile)'
            size = f'{lq.shape[3]}x{lq.shape[2]}'
            raise EvaluationError(f'{type(error).__name__} at {size} LR pixels: {reason}') from error
        if not sr.isfinite().all():
            raise EvaluationError(
                "the network's output is not finite (damaged weights, or too little precision with --half)"
            )
        return to_pixels(sr)

    def upscale(self, lq: Tensor) -> Tensor:
        """Call the network, and check the shape of its result."""
        sr = self.net(lq)
        size = [side * self.running.scale for side in lq.shape[2:]]
        if [*sr.shape] != [len(lq), 3, *size]:
            shapes = ['x'.join(map(str, shape)) for shape in (lq.shape[1:], sr.shape[1:], (3, *size))]
            raise EvaluationError(
                f'the output for {shapes[0]} (channels x height x width) is {shapes[1]}, not {shapes[2]}'
            )
        return sr


@dataclass(frozen=True)
class Folder(Candidate):
    """SR images of another program, in a folder or in its subfolders by set.

    The file of the image `baby` is `baby.png`, `babyx2.png`, or either with an underscore and more, like the results of
    BasicSR (`baby_ASID.png`, `babyx2_test.png`). The shortest name wins. All `FORMATS` are accepted.
    """

    method: Method
    folder: Path
    scale: int

    def __call__(self, sample: Sample) -> Pixels:
        """The image from its file.

        Raises:
            EvaluationError: The file is missing, cannot be read, or has another size than HR.
        """
        path = self.find(sample)
        sr = read_rgb(path)
        if sr.shape != sample.hr.shape:
            sizes = [f'{pixels.shape[1]}x{pixels.shape[0]}' for pixels in (sr, sample.hr)]
            raise EvaluationError(f'{path} is {sizes[0]}, but the HR image is {sizes[1]}')
        return sr

    def check(self, sample: Sample) -> None:
        """Read the image, like a call."""
        self(sample)

    def find(self, sample: Sample) -> Path:
        """The file of an image."""
        by_set = (path for path in sorted(self.folder.iterdir()) if set_name(path.name) == sample.set_name)
        folder = next(filter(Path.is_dir, by_set), self.folder)
        name = re.compile(re.escape(sample.name) + f'(x{self.scale})?(_.*)?', re.IGNORECASE)
        found = [path for stem, path in list_images(folder).items() if name.fullmatch(stem)]
        if not found:
            raise EvaluationError(
                f'{folder}: no result for {sample.name}; expected {sample.name}.png, {sample.name}x{self.scale}.png '
                f'or {sample.name}_….png'
            )
        return min(found, key=lambda path: (len(path.name), path.name))


def load_candidates(specs: Sequence[str], running: Running) -> list[Candidate]:
    """Load the candidates: bicubic, then the candidates of each SPEC in order.

    Args:
        specs: [NAME=]SOURCE each. SOURCE is 'bicubic', a checkpoint or `packaged:xK`, an option file (.yml) or a folder
            of SR images.
        running: Settings for running networks; with both ways each network gives two candidates.

    Raises:
        EvaluationError: A SPEC cannot be loaded or has another scale, or two have the same label.
    """
    loaded = [(bool(split_spec(spec)[0]), load_spec(spec, running)) for spec in specs if spec != 'bicubic']
    candidates = [Bicubic(running.scale), *told_apart(loaded)]
    taken: dict[str, Method] = {}
    for method in (candidate.method for candidate in candidates):
        rename = f'choose another: --network NAME={method.source or method.name}'
        if method.label.upper() in ('HR', 'LR'):
            raise EvaluationError(f'{method.source or method.name}: {method.label} is not a valid name; {rename}')
        # labels become file names, so they must differ in more than case and punctuation
        other = taken.setdefault(slug(method.label).lower(), method)
        if other is not method:
            both = ' and '.join(m.source or m.name for m in (other, method))
            raise EvaluationError(f'{both} would have the same name {method.label}; {rename}')
    return candidates


def told_apart(loaded: Sequence[tuple[bool, Sequence[Candidate]]]) -> Iterator[Candidate]:
    """Yield all candidates; equal names are extended by the part in which the paths differ.

    Args:
        loaded: For each SPEC, whether it names the method, and its candidates.
    """
    sources: dict[str, set[str]] = {}
    for _, candidates in loaded:
        for method in (candidate.method for candidate in candidates):
            sources.setdefault(slug(method.name).lower(), set()).add(method.source)
    for named, candidates in loaded:
        for candidate in candidates:
            method = candidate.method
            part = '' if named else differing_part(method.source, sources[slug(method.name).lower()])
            if part:
                method = replace(method, name=f'{method.name} ({part})', published=method.reported_as)
            yield candidate.called(method)


def differing_part(path: str, paths: Collection[str]) -> str:
    """The part of a path, without its suffix, in which several paths differ; '' for a single path."""
    if len(paths) < 2:
        return ''
    parts = [Path(each).with_suffix('').parts for each in paths]
    same_start = _num_alike(parts)
    same_end = _num_alike([each[same_start:][::-1] for each in parts])
    own = Path(path).with_suffix('').parts
    return '/'.join(own[same_start : len(own) - same_end])


def _num_alike(rows: Sequence[Sequence[str]]) -> int:
    """The number of leading entries that all rows have in common."""
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False)))


def slug(label: str) -> str:
    """A label as a file name."""
    return re.sub(r'[^\w.+-]+', '_', label)


def load_spec(spec: str, running: Running) -> list[Candidate]:
    """Load the candidates of one SPEC; see `load_candidates`."""
    name, what = split_spec(spec)
    path = Path(what).expanduser()
    if what == 'bicubic':
        return [Bicubic(running.scale, Method(name or what))]
    if path.is_dir():
        return [Folder(Method(name or path.resolve().name, source=what), path, running.scale)]
    if not (path.is_file() or is_packaged(what)):
        near = nearest(path.name, (file.name for file in path.parent.glob(f'*{path.suffix}')))
        hint = f'; did you mean {near}?' if near else ' (a network is [NAME=]FILE, or [NAME=]bicubic)'
        raise EvaluationError(f'{what}: no such file or folder{hint}')
    try:
        load = load_option_file if path.suffix.lower() in ('.yml', '.yaml') else load_checkpoint
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # deprecations of torch in other networks
            loaded = load(path, running)
    except CheckpointError as error:
        raise EvaluationError(str(error)) from error
    kind = packaged_kind(what) if is_packaged(what) else ''
    published = loaded.name if is_packaged(what) and not (name or kind or running.self_ensemble) else ''
    name = name or loaded.name + (', packaged' + f' {kind}' * bool(kind)) * is_packaged(what)
    name += '+' * running.self_ensemble
    return [
        Network(
            Method(name, running.label(how, borders), loaded.params, what, published),
            loaded.net,
            running,
            running.tile if how == 'tiles' else None,
            loaded.windows if borders == 'flush' else None,
            loaded.batch,
        )
        for how in running.hows
        for borders in (running.borders if loaded.windows else ('zeros',))
    ]


def split_spec(spec: str) -> tuple[str, str]:
    """NAME, '' if it is omitted, and SOURCE. File names may contain an equals sign."""
    if '=' not in spec or Path(spec).expanduser().exists():
        return '', spec
    parts = spec.split('=')
    splits = [('='.join(parts[:i]), '='.join(parts[i:])) for i in range(1, len(parts))]
    there = (split for split in splits if split[1] == 'bicubic' or (split[1] and Path(split[1]).expanduser().exists()))
    name, what = next(there, splits[0])  # a name may contain an equals sign, too
    if not name.strip() or not what:
        raise EvaluationError(f'--network {spec}: should be NAME=FILE')
    return name.strip(), what


@dataclass(frozen=True)
class Loaded:
    """A network from a file: its default name, the function, number of parameters, tiles in a batch, and windows."""

    name: str
    net: Callable[[Tensor], Tensor]
    params: int
    batch: int
    windows: Windows | None = None


def load_checkpoint(path: Path, running: Running) -> Loaded:
    """Load an ASID or Omni-SR in any layout, or a network that spandrel recognises. No pickled code is run.

    Raises:
        CheckpointError: The file cannot be read.
        EvaluationError: The network is unknown, has another scale or other channels, or does not support the data type.
    """
    state_dict = read_state_dict(path)
    for arch in (ASID, OmniSR):
        try:
            arguments = arch.reader.infer_arguments(state_dict)
        except ValueError:
            continue
        _check_fits(path, running.scale, arguments['upscale'], arguments['num_in_ch'], arguments['num_out_ch'])
        try:
            net = build(arch, state_dict)
        except ValueError as error:
            raise CheckpointError(f'{path}: {one_line(error)}') from None
        is_omnisr = arch is OmniSR and arguments['channel_split'] == 1
        variant = find({'type': arch.__name__, **arguments})
        name = variant.name if variant else 'Omni-SR' if is_omnisr else path.stem
        return _loaded(name, net, running)
    return _load_with_spandrel(path, state_dict, running)


def load_option_file(path: Path, running: Running) -> Loaded:
    """Load `network_g` of an option file with its weights, which must all fit.

    The weights are `path: pretrain_network_g`, by preference under `param_key_g`, 'params' by default, as in BasicSR.
    For training options they are the final weights, by preference the averaged ones, which the training validates.
    Paths are relative to the working folder.

    Raises:
        EvaluationError: The option file or the weights cannot be read, have another scale, or do not fit each other.
    """
    try:
        opt = plain_yaml.read(path)
    except (OSError, plain_yaml.YAMLError) as error:
        raise EvaluationError(f'{path}: {error.strerror if isinstance(error, OSError) else error}') from error
    if not isinstance(opt, Mapping):
        raise EvaluationError(f'{path}: no options in it')
    network, paths = mapping(opt, 'network_g'), mapping(opt, 'path')
    for problem in check_network({'network_g': network}):
        raise EvaluationError(f'{path}: {problem}')
    if opt.get('scale', running.scale) != running.scale:
        raise EvaluationError(f'{path}: scale: {opt["scale"]}, but --scale is {running.scale}')
    net = registered(ARCH_REGISTRY)[network['type']](**{key: value for key, value in network.items() if key != 'type'})
    key = 'path: pretrain_network_g'
    if 'train' in opt:
        key, paths = (
            'final weights of this training',
            {
                'pretrain_network_g': f'experiments/{opt.get("name")}/models/net_g_latest.pth',
                'param_key_g': 'params_ema',
            },
        )
    try:
        _load_weights(net, PathOptions(paths))
    except (CheckpointError, EvaluationError) as error:
        raise EvaluationError(f'{path}: {key}: {error}') from error
    loaded = _loaded(_name_of(opt, running.scale) or path.stem, net, running)
    window = network.get('window_size')
    if window and opt.get('model_type') == 'SwinIRModel':
        return replace(loaded, net=partial(pad_to_windows, loaded.net, window, running.scale))
    return loaded


def _name_of(opt: Options, scale: int) -> str:
    """The paper's name of the network in an option file, or the name of its ablation; '' for other networks."""
    variant = find(opt['network_g'])
    if variant is None:
        return ''
    return variant.ablation if opt.get('name') == f'train_{variant.ablation}_x{scale}' else variant.name


def _load_weights(net: nn.Module, path: PathOptions) -> None:
    """Load the weights from the section `path` of an option file."""
    file = path.pretrain_network_g
    if not isinstance(file, str):
        raise EvaluationError(f'{file!r} should be a file of weights')
    file = os.path.expanduser(file)  # noqa: PTH111  # `Path.expanduser` raises if the user is unknown
    state_dict = read_state_dict(file, path.param_key_g)
    try:
        net.load_state_dict(state_dict)
    except RuntimeError as error:
        raise EvaluationError(f'{file}: {one_line(error)}') from error


def _loaded(name: str, net: nn.Module, running: Running) -> Loaded:
    device, dtype = running.device, running.dtype
    net = net.eval().to(device, dtype)
    batch = tiles_at_once(running.tile)
    return Loaded(name, lambda lq: net(lq.to(dtype)).float(), count_parameters(net), batch, Windows.of(net))


def _load_with_spandrel(path: Path, state_dict: dict[str, Tensor], running: Running) -> Loaded:
    try:
        import spandrel
    except ImportError as error:
        raise EvaluationError(f'{path}: not an ASID; other networks need spandrel: {error}') from error
    try:
        model = spandrel.ModelLoader().load_from_state_dict(spandrel.canonicalize_state_dict(state_dict))
    except spandrel.UnsupportedModelError:
        raise EvaluationError(f'{path}: neither an ASID nor a network that spandrel knows') from None
    except Exception as error:  # forty architectures fail in different ways
        raise EvaluationError(f'{path}: spandrel cannot load it: {one_line(error)}') from error
    name = _as_the_paper(model.architecture.name)
    if not isinstance(model, spandrel.ImageModelDescriptor):
        raise EvaluationError(f'{path}: {name} needs other inputs besides an image')
    _check_fits(path, running.scale, model.scale, model.input_channels, model.output_channels)
    try:
        model = model.eval().to(running.device, running.dtype)
    except spandrel.UnsupportedDtypeError:
        raise EvaluationError(f'{path}: {name} does not support {running.dtype}; omit --half') from None
    # spandrel's call pads for the network, clamps to [0, 1], and takes one image
    return Loaded(name, lambda lq: model(lq.to(running.dtype)).float(), count_parameters(model.model), batch=1)


def _as_the_paper(name: str) -> str:
    """The name of an architecture in Table 1: 'Omni-SR' for spandrel's 'OmniSR'. Others are unchanged."""
    spellings = {_letters(row.method): row.method for row in table1()}
    return spellings.get(_letters(name), name)


def _letters(name: str) -> str:
    return re.sub(r'\W', '', name).lower()


def _check_fits(path: Path, scale: int, own_scale: int, *channels: int) -> None:
    if own_scale != scale:
        raise EvaluationError(f'{path}: the network has scale {own_scale}, but --scale is {scale}')
    if channels != (3, 3):
        raise EvaluationError(f'{path}: the network maps {channels[0]} to {channels[1]} channels, but images have 3')
