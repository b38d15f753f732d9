terraform {
  required_providers {
    virtmigrate = {
      source = "virtmigrate/virtmigrate"
    }
  }
}

provider "virtmigrate" {
  hosts = {
    alpha = {
      uri               = "qemu+ssh://root@alpha.example.org/system"
      migration_address = "10.0.0.1"
      tls_destination   = "alpha.example.org"
    }
    beta = {
      uri               = "qemu+ssh://root@beta.example.org/system"
      migration_address = "10.0.0.2"
      tls_destination   = "beta.example.org"
    }
  }
}
