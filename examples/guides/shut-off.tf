# If web is shut off, its definition moves, and it stays shut off.
resource "virtmigrate_domain" "web" {
  name = "web"
  host = "beta"
}

output "how" {
  value = try(virtmigrate_domain.web.last_migration.transport, null) # "none": nothing of the guest's memory
}
