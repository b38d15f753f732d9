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

    def _line(self, result, failed):
        # what a callback is given has been rid of this one key
        print(json.dumps(dict(result._result, failed=failed), default=str), flush=True)

    def v2_runner_on_ok(self, result):
        self._line(result, False)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._line(result, True)
