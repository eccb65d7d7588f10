"""What the tests ask Python's huggingface_hub: a command and the JSON of its
arguments, from the command line or, since Python takes a second to import it,
line by line from standard input. Answers in JSON, a line each."""

import fnmatch
import json
import sys

from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download, try_to_load_from_cache
from huggingface_hub.utils import HFValidationError, WeakFileLock, validate_repo_id


def cached(repo, names, cache_dir, endpoint):
    found = {}
    for name in names:
        path = try_to_load_from_cache(repo, name, cache_dir)
        found[name] = path if path is None or isinstance(path, str) else "no such file"
    return found


def scan(cache_dir, endpoint):
    report = scan_cache_dir(cache_dir)
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


def delete(commits, cache_dir, endpoint):
    strategy = scan_cache_dir(cache_dir).delete_revisions(*commits)
    freed = strategy.expected_freed_size
    strategy.execute()
    return freed


def download(repo, names, **place):
    return {name: hf_hub_download(repo, name, **place) for name in names}


def valid(ids, **_):
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


def is_locked(path, **_):
    from filelock import Timeout

    try:
        with WeakFileLock(path, timeout=0.3):
            return False
    except Timeout:
        return True


commands = {
    "cached": cached,
    "scan": scan,
    "snapshot": lambda repo, **options: snapshot_download(repo, **options),
    "download": download,
    "delete": delete,
    "valid": valid,
    "match": lambda cases, **_: [fnmatch.fnmatchcase(name, pattern) for pattern, name in cases],
    "hold": hold,
    "is_locked": is_locked,
}



def answer(command, args):
    print(json.dumps(commands[command](**args)), flush=True)


if sys.argv[1:]:
    answer(sys.argv[1], json.loads(sys.argv[2]))
else:
    for line in sys.stdin:
        answer(*json.loads(line))
