# Whether web could go to beta: a warning in every plan for as long as something blocks the move. Nothing is created on
# any host, and a host that does not answer does not fail the plan.
check "web_could_go_to_beta" {
  data "virtmigrate_preflight" "web_to_beta" {
    name = "web"
    host = "beta"
  }

  assert {
    condition = data.virtmigrate_preflight.web_to_beta.ok
    error_message = join("\n", [
      for c in data.virtmigrate_preflight.web_to_beta.checks : "${c.finding}: ${c.to_do}" if c.status == "blocker"
    ])
  }
}

# With deep = true, libvirt itself makes a dry run: a QEMU and a small guest start on the hosts for a moment, whenever
# the data source is read, also in a plan. So read it only when you ask for it: terraform apply -var dry_run=true
variable "dry_run" {
  type    = bool
  default = false
}

data "virtmigrate_preflight" "dry_run" {
  count = var.dry_run ? 1 : 0
  name  = "web"
  host  = "beta"
  deep  = true
}

# What is not plainly well, and what to do about it.
output "dry_run" {
  value = {
    for c in flatten(data.virtmigrate_preflight.dry_run[*].checks) :
    c.id => "${c.status}: ${c.finding} (${c.to_do})" if c.status != "pass"
  }
}
