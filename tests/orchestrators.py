"""Orchestrators as agencies write them: what they say at each state; and one that asks the model
and calls what it calls until it answers (ReAct), in plain code that a package may hold."""

import inspect
import json


def react(event, context=None):
    """The conversation is in `context.session`, as it was told, step by step."""
    state, about, text = event["state"], event["context"], event["input"]["text"]
    said = json.loads(text)
    if state == "MODEL_INVOKED":
        content = said["output"]["content"]
        calls = [block for block in content if "toolUse" in block]
        if calls:
            return says("INVOKE_TOOL", json.dumps(calls[0]), about)
        return says("FINISH", content[0]["text"], about)
    agent, messages = about["agentConfiguration"], []
    for turn in about["session"]:
        for step in turn["intermediarySteps"]:
            was, told = step["orchestrationInput"]["state"], step["orchestrationInput"]["text"]
            if was == "START":
                messages.append({"role": "user", "content": [{"text": told}]})
            elif was == "MODEL_INVOKED":
                messages.append(json.loads(told)["output"])
            elif was == "TOOL_INVOKED":
                messages.append({"role": "user", "content": [json.loads(told)]})
            done = step["orchestrationOutput"]
            if done["event"] == "FINISH" and was != "MODEL_INVOKED":
                messages.append({"role": "assistant", "content": [json.loads(done["text"])]})
    messages.append({"role": "user", "content": [said]})
    request = {
        "modelId": agent["defaultModelId"], "system": [{"text": agent["instruction"]}],
        "messages": messages, "toolConfig": {"tools": agent["tools"]},
        "inferenceConfig": {"maxTokens": 64, "temperature": 0.0},
    }  # fmt: skip
    return says("INVOKE_MODEL", json.dumps(request), about)


def says(event, text, about=None):
    answer = {
        "version": "1.0", "actionEvent": event,
        "output": {"text": text, "trace": {"event": {"text": f"now {event}"}}},
    }  # fmt: skip
    if about:
        names = ("sessionAttributes", "promptSessionAttributes")
        answer["context"] = {name: about[name] for name in names}
    return answer


PACKAGE = f"import json\n\n\n{inspect.getsource(react)}\n\n{inspect.getsource(says)}"


def script(*said):
    """Says these in turn, whatever happened; the last one again and again."""
    left = list(said)

    def answer(event):
        one = left.pop(0) if len(left) > 1 else left[0]
        return one(event) if callable(one) else one

    return answer


def calls(name, use_id="u1", **args):
    used = {"toolUseId": use_id, "name": name, "input": args}
    return says("INVOKE_TOOL", json.dumps({"toolUse": used}))


def converse(**more):
    """Asks the model Hello."""
    messages = [{"role": "user", "content": [{"text": "Hello"}]}]
    return says("INVOKE_MODEL", json.dumps({"messages": messages, **more}))
