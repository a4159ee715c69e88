"""Read, write and upload networks on the Hugging Face hub and in folders of the same form.

A folder holds model.safetensors, config.json with the arguments of the network, and README.md, the model card.
"""

from .errors import HubError
from .origin import Origin
from .reading import from_pretrained
from .writing import save_pretrained
from .writing import upload as push_to_hub

__all__ = ['HubError', 'Origin', 'from_pretrained', 'push_to_hub', 'save_pretrained']
