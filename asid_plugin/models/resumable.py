"""A training that is interrupted and resumed as if it had not been interrupted."""

from pathlib import Path
from typing import Any

import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger, init_tb_logger
from torch.utils.data import DataLoader

from asid_plugin.compat.resuming import Place, read_place, trained_samples
from asid_plugin.compat.sampling import training_sampler
from asid_plugin.compat.waiting import TIMES
from asid_plugin.errors import ASIDError


class ResumableModel(SRModel):
    """`SRModel` with a training state that also has the place in the epoch and the best metrics.

    The order of the samples and their crops depend on the seed, the epoch and the place in it only. So the weights of
    a training that was killed and resumed are those of an undisturbed one, bit for bit where the operations of torch
    are deterministic, as on a CPU.
    """

    def init_training_settings(self) -> None:
        """BasicSR's, with the seed of the samples."""
        self.iteration = 0
        self.place: Place | None = None
        self.saved: tuple[int, int] | None = None
        self.validated = self.validating = self.num_validated = 0
        self.sampler = training_sampler()
        if self.sampler is not None:
            seed = [self.opt.get('manual_seed') or 0]
            if self.opt['dist']:  # without manual_seed BasicSR draws one in each process
                torch.distributed.broadcast_object_list(seed)
            self.sampler.seed = seed[0]
        super().init_training_settings()

    def count(self, current_iter: int, samples: int) -> None:
        """Note that this process has trained on a batch of so many samples."""
        self.iteration = current_iter
        TIMES.stepped()
        if self.sampler is not None:
            self.sampler.trained += samples
            trained = self.sampler.trained * self.sampler.num_replicas
            self.place = Place(trained, self.sampler.total_size, self.sampler.seed or 0)

    def save(self, epoch: int, current_iter: int) -> None:
        """BasicSR's."""
        super().save(epoch, current_iter)
        if current_iter != -1:
            self.saved = epoch, current_iter

    def progress(self) -> dict[str, Any]:
        """Entries of the training state that BasicSR's lacks: plain numbers, by name."""
        entries: dict[str, Any] = {'validated': self.validated}
        if hasattr(self, 'best_metric_results'):
            entries['best_metric_results'] = {
                dataset: {name: best | {'val': float(best['val'])} for name, best in record.items()}
                for dataset, record in self.best_metric_results.items()
            }
        if self.place is not None:  # not the sampler's own: after the last iteration BasicSR begins further epochs
            entries['place'] = self.place.saved()
        return entries

    def resume_training(self, resume_state: dict[str, Any]) -> None:
        """BasicSR's, with the place in the epoch, the best metrics, and a validation that was interrupted.

        Raises:
            ASIDError: The state is damaged.
        """
        super().resume_training(resume_state)
        epoch, self.iteration = resume_state['epoch'], resume_state['iter']
        file = Path(self.opt['path'].get('resume_state') or '')
        if file.resolve().parent == Path(self.opt['path']['training_states']).resolve():
            self.saved = epoch, self.iteration
        try:
            self.place = read_place(resume_state)
            self.resume_epoch(epoch)
        except ValueError as error:
            raise ASIDError(f'{file} is not a whole training state: {error}') from error
        self.resume_best(resume_state.get('best_metric_results'))
        self.validated = resume_state.get('validated', self.iteration)  # of 0.1.0 nobody knows
        val = self.opt.get('val')
        if val is not None and self.iteration % val['val_freq'] == 0 and self.validated != self.iteration:
            get_root_logger().info(f'The validation at iteration {self.iteration} was interrupted; it is repeated now.')
            self.validate_now()

    def resume_epoch(self, epoch: int) -> None:
        """Let the sampler continue an epoch, at `place`."""
        if self.sampler is None:
            return
        place, options, total = self.place, self.opt['datasets']['train'], self.sampler.total_size
        loaders = self.opt['world_size'] if self.opt['dist'] else max(1, self.opt['num_gpu'])
        samples = trained_samples(place, epoch, self.iteration, total, options['batch_size_per_gpu'] * loaders)
        self.sampler.resume(epoch, samples)
        if place is not None:
            self.sampler.seed = place.seed
        why = '' if samples or place is None or not place.samples else f'; it had {place.total} when it was interrupted'
        get_root_logger().info(f'Epoch {epoch} goes on after {samples} of its {total} samples{why}.')

    def resume_best(self, best: Any) -> None:
        """Take over the best metrics of the data sets and metrics that are still validated."""
        metrics = (self.opt.get('val') or {}).get('metrics') or {}
        kinds = {name: metric.get('better', 'higher') for name, metric in metrics.items()}
        records = best.items() if isinstance(best, dict) else ()
        found = {dataset: record for dataset, record in records if _is_best(record, kinds)}
        if found:
            self.best_metric_results = found

    def validate_now(self) -> None:
        """Validate outside of BasicSR's loop, at `iteration`: before the first, or at one that is resumed."""
        logs = self.opt['logger'].get('use_tb_logger') and 'debug' not in self.opt['name']  # as BasicSR asks
        tb_logger = init_tb_logger(str(Path(self.opt['root_path'], 'tb_logger', self.opt['name']))) if logs else None
        for options in self.validation_sets():
            loader = build_dataloader(build_dataset(options), options, self.opt['num_gpu'], self.opt['dist'])
            self.validation(loader, self.iteration, tb_logger, self.opt['val']['save_img'])
        if tb_logger:
            tb_logger.close()

    def validation_sets(self) -> list[dict[str, Any]]:
        """Options of the data sets of a training that are validated."""
        return [options for phase, options in self.opt['datasets'].items() if phase.partition('_')[0] == 'val']

    def validation(
        self, dataloader: DataLoader[Any], current_iter: int | str, tb_logger: Any, save_img: bool = False
    ) -> None:
        """BasicSR's; the one after the last iteration, where BasicSR counts on, is of that iteration.

        After the last data set the training state, if it is of the same iteration, is saved again, with the metrics.
        """
        if not self.is_train:
            super().validation(dataloader, current_iter, tb_logger, save_img)
            return
        is_last = isinstance(current_iter, int) and 0 < self.iteration < current_iter
        super().validation(dataloader, self.iteration if is_last else current_iter, tb_logger, save_img)
        if self.validating != self.iteration:
            self.validating, self.num_validated = self.iteration, 0
        self.num_validated += 1
        if self.num_validated == len(self.validation_sets()):
            self.validated = self.iteration
            if self.saved is not None and self.saved[1] == self.iteration:
                self.save_training_state(*self.saved)


def _is_best(record: Any, kinds: dict[str, str]) -> bool:
    """Whether a record has the best value of each metric, of the kind that is asked for now."""
    if not isinstance(record, dict) or record.keys() != kinds.keys():
        return False
    types = {'better': str, 'val': float, 'iter': int}
    return all(
        isinstance(best, dict) and {key: type(value) for key, value in best.items()} == types and best['better'] == kind
        for best, kind in ((record[name], kind) for name, kind in kinds.items())
    )
