"""What the tests ask Python's huggingface_hub. Arguments: a command and its JSON; prints JSON."""

import fnmatch
import json
import sys

import huggingface_hub
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download, try_to_load_from_cache
from huggingface_hub.utils import HFValidationError, WeakFileLock, validate_repo_id


def cached(repo, names):
    found = {}
    for name in names:
        path = try_to_load_from_cache(repo, name)
        found[name] = path if path is None or isinstance(path, str) else "no such file"
    return found


def scan():
    report = scan_cache_dir()
    return {
        "warnings": [str(w) for w in report.warnings],
        "repos": {
            repo.repo_id: {
                "type": repo.repo_type,
                "size": repo.size_on_disk,
                "revisions": {
                    revision.commit_hash: {"refs": sorted(revision.refs), "files": sorted(f.file_name for f in revision.files)}
                    for revision in repo.revisions
                },
            }
            for repo in report.repos
        },
    }


def delete(commits):
    strategy = scan_cache_dir().delete_revisions(*commits)
    freed = strategy.expected_freed_size
    strategy.execute()
    return freed


def valid(ids):
    result = {}
    for repo_id in ids:
        try:
            validate_repo_id(repo_id)
            result[repo_id] = True
        except HFValidationError:
            result[repo_id] = False
    return result


def hold(path):
    """Holds a lock until standard input ends."""
    with WeakFileLock(path):
        print("locked", flush=True)
        sys.stdin.read()


def is_locked(path):
    from filelock import Timeout

    try:
        with WeakFileLock(path, timeout=0.3):
            return False
    except Timeout:
        return True


commands = {
    "version": lambda: huggingface_hub.__version__,
    "cached": cached,
    "scan": scan,
    "snapshot": lambda repo, **options: snapshot_download(repo, **options),
    "download": lambda repo, names: {name: hf_hub_download(repo, name) for name in names},
    "delete": delete,
    "valid": valid,
    "match": lambda cases: [fnmatch.fnmatchcase(name, pattern) for pattern, name in cases],
    "hold": hold,
    "is_locked": is_locked,
}

result = commands[sys.argv[1]](**json.loads(sys.argv[2]))
print(json.dumps(result))
