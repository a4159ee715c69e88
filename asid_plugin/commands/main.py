"""The program `asid`: parse the command line and run a command."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from difflib import get_close_matches
from importlib import import_module
from textwrap import dedent
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

import asid_plugin
from asid_plugin.errors import ASIDError
from asid_plugin.extras import how_to_install
from asid_plugin.files import FULL
from asid_plugin.printable import printable

from .interruption import LINE, STATUS, interruptible
from .output import lasting_output


class _Parser(argparse.ArgumentParser):
    """A parser, with parsers of sub-commands, that names the option nearest to a mistyped one.

    It shows no terminal escapes of unknown arguments.
    """

    _words: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        # argparse calls this of a sub-command's parser, too, but reports what is left over without its options
        self._words = sys.argv[1:] if args is None else args
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f'unrecognized arguments: {" ".join(unknown)}')
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        near = self._nearest()
        super().error(printable(f'{message}; did you mean {", ".join(near)}?' if near else message))

    def _nearest(self) -> list[str]:
        """The options nearest to the typed words that are no options."""
        options = self._option_string_actions
        shown = [option for option, action in options.items() if action.help != argparse.SUPPRESS]
        typed = [word.partition('=')[0] for word in self._words if word.startswith('--')]
        mistyped = [word for word in typed if not any(option.startswith(word) for option in options)]
        return [match for word in mistyped for match in get_close_matches(word, shown, n=1, cutoff=0.75)]


class Command(NamedTuple):
    """A command: its summary, and the extra with everything that it needs; '' if the core suffices."""

    summary: str
    extra: str = ''


COMMANDS = {
    'upscale': Command('enlarge image files'),
    'demo': Command('enlarge pictures on a web page', 'demo'),
    'train': Command('train with an option file of BasicSR', 'basicsr'),
    'test': Command('test with an option file of BasicSR', 'basicsr'),
    'mmengine': Command('train or test with a config of MMEngine', 'mmengine'),
    'evaluate': Command('measure PSNR and SSIM of networks on benchmark sets', 'evaluate'),
    'prepare': Command('make data sets from photographs, DIV2K or RealSR', 'basicsr'),
    'convert': Command('convert a checkpoint to another layout or format'),
    'export': Command('export a network to ONNX, OpenVINO, ncnn, Core ML or a web page', 'export'),
    'paper': Command('reproduce a table or figure of the paper, or plan its trainings', 'evaluate'),
    'complexity': Command("print parameters and multiply-adds of the paper's networks"),
    'curve': Command('draw the loss and PSNR of a training from its logs', 'evaluate'),
    'schema': Command('write the JSON Schema of option files, for editors', 'basicsr'),
    'info': Command('print versions, devices and installed extras, for a bug report'),
}
"""Each is a module of this package."""

RUNS = ('train', 'test', 'mmengine')
"""Commands that a launcher may start in several processes, and that can take days."""

CONTINUES = {
    'prepare': 'interrupted; run the same command to continue',
    'train': 'interrupted; --auto_resume continues from the last saved state',
    'mmengine': 'interrupted; --resume continues from the last checkpoint',
}
"""The last line of an interrupted command that can be continued."""

EXTRAS = {
    'basicsr': 'basicsr',
    'lmdb': 'basicsr',
    'jsonschema': 'basicsr',
    'yaml': 'basicsr',
    'torchvision': 'basicsr',
    'mmengine': 'mmengine',
    'mmcv': 'mmengine',
    'spandrel': 'spandrel',
    'jinja2': 'evaluate',
    'matplotlib': 'evaluate',
    'skimage': 'basicsr',
    'onnx': 'export',
    'onnxruntime': 'export',
    'onnxscript': 'export',
    'openvino': 'export',
    'pillow_heif': 'formats',
    'pillow_jxl': 'formats',
    'gradio': 'demo',
    'huggingface_hub': 'hub',
    'pyiqa': 'metrics',
    'ncnn': 'ncnn',
    'coremltools': 'coreml',
    'pytorch_optimizer': 'optimizers',
}
"""The extra that brings an optional module."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0 done; 1 a part of the work failed, as the command's help says; 2 an error; 130 interrupted.
    """
    with lasting_output(), interruptible(terminable=False, last=argv is None):
        try:
            args = _parser().parse_args(argv)
            arguments = args.arguments
            if args.local_rank is not None and args.command in RUNS:
                arguments = [*arguments, f'--local_rank={args.local_rank}']
            module = import_module(f'asid_plugin.commands.{args.command}')
            return run(args.command, module, module_parser(args.command, module).parse_args(arguments))
        except KeyboardInterrupt:  # before the command runs
            print(LINE, file=sys.stderr)
            return STATUS


def run(name: str, module: ModuleType, args: argparse.Namespace) -> int:
    """Run a command; an error that a person can act on, and an interruption, is one line on stderr."""
    try:
        with nullcontext() if name in RUNS else interruptible():
            return module.run(args) or 0
    except ASIDError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        extra = COMMANDS[name].extra or EXTRAS[error.name]
        return _fail(f'asid {name} needs {error.name}, which is not installed: {how_to_install(extra)}')
    except OSError as error:
        if name in RUNS and error.errno not in FULL:  # after hours, the place in the program matters, if it is to blame
            raise
        file, reason = error.filename or getattr(args, 'output', None), error.strerror or str(error)
        return _fail(printable(f'{file}: {reason}' if file else reason))
    except KeyboardInterrupt:
        print(getattr(args, 'continues', CONTINUES.get(name, LINE)), file=sys.stderr)
        return STATUS


def module_parser(name: str, module: ModuleType) -> argparse.ArgumentParser:
    """The parser of one command, described by its module's docstring."""
    parser = _Parser(
        prog=f'asid {name}',
        description=dedent(module.__doc__ or ''),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    return parser


def _fail(message: str) -> int:
    print(f'error: {message}', file=sys.stderr)
    if patching := sys.modules.get('asid_plugin.compat.patching'):
        patching.leave_others_alone()
    return 2


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    listed = '\n'.join(f'  {name:{width}}  {command.summary}' for name, command in COMMANDS.items())
    parser = _Parser(
        prog='asid',
        description='ASID: lightweight image super-resolution. Enlarge pictures; train, test and compare networks.',
        epilog=f'commands:\n{listed}\n\n`asid COMMAND --help` explains a command.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage='asid [-h] [--version] COMMAND ...',
    )
    parser.add_argument('--version', action='version', version=f'asid_plugin {asid_plugin.__version__}')
    parser.add_argument('--local-rank', '--local_rank', help=argparse.SUPPRESS)  # of torch.distributed.launch
    parser.add_argument('command', choices=COMMANDS, metavar='COMMAND', help='one of the commands below')
    parser.add_argument('arguments', nargs=argparse.REMAINDER, metavar='...', help="the command's own arguments")
    return parser
