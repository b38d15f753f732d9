# A database that rewrites its memory all day: rather pause it for some seconds than not move it at all.
resource "virtmigrate_domain" "db" {
  name = "db"
  host = "beta"

  migration {
    max_downtime_ms = 500

    convergence {
      downtime_steps          = 2  # 1000 ms, then 2000 ms
      timeout_seconds_per_gib = 60 # a guest of 16 GiB: 16 minutes
      on_timeout              = "suspend"
    }
  }
}
