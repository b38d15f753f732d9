# Copyright (c) The virtmigrate authors
# MPL-2.0 (see https://mozilla.org/MPL/2.0/)
"""What all modules of this collection have in common."""
from __future__ import absolute_import, division, print_function

__metaclass__ = type


class ModuleDocFragment(object):
    DOCUMENTATION = r"""
options:
  hosts:
    description:
      - The libvirt hosts, a dictionary from names of your choice to what is known of each.
      - Name every host the guest may be on. A host that is not named cannot be asked.
    type: dict
    required: true
    suboptions:
      uri:
        description:
          - Libvirt URI of the host's daemon, as the machine that runs the module reaches it.
          - C(qemu+ssh://USER@HOST/system) takes C(keyfile), C(known_hosts) and C(socket) as parameters and reads
            C(~/.ssh/config). C(qemu+tls://HOST/system) takes C(pkipath). C(qemu:///system) is this machine.
            C(qemu+tcp) beyond loopback needs I(allow_plain_control).
          - Passwords in a URI are refused.
        type: str
        required: true
      host_key:
        description:
          - Public key of the SSH server of I(uri), as C(ssh-keyscan) prints it behind the host's name, such as C(ssh-ed25519 AAAA...).
            Several are on lines of their own.
          - It takes the place of C(known_hosts) for this host, though not for machines on the way to it. Made for execution environments,
            which have no C(known_hosts).
          - By default C(known_hosts) counts.
        type: str
      migration_address:
        description:
          - Name or address at which the other hosts reach this one's QEMU, without a port.
          - By default the host of I(uri).
        type: str
      tls_destination:
        description:
          - The name in this host's QEMU certificate.
          - By default the I(migration_address).
        type: str
      tls_certificates_dir:
        description:
          - The folder of QEMU's certificates on this host, where its C(qemu.conf) names another than C(/etc/pki/qemu).
          - It is only looked at, over SSH, to say beforehand whether the transport C(tls) can work.
        type: str
      relay_ports:
        description:
          - The range of ports of which the relay listens on one, at I(migration_address), while a guest comes to this host.
        type: str
        default: 49152-49215
      relay_program:
        description:
          - Absolute path of a relay that is installed on this host.
          - Needed only where the login may not run what is brought to its home.
        type: str
      peer_uri:
        description:
          - Libvirt URI by which the other hosts' daemons log in to this one, for control C(peer_to_peer). The transport C(relay) needs none.
          - By default I(uri) without its parameters, where that is not a UNIX socket.
        type: str
      allow_plain_control:
        description:
          - Permits an unencrypted connection to the daemon of this host beyond loopback.
        type: bool
        default: false
"""
