"""Downloads that fail within seconds when there is no network, and never arrive half or changed."""

import hashlib
import threading
from pathlib import Path
from urllib.parse import urlparse

from bigmodel_jax.data.progress import progress
from bigmodel_jax.errors import UserError

MIB = 1 << 20


def probe(url: str, timeout: float = 3.0) -> str | None:
    """Why `url` cannot be downloaded now, or None if its host answers within `timeout` seconds.

    Looking up a name can take minutes and knows no time-out, so it happens in a thread that is left
    behind. Proxies of the environment are used as for the download itself.
    """
    import requests

    host = urlparse(url).hostname
    outcome = [f"no answer from {host} within {timeout:g} s"]

    def ask() -> None:
        try:
            answer = requests.head(url, timeout=timeout, allow_redirects=True)
            outcome[0] = "" if answer.ok else f"{host} answers {answer.status_code} {answer.reason}"
        except requests.Timeout:
            pass
        except (requests.RequestException, OSError, ValueError):
            outcome[0] = f"{host} cannot be reached"

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    return outcome[0] or None


def download(url: str, path: Path, size: int, sha256: str) -> None:
    """Streams `url` into `path` with a progress bar; checks its size and hash.

    Raises:
        UserError: no connection within 5 s, silence for 30 s, or not the published bytes.
    """
    import requests

    digest, received = hashlib.sha256(), 0
    try:
        with (
            requests.get(url, stream=True, timeout=(5, 30)) as answer,
            path.open("wb") as file,
            progress(f"downloading {path.name}", size, "MiB", scale=MIB) as advance,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_content(MIB):
                file.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                advance(len(chunk))
    except requests.RequestException as error:
        raise UserError(
            f"The download of {url} broke off after {received:,} of {size:,} bytes ({error})."
        ) from error
    if received != size or digest.hexdigest() != sha256:
        raise UserError(
            f"{url} is not what was published: {received:,} bytes with sha256 {digest.hexdigest()} "
            f"in place of {size:,} bytes with {sha256}. Nothing was prepared."
        )
