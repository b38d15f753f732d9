package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/virtmigrate/terraform-provider-virtmigrate/internal/migration"
)

func (p *virtmigrate) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Moves running QEMU/KVM guests between plain libvirt hosts: live, encrypted, and with figures of what it cost. Guests that are shut off move their definition.",
		Attributes: map[string]schema.Attribute{
			"hosts": schema.MapAttribute{
				Required: true, ElementType: types.MapType{ElemType: types.StringType},
				MarkdownDescription: hostsDescription,
			},
			"max_migrations_per_host": schema.NumberAttribute{
				Optional:   true,
				Validators: wholeFrom(1, migration.MaxMigrationsPerHost),
				MarkdownDescription: fmt.Sprintf("How many guests may leave, and how many may enter, one host at a time; further ones wait. 1 to %d, default: %d.",
					migration.MaxMigrationsPerHost, migration.DefaultMigrationsPerHost),
			},
		},
	}
}

const hostsDescription = "The libvirt hosts between which guests move, by a name of your choice; that name is what `host` of a resource refers to. " +
	"Guests are searched on all of them. Two names are one host if they are shown to lead to one daemon; two hosts with one `host_uuid` are an error. Each host is a map with these options, and no others:\n" +
	"  - `uri` (required): libvirt URI of the host's daemon as the machine that runs Terraform reaches it: `qemu+ssh://user@host/system`, `qemu+tls://host/system`, " +
	"`qemu+unix:///system` or `qemu+tcp://host/system`. Parameters that switch verification off are refused, and so are passwords.\n" +
	"  - `host_key`: public key of the SSH server of `uri`, as `ssh-keyscan` prints it behind the host's name, such as `ssh-ed25519 AAAA...`; several on " +
	"lines of their own. It takes the place of `known_hosts` for this host, though not for machines on the way to it. Default: `known_hosts` counts.\n" +
	"  - `migration_address`: name or IP address, without a port, at which the other hosts' QEMU reaches this one's. Default: the host of `uri`.\n" +
	"  - `tls_destination`: name in this host's QEMU certificate. Default: `migration_address`.\n" +
	"  - `tls_certificates_dir`: folder of QEMU's certificates on this host, where its qemu.conf names another than `/etc/pki/qemu`; they are only looked at, to say beforehand whether `tls` can work.\n" +
	"  - `relay_ports`: range of ports, such as `49152-49215` (default), of which the relay listens on one, at `migration_address`, while a guest comes to this host.\n" +
	"  - `relay_program`: absolute path of a relay that is installed on this host; needed only where the login may not run what is brought to its home.\n" +
	"  - `peer_uri`: libvirt URI by which the other hosts' daemons log in to this one; needed by `control = \"peer_to_peer\"`, except over the relay, and `transport = \"tunnel\"`, whose memory is as encrypted as this connection. " +
	"Default: `uri` without its parameters, unless that is a UNIX socket.\n" +
	"  - `allow_plain_control`: `true` permits unencrypted connections (`qemu+tcp`) to this host's daemon beyond loopback; whoever can reach that port controls the host. Default: `false`."
