"""Ollama's client for Python, whose answers are pydantic's models, against a server."""

import json
import sys

import ollama
from pydantic import BaseModel

url, locked, key = sys.argv[1:]
client = ollama.Client(url)
options = {"seed": 3, "num_predict": 30, "temperature": 0.8}
messages = [{"role": "user", "content": "Who are you?"}]

assert [m.model.removesuffix(":latest") for m in client.list().models] == ["story"]
assert client.show("story").details.family and client.ps().models

whole = client.chat(model="story", messages=messages, options=options)
assert whole.done and whole.done_reason in ("stop", "length") and whole.eval_count > 0 and whole.total_duration > 0
parts = list(client.chat(model="story", messages=messages, options=options, stream=True))
assert "".join(p.message.content for p in parts) == whole.message.content
assert [p.done for p in parts] == [False] * (len(parts) - 1) + [True] and parts[-1].eval_count == whole.eval_count

story = client.generate(model="story", prompt="Once upon a time", raw=True, options=options)
text = "".join(p.response for p in client.generate(model="story", prompt="Once upon a time", raw=True, options=options, stream=True))
assert text == story.response and story.prompt_eval_count > 0


class Person(BaseModel):
    name: str
    age: int


answer = client.chat(model="story", messages=messages, format=Person.model_json_schema(), options={"seed": 1, "temperature": 0})
assert set(json.loads(answer.message.content)) == {"name", "age"} or answer.done_reason == "length", answer

a, b = client.embed(model="story", input=["The sun is yellow.", "Once upon a time"]).embeddings
assert len(a) == len(b) and abs(sum(x * x for x in a) - 1) < 1e-5 and a != b

for f, status in [
    (lambda: client.pull("llama3"), 501),
    (lambda: client.generate(model="nobody", prompt="Hi"), 404),
    (lambda: client.chat(model="story", messages=messages, options={"temperature": -1}), 400),
    (lambda: ollama.Client(locked).list(), 401),
]:
    try:
        f()
    except ollama.ResponseError as e:
        assert e.status_code == status and e.error, e
    else:
        raise AssertionError(status)
assert ollama.Client(locked, headers={"Authorization": "Bearer " + key}).list().models
