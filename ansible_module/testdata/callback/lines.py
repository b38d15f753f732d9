"""Prints what each task returned as one line of JSON, for the tests to read."""

import json

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: lines
type: stdout
short_description: one line of JSON for each result
description: [one line of JSON for each result]
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "lines"

    def _line(self, result, **_):
        print(json.dumps(result._result, default=str), flush=True)

    v2_runner_on_ok = v2_runner_on_failed = v2_runner_on_unreachable = v2_runner_on_skipped = _line
