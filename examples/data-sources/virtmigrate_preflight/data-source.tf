# Whether web could go to beta, with a dry run by libvirt itself. Nothing is moved.
data "virtmigrate_preflight" "web_to_beta" {
  name = "web"
  host = "beta"
  deep = true
}

# What is not plainly well, and what to do about it.
output "web_to_beta" {
  value = {
    for check in data.virtmigrate_preflight.web_to_beta.checks :
    check.id => "${check.status}: ${check.finding} (${check.to_do})" if check.status != "pass"
  }
}

# A warning in every plan for as long as something blocks the move.
check "web_could_go_to_beta" {
  assert {
    condition     = data.virtmigrate_preflight.web_to_beta.ok
    error_message = "Guest web could not go to beta."
  }
}
