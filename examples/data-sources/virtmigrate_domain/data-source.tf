# Where the guest is, whoever started it there.
data "virtmigrate_domain" "web" {
  name = "web"
}

output "web_host" {
  value = data.virtmigrate_domain.web.host
}

# The disks that a move would have to share or to copy, and what keeps the guest where it is.
output "web_local_disks" {
  value = [for disk in data.virtmigrate_domain.web.disks : disk.target if disk.local]
}

output "web_blockers" {
  value = data.virtmigrate_domain.web.blockers
}
