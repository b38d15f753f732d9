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

# the module logs in to the hosts by itself: what become changes is whose keys it has here
BECOME = ("become would run this task as %s on the machine that reaches the hosts, with that user's SSH keys, known_hosts and notes of "
          "interrupted moves; set become: false for it, and name the login on the hosts in their uri")


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        self._supports_check_mode = True
        self._supports_async = True
        result = super(ActionModule, self).run(tmp, task_vars)
        name = self._task.action.split(".")[-1]
        if self._play_context.become:
            result.update(failed=True, msg=BECOME % self._play_context.become_user)
            return result
        words = self._low_level_execute_command("uname -s -m", sudoable=False).get("stdout", "").split()
        system, machine = words if len(words) == 2 else ("", " ".join(words))
        if system not in ("", "Linux"):
            result.update(failed=True, msg="virtmigrate.libvirt has programs for Linux, and the machine that runs the task has %s; "
                                           "run it on a Linux machine (delegate_to) or in an execution environment" % system)
            return result
        arch = ARCHITECTURES.get(machine)
        if arch is None or not os.path.exists(os.path.join(MODULES, "__%s__" % arch, name)):
            built = sorted(d for d in set(ARCHITECTURES.values()) if os.path.isdir(os.path.join(MODULES, "__%s__" % d)))
            result.update(failed=True, msg="this build of virtmigrate.libvirt has programs for %s, and the machine that runs the task is %r; "
                                           "run it on the controller with delegate_to: localhost, or install a build for it" % (", ".join(built), machine))
            return result
        wrap_async = self._task.async_val and not self._connection.has_native_async
        result.update(self._execute_module(module_name="virtmigrate.libvirt.__%s__.%s" % (arch, name), task_vars=task_vars, wrap_async=wrap_async))
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result
