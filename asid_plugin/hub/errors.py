"""Errors of networks on a hub, in one line."""

from asid_plugin.errors import ASIDError
from asid_plugin.extras import how_to_install


class HubError(ASIDError):
    """A folder or repository that has no network of this package, or cannot be reached; the message names it."""


def need_library(purpose: str) -> None:
    """Check that huggingface_hub is installed.

    Args:
        purpose: The beginning of the message: the method or name that needs it.

    Raises:
        HubError: It is not installed.
    """
    try:
        import huggingface_hub  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != 'huggingface_hub':
            raise
        raise HubError(f'{purpose} needs huggingface_hub: {how_to_install("hub")}') from None
