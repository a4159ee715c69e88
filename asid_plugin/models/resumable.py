"""Resume an interrupted training as if it had not been interrupted."""

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
    """`SRModel` with the place in the epoch and the best metrics in the training state.

    The order of the samples and their crops depend only on the seed, the epoch and the place in it. So a killed and
    resumed training has the weights of an undisturbed one, bit for bit if torch is deterministic, as on a CPU.
    """

    def init_training_settings(self) -> None:
        """As in BasicSR, with the seed of the samples."""
        self.iteration = 0
        self.place: Place | None = None
        self.saved: tuple[int, int] | None = None
        self.validated = self.validating = self.num_validated = 0
        self.sampler = training_sampler()
        if self.sampler is not None:
            seed = [self.opt.get('manual_seed') or 0]
            if self.opt['dist']:  # without manual_seed, BasicSR draws a seed in each process
                torch.distributed.broadcast_object_list(seed)
            self.sampler.seed = seed[0]
        super().init_training_settings()

    def count(self, current_iter: int, samples: int) -> None:
        """Record that this process has trained on a batch of `size` samples."""
        self.iteration = current_iter
        TIMES.stepped()
        if self.sampler is not None:
            self.sampler.trained += samples
            trained = self.sampler.trained * self.sampler.num_replicas
            self.place = Place(trained, self.sampler.total_size, self.sampler.seed or 0)

    def save(self, epoch: int, current_iter: int) -> None:
        """As in BasicSR."""
        super().save(epoch, current_iter)
        if current_iter != -1:
            self.saved = epoch, current_iter

    def progress(self) -> dict[str, Any]:
        """Entries of the training state beyond BasicSR's: plain numbers, by name."""
        entries: dict[str, Any] = {'validated': self.validated}
        if hasattr(self, 'best_metric_results'):
            entries['best_metric_results'] = {
                dataset: {name: best | {'val': float(best['val'])} for name, best in record.items()}
                for dataset, record in self.best_metric_results.items()
            }
        # not that of the sampler, because BasicSR begins further epochs after the last iteration
        if self.place is not None:
            entries['place'] = self.place.saved()
        return entries

    def resume_training(self, resume_state: dict[str, Any]) -> None:
        """As in BasicSR, with the place in the epoch, the best metrics, and an interrupted validation.

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
            raise ASIDError(f'{file} is not a complete training state: {error}') from error
        self.resume_best(resume_state.get('best_metric_results'))
        self.validated = resume_state.get('validated', self.iteration)  # unknown for states of 0.1.0
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
        get_root_logger().info(f'Epoch {epoch} continues after {samples} of its {total} samples{why}.')

    def resume_best(self, best: Any) -> None:
        """Restore the best metrics of data sets and metrics that are still in the options."""
        metrics = (self.opt.get('val') or {}).get('metrics') or {}
        kinds = {name: metric.get('better', 'higher') for name, metric in metrics.items()}
        records = best.items() if isinstance(best, dict) else ()
        found = {dataset: record for dataset, record in records if _is_best(record, kinds)}
        if found:
            self.best_metric_results = found

    def validate_now(self) -> None:
        """Validate outside of BasicSR's loop at `iteration`: before the first iteration, or after a resume."""
        logs = self.opt['logger'].get('use_tb_logger') and 'debug' not in self.opt['name']  # the condition in BasicSR
        tb_logger = init_tb_logger(str(Path(self.opt['root_path'], 'tb_logger', self.opt['name']))) if logs else None
        for options in self.validation_sets():
            loader = build_dataloader(build_dataset(options), options, self.opt['num_gpu'], self.opt['dist'])
            self.validation(loader, self.iteration, tb_logger, self.opt['val']['save_img'])
        if tb_logger:
            tb_logger.close()

    def validation_sets(self) -> list[dict[str, Any]]:
        """Options of the validation sets of a training."""
        return [options for phase, options in self.opt['datasets'].items() if phase.partition('_')[0] == 'val']

    def validation(
        self, dataloader: DataLoader[Any], current_iter: int | str, tb_logger: Any, save_img: bool = False
    ) -> None:
        """As in BasicSR, but the validation after the last iteration gets the number of that iteration.

        After the last data set, a training state of the same iteration is saved again with the metrics.
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
    """Whether a record has the best value of each current metric."""
    if not isinstance(record, dict) or record.keys() != kinds.keys():
        return False
    types = {'better': str, 'val': float, 'iter': int}
    return all(
        isinstance(best, dict) and {key: type(value) for key, value in best.items()} == types and best['better'] == kind
        for best, kind in ((record[name], kind) for name, kind in kinds.items())
    )
