package lab

import (
	"fmt"
	"strings"
)

// providerAddress is where Terraform knows the provider by.
const providerAddress = "registry.terraform.io/virtmigrate/virtmigrate"

// TerraformSnippet returns a configuration that manages a guest of the lab where it is now: on
// the first host. Changing host and applying again moves it.
func (l *Lab) TerraformSnippet(guest string) string {
	var hosts strings.Builder
	for _, host := range l.Hosts {
		fmt.Fprintf(&hosts, "    %s = {\n      uri               = %q\n      migration_address = %q\n      tls_destination   = %q\n    }\n",
			host.Name, host.URI(SSH), host.MigrationAddress(), host.TLSName())
	}
	return fmt.Sprintf(`terraform {
  required_providers {
    virtmigrate = { source = %q }
  }
}

provider "virtmigrate" {
  hosts = {
%s  }
}

resource "virtmigrate_domain" %q {
  name = %q
  host = %q
}
`, strings.TrimPrefix(providerAddress, "registry.terraform.io/"), hosts.String(), guest, guest, l.Hosts[0].Name)
}

// AnsibleSnippet returns a playbook that brings a guest of the lab to its second host.
func (l *Lab) AnsibleSnippet(guest string) string {
	var hosts strings.Builder
	for _, host := range l.Hosts {
		fmt.Fprintf(&hosts, "          %s:\n            uri: %q\n            migration_address: %s\n            tls_destination: %s\n",
			host.Name, host.URI(SSH), host.MigrationAddress(), host.TLSName())
	}
	return fmt.Sprintf(`- hosts: localhost
  gather_facts: false
  tasks:
    - name: Move the guest
      virtmigrate.libvirt.domain:
        hosts:
%s        name: %s
        host: %s
      delegate_to: localhost
`, hosts.String(), guest, l.Hosts[min(1, len(l.Hosts)-1)].Name)
}
