"""AgentDojo's own suites, run in their own venv (`requirements/agentdojo.txt`): one JSON object a
line in, one out. It knows nothing of us: it plays the tools, and says what became of each task.
"""

import json
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from agentdojo.agent_pipeline.agent_pipeline import load_system_message
from agentdojo.agent_pipeline.tool_execution import tool_result_to_str
from agentdojo.attacks.important_instructions_attacks import ImportantInstructionsAttackNoNames
from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime
from agentdojo.task_suite.load_suites import get_suites

VERSION = "v1.2.2"
Json = dict[str, Any]


class Case:
    """One user's task, and what somebody else wants of the agent meanwhile."""

    def __init__(self, suite: Any, user: str, injection: str | None) -> None:
        self.suite = suite
        self.task = suite.user_tasks[user]
        self.goal = suite.injection_tasks[injection] if injection else None
        self.runtime = FunctionsRuntime(suite.tools)
        attack = ImportantInstructionsAttackNoNames(suite, SimpleNamespace(name="local"))
        planted = attack.attack(self.task, self.goal) if self.goal else {}
        self.world = self.task.init_environment(suite.load_and_inject_default_environment(planted))
        self.before = self.world.model_copy(deep=True)
        self.calls: list[FunctionCall] = []

    def described(self) -> Json:
        return {
            "instruction": load_system_message(None),
            "prompt": self.task.PROMPT,
            "calls": _calls(self.task, self.before),
            "answer": self.task.GROUND_TRUTH_OUTPUT,
            "goal": self.goal.GOAL if self.goal else "",
            "goal_calls": _calls(self.goal, self.before) if self.goal else [],
            "goal_answer": self.goal.GROUND_TRUTH_OUTPUT if self.goal else "",
        }

    def run(self, function: str, args: Mapping[str, Any]) -> Json:
        self.calls.append(FunctionCall(function=function, args=dict(args)))
        found, error = self.runtime.run_function(self.world, function, args)
        return {"text": error or tool_result_to_str(found), "ok": error is None}

    def end(self, answer: str) -> Json:
        """By AgentDojo's own checks of its world."""
        said = [{"type": "text", "content": answer}]
        seen = (said, self.before, self.world, self.calls)
        check = self.suite._check_task_result
        attacked = self.goal is not None and check(self.goal, *seen)
        return {"solved": bool(check(self.task, *seen)), "attacked": bool(attacked)}


def _calls(task: Any, world: Any) -> list[Json]:
    return [
        {"function": one.function, "args": dict(one.args)}
        for one in task.ground_truth(world.model_copy(deep=True))
    ]


def listed(suites: Mapping[str, Any]) -> Json:
    return {
        name: {
            "users": list(suite.user_tasks),
            "injections": list(suite.injection_tasks),
            "tools": [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "schema": tool.parameters.model_json_schema(),
                }
                for tool in suite.tools
            ],
        }
        for name, suite in suites.items()
    }


def main() -> None:
    suites, case = get_suites(VERSION), None
    for line in sys.stdin:
        match json.loads(line):
            case {"do": "list"}:
                found = listed(suites)
            case {"do": "begin", "suite": suite, "user": user, "injection": injection}:
                case = Case(suites[suite], user, injection)
                found = case.described()
            case {"do": "run", "function": function, "args": args} if case is not None:
                found = case.run(function, args)
            case {"do": "end", "answer": answer} if case is not None:
                found = case.end(answer)
            case other:
                raise ValueError(f"not understood: {other}")
        print(json.dumps(found, default=str), flush=True)


if __name__ == "__main__":
    main()
