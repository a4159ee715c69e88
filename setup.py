"""The part of the installation that pyproject.toml cannot express: `asid_plugin.pth` beside the package."""

from setuptools import Distribution, setup

# isort: split
from distutils.command.install_data import install_data  # after setuptools, which provides it


class InstallPth(install_data):
    """Install the data files, which is `asid_plugin.pth`, among the packages, where interpreters look for it."""

    def finalize_options(self) -> None:
        """Take the folder of the packages for the files' folder."""
        self.set_undefined_options('install', ('install_lib', 'install_dir'), ('root', 'root'), ('force', 'force'))


class DistributionWithData(Distribution):
    """A distribution whose data files are installed by `pip install --editable` too."""

    def has_data(self) -> bool:
        """Answer setuptools' editable_wheel, which asks by this name; the method it means is called otherwise."""
        return self.has_data_files()


setup(
    data_files=[('', ['asid_plugin/asid_plugin.pth'])],
    distclass=DistributionWithData,
    cmdclass={'install_data': InstallPth},
)
