# Only the libvirt daemons can reach each other: QEMU's own ports are closed between the hosts.
resource "virtmigrate_domain" "web" {
  name = "web"
  host = "beta"

  migration {
    transport = "tunnel"
  }
}
