"""OpenAI's client for Python against a server: what it sends and what it takes.

_strict_response_validation makes it refuse answers that are not what its types
say. They say less than the protocol for text completions that are echoed, whose
first token has no probability, and streamed, which have no reason to end until
they end: these are read without it.
"""

import asyncio
import enum
import sys

import instructor
import openai
from pydantic import BaseModel, Field

url, locked, key = sys.argv[1:]
client = openai.OpenAI(base_url=url + "/v1", max_retries=0, _strict_response_validation=True)
lax = openai.OpenAI(base_url=url + "/v1", max_retries=0)
passed = []


def check(f):
    f()
    passed.append(f.__name__)


def refused(kind, param, f, **request):
    try:
        f(**request)
    except kind as e:
        assert e.param == param and e.type and e.message, (e.param, e)
    else:
        raise AssertionError(f"{request} was not refused")


@check
def models():
    names = [m.id for m in client.models.list()]
    assert names == ["story"], names
    assert client.models.retrieve("story").id == "story"


@check
def completions():
    request = dict(model="story", prompt=["Once upon a time", "The moon"], n=2, max_tokens=24, seed=5, logprobs=3, stop=[".", "!"])
    a = client.completions.create(**request)
    b = client.completions.create(**request)
    assert [c.index for c in a.choices] == [0, 1, 2, 3]
    assert a.choices == b.choices and a.choices[0].text != a.choices[1].text
    assert a.usage.total_tokens == a.usage.prompt_tokens + a.usage.completion_tokens
    for c in a.choices:
        assert c.finish_reason in ("stop", "length") and "." not in c.text and "!" not in c.text
        assert "".join(c.logprobs.tokens).startswith(c.text)
        for token, p, top in zip(c.logprobs.tokens, c.logprobs.token_logprobs, c.logprobs.top_logprobs):
            assert top[token] == p and p <= 0 and len(top) in (3, 4)


@check
def streamed_completions():
    request = dict(model="story", prompt="Once upon a time", max_tokens=40, seed=5)
    whole = client.completions.create(**request)
    parts = list(lax.completions.create(**request, stream=True, stream_options={"include_usage": True}))
    assert "".join(p.choices[0].text for p in parts[:-1]) == whole.choices[0].text
    assert parts[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert parts[-1].choices == [] and parts[-1].usage.total_tokens == whole.usage.total_tokens


@check
def echo():
    c = lax.completions.create(model="story", prompt="Once upon a time", max_tokens=1, echo=True, logprobs=1, temperature=0).choices[0]
    assert c.text == "Once upon a time," and c.logprobs.token_logprobs[0] is None and c.logprobs.top_logprobs[0] is None
    assert all(p < 0 for p in c.logprobs.token_logprobs[1:])


conversation = [
    {"role": "developer", "content": "You are a story teller."},
    {"role": "user", "content": [{"type": "text", "text": "Who are "}, {"type": "text", "text": "you?"}]},
]


@check
def chats():
    request = dict(model="story", messages=conversation, max_completion_tokens=30, seed=7)
    a = client.chat.completions.create(**request, n=2, logprobs=True, top_logprobs=2)
    assert a.choices[0].message.role == "assistant" and a.choices[0].finish_reason in ("stop", "length")
    for c in a.choices:
        assert b"".join(bytes(t.bytes) for t in c.logprobs.content).decode().lstrip() == c.message.content.lstrip()
        assert all(len(t.top_logprobs) == 2 for t in c.logprobs.content)
    parts = list(client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True}))
    assert parts[0].choices[0].delta.role == "assistant"
    assert "".join(p.choices[0].delta.content or "" for p in parts[:-1]) == a.choices[0].message.content
    assert parts[-1].choices == [] and parts[-1].usage.completion_tokens > 0
    assert len({(p.id, p.created, p.model) for p in parts}) == 1
    # The helper, which gathers the parts, takes no text that is cut off.
    request.update(stop=["."], max_completion_tokens=400)
    whole = client.chat.completions.create(**request).choices[0]
    with client.chat.completions.stream(**request) as events:
        assert events.get_final_completion().choices[0].message.content == whole.message.content


@check
def responses():
    request = dict(model="story", input="Who are you?", instructions="You are a story teller.", max_output_tokens=30, temperature=0)
    whole = client.responses.create(**request)
    assert whole.output_text and whole.usage.output_tokens > 0, whole
    events = list(client.responses.create(**request, stream=True))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == whole.output_text
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert events[-1].type == ("response.completed" if whole.status == "completed" else "response.incomplete")


@check
def embeddings():
    texts = ["The sun is yellow.", "The moon is white."]
    a = lax.embeddings.create(model="story", input=texts)  # base64 on the way, which the types forbid
    b = client.embeddings.create(model="story", input=texts, encoding_format="float")
    for x, y in zip(a.data, b.data, strict=True):
        assert x.index == y.index and max(abs(p - q) for p, q in zip(x.embedding, y.embedding, strict=True)) < 1e-7
        assert abs(sum(p * p for p in x.embedding) - 1) < 1e-5


class Colour(str, enum.Enum):
    red = "red"
    green = "green"


class Thing(BaseModel):
    name: Colour
    legs: int = Field(ge=0, le=20)
    alive: bool
    parts: list[Colour] = Field(max_length=3)


@check
def structured():
    request = dict(model="story", messages=conversation, temperature=0, max_tokens=300)
    thing = client.chat.completions.parse(**request, response_format=Thing).choices[0]
    assert isinstance(thing.message.parsed, Thing) and thing.finish_reason == "stop"
    ask = instructor.from_openai(client, mode=instructor.Mode.JSON_SCHEMA)
    assert isinstance(ask.chat.completions.create(**request, response_model=Thing, max_retries=0), Thing)
    refused(openai.BadRequestError, "response_format", client.chat.completions.create, **request,
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "string", "pattern": "a+"}}})


@check
def errors():
    request = dict(model="story", prompt="Once", max_tokens=1)
    refused(openai.BadRequestError, "temperature", client.completions.create, **{**request, "temperature": 3})
    refused(openai.BadRequestError, "mirostat", client.completions.create, **request, extra_body={"mirostat": 2})
    refused(openai.BadRequestError, None, client.completions.create, **{**request, "max_tokens": 4000})
    refused(openai.NotFoundError, "model", client.completions.create, **{**request, "model": "gpt-4"})
    other = openai.OpenAI(base_url=locked + "/v1", api_key="wrong", max_retries=0)
    refused(openai.AuthenticationError, None, other.models.list)
    assert openai.OpenAI(base_url=locked + "/v1", api_key=key).models.list().data[0].id == "story"


@check
def many_at_once():
    request = dict(model="story", messages=conversation, max_tokens=20)

    async def main():
        alone = [client.chat.completions.create(**request, seed=i).choices for i in range(6)]
        async with openai.AsyncOpenAI(base_url=url + "/v1", max_retries=0, _strict_response_validation=True) as c:
            together = await asyncio.gather(*(c.chat.completions.create(**request, seed=i) for i in range(6)))
            assert [a.choices for a in together] == alone
            stream = await c.chat.completions.create(**{**request, "max_tokens": 400}, stream=True)
            async for _ in stream:
                break
            await stream.close()

    asyncio.run(main())


print(" ".join(passed))
