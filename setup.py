import re
from pathlib import Path

from setuptools import Distribution, find_packages, setup

# isort: split
from distutils.command.install_data import install_data  # after setuptools, which provides it

ROOT = Path(__file__).parent
DEMO = [
    'gradio>=6.31,<7',
    'imagesize>=2',  # from here on it knows BMP
]


class InstallPth(install_data):
    """Install the data files, which is `asid_plugin.pth`, among the packages, where interpreters look for it."""

    def finalize_options(self):
        self.set_undefined_options('install', ('install_lib', 'install_dir'), ('root', 'root'), ('force', 'force'))


class DistributionWithData(Distribution):
    """A distribution whose data files are installed by `pip install --editable` too."""

    def has_data(self):
        """Answer setuptools' editable_wheel, which asks by this name; the method it means is called otherwise."""
        return self.has_data_files()


MMENGINE = ['mmcv-lite']  # not for everybody: its files take the place of those of an mmcv that is there
EXPORT = ['onnx', 'onnxruntime>=1.18', 'onnxscript', 'openvino>=2025.0']  # ONNX Runtime 1.18 has opset 20's GELU

setup(
    name='asid-plugin',
    version=re.search(r"__version__ = '(.+)'", (ROOT / 'asid_plugin' / '__init__.py').read_text(encoding='utf-8'))[1],
    description='ASID, lightweight image super-resolution (AAAI 2025), for BasicSR and MMEngine',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='asid_plugin authors',
    license='Apache-2.0',
    keywords='super-resolution, image restoration, transformer, BasicSR, MMEngine',
    python_requires='>=3.10,<3.13',  # BasicSR 1.4.2 cannot be built with Python 3.13
    install_requires=[
        'addict',
        'basicsr>=1.4.2,<1.5',
        'docstring-parser',
        'jinja2',
        'jsonschema',
        'lmdb',
        'matplotlib>=3.7',
        'mmengine>=0.10',
        'numpy',
        'opencv-python>=4.11',  # from here on alpha is read as it is, and a truncated JPEG is an error
        'pyyaml',
        'safetensors',
        'scikit-image',
        'spandrel>=0.4.2',  # loads the networks that ASID is compared with, and, where others use it, ASID
        'torch>=2.6',  # from here on torch.load refuses pickled code
        'torchvision',
        'tqdm',
    ],
    extras_require={
        'demo': DEMO,
        'export': EXPORT,
        'mmengine': MMENGINE,
        'test': [*DEMO, *EXPORT, *MMENGINE, 'pytest', 'ruff', 'selenium'],
    },
    packages=find_packages(include=['asid_plugin', 'asid_plugin.*']),
    package_data={
        'asid_plugin.evaluate': ['report.html'],
        'asid_plugin.options': ['schema.json'],
        'asid_plugin.paper': ['data/*.csv'],
        'asid_plugin.weights': ['*.safetensors', 'SHA256SUMS', 'README.md'],
    },
    data_files=[('', ['asid_plugin/asid_plugin.pth'])],
    distclass=DistributionWithData,
    cmdclass={'install_data': InstallPth},
)
