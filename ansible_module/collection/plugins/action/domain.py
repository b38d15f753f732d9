# Copyright (c) The virtmigrate authors
# MPL-2.0 (see https://mozilla.org/MPL/2.0/)
"""Runs the module's program for the architecture of the machine that runs it."""
from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from ansible.plugins.action import ActionBase

# what "uname -m" says, and the folder of the programs for it
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
MODULES = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "modules")


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        self._supports_check_mode = True
        self._supports_async = True
        result = super(ActionModule, self).run(tmp, task_vars)
        name = self._task.action.split(".")[-1]
        machine = self._low_level_execute_command("uname -m", sudoable=False).get("stdout", "").strip()
        arch = ARCHITECTURES.get(machine)
        if arch is None or not os.path.exists(os.path.join(MODULES, arch, name)):
            built = sorted(d for d in set(ARCHITECTURES.values()) if os.path.isdir(os.path.join(MODULES, d)))
            result.update(failed=True, msg="this build of virtmigrate.libvirt has programs for %s, and the machine that runs the task is %r; "
                                           "run it on the controller with delegate_to: localhost, or install a build for it" % (", ".join(built), machine))
            return result
        wrap_async = self._task.async_val and not self._connection.has_native_async
        result.update(self._execute_module(module_name="virtmigrate.libvirt.%s.%s" % (arch, name), task_vars=task_vars, wrap_async=wrap_async))
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result
