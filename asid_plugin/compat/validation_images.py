"""A correction of the folders to which BasicSR saves the images of a validation."""

import functools
from pathlib import Path
from typing import Any


def validation_images_of_several_sets() -> None:
    """Give each of several validation sets a folder; all versions of BasicSR save their images to one.

    There an image is overwritten by an image with the same name of another set, such as the JPEG version of a
    benchmark. A single set uses BasicSR's folders, `visualization/IMAGE`; several sets use `visualization/SET/IMAGE`.
    """
    from basicsr.models.sr_model import SRModel

    original = SRModel.nondist_validation

    @functools.wraps(original)
    def nondist_validation(self: SRModel, dataloader: Any, *args: Any, **kwargs: Any) -> None:
        path, folder = self.opt['path'], self.opt['path'].get('visualization')
        several = sum(name.partition('_')[0] == 'val' for name in self.opt['datasets']) > 1
        if not (self.opt['is_train'] and several and folder):
            original(self, dataloader, *args, **kwargs)
            return
        path['visualization'] = str(Path(folder, dataloader.dataset.opt['name']))
        try:
            original(self, dataloader, *args, **kwargs)
        finally:
            path['visualization'] = folder

    SRModel.nondist_validation = nondist_validation
