# What beta says of itself. Nothing on it is changed.
data "virtmigrate_host" "beta" {
  host = "beta"
}

output "beta_free_gib" {
  value = data.virtmigrate_host.beta.free_memory_bytes / pow(1024, 3)
}

# By which transports guests can come to it, and what rules the others out.
output "beta_transports" {
  value = { for name, t in data.virtmigrate_host.beta.transports : name => t.possible ? "yes" : t.reason }
}
