# The guest exists already. It is adopted where it runs, and moves live when host changes.
resource "virtmigrate_domain" "web" {
  name = "web"
  host = "alpha"

  # All of this is optional.
  migration {
    bandwidth_mib_per_second = 400
    max_downtime_ms          = 200
  }

  timeouts {
    update = "30m"
  }
}

# What the latest move cost.
output "downtime_ms" {
  value = try(virtmigrate_domain.web.last_migration.downtime_ms, null)
}
