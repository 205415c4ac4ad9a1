"""The Hugging Face cache and hub: asked once and quickly, and only for configuration and safetensors files."""

from __future__ import annotations

import re
import threading
from pathlib import Path

from vitsearch.errors import UnknownModel, WeightsUnavailable

PROBE_SECONDS = 2.0
_COMMIT = re.compile(r"[0-9a-f]{40}")
_WANTED = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
)


def cached_folder(repo_id: str, revision: str = "") -> Path | None:
    """Return the Hugging Face cache's snapshot of a commit, or of the main branch, if its configuration is there."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(repo_id, "config.json", revision=revision or None)
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def is_offline() -> bool:
    """Return whether the user has switched the hub off (HF_HUB_OFFLINE)."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def probe(repo_id: str, *, seconds: float = PROBE_SECONDS) -> int | None:
    """Ask the configured endpoint for a repository's configuration: the HTTP status, or None without an answer in time.

    `from_pretrained` and `snapshot_download` would retry for half a minute. The clock is kept outside the request,
    because a name server that does not answer is not covered by HTTP time limits.
    """
    if is_offline():
        return None
    answers: list[int] = []

    def ask() -> None:
        from huggingface_hub import get_session, hf_hub_url

        try:
            response = get_session().head(hf_hub_url(repo_id, "config.json"), timeout=seconds)
            answers.append(response.status_code)
        except Exception:  # noqa: BLE001 - whatever goes wrong on the way means that the hub did not answer
            return

    asking = threading.Thread(target=ask, name="hub-probe", daemon=True)
    asking.start()
    asking.join(seconds)
    return answers[0] if answers else None


def commit_of(snapshot: Path) -> str:
    """Return the commit that a snapshot's folder is named by, or "" if it is named by none."""
    return snapshot.name if _COMMIT.fullmatch(snapshot.name) else ""


def download(repo_id: str, revision: str = "") -> Path:
    """Download what a checkpoint needs into the Hugging Face cache and return its snapshot's folder.

    `revision` is a commit; without one it is the main branch's latest.

    The hub's own client shows its progress bars on stderr, unless HF_HUB_DISABLE_PROGRESS_BARS is set.

    Raises:
        UnknownModel: the hub has no such repository.
        WeightsUnavailable: the hub does not answer, the repository is gated, or the download broke off.

    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    name = f"{repo_id} as of commit {revision[:12]}" if revision else repo_id
    if is_offline():
        raise WeightsUnavailable(
            f"{name} is not in the Hugging Face cache and the hub is switched off: unset HF_HUB_OFFLINE, "
            "or give a local folder in the model's place"
        )
    if probe(repo_id) is None:
        raise WeightsUnavailable(
            f"{name} is not in the Hugging Face cache and {constants.ENDPOINT} does not answer: connect once, "
            "or give a local folder in the model's place"
        )
    try:
        return Path(snapshot_download(repo_id, revision=revision or None, allow_patterns=list(_WANTED)))
    except GatedRepoError as error:
        raise WeightsUnavailable(
            f"{repo_id} is gated: accept its licence at {constants.ENDPOINT}/{repo_id}, log in with `hf auth login`, "
            "and try again"
        ) from error
    except RepositoryNotFoundError as error:
        raise UnknownModel(
            f"the hub has no model {repo_id} (or it is private): `vitsearch models list` shows the known names"
        ) from error
    except (
        Exception
    ) as error:  # the hub's client raises its HTTP library's errors, which differ between its versions
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsUnavailable(f"downloading {name} from the hub failed ({reason}): try again") from error
