"""Runs lm-evaluation-harness over the tasks beside it, of several servers and of
the reference, and prints figures and samples as JSON."""

import contextlib
import json
import logging
import os
import sys

import lm_eval
from lm_eval.tasks import TaskManager
from reference import Reference

begins, plain, broken_begins, broken_plain, folder = sys.argv[1:]
logging.disable(logging.WARNING)
os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "tasks"))
manager = TaskManager(include_path=os.getcwd(), include_defaults=False)


def run(model, tasks, args=None):
    found = lm_eval.simple_evaluate(model=model, model_args=args, tasks=tasks, task_manager=manager, log_samples=True, bootstrap_iters=0)
    all = {}
    for task in tasks:
        samples = sorted(found["samples"][task], key=lambda s: s["doc_id"])
        all[task] = {
            "figures": {k.split(",")[0]: v for k, v in found["results"][task].items() if isinstance(v, float) and "stderr" not in k},
            "samples": [r for s in samples for (r,) in s["resps"]],
        }
    return all


def served(url, tasks, more):
    return run("local-completions", tasks, f"model=story,base_url={url}/v1/completions,max_length=512,{more}")


choices = ["choice", "generation"]
with contextlib.redirect_stdout(sys.stderr):
    answer = {
        "server": served(begins, choices, "num_concurrent=4") | served(plain, ["rolling"], "num_concurrent=1"),
        "broken": served(broken_begins, choices, "num_concurrent=1,batch_size=3") | served(broken_plain, ["rolling"], "num_concurrent=1"),
        "reference": run(Reference(folder, bos=True), choices) | run(Reference(folder, bos=False), ["rolling"]),
    }
print(json.dumps(answer))
