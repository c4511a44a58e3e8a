"""A published model by name: huggingface_hub fetches it into its own cache, where there is a network."""

from pathlib import Path

from bigmodel_jax.errors import UserError

WANTED = ("*.json", "*.safetensors", "vocab.txt", "merges.txt")


def find(source: str) -> Path:
    """The folder of a model: `source` itself, or a copy of what it names on huggingface.co.

    Raises:
        UserError: it is no folder, and cannot be fetched.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or source.count("/") > 1 or source.startswith((".", "/", "~")):
        raise UserError(f"{source} is no folder: it holds config.json and model.safetensors.")
    from huggingface_hub import snapshot_download

    print(f"{source} is no folder here: it is looked for on huggingface.co.", flush=True)
    try:
        return Path(snapshot_download(source, allow_patterns=list(WANTED)))
    except Exception as error:  # whatever networks do
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{source} is no folder here, and could not be fetched from huggingface.co: {reason}"
        ) from error
